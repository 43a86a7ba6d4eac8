"""`dedup distance`, `dedup what-if`, `dedup adaptive`, and coverage in `status`."""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import insert
from typer.testing import Result

from capture.events import Failure
from capture.trace import Trace
from dedup.encoders.hashing import HashingEncoder
from services.cli import dedup_adaptive
from services.deduper import Deduper
from services.encoders import Encoders
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.policy import Policies
from services.settings import load_settings
from services.store.open import Store, open_store
from services.store.tables import project
from services.stream.open import open_stream
from services.stream.topics import Topics

Run = Callable[..., Result]
RunJson = Callable[..., Any]

THINGS = ("parcel", "invoice", "refund", "voucher", "login")
LOST = ("is lost", "is lost again", "was lost", "was lost here", "got lost", "got lost again")
AWAY = (
    "never came",
    "never came here",
    "came never",
    "came never here",
    "never comes",
    "comes never",
)
TAILS = (*LOST, *AWAY)
SET = ("policy", "set", "shop", "--distance", "0.45", "--by", "ann", "--reason", "measured")


class Hashing:
    encoder = HashingEncoder.identity

    def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        return list(HashingEncoder().encode(texts))

    async def close(self) -> None:
        """Nothing to stop."""


def failures() -> list[Failure]:
    """120 failures of yesterday and before, in five times twelve wordings, each seen twice."""
    now = datetime.now(UTC)
    texts = [f"my {thing} {tail}" for tail in TAILS for thing in THINGS] * 2
    return [
        Failure(
            event_id=f"e{n}",
            trace=Trace(trace_id=f"t{n}", project="shop", input=text),
            signals=(),
            severity="high",
            fault="model",
            failed_at=now - timedelta(days=len(texts) - n),
        )
        for n, text in enumerate(texts)
    ]


def no_other(encoder: str) -> Hashing:
    raise ValueError(encoder)


async def noted(store: Store) -> None:
    """What capture leaves of a project: its name, and a stream."""
    row = insert(project).values(project="shop", first_ms=0)
    await store._database.write(lambda connection: connection.execute(row))
    stream = open_stream(load_settings())
    await stream.start()
    topics = Topics().all(partitions=1, retention_ms=86_400_000, max_trace_bytes=1 << 20)
    await stream.apply_topics(topics)
    await stream.close()


async def decide(made: Sequence[Failure]) -> None:
    settings = load_settings()
    store = open_store(settings)
    try:
        await store.start()
        await noted(store)
        deduper = Deduper(
            store.patterns,
            Encoders(Hashing(), no_other),
            Indexes(IndexFiles(settings.home / "indexes")),
            Policies(store.policies),
            clock=lambda: datetime.now(UTC),
        )
        for start in range(0, len(made), 12):
            await deduper.handle(made[start : start + 12])
    finally:
        await store.close()


@pytest.fixture
def decided(cli: Run, made_once: Callable[..., Path]) -> Path:
    """A project whose failures were decided at distance 0.45."""

    def make() -> None:
        assert cli(*SET).exit_code == 0
        asyncio.run(decide(failures()))

    return made_once("decided", make)


@pytest.fixture
def shop(decided: Path) -> Sequence[str]:
    """Names the project."""
    return ("--project", "shop")


def patterns(cli: Run) -> int:
    listed = cli("patterns", "members", "shop", "--format", "csv").stdout.splitlines()[1:]
    return len({line.split(",")[1] for line in listed})


@pytest.mark.usefixtures("decided")
def test_the_distance_is_shown_with_who_set_it_and_why(cli: Run, cli_json: RunJson) -> None:
    shown = cli_json("dedup", "distance", "--project", "shop")
    assert shown["distance"] == shown["effective"] == 0.45
    assert (shown["owner"], shown["reason"], shown["wide"]) == ("ann", "measured", None)
    assert [one["version"] for one in shown["history"]] == [1]
    told = cli("dedup", "distance", "--project", "shop").stdout
    assert "0.45" in told
    assert "measured" in told


