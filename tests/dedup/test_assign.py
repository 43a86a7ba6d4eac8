from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.assign import AssignedBatch, Candidate, Decided, KnownFingerprint, assign
from dedup.centroid import Centroid
from dedup.events import Assignment
from dedup.geometry import Geometry

SPACE = "test/1"
DISTANCE = 0.3
BAND = 0.1
PLAIN = Geometry(1, np.zeros(2, np.float32))
# Directions in the plane, in degrees: 10 apart is a distance of 0.015, 40 apart 0.23, 60 apart 0.5
ANGLES = (0, 10, 40, 60, 100, 180, 250)
GUARDS = ("model|", "tool|refund")


def _vector(angle: float) -> np.ndarray:
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], dtype=np.float32)


VECTORS = {f"{guard}{angle}": _vector(angle) for angle in ANGLES for guard in GUARDS}
NO_VECTORS = [f"{guard}no-vector" for guard in GUARDS]


def _candidate(number: int, fingerprint: str) -> Candidate:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    guard = fingerprint.rstrip("0123456789").removesuffix("no-vector")
    one = Candidate("shop", f"e{number}", f"t{number}", moment, fingerprint, fingerprint)
    return msgspec.structs.replace(one, guard=guard)


def _decide(candidates: Sequence[Candidate], **named: Any) -> AssignedBatch:
    """`assign`, with every argument that a test does not care for."""
    nothing: dict[str, Any] = {"known": {}, "near": {}, "centroids": {}, "vectors": VECTORS}
    rule: dict[str, Any] = {"geometry": PLAIN, "distance": DISTANCE, "band": BAND, "space": SPACE}
    batch: AssignedBatch = assign(candidates, **{**nothing, **rule, **named})
    return batch


class _Kept(msgspec.Struct):
    """What a store would hold: decisions, fingerprints, and centroids by pattern."""

    decisions: dict[str, Assignment] = {}
    fingerprints: dict[str, KnownFingerprint] = {}
    centroids: dict[str, tuple[str, Centroid]] = {}

    def take(self, batch: Sequence[Candidate], *, commit: bool = True) -> list[Decided]:
        """One batch as dedup takes it: what was decided before is left alone."""
        made = _decide(
            [one for one in batch if one.event_id not in self.decisions],
            known=self.fingerprints,
            near={one.fingerprint: list(self.centroids) for one in batch},
            centroids=self.centroids,
        )
        if commit:
            for one in made.decided:
                self.decisions[one.candidate.event_id] = one.assignment
                known = KnownFingerprint(one.assignment.pattern_id, one.assignment.distance)
                self.fingerprints.setdefault(one.candidate.fingerprint, known)
            self.centroids.update(made.centroids)
        return made.decided


_arrivals = st.lists(st.sampled_from([*VECTORS, *NO_VECTORS]), max_size=24)


@settings(deadline=None)
@given(_arrivals, st.data())
def test_however_events_are_batched_repeated_or_lost_on_the_way_the_patterns_are_the_same(
    fingerprints: list[str], data: st.DataObject
) -> None:
    events = [_candidate(number, name) for number, name in enumerate(fingerprints)]
    whole = _Kept()
    whole.take(events)

    parts, rest = _Kept(), events
    while rest:
        size = data.draw(st.integers(1, len(rest)), label="batch")
        batch, rest = rest[:size], rest[size:]
        if data.draw(st.booleans(), label="crash before the commit"):
            parts.take(batch, commit=False)
        parts.take(batch)
        if data.draw(st.booleans(), label="redelivered"):
            first = data.draw(st.integers(0, len(events) - len(rest) - 1), label="from")
            parts.take(events[first : len(events) - len(rest)])

    assert parts.decisions == whole.decisions
    assert list(parts.centroids) == list(whole.centroids)
    for (guard, one), (other_guard, other) in zip(
        parts.centroids.values(), whole.centroids.values(), strict=True
    ):
        assert (guard, one.count) == (other_guard, other.count)
        assert one.total.tolist() == other.total.tolist()


