from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.assign import Candidate, Decided, KnownFingerprint, assign
from dedup.events import Assignment
from dedup.index import Index

SPACE = "test/1"
DISTANCE = 0.3
# Directions in the plane, in degrees: 10 apart is a distance of 0.015, 40 apart 0.23, 60 apart 0.5
ANGLES = (0, 10, 40, 60, 100, 180, 250)


def _vector(angle: float) -> np.ndarray:
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], dtype=np.float32)


VECTORS = {f"f{angle}": _vector(angle) for angle in ANGLES}


def _candidate(number: int, fingerprint: str) -> Candidate:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return Candidate("shop", f"e{number}", f"t{number}", moment, fingerprint, fingerprint)


class _Kept(msgspec.Struct):
    """What a store would hold: decisions, fingerprints, and patterns in order."""

    decisions: dict[str, Assignment] = {}
    fingerprints: dict[str, KnownFingerprint] = {}
    patterns: list[tuple[str, np.ndarray]] = []

    def take(self, batch: Sequence[Candidate], *, commit: bool = True) -> list[Decided]:
        """One batch as dedup takes it: what was decided before is left alone."""
        index = Index()
        for number, (pattern_id, vector) in enumerate(self.patterns):
            index.add(number + 1, pattern_id, vector)
        decided = assign(
            [one for one in batch if one.event_id not in self.decisions],
            known=self.fingerprints,
            vectors=VECTORS,
            index=index,
            distance=DISTANCE,
            space=SPACE,
        )
        for one in decided if commit else ():
            made = one.assignment
            self.decisions[one.candidate.event_id] = made
            self.fingerprints.setdefault(
                made.fingerprint, KnownFingerprint(made.pattern_id, made.distance)
            )
            if one.vector is not None:
                self.patterns.append((made.pattern_id, one.vector))
        return decided


_arrivals = st.lists(st.sampled_from([*VECTORS, "no-vector"]), max_size=24)


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
    assert [pattern for pattern, _ in parts.patterns] == [pattern for pattern, _ in whole.patterns]


@settings(deadline=None)
@given(_arrivals, st.dictionaries(st.sampled_from([*VECTORS, "no-vector"]), st.just("old")))
def test_exactly_what_has_a_vector_or_a_known_fingerprint_is_decided_in_order(
    fingerprints: list[str], known: dict[str, str]
) -> None:
    events = [_candidate(number, name) for number, name in enumerate(fingerprints)]
    decided = assign(
        events,
        known={name: KnownFingerprint(pattern, 0.1) for name, pattern in known.items()},
        vectors=VECTORS,
        index=Index(),
        distance=DISTANCE,
        space=SPACE,
    )
    expected = [e for e in events if e.fingerprint in known or e.fingerprint in VECTORS]
    assert [one.candidate for one in decided] == expected


@settings(deadline=None)
@given(_arrivals)
def test_every_decision_explains_itself(fingerprints: list[str]) -> None:
    events = [_candidate(number, name) for number, name in enumerate(fingerprints)]
    index = Index()
    decided = assign(events, known={}, vectors=VECTORS, index=index, distance=DISTANCE, space=SPACE)
    firsts = [one for one in decided if one.assignment.decided_by == "first"]
    assert len(index) == len(firsts) == len({one.assignment.pattern_id for one in decided})
    for one in decided:
        made = one.assignment
        assert (made.decided_by == "first") == (one.vector is not None)
        assert made.fingerprint == one.candidate.fingerprint
        assert made.embedding_space == SPACE
        if made.decided_by == "first":
            assert made.distance == 0.0
            assert made.nearest_distance is None or made.nearest_distance > DISTANCE
        else:
            assert made.distance == made.nearest_distance
            assert made.distance <= DISTANCE


def test_an_event_that_comes_twice_in_a_batch_is_decided_once() -> None:
    """Its second coming would else be a duplicate of itself, and no case be made of either."""
    event = _candidate(1, "f0")
    decided = assign(
        [event, event, _candidate(2, "f0")],
        known={},
        vectors=VECTORS,
        index=Index(),
        distance=DISTANCE,
        space=SPACE,
    )
    assert [(d.candidate.event_id, d.assignment.decided_by) for d in decided] == [
        ("e1", "first"),
        ("e2", "fingerprint"),
    ]


def test_a_known_fingerprint_needs_no_vector_and_leaves_the_index_alone() -> None:
    index = Index()
    decided = assign(
        [_candidate(1, "no-vector")],
        known={"no-vector": KnownFingerprint("old", 0.2)},
        vectors={},
        index=index,
        distance=DISTANCE,
        space=SPACE,
    )
    made = decided[0].assignment
    assert (made.pattern_id, made.decided_by, made.distance) == ("old", "fingerprint", 0.2)
    assert len(index) == 0


def test_the_dedup_distance_itself_is_still_the_same_pattern() -> None:
    near, far = _vector(0), _vector(60)
    apart = 1.0 - float(near @ far)
    for distance, patterns in ((apart, 1), (np.nextafter(apart, 0), 2)):
        decided = assign(
            [_candidate(1, "a"), _candidate(2, "b")],
            known={},
            vectors={"a": near, "b": far},
            index=Index(),
            distance=float(distance),
            space=SPACE,
        )
        assert len({one.assignment.pattern_id for one in decided}) == patterns


def test_two_projects_never_share_a_pattern_id() -> None:
    one = _candidate(1, "f0")
    other = msgspec.structs.replace(one, project="bank")
    ids = {
        assign([event], known={}, vectors=VECTORS, index=Index(), distance=DISTANCE, space=SPACE)[
            0
        ].assignment.pattern_id
        for event in (one, other)
    }
    assert len(ids) == 2
