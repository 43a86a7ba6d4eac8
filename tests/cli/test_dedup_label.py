"""`dedup label`, `dedup calibrate` and `dedup grey` as they are typed."""

import asyncio
import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from dedup.assign import Candidate, assign
from dedup.geometry import Geometry
from dedup.policy import TextPolicy
from services.cli.side_by_side import different
from services.pattern_store import Embedded, GeometryMove, Kept, Serving, Sum
from services.settings import load_settings
from services.store.open import open_store

Run = Callable[..., Result]
RunJson = Callable[..., Any]

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SPACE = "test@1/axes/text-1"
DIMENSION, GROUPS, EACH = 24, 20, 8
DISTANCE = 0.45


def _grouped() -> tuple[np.ndarray, np.ndarray]:
    """Raw vectors around twenty middles, and their groups."""
    rng = np.random.default_rng(3)
    middles = rng.standard_normal((GROUPS, DIMENSION))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(GROUPS), EACH))
    return middles[truth] + 0.19 * rng.standard_normal((len(truth), DIMENSION)), truth


def _misled() -> tuple[np.ndarray, np.ndarray]:
    """Raw vectors that differ most in four directions that say nothing of their groups."""
    rng = np.random.default_rng(0)
    middles = np.zeros((40, DIMENSION))
    middles[:, 4:] = rng.standard_normal((40, DIMENSION - 4))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    truth = rng.permutation(np.repeat(np.arange(40), 6))
    apart = 0.06 * rng.standard_normal((len(truth), DIMENSION))
    apart[:, :4] *= 9.0
    return middles[truth] + apart, truth


async def _fill(raw: np.ndarray, truth: np.ndarray) -> None:
    raw = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    candidates = [
        Candidate(
            "shop", f"{n:032x}", f"t{n}", NOW, f"group {g} text {n}", f"f{n:03d}", "model", "model|"
        )
        for n, g in enumerate(truth)
    ]
    geometry = Geometry(1, np.zeros(DIMENSION, np.float32))
    batch = assign(
        candidates,
        known={},
        vectors={one.fingerprint: row for one, row in zip(candidates, raw, strict=True)},
        near={},
        centroids={},
        geometry=geometry,
        distance=DISTANCE,
        band=0.05,
        space=SPACE,
    )
    store = open_store(load_settings())
    await store.upgrade()
    await store.start()
    async with store.patterns.locked("shop") as writer:
        signed = {"by": "evalratchet", "reason": "first", "at": NOW}
        serving = Serving(ordinal=1, space=SPACE, encoder="test", text=TextPolicy(), **signed)
        await writer.serve(serving)
        move = GeometryMove(space=SPACE, geometry=geometry, kind="centre", texts=20, **signed)
        await writer.move(move)
        texts = [Embedded(c.fingerprint, c.text, v) for c, v in zip(candidates, raw, strict=True)]
        total = Sum(len(texts), raw.sum(axis=0, dtype=np.float64))
        await writer.keep(
            Kept(
                space=SPACE,
                decided=batch.decided,
                centroids=batch.centroids,
                embedded=texts,
                sum=total,
            )
        )
    await store.close()


@pytest.fixture
def labelled(home: Path, cli: Run, made_once: Callable[..., Path]) -> Path:
    """A hundred and sixty failures of twenty kinds, which no distance tells apart for sure."""
    return made_once("labelled", lambda: _make(home, cli, *_grouped()))


def _make(home: Path, cli: Run, raw: np.ndarray, truth: np.ndarray) -> None:
    home.mkdir()
    asyncio.run(_fill(raw, truth))
    with closing(sqlite3.connect(home / "store.db")) as store, store:
        store.execute("INSERT INTO project VALUES ('shop', 1)")
    done = cli("policy", "set", "shop", "--distance", str(DISTANCE), "--reason", "to begin with")
    assert done.exit_code == 0, done.output


def kept(home: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(home / "store.db")) as store:
        return store.execute(
            "SELECT first, second, verdict FROM pair_label ORDER BY 1, 2"
        ).fetchall()


def _answered(cli_json: RunJson, cli: Run, count: int) -> Result:
    """Draw pairs as JSON, answer them by their groups, give the answers back."""
    pairs = cli_json("dedup", "label", "--count", str(count))["pairs"]
    lines = []
    for pair in pairs:
        groups = {pair[name].split()[1] for name in ("first_text", "second_text")}
        lines.append(json.dumps(pair | {"verdict": "same" if len(groups) == 1 else "different"}))
    return cli("dedup", "label", "--answers", "-", input="\n".join(lines).encode())