@settings(deadline=None)
@given(_arrivals, st.randoms(use_true_random=False))
def test_the_order_in_which_an_index_names_patterns_does_not_matter(
    fingerprints: list[str], random: Any
) -> None:
    kept = _Kept()
    kept.take([_candidate(number, name) for number, name in enumerate(fingerprints)])
    later = [_candidate(100 + number, name) for number, name in enumerate(VECTORS)]
    shuffled = random.sample(list(kept.centroids), len(kept.centroids))
    one, other = (
        _decide(later, near={c.fingerprint: ids for c in later}, centroids=kept.centroids)
        for ids in (list(kept.centroids), shuffled)
    )
    assert [d.assignment for d in one.decided] == [d.assignment for d in other.decided]


@settings(deadline=None)
@given(_arrivals, st.sets(st.sampled_from([*VECTORS, *NO_VECTORS])))
def test_exactly_what_has_a_vector_or_a_known_fingerprint_is_decided_in_order(
    fingerprints: list[str], known: set[str]
) -> None:
    events = [_candidate(number, name) for number, name in enumerate(fingerprints)]
    batch = _decide(events, known={name: KnownFingerprint("old", 0.1) for name in known})
    expected = [e for e in events if e.fingerprint in known or e.fingerprint in VECTORS]
    assert [one.candidate for one in batch.decided] == expected


@settings(deadline=None)
@given(_arrivals)
def test_every_decision_explains_itself(fingerprints: list[str]) -> None:
    events = [_candidate(number, name) for number, name in enumerate(fingerprints)]
    batch = _decide(events)
    firsts = [one for one in batch.decided if one.assignment.decided_by == "first"]
    assert sorted(batch.centroids) == sorted(one.assignment.pattern_id for one in firsts)
    for one in batch.decided:
        made = one.assignment
        assert (made.decided_by == "fingerprint") == (one.vector is None)
        assert made.fingerprint == one.candidate.fingerprint
        assert made.embedding_space == SPACE
        if made.decided_by == "first":
            assert made.distance == 0.0
            assert made.nearest_distance is None or made.nearest_distance > DISTANCE
        else:
            assert made.distance == made.nearest_distance
            assert made.distance <= DISTANCE
        if made.grey:
            assert made.decided_by == "embedding"


@settings(deadline=None)
@given(_arrivals)
def test_a_pattern_is_of_one_guard_and_its_centroid_the_sum_of_its_distinct_texts(
    fingerprints: list[str],
) -> None:
    events = [_candidate(number, name) for number, name in enumerate(fingerprints)]
    batch = _decide(events)
    for pattern_id, (guard, centroid) in batch.centroids.items():
        members = [d.candidate for d in batch.decided if d.assignment.pattern_id == pattern_id]
        texts = {one.fingerprint for one in members}
        assert {one.guard for one in members} == {guard}
        assert centroid.count == len(texts)
        np.testing.assert_allclose(centroid.total, sum(VECTORS[t] for t in texts), atol=1e-5)


def test_an_event_that_comes_twice_in_a_batch_is_decided_once() -> None:
    """Its second coming would else be a duplicate of itself, and no case be made of either."""
    event = _candidate(1, "model|0")
    batch = _decide([event, event, _candidate(2, "model|0")])
    assert [(d.candidate.event_id, d.assignment.decided_by) for d in batch.decided] == [
        ("e1", "first"),
        ("e2", "fingerprint"),
    ]


def test_a_known_fingerprint_needs_no_vector_and_moves_nothing() -> None:
    known = {"model|no-vector": KnownFingerprint("old", 0.2)}
    centroids = {"old": ("model|", Centroid(_vector(0), 1))}
    batch = _decide([_candidate(1, "model|no-vector")], known=known, centroids=centroids)
    made = batch.decided[0].assignment
    assert (made.pattern_id, made.decided_by, made.distance) == ("old", "fingerprint", 0.2)
    assert batch.centroids == {}


def test_the_dedup_distance_itself_is_still_the_same_pattern() -> None:
    events = [_candidate(1, "model|0"), _candidate(2, "model|60")]
    for distance, patterns in ((0.5, 1), (0.499, 2)):
        batch = _decide(events, distance=distance)
        assert len({one.assignment.pattern_id for one in batch.decided}) == patterns


