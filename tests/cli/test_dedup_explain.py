from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from dedup.fingerprint import fingerprint
from services.cli.dedup_explain import _nearest, _why
from services.pattern_store import StoredCentroid

Run = Callable[..., Result]
RunJson = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("filled")


def test_a_failure_is_explained_from_its_text_to_its_neighbours(
    cli: Run, cli_json: RunJson
) -> None:
    shown = cli_json("dedup", "explain", "t2")
    assert shown["project"] == "shop"
    assert [part["part"] for part in shown["parts"]] == [
        part["part"] for part in shown["text_policy"]["parts"]
    ]
    assert "parcel lost" in shown["text"]
    assert shown["fingerprint"] == fingerprint(shown["text"], shown["guard"])
    assert shown["guard"] == "model|"
    assert shown["decision"]["decided_by"] == "embedding"
    assert shown["decision"]["fingerprint"] == shown["fingerprint"]
    assert shown["space"].endswith(f"/text-{shown['text_version']}")
    patterns = {one["pattern_id"] for one in cli_json("patterns", "list", "--project", "shop")}
    assert {one["pattern_id"] for one in shown["nearest"]} == patterns
    own, other = shown["nearest"]
    assert own["pattern_id"] == shown["decision"]["pattern_id"]
    assert own["joins"]
    assert own["distance"] < shown["distance"] < other["distance"]
    said = cli("dedup", "explain", "t2")
    assert said.exit_code == 0
    for text in ("characters", "at most 600", "fingerprint", "by embedding", "no: too far"):
        assert text in said.stdout


def test_what_users_wrote_cannot_steer_the_terminal(cli: Run) -> None:
    assert "\x1b" not in cli("dedup", "explain", "t2").stdout


def test_the_first_failure_of_a_pattern_says_how_new_it_was(cli: Run) -> None:
    said = cli("dedup", "explain", "t1").stdout
    assert "a new pattern" in said
    assert "there was none before" in said
    assert "the nearest was at" in cli("dedup", "explain", "t3").stdout


def test_a_trace_that_did_not_fail_or_is_not_there_is_said_so(cli: Run) -> None:
    fine = cli("dedup", "explain", "t5")
    assert fine.exit_code == 1
    assert "no failure by the policy in force" in fine.stderr
    assert cli("dedup", "explain", "nobody").exit_code == 1
    assert cli("dedup", "explain", " ").exit_code == 2
    assert cli("dedup", "explain", "t1", "--project", "other").exit_code == 1


class Seven:
    """Seven patterns in a fan around a text, the farthest last."""

    async def geometry(self, _space: str) -> None:
        """The centre has not moved."""

    async def centroids_after(self, _space: str, seq: int, *, limit: int) -> list[StoredCentroid]:
        angles = np.linspace(0.1, 1.2, 7)[seq : seq + limit]
        return [
            StoredCentroid(
                pattern_id=f"p{at}",
                guard="model|",
                seq=at,
                total=np.array([np.cos(angle), np.sin(angle)], dtype="<f4").tobytes(),
                count=1,
            )
            for at, angle in enumerate(angles, start=seq + 1)
        ]


@pytest.mark.parametrize(("own", "shown"), [("p7", 6), ("p2", 5), (None, 5)])
async def test_the_own_pattern_is_shown_however_far_it_is(own: str | None, shown: int) -> None:
    reader: Any = Seven()
    text = np.array([1.0, 0.0], dtype=np.float32)
    near, _ = await _nearest(reader, "space", text, "model|", distance=0.3, own=own)
    assert [one.pattern_id for one in near] == [*(f"p{n}" for n in range(1, 6)), "p7"][:shown]
    said = {one.pattern_id: _why(one, own) for one in near}
    assert said["p1"] == "yes"
    assert said["p2"] == ("yes: it is in it" if own == "p2" else "yes")
    assert said.get("p7", "it is in it, by an earlier decision").startswith("it is in it")