def test_answers_from_a_pipe_are_kept_one_by_one(labelled: Path, cli: Run) -> None:
    done = cli("dedup", "label", "--count", "5", input=b"s\nd\nk\nwhat\nsame\n")
    assert done.exit_code == 0, done.output
    assert "1 of 5: the same failure?" in done.stdout
    assert "Kept: 2 same, 1 different, 1 skipped." in done.stdout
    assert "'what' is none of s, d, k, u, q." in done.stderr
    assert sorted(row[2] for row in kept(labelled)) == ["different", "same", "same"]


@pytest.mark.usefixtures("labelled")
def test_where_everything_goes_into_one_file_answers_stand_behind_their_questions() -> None:
    command = [sys.executable, "-m", "services.cli", "dedup", "label", "--count", "2"]
    done = subprocess.run(
        command, input=b"s\nwhat\nd\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    )
    lines = [line for line in done.stdout.decode().splitlines() if line]
    asked = "[s]ame  [d]ifferent  s[k]ip  [u]ndo  [q]uit?"
    said = [line.strip() for line in lines if line.startswith((asked, "'what'", "Kept"))]
    assert said[:4] == [
        f"{asked} s",
        asked,
        "'what' is none of s, d, k, u, q.",
        f"{asked} d",
    ]
    assert said[4].startswith("Kept: 1 same, 1 different.")


def test_undo_takes_the_last_answer_back_and_asks_again(labelled: Path, cli: Run) -> None:
    done = cli("dedup", "label", "--count", "3", input=b"u\ns\nu\nd\nq\n")
    assert done.exit_code == 0, done.output
    assert "nothing to undo" in done.stderr
    assert [row[2] for row in kept(labelled)] == ["different"]
    assert "Kept: 0 same, 1 different." in done.stdout


def test_printing_pairs_asks_nothing_and_takes_the_answers_back(
    labelled: Path, cli: Run, cli_json: RunJson
) -> None:
    shown = cli_json("dedup", "label", "--count", "4", "--seed", "1")
    again = cli_json("dedup", "label", "--count", "4", "--seed", "1")
    assert shown == again
    assert len(shown["pairs"]) == 4
    assert shown["distance"] == DISTANCE
    assert kept(labelled) == []
    done = _answered(cli_json, cli, 12)
    assert done.exit_code == 0, done.output
    assert len(kept(labelled)) == 12


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense", "line 1: this is no answer"),
        (b'{"first": "f001", "second": "f002", "verdict": "maybe"}', "line 1: this is no answer"),
        (b'{"first": "f001", "second": "nobody", "verdict": "same"}', "'nobody'"),
        (b'{"first": "f001", "second": "f001", "verdict": "same"}', "named with itself"),
    ],
)
def test_an_answer_that_is_none_is_told_and_nothing_is_kept(
    labelled: Path, cli: Run, line: bytes, said: str
) -> None:
    good = b'{"first": "f001", "second": "f002", "verdict": "same"}'
    done = cli("dedup", "label", "--answers", "-", input=line + b"\n" + good)
    assert done.exit_code == 2
    assert said in done.stderr
    assert kept(labelled) == []


def test_too_few_answers_say_how_many_are_missing(labelled: Path, cli: Run) -> None:
    done = cli("dedup", "calibrate")
    assert done.exit_code == 1
    assert "20 same and 20 different are missing" in done.stderr
    assert "dedup label --project shop" in done.stderr


def test_calibrate_prints_both_distances_and_applies_when_told_to(
    labelled: Path, cli: Run, cli_json: RunJson
) -> None:
    assert _answered(cli_json, cli, 150).exit_code == 0
    shown = cli("dedup", "calibrate")
    assert shown.exit_code == 0, shown.output
    assert "in force" in shown.stdout
    assert "proposed" in shown.stdout
    assert "95 % intervals" in shown.stdout
    document = cli_json("dedup", "calibrate")
    assert document["applied"] is None
    assert document["fit"]["current"]["distance"] == DISTANCE
    proposed = document["with_metric"] or document["fit"]["proposed"]["distance"]
    unsigned = cli("dedup", "calibrate", "--apply")
    assert unsigned.exit_code == 2
    assert "--reason" in unsigned.stderr
    applied = cli("dedup", "calibrate", "--apply", "--reason", "150 answers", "--by", "ann")
    assert applied.exit_code == 0, applied.output
    assert cli_json("policy", "show", "shop")["policy"]["dedup"]["distance"] == proposed
    if proposed != DISTANCE:
        assert cli_json("policy", "history", "shop")[-1]["changed_by"] == "ann"