def test_a_join_moves_the_centroid_for_the_candidates_after_it() -> None:
    """60 degrees are 0.5 from 0, and 0.234 from the middle of 0 and 40."""
    events = [_candidate(1, "model|0"), _candidate(2, "model|40"), _candidate(3, "model|60")]
    batch = _decide(events, distance=0.25)
    third = batch.decided[2].assignment
    assert third.pattern_id == batch.decided[0].assignment.pattern_id
    assert third.distance == pytest.approx(1 - np.cos(np.radians(40)), abs=1e-5)
    apart = _decide([events[0], events[2]], distance=0.25)
    assert [d.assignment.decided_by for d in apart.decided] == ["first", "first"]


def test_a_join_inside_the_band_is_grey_and_one_nearer_is_not() -> None:
    first = _candidate(1, "model|0")
    greys = {
        angle: _decide([first, _candidate(2, f"model|{angle}")]).decided[1].assignment.grey
        for angle in (10, 40)
    }
    assert greys == {10: False, 40: True}
    assert not _decide([first, _candidate(2, "model|40")], band=0.0).decided[1].assignment.grey


def test_the_same_text_again_asks_nobody_a_second_time() -> None:
    events = [_candidate(1, "model|0"), _candidate(2, "model|40"), _candidate(3, "model|40")]
    assert [d.assignment.grey for d in _decide(events).decided] == [False, True, False]


def test_different_guards_are_never_one_pattern_at_any_distance() -> None:
    events = [_candidate(1, "model|0"), _candidate(2, "tool|refund0")]
    batch = _decide(events, distance=2.0)
    assert [d.assignment.decided_by for d in batch.decided] == ["first", "first"]
    centroids = {"old": ("model|", Centroid(_vector(0), 1))}
    near = {"tool|refund0": ["old"]}  # an index that names another guard's patterns is not believed
    late = _decide([events[1]], near=near, centroids=centroids, distance=2.0)
    assert late.decided[0].assignment.decided_by == "first"


def test_a_pattern_that_is_gone_since_the_index_named_it_is_left_out() -> None:
    batch = _decide([_candidate(1, "model|0")], near={"model|0": ["gone"]})
    assert batch.decided[0].assignment.decided_by == "first"
    assert batch.decided[0].assignment.nearest_distance is None


def test_of_equally_near_patterns_the_larger_wins_then_the_lower_id() -> None:
    one, two = Centroid(_vector(0), 1), Centroid(_vector(0) * 2, 2)
    event = [_candidate(1, "model|10")]
    near = {"model|10": ["a", "b", "c"]}
    for sizes, winner in (((one, one, one), "a"), ((one, two, two), "b")):
        centroids = {name: ("model|", c) for name, c in zip("abc", sizes, strict=True)}
        made = _decide(event, near=near, centroids=centroids).decided[0].assignment
        assert made.pattern_id == winner


def test_two_projects_never_share_a_pattern_id() -> None:
    one = _candidate(1, "model|0")
    other = msgspec.structs.replace(one, project="bank")
    ids = {_decide([event]).decided[0].assignment.pattern_id for event in (one, other)}
    assert len(ids) == 2


def test_distances_are_stretched_where_texts_have_much_in_common() -> None:
    """The same angle seen from the centre, in a project with a centre of length 0.8 and in one without."""
    common, one, other = np.eye(3, dtype=np.float32)
    near = {"model|0": one, "model|10": 0.8 * one + 0.6 * other}
    events = [_candidate(1, "model|0"), _candidate(2, "model|10")]
    made = [
        _decide(
            events,
            geometry=Geometry(2, np.float32(shared) * common),
            vectors={
                name: (shared * common + np.sqrt(1 - shared**2) * row).astype(np.float32)
                for name, row in near.items()
            },
        )
        .decided[1]
        .assignment
        for shared in (0.0, 0.8)
    ]
    assert made[0].nearest_distance == pytest.approx(0.2, abs=1e-5)
    assert made[1].nearest_distance == pytest.approx(0.2 * 0.875 / 0.6, abs=1e-5)
    assert [one.decided_by for one in made] == ["embedding", "embedding"]


def test_distances_are_seen_from_the_centre() -> None:
    """Two vectors a right angle apart are opposite each other, seen from the middle of them."""
    events = [_candidate(1, "model|10"), _candidate(2, "model|100")]
    centred = Geometry(2, (_vector(10) + _vector(100)) / 2)
    for geometry, distance in ((PLAIN, 1.0), (centred, 2.0)):
        made = _decide(events, geometry=geometry).decided[1].assignment
        assert made.nearest_distance == pytest.approx(distance, abs=1e-5)