@pytest.mark.usefixtures("decided")
def test_a_change_is_signed_and_only_goes_forwards(cli: Run, cli_json: RunJson) -> None:
    before = patterns(cli)
    result = cli(
        "dedup", "distance", "0.7", "--project", "shop", "--reason", "too fine", "--by", "bob"
    )
    assert result.exit_code == 0, result.output
    assert "0.7, before it was 0.45: version 2" in result.stdout
    assert "What was decided before stays" in result.stdout
    assert patterns(cli) == before
    shown = cli_json("dedup", "distance", "--project", "shop")
    assert [one["distance"] for one in shown["history"]] == [0.45, 0.7]
    assert cli_json("policy", "show", "shop")["policy"]["dedup"]["distance"] == 0.7


@pytest.mark.usefixtures("decided")
def test_other_changes_of_the_policy_are_no_turns_of_the_knob(cli: Run, cli_json: RunJson) -> None:
    cli("policy", "set", "shop", "--latency-ms", "8000")
    assert len(cli_json("dedup", "distance", "--project", "shop")["history"]) == 1


@pytest.mark.usefixtures("decided")
def test_reassigning_makes_the_stored_patterns_what_what_if_promised(
    cli: Run, cli_json: RunJson, shop: Sequence[str]
) -> None:
    promised = cli_json("dedup", "what-if", "--distance", "0.8", *shop)
    assert promised["then"]["patterns"] < promised["today"]["patterns"]
    done = cli_json("dedup", "distance", "0.8", *shop, "--reason", "coarser", "--reassign")
    assert done["reassigned"]["merge"] > 0
    assert patterns(cli) == promised["then"]["patterns"]
    again = cli_json("dedup", "distance", "0.8", *shop, "--reason", "once more", "--reassign")
    assert again["version"] is None
    assert again["reassigned"] == {}
    assert "nothing to reassign" in (
        cli("dedup", "distance", "0.8", *shop, "--reason", "x", "--reassign").stdout
    )


def test_what_if_shows_examples_curves_and_changes_nothing(
    cli: Run, cli_json: RunJson, shop: Sequence[str]
) -> None:
    before = patterns(cli)
    told = cli("dedup", "what-if", "--distance", "0.8", *shop).stdout
    assert "Would become one pattern" in told
    assert "my parcel" in told
    assert "0.45 in force" in told
    assert "\x1b[" not in told
    assert max(len(line) for line in told.splitlines() if "┤" in line) <= 80
    assert patterns(cli) == before
    answer = cli_json("dedup", "what-if", "--distance", "0.45", *shop)
    assert (answer["merging"], answer["splitting"], answer["moved_failures"]) == (0, 0, 0)
    assert len(answer["curves"]["points"]) > 10
    few = cli_json("dedup", "what-if", "--distance", "0.8", "--since", "20.5d", *shop)
    assert few["failures"] == 20


