"""`services.knob.KnobReader`: what a project's history is, after the real deduper decided it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import func, select
from wordings import START, Hashing, failures

from capture.events import Failure
from dedup.adaptive import simulate
from dedup.coverage import coverage
from dedup.policy import AdaptivePolicy, DedupPolicy
from dedup.what_if import replay
from services.coverage import AdaptivePolicies, coverages, discovered
from services.deduper import Deduper
from services.encoders import Encoders
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.knob import REASSIGNED, Recorded
from services.mode_store import Mode, ModeRefit, PatternMode, Refitted
from services.policy import Policies, Policy
from services.reassigning import carry_out, planned
from services.store.open import Store
from services.store.pattern_tables import pair_label
from services.what_if import Asked, what_if

DISTANCE = 0.55
Decide = Callable[..., object]


@pytest.fixture
def deduper(store: Store, tmp_path: Path) -> Deduper:
    def none(encoder: str) -> Hashing:
        raise ValueError(encoder)

    return Deduper(
        store.patterns,
        Encoders(Hashing(), none),
        Indexes(IndexFiles(tmp_path / "indexes")),
        Policies(store.policies),
        clock=lambda: START,
    )


async def decide(
    store: Store, deduper: Deduper, count: int = 240, project: str = "shop"
) -> list[Failure]:
    """Have failures decided in batches of 40 at DISTANCE."""
    dedup = DedupPolicy(distance=DISTANCE)
    version, policy = await store.policies.current(project)
    await store.policies.change(
        project,
        msgspec.structs.replace(policy, dedup=dedup),
        by="ann",
        reason="",
        at=START,
        expected=version,
    )
    made = failures(count, project)
    for start in range(0, count, 40):
        await deduper.handle(made[start : start + 40])
    return made


async def history(store: Store, project: str = "shop", **asked: datetime) -> Recorded:
    recorded = await store.knob.history(project, **asked)
    assert recorded is not None
    return recorded


async def labels(store: Store) -> int:
    count = select(func.count()).select_from(pair_label)
    database = store._database
    return int(await database.read(lambda connection: connection.execute(count).scalar_one()))


def firsts(codes: np.ndarray) -> list[int]:
    first: dict[int, int] = {}
    return [first.setdefault(int(code), row) for row, code in enumerate(codes)]


async def pattern_of(store: Store, project: str = "shop") -> dict[str, str]:
    members = await store.reader.members(project=project, pattern_id=None, limit=None)
    return {member.trace_id: member.pattern_id for member in members}


async def test_a_replay_of_the_stored_history_at_its_distance_is_what_was_decided(
    store: Store, deduper: Deduper
) -> None:
    """The promise of what-if: the same rules, the same answer, over batches and moves of the centre."""
    await decide(store, deduper)
    recorded = await history(store)
    stored = recorded.history
    assert len(stored.moves) > 1
    assert 20 < len(set(stored.patterns.tolist())) < len(stored) < 240
    assert int(stored.occurrences.sum()) == 240
    assert replay(stored, DISTANCE).groups.tolist() == firsts(stored.patterns)
    assert replay(stored, 0.1).groups.tolist() != firsts(stored.patterns)
    assert await store.knob.size("shop") == len(stored)
    assert recorded.by_hand == recorded.without_vector == 0


async def test_a_project_that_never_failed_has_no_history(store: Store) -> None:
    assert await store.knob.history("nobody") is None
    assert await store.knob.size("nobody") == 0
    assert list(await store.knob.seen("nobody")) == []
    assert await store.knob.arrivals("nobody") == []
    assert len(await store.knob.new_at("nobody")) == 0
    assert await what_if(store.knob, "nobody", Asked(distance=0.4), current=0.3) is None
    assert await discovered(store.knob, "nobody") is None


async def test_projects_do_not_see_each_other(store: Store, deduper: Deduper) -> None:
    await decide(store, deduper, 40)
    await decide(store, deduper, 80, "other")
    assert int((await history(store)).history.occurrences.sum()) == 40
    assert {one.project for one in await store.knob.seen()} == {"shop", "other"}
    assert [one.project for one in await store.knob.seen("other")] == ["other"]


async def test_since_a_moment_only_what_came_later_is_asked_about(
    store: Store, deduper: Deduper
) -> None:
    await decide(store, deduper)
    moment = START + timedelta(hours=160)
    stored = (await history(store, since=moment)).history
    assert int(stored.asked.sum()) == 80
    assert int(stored.occurrences.sum()) == 240
    assert stored.fixed.any()
    assert not stored.fixed.all()
    answer = await what_if(store.knob, "shop", Asked(distance=0.0, since=moment), current=DISTANCE)
    assert answer is not None
    assert answer.failures == 80
    assert answer.merging == 0
    assert answer.today.patterns < answer.then.patterns
    assert any("since" in note for note in answer.notes)


async def test_what_if_says_what_merges_and_what_splits_with_texts(
    store: Store, deduper: Deduper
) -> None:
    await decide(store, deduper)
    same = await what_if(store.knob, "shop", Asked(distance=DISTANCE), current=DISTANCE)
    assert same is not None
    assert (same.merging, same.splitting, same.moved_failures) == (0, 0, 0)
    assert same.today == same.then
    wide = await what_if(store.knob, "shop", Asked(distance=0.9, examples=2), current=DISTANCE)
    assert wide is not None
    assert wide.then.patterns < wide.today.patterns
    assert len(wide.merges) == 2
    assert all(part.text for example in wide.merges for part in example.parts)
    assert wide.merging >= 2
    ids = set((await pattern_of(store)).values())
    assert {part.pattern_id for example in wide.merges for part in example.parts} <= ids
    assert sum(one.failures for one in wide.moved) == wide.moved_failures > 0
    narrow = await what_if(store.knob, "shop", Asked(distance=0.2), current=DISTANCE)
    assert narrow is not None
    assert narrow.splitting > 0
    assert narrow.splits[0].parts[0].pattern_id == narrow.splits[0].parts[1].pattern_id
    assert msgspec.json.decode(msgspec.json.encode(wide), type=type(wide)) == wide


async def test_what_a_person_merged_stays_together(store: Store, deduper: Deduper) -> None:
    await decide(store, deduper)
    stored = (await history(store)).history
    of_guard = [
        stored.names[int(code)]
        for code, guard in zip(stored.patterns, stored.guards, strict=True)
        if guard.startswith("model")
    ]
    first, second, *_ = dict.fromkeys(of_guard)
    await store.changes.merge("shop", first, [second], by="ann", reason="the same", at=START)
    recorded = await history(store)
    assert recorded.by_hand == 1
    assert not recorded.history.fixed.any()
    groups = replay(recorded.history, 0.0).groups
    assert len(set(groups.tolist())) > len(groups) / 2, "all others come apart"
    merged = recorded.history.patterns == recorded.history.names.index(first)
    assert len(set(groups[merged].tolist())) == 1
    assert len(set(recorded.history.decided[merged].tolist())) == 2
    seen = (await store.knob.seen("shop"))[0].seen
    assert sum(seen.values()) == len(set(of_guard) - {second}) + len(
        set(stored.patterns.tolist()) - {stored.names.index(one) for one in set(of_guard)}
    )
    (last, *_) = await store.changes.history("shop", limit=1)
    await store.changes.undo("shop", last.change_id, by="ann", reason="no", at=START)
    assert (await history(store)).by_hand == 0


async def test_what_a_person_split_off_stays_apart_and_the_rest_is_free(
    store: Store, deduper: Deduper
) -> None:
    """Also after a distance was carried out: what it did to the patterns is no judgement."""
    await decide(store, deduper)
    stored = (await history(store)).history
    codes, counts = np.unique(stored.patterns, return_counts=True)
    code = int(codes[counts.argmax()])
    source, rows = stored.names[code], np.flatnonzero(stored.patterns == code)
    piece = rows[1:3]
    events = await store.knob.events("shop", [source])
    named = [events[stored.fingerprints[row]] for row in piece]
    await store.changes.split("shop", source, named, by="ann", reason="two of them", at=START)
    apart = replay((await history(store)).history, 0.0).groups
    assert len(set(apart.tolist())) == len(apart) - 1, "the piece alone is held together"
    for distance in (0.3, 0.9):
        recorded = await history(store)
        assert recorded.by_hand == len(set(recorded.history.patterns[rows].tolist()))
        groups = replay(recorded.history, distance).groups
        assert len(set(groups[piece].tolist())) == 1
        rest = np.setdiff1d(rows, piece)
        assert not set(groups[piece].tolist()) & set(groups[rest].tolist())
        await carry_out(
            planned(recorded.history, groups),
            recorded.history,
            project="shop",
            reader=store.knob,
            changes=store.changes,
            by="ann",
            reason="as replayed",
            at=START,
        )
        again = (await history(store)).history
        assert firsts(again.patterns) == groups.tolist()


@pytest.mark.parametrize("distance", [0.2, 0.9])
async def test_reassigning_makes_the_stored_patterns_those_of_the_replay(
    store: Store, deduper: Deduper, distance: float
) -> None:
    made = await decide(store, deduper)
    stored = (await history(store)).history
    groups = replay(stored, distance).groups
    before = await pattern_of(store)
    done = await carry_out(
        planned(stored, groups),
        stored,
        project="shop",
        reader=store.knob,
        changes=store.changes,
        by="ann",
        reason="finer",
        at=START,
    )
    assert done
    assert all(change.reason == f"{REASSIGNED}finer" for change in done)
    assert await labels(store) == 0  # a distance says nothing about any two failures
    again = await history(store)
    assert firsts(again.history.patterns) == groups.tolist()
    assert planned(again.history, groups).empty
    assert again.by_hand == 0
    assert int(again.history.occurrences.sum()) == len(made)
    for change in reversed(done):
        await store.changes.undo("shop", change.change_id, by="ann", reason="back", at=START)
    assert await pattern_of(store) == before


async def test_arrivals_are_every_failure_in_order(store: Store, deduper: Deduper) -> None:
    await decide(store, deduper)
    stored = (await history(store)).history
    arrivals = await store.knob.arrivals("shop")
    assert len(arrivals) == 240
    assert list(dict.fromkeys(arrivals)) == list(stored.fingerprints)
    rows = np.array([stored.fingerprints.index(one) for one in arrivals])
    found = simulate(stored, DedupPolicy(distance=DISTANCE), rows)
    assert found.replayed.groups.tolist() == firsts(stored.patterns)


async def test_coverage_is_of_the_patterns_as_they_are_now(store: Store, deduper: Deduper) -> None:
    await decide(store, deduper)
    ids = list((await pattern_of(store)).values())
    (one,) = await coverages(store.knob, "shop")
    assert one.coverage.failures == 240
    assert one.coverage.patterns == len(set(ids))
    assert one.coverage.seen_once == sum(ids.count(name) == 1 for name in set(ids))
    found = await discovered(store.knob, "shop")
    assert found is not None
    curve = found.discovery
    assert curve.seen[-1] == (240, len(set(ids)))
    numbers = {ids.index(name) + 1 for name in set(ids)}
    assert set((await store.knob.new_at("shop")).tolist()) == numbers


async def test_the_adaptive_distance_follows_what_the_store_has_seen(
    store: Store, deduper: Deduper
) -> None:
    dedup = DedupPolicy(distance=0.4, adaptive=AdaptivePolicy(wide=0.8))
    await store.policies.change(
        "shop", Policy(dedup=dedup), by="ann", reason="", at=START, expected=0
    )
    seconds = [0.0]
    policies = AdaptivePolicies(store.policies, store.knob, clock=lambda: seconds[0])
    assert (await policies.of("shop")).dedup.distance == 0.8
    made = failures(120)
    for start in range(0, 120, 40):
        await deduper.handle(made[start : start + 40])
    assert (await policies.of("shop")).dedup.distance == 0.8
    seconds[0] = 60.0
    narrowed = (await policies.of("shop")).dedup.distance
    assert 0.4 < narrowed < 0.8
    (seen,) = await store.knob.seen("shop")
    interval = coverage(seen.seen).known_share_interval
    assert interval is not None
    assert narrowed == pytest.approx(0.8 - 0.4 * interval.low)


async def test_examples_show_the_text_in_the_middle_where_the_policy_says_so(
    store: Store, deduper: Deduper
) -> None:
    await decide(store, deduper)
    stored = (await history(store)).history
    asked = Asked(distance=0.9, examples=100)
    first = await what_if(store.knob, "shop", asked, current=DISTANCE)
    middle = await what_if(
        store.knob,
        "shop",
        msgspec.structs.replace(asked, representative="medoid"),
        current=DISTANCE,
    )
    assert first is not None
    assert middle is not None
    parts = [
        (one, other)
        for was, now in zip(first.merges, middle.merges, strict=True)
        for one, other in zip(was.parts, now.parts, strict=True)
    ]
    shown = await store.knob.texts("shop", (await history(store)).space, stored.fingerprints)
    geometry, _ = stored.geometry_at(len(stored))
    compared = changed = 0
    for one, other in parts:
        assert (one.pattern_id, one.texts) == (other.pattern_id, other.texts)
        code = stored.names.index(one.pattern_id)
        rows = np.flatnonzero(stored.patterns == code)
        if one.texts != len(rows) or one.texts < 3:
            continue  # a part of a pattern is compared by its own texts
        places = geometry.placed(stored.vectors[rows])
        mean = geometry.placed(stored.vectors[rows].mean(axis=0)[np.newaxis])[0]
        nearest = int(rows[int(np.argmax(places @ mean))])
        assert other.text == shown[stored.fingerprints[nearest]]
        compared += 1
        changed += one.text != other.text
    assert compared > changed > 0


async def test_an_example_says_the_name_of_its_pattern(store: Store, deduper: Deduper) -> None:
    await decide(store, deduper)
    asked = Asked(distance=0.9, examples=1)
    answer = await what_if(store.knob, "shop", asked, current=DISTANCE)
    assert answer is not None
    named = answer.merges[0].parts[0]
    assert named.name is None
    await store.changes.name("shop", named.pattern_id, "lost things", by="ann", reason="", at=START)
    answer = await what_if(store.knob, "shop", asked, current=DISTANCE)
    assert answer is not None
    assert answer.merges[0].parts[0].name == "lost things"


async def test_coverage_of_each_mode_is_of_its_patterns_as_the_last_refit_found_them(
    store: Store, deduper: Deduper
) -> None:
    await decide(store, deduper)
    rows = await store.reader.patterns(project="shop", limit=1000)
    frequent, rare, moved = (
        [row.pattern_id for row in rows[:4]],
        [row.pattern_id for row in rows if row.occurrences == 1][:3],
        rows[4],
    )
    assert len(rare) == 3

    def mode(mode_id: str, patterns: Sequence[str]) -> Mode:
        name, size = f"name of {mode_id}", len(patterns)
        return Mode(project="shop", mode_id=mode_id, name=name, size=size, born_refit=1)

    def refit(number: int) -> ModeRefit:
        return ModeRefit(
            project="shop",
            number=number,
            at=START,
            patterns=len(rows),
            modes=2,
            seconds=0.1,
            space="s",
            detail={},
        )

    async def refitted(number: int, gone: Sequence[str] = (), **modes: Sequence[str]) -> None:
        found = Refitted(
            refit=refit(number),
            modes=[mode(name, patterns) for name, patterns in modes.items()],
            gone=gone,
            patterns=[
                PatternMode(pattern_id, name, 1.0, 0.0)
                for name, patterns in modes.items()
                for pattern_id in patterns
            ]
            + ([] if number == 1 else [PatternMode(moved.pattern_id, None, 0.0, 1.0)]),
            proposals=[],
        )
        assert await store.modes.keep(found)

    await refitted(1, often=[*frequent, moved.pattern_id], seldom=rare, lost=[])
    (known,) = await coverages(store.knob, "shop")
    assert [(one.mode_id, one.name) for one in known.modes] == [
        ("seldom", "name of seldom"),
        ("often", "name of often"),
    ], "the least known first; a mode without patterns is not shown"
    seldom, often = (one.coverage for one in known.modes)
    assert (seldom.patterns, seldom.failures, seldom.seen_once) == (3, 3, 3)
    assert seldom.known_share == 0
    seen = [row.occurrences for row in rows[:5]]
    assert (often.patterns, often.failures) == (5, sum(seen))
    assert often == coverage({times: seen.count(times) for times in seen})
    everything = known.coverage

    await refitted(2, gone=["seldom"], often=frequent)
    (known,) = await coverages(store.knob, "shop")
    (left,) = known.modes
    assert (left.mode_id, left.coverage.patterns) == ("often", 4)
    assert left.coverage.failures == sum(seen) - moved.occurrences
    assert known.coverage == everything, "what is in no mode counts for the project"

    await store.changes.merge("shop", frequent[0], [frequent[1]], by="ann", reason="", at=START)
    found = await discovered(store.knob, "shop")
    assert found is not None
    assert [(one.coverage.patterns, one.coverage.failures) for one in found.modes] == [
        (3, sum(seen) - moved.occurrences)
    ], "merged patterns are one, with all their failures"
