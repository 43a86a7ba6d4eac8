"""The decision: the pattern of each failure in a batch, in order of arrival."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from capture.events import Failure, Fault
from capture.ids import derive_id
from dedup.events import Assignment, DecidedBy
from dedup.fingerprint import fingerprint
from dedup.index import Index
from dedup.text import failure_text


class Candidate(msgspec.Struct, frozen=True):
    """A failure as dedup sees it."""

    project: str
    event_id: str
    trace_id: str
    failed_at: datetime
    text: str
    fingerprint: str
    fault: Fault = "unknown"


class KnownFingerprint(msgspec.Struct, frozen=True):
    """The pattern that failures with this fingerprint belong to, and how far they are from it."""

    pattern_id: str
    distance: float


class Decided(msgspec.Struct, frozen=True):
    """One decision. `vector` (float32, unit) is there when the failure represents a new pattern."""

    candidate: Candidate
    assignment: Assignment
    vector: np.ndarray | None = None


def candidate(failure: Failure) -> Candidate:
    """What dedup needs of a failure."""
    text = failure_text(failure)
    return Candidate(
        failure.project,
        failure.event_id,
        failure.trace_id,
        failure.failed_at,
        text,
        fingerprint(text),
        failure.fault,
    )


def assign(
    candidates: Sequence[Candidate],
    *,
    known: Mapping[str, KnownFingerprint],
    vectors: Mapping[str, np.ndarray],
    index: Index,
    distance: float,
    space: str,
) -> list[Decided]:
    """Decide about every candidate whose fingerprint is known or has a vector; leave out the others.

    An event that comes twice in a batch is decided once, where it comes first.

    A failure whose fingerprint is known joins that pattern. Else it joins the nearest pattern when
    that is at most `distance` away (cosine, 0 to 2). Else it is a new pattern, which joins the index
    at once, so that the next candidate of the batch can find it.

    Args:
        candidates: the failures of one project, in order of arrival.
        known: patterns by fingerprint, as far as they were known before this batch.
        vectors: by fingerprint; shape (d,), float32, unit length.
        index: all patterns of the project in this embedding space. It is added to.
        distance: the dedup distance.
        space: the name of the embedding space.
    """
    seen = dict(known)
    decided: list[Decided] = []
    for one in _each_once(candidates):
        vector = vectors.get(one.fingerprint)
        match = seen.get(one.fingerprint)
        if match is not None:
            decision = Decided(one, _joined(one, match, "fingerprint", space))
        elif vector is None:
            continue
        else:
            decision = _by_vector(one, vector, index, distance, space)
            made = decision.assignment
            seen[one.fingerprint] = KnownFingerprint(made.pattern_id, made.distance)
        decided.append(decision)
    return decided


def _each_once(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    first: dict[str, Candidate] = {}
    for one in candidates:
        first.setdefault(one.event_id, one)
    return list(first.values())


def _by_vector(
    one: Candidate, vector: np.ndarray, index: Index, distance: float, space: str
) -> Decided:
    nearest = index.nearest(vector)
    if nearest is not None and nearest.distance <= distance:
        match = KnownFingerprint(nearest.pattern_id, nearest.distance)
        return Decided(one, _joined(one, match, "embedding", space))
    pattern_id = derive_id("pattern", one.project, one.event_id)[:16]
    index.add(index.seq + 1, pattern_id, vector)
    first = Assignment(
        pattern_id=pattern_id,
        decided_by="first",
        distance=0.0,
        nearest_distance=None if nearest is None else nearest.distance,
        fingerprint=one.fingerprint,
        embedding_space=space,
    )
    return Decided(one, first, vector)


def _joined(
    one: Candidate, match: KnownFingerprint, decided_by: DecidedBy, space: str
) -> Assignment:
    return Assignment(
        pattern_id=match.pattern_id,
        decided_by=decided_by,
        distance=match.distance,
        nearest_distance=match.distance,
        fingerprint=one.fingerprint,
        embedding_space=space,
    )