def _turned(cli: Run, distance: float) -> None:
    done = cli("policy", "set", "shop", "--distance", str(distance), "--reason", "to look")
    assert done.exit_code == 0, done.output


def _distance(cli_json: RunJson) -> float:
    distance: float = cli_json("policy", "show", "shop")["policy"]["dedup"]["distance"]
    return distance


@pytest.mark.usefixtures("labelled")
def test_answers_that_do_not_tell_two_distances_apart_are_applied_only_with_a_yes(
    cli: Run, cli_json: RunJson
) -> None:
    _turned(cli, 0.61)
    assert _answered(cli_json, cli, 130).exit_code == 0
    fit = cli_json("dedup", "calibrate")["fit"]
    assert fit["better"] < 0.9
    assert fit["proposed"]["distance"] != 0.61
    apply = ("dedup", "calibrate", "--apply", "--reason", "130 answers")
    for more in ((), ("--json",)):
        refused = cli(*apply, *more)
        assert refused.exit_code == 1, refused.output
        assert "do not yet tell the two" in refused.stderr
        assert "--yes" in refused.stderr
        assert _distance(cli_json) == 0.61
    assert json.loads(refused.stdout)["applied"] is None
    done = cli(*apply, "--yes")
    assert done.exit_code == 0, done.output
    assert "The answers do not yet tell the two apart" in done.stdout
    assert _distance(cli_json) == fit["proposed"]["distance"]


@pytest.mark.usefixtures("labelled")
def test_a_distance_that_the_adaptive_mode_could_not_go_down_to_is_not_applied(
    cli: Run, cli_json: RunJson
) -> None:
    assert _answered(cli_json, cli, 150).exit_code == 0
    on = cli("dedup", "adaptive", "on", "--wide", "0.5", "--yes", "--reason", "new suite")
    assert on.exit_code == 0, on.output
    fit = cli_json("dedup", "calibrate")["fit"]
    assert fit["proposed"]["distance"] > 0.5
    in_force = cli_json("dedup", "distance")["effective"]
    assert fit["current"]["distance"] == in_force, "not the one that it goes down to"
    assert "follows coverage" in cli("dedup", "calibrate").stdout
    done = cli("dedup", "calibrate", "--apply", "--reason", "150 answers", "--yes")
    assert done.exit_code == 2, done.output
    assert "begins at 0.5 and goes down" in done.stderr
    assert "dedup adaptive on --wide" in done.stderr
    assert _distance(cli_json) == DISTANCE


@pytest.mark.parametrize("distance", [0.2, 0.35])
@pytest.mark.usefixtures("labelled")
def test_answers_that_are_not_used_are_counted_with_the_reason(
    cli: Run, cli_json: RunJson, distance: float
) -> None:
    """Answered around one distance, used around a narrower one."""
    told = _answered(cli_json, cli, 200)
    assert told.exit_code == 0, told.output
    assert "200 same" not in told.stdout
    _turned(cli, distance)
    done = cli("dedup", "calibrate", "--json")
    fit = json.loads(done.stdout)["fit"]
    unused = fit["unused"]
    assert unused["beyond_reach"] > 0
    assert unused == {"beyond_reach": unused["beyond_reach"], "guards_differ": 0, "not_there": 0}
    assert fit["same"] + fit["different"] + unused["beyond_reach"] == 200
    said = cli("dedup", "calibrate")
    assert f"Not used: {unused['beyond_reach']} answer" in said.output
    assert "about pairs beyond reach (more than 0.3 beyond the distance in force)" in said.output


def test_a_metric_that_helps_is_applied_with_its_distance_as_the_next_geometry(
    home: Path, cli: Run, cli_json: RunJson
) -> None:
    _make(home, cli, *_misled())
    assert _answered(cli_json, cli, 400).exit_code == 0
    applied = cli("dedup", "calibrate", "--apply", "--reason", "400 answers", "--by", "ann")
    assert applied.exit_code == 0, applied.output
    assert "is accepted" in applied.stdout
    assert "the metric are in force" in applied.stdout
    with closing(sqlite3.connect(home / "store.db")) as store:
        rows = store.execute(
            "SELECT number, kind, changed_by, reason, detail, length(metric) FROM geometry ORDER BY 1"
        ).fetchall()
    assert [row[:4] for row in rows] == [
        (1, "centre", "evalratchet", "first"),
        (2, "metric", "ann", "400 answers"),
    ]
    evidence = json.loads(rows[1][4])
    assert evidence["metric"]["f1_after"] > evidence["metric"]["f1_before"]
    assert rows[1][5] == DIMENSION * DIMENSION * 4
    distance = cli_json("policy", "show", "shop")["policy"]["dedup"]["distance"]
    assert distance == evidence["with_metric"]