@pytest.mark.parametrize("name", ["knob.png", "knob.SVG"])
def test_what_if_draws(cli: Run, shop: Sequence[str], tmp_path: Path, name: str) -> None:
    drawn = tmp_path / name
    result = cli("dedup", "what-if", "--distance", "0.8", *shop, "--plot", str(drawn))
    assert result.exit_code == 0, result.output
    start = drawn.read_bytes()[:200]
    assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert drawn.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("what-if", "--distance", "2.5"), "0 (only the same text"),
        (("what-if", "--distance", "nan"), "is no distance"),
        (("what-if", "--distance", "0.4", "--since", "soon"), "30d"),
        (("what-if", "--distance", "0.4", "--plot", "x.jpg"), ".png or .svg"),
        (("what-if", "--distance", "0.4", "--plot", "/nowhere/x.png"), "/nowhere"),
        (("distance", "0.4"), "--reason"),
        (("distance", "-1", "--reason", "x"), ""),
        (("distance", "--reassign"), "Say the new distance"),
        (("adaptive", "on"), "--reason"),
        (("adaptive", "simulate", "--wide", "0.1"), "not wider"),
        (("adaptive", "maybe"), ""),
    ],
)
@pytest.mark.usefixtures("decided")
def test_wrong_use_says_what_to_change(cli: Run, arguments: Sequence[str], said: str) -> None:
    result = cli("dedup", *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_without_data_every_command_says_how_to_begin(cli: Run) -> None:
    for arguments in (("distance",), ("what-if", "--distance", "0.4"), ("adaptive", "simulate")):
        result = cli("dedup", *arguments)
        assert result.exit_code == 3
        assert "evalratchet up" in result.stderr


def test_a_project_without_failures_has_nothing_to_replay(cli: Run) -> None:
    assert cli(*SET).exit_code == 0
    result = cli("dedup", "distance", "0.5", "--project", "shop", "--reason", "x", "--reassign")
    assert result.exit_code == 1
    assert "no stored failures to replay" in result.stderr


@pytest.mark.usefixtures("decided")
def test_the_adaptive_distance_is_switched_on_only_after_its_simulation(
    cli: Run, cli_json: RunJson, shop: Sequence[str]
) -> None:
    simulated = cli_json("dedup", "adaptive", "simulate", "--wide", "0.9", *shop)["simulation"]
    assert simulated["steps"][0]["distance"] == 0.9
    assert simulated["steps"][-1]["failures"] == 120
    assert cli_json("dedup", "distance", *shop)["wide"] is None
    on = ("dedup", "adaptive", "on", "--wide", "0.9", *shop, "--reason", "a new suite")
    refused = cli(*on)
    assert refused.exit_code == 1
    assert "known share" in refused.stdout
    assert "--yes" in refused.stderr
    assert cli_json("dedup", "distance", *shop)["wide"] is None
    assert cli(*on, "--yes").exit_code == 0
    shown = cli_json("dedup", "distance", *shop)
    assert shown["wide"] == 0.9
    assert 0.45 < shown["effective"] < 0.9
    assert 'adaptive={"wide":0.9}' in cli("policy", "show", "shop").stdout
    assert cli("dedup", "adaptive", "off", *shop, "--reason", "no").exit_code == 0
    assert cli_json("dedup", "distance", *shop)["effective"] == 0.45


def test_the_adaptive_distance_goes_down_to_something(
    cli: Run, cli_json: RunJson, shop: Sequence[str]
) -> None:
    on = ("dedup", "adaptive", "on", "--wide", "0.6", *shop, "--reason", "new", "--yes")
    assert cli(*on).exit_code == 0
    beyond = cli("dedup", "distance", "0.6", *shop, "--reason", "x")
    assert beyond.exit_code == 2
    assert "begins at 0.6" in beyond.stderr
    assert cli_json("dedup", "distance", *shop)["distance"] == 0.45
    nearer = cli("dedup", "distance", "0.4", *shop, "--reason", "x")
    assert "what it goes down to" in nearer.stdout


def test_what_another_changed_meanwhile_is_not_undone(
    cli: Run, shop: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(project: str, *, yes: bool) -> None:
        # the person looks at the simulation, and somebody else turns the knob
        done = threading.Thread(
            target=lambda: asyncio.run(turned(project, 0.5)),
        )
        done.start()
        done.join()

    monkeypatch.setattr(dedup_adaptive, "_agreed", slow)
    said = cli("dedup", "adaptive", "on", "--wide", "0.9", *shop, "--reason", "new")
    assert said.exit_code == 1
    assert "Somebody else changed the policy" in said.stderr
    shown = cli("dedup", "distance", *shop).stdout
    assert "0.5" in shown
    assert "adaptive      off" in shown


async def turned(project: str, distance: float) -> None:
    """What `dedup distance` of another process leaves."""
    store = open_store(load_settings())
    await store.start()
    try:
        version, policy = await store.policies.current(project)
        after = msgspec.structs.replace(
            policy, dedup=msgspec.structs.replace(policy.dedup, distance=distance)
        )
        made = await store.policies.change(
            project, after, by="bob", reason="x", at=datetime.now(UTC), expected=version
        )
        assert made is not None
    finally:
        await store.close()


def test_a_distance_ahead_of_the_first_failure_says_so(cli: Run, shop: Sequence[str]) -> None:
    assert "yet" not in cli("dedup", "distance", "0.5", *shop, "--reason", "x").stderr
    other = cli("dedup", "distance", "0.5", "--project", "sohp", "--reason", "x")
    assert other.exit_code == 0
    assert "Nothing has come from a project named 'sohp' yet" in other.stderr


@pytest.mark.usefixtures("decided")
def test_status_shows_how_much_is_known(cli: Run, cli_json: RunJson) -> None:
    (one,) = cli_json("status", "--project", "shop")["coverage"]
    assert one["project"] == "shop"
    assert one["coverage"]["failures"] == 120
    assert one["coverage"]["known_share"] == 1
    assert one["coverage"]["known_share_interval"]["low"] < 1
    told = cli("status").stdout
    assert "known share" in told
    assert json.dumps(one)


@pytest.mark.parametrize("distance", ["0.3", "1.2", "1.5", "2"])
def test_the_curve_shows_the_distance_asked_about_however_large(
    cli: Run, shop: Sequence[str], distance: str
) -> None:
    result = cli("dedup", "what-if", "--distance", distance, *shop)
    panel = result.stdout[result.stdout.index("Bloat: patterns for each distinct text") :]
    drawn = panel[panel.index("┌") : panel.index("└")]
    assert drawn.count("o") == drawn.count("x") == 1


def test_coverage_is_shown_with_the_curve_that_led_to_it(
    cli: Run, cli_json: RunJson, shop: Sequence[str]
) -> None:
    known = cli_json("dedup", "coverage", *shop)
    assert known["coverage"]["failures"] == 120
    assert known["discovery"]["seen"][-1] == [120, known["coverage"]["patterns"]]
    assert known["coverage"] == cli_json("status", *shop)["coverage"][0]["coverage"]
    shown = cli("dedup", "coverage", *shop).stdout
    assert f"{known['coverage']['patterns']} of 120 failures" in shown
    assert "at least" in shown
    assert "Discovery: patterns known after so many failures" in shown
    assert "240" in shown, "the forecast goes to twice the failures"
    assert "+" in shown[shown.index("┌") :]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_coverage_fits_the_terminal(
    cli: Run, shop: Sequence[str], wide: Callable[[int], None], columns: int
) -> None:
    wide(columns)
    for command in (("dedup", "coverage", *shop), ("status", *shop)):
        shown = cli(*command).stdout.splitlines()
        assert all(len(line) <= columns for line in shown if not line.startswith("("))


@pytest.mark.parametrize("name", ["known.png", "known.SVG"])
def test_the_discovery_curve_is_drawn(
    cli: Run, shop: Sequence[str], tmp_path: Path, name: str
) -> None:
    drawn = tmp_path / name
    result = cli("dedup", "coverage", *shop, "--plot", str(drawn))
    assert result.exit_code == 0, result.output
    start = drawn.read_bytes()
    assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    again = tmp_path / f"again.{name.rpartition('.')[2]}"
    cli("dedup", "coverage", *shop, "--plot", str(again))
    assert again.read_bytes() == start, "the same history is the same picture"


def test_coverage_of_a_project_that_never_failed_is_refused(cli: Run) -> None:
    assert cli("db", "upgrade").exit_code == 0
    asyncio.run(only_named())
    result = cli("dedup", "coverage")
    assert result.exit_code == 1
    assert "shop has no failures yet." in result.stderr
    assert cli("dedup", "coverage", "--plot", "x.jpg").exit_code == 2


async def only_named() -> None:
    store = open_store(load_settings())
    try:
        await store.start()
        await noted(store)
    finally:
        await store.close()


def test_the_text_in_the_middle_stands_for_patterns_as_soon_as_the_policy_says_so(
    cli: Run, cli_json: RunJson, shop: Sequence[str], tmp_path: Path
) -> None:
    def texts() -> dict[str, str]:
        return {one["pattern_id"]: one["text"] for one in cli_json("patterns", "list", *shop)}

    def represented_by(which: str) -> str:
        policy = cli_json("policy", "show", "shop")["policy"]
        policy["dedup"]["representative"] = which
        file = tmp_path / "policy.json"
        file.write_text(json.dumps(policy))
        done = cli("policy", "set", "shop", "--file", str(file), "--reason", "easier to read")
        assert done.exit_code == 0, done.output
        return done.stdout

    before = texts()
    assert "+ dedup distance=0.45 representative=medoid" in represented_by("medoid")
    assert texts().keys() == before.keys()
    assert texts() != before
    assert sorted(texts().values()) != sorted(before.values())
    represented_by("first")
    assert texts() == before