def test_doubtful_decisions_are_listed_and_decided(
    labelled: Path, cli: Run, cli_json: RunJson
) -> None:
    rows = cli_json("dedup", "grey", "list")
    assert len(rows) >= 2
    assert [row["distance"] for row in rows] == sorted(row["distance"] for row in rows)
    assert rows[0]["text"].startswith("group")
    listed = cli("dedup", "grey", "list", "--limit", "2")
    assert rows[0]["event_id"] in listed.stdout
    one = cli("dedup", "grey", "same", rows[0]["event_id"], "--by", "ann")
    assert one.exit_code == 0, one.output
    split = cli_json("dedup", "grey", "different", rows[1]["event_id"], "--reason", "other")
    assert split["pattern_id"] != rows[1]["pattern_id"]
    left = {row["event_id"] for row in cli_json("dedup", "grey", "list")}
    assert not left & {rows[0]["event_id"], rows[1]["event_id"]}
    again = cli("dedup", "grey", "same", rows[0]["event_id"])
    assert again.exit_code == 1
    assert "reviewed already" in again.stderr
    assert sorted(row[2] for row in kept(labelled)) == ["different", "same"]


def test_a_review_whose_split_is_undone_waits_again(
    labelled: Path, cli: Run, cli_json: RunJson
) -> None:
    row = cli_json("dedup", "grey", "list")[0]
    split = cli_json("dedup", "grey", "different", row["event_id"])
    undone = cli("patterns", "undo", split["change_id"], "--reason", "was one after all")
    assert undone.exit_code == 0, undone.output
    assert kept(labelled) == []
    assert cli_json("dedup", "grey", "list")[0] == row
    same = cli("dedup", "grey", "same", row["event_id"])
    assert same.exit_code == 0, same.output
    assert [one[2] for one in kept(labelled)] == ["same"]


def test_a_decision_that_is_not_there_is_told(labelled: Path, cli: Run) -> None:
    done = cli("dedup", "grey", "same", "nothing")
    assert done.exit_code == 1
    assert "dedup grey list" in done.stderr
    assert cli("dedup", "grey", "same", " ").exit_code == 2
    several = cli("dedup", "grey", "same", "0")
    assert several.exit_code == 2
    assert "Give more of it" in several.stderr


def test_a_project_without_vectors_is_told_what_to_do(filled: Path, cli: Run) -> None:
    with closing(sqlite3.connect(filled / "store.db")) as store, store:
        store.execute("DELETE FROM embedding")
    done = cli("dedup", "label", "--project", "shop")
    assert done.exit_code == 1
    assert "no stored failures" in done.stderr


@pytest.mark.usefixtures("labelled")
def test_on_a_terminal_one_key_is_an_answer_and_being_killed_loses_none(labelled: Path) -> None:
    """The process is killed after two keys; both answers are in the store."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "services.cli", "dedup", "label", "--count", "5"]
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    try:
        _until(ours, "[q]uit?")
        os.write(ours, b"s")
        screen = _until(ours, "[q]uit?")
        assert "2 of 5" in screen
        os.write(ours, b"xd")
        assert "3 of 5" in _until(ours, "[q]uit?")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert sorted(row[2] for row in kept(labelled)) == ["different", "same"]


def _until(terminal: int, text: str) -> str:
    """What the terminal shows until it has shown `text`."""
    shown = b""
    while text.encode() not in shown:
        shown += os.read(terminal, 4096)
    return shown.decode(errors="replace")


def test_what_differs_is_found_and_next_to_nothing_between_is_no_agreement() -> None:
    one, other = "Where is my parcel 17?", "Where is my blue voucher 17?"
    first, second = different(one, other)
    assert [one[a:b] for a, b in first] == ["parcel"]
    assert [other[a:b] for a, b in second] == ["blue voucher"]
    assert different("Same  text", "same text") == ([], [])
    lone = different("send the parcel", "lose the voucher")[0]
    assert lone == [(0, 15)]
