"""The decision: the pattern of each failure in a batch, in order of arrival."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from capture.events import Failure, Fault
from capture.ids import derive_id
from dedup.centroid import Centroid
from dedup.events import Assignment, DecidedBy
from dedup.fingerprint import fingerprint
from dedup.geometry import FARTHEST, Geometry
from dedup.guard import guard_of
from dedup.policy import TextPolicy
from dedup.text import failure_text

_DECIMALS = 6  # of a distance: float32 rows are no better, and equal ones must compare as equal
_CLOSE = 1e-5  # of a cosine: farther apart than what rounding to so many decimals makes equal
_FIRST_ROWS = 16
_DEFAULT_TEXT = TextPolicy()


class Candidate(msgspec.Struct, frozen=True):
    """A failure as dedup sees it."""

    project: str
    event_id: str
    trace_id: str
    failed_at: datetime
    text: str
    fingerprint: str
    fault: Fault = "unknown"
    guard: str = "unknown|"
    """Failures with different guards are never one pattern, however near; see `dedup.guard`."""


class KnownFingerprint(msgspec.Struct, frozen=True):
    """The pattern that failures with this fingerprint belong to, and how far they are from it."""

    pattern_id: str
    distance: float


class Decided(msgspec.Struct, frozen=True):
    """One decision. `vector` (d,): raw, float32, unit; None when it was decided by fingerprint."""

    candidate: Candidate
    assignment: Assignment
    vector: np.ndarray | None = None


class AssignedBatch(msgspec.Struct, frozen=True):
    """The decisions of a batch, in order, and what they did to the patterns.

    `centroids`: by pattern id the guard and centroid of each pattern that is new or has moved.
    """

    decided: list[Decided]
    centroids: dict[str, tuple[str, Centroid]]


def candidate(failure: Failure, policy: TextPolicy = _DEFAULT_TEXT) -> Candidate:
    """What dedup needs of a failure, its text written as the policy says."""
    text, guard = failure_text(failure, policy).whole, guard_of(failure)
    return Candidate(
        failure.project,
        failure.event_id,
        failure.trace_id,
        failure.failed_at,
        text,
        fingerprint(text, guard),
        failure.fault,
        guard,
    )


def assign(  # noqa: PLR0913 - each argument is looked up by another port
    candidates: Sequence[Candidate],
    *,
    known: Mapping[str, KnownFingerprint],
    vectors: Mapping[str, np.ndarray],
    near: Mapping[str, Sequence[str]],
    centroids: Mapping[str, tuple[str, Centroid]],
    geometry: Geometry,
    distance: float,
    band: float,
    space: str,
) -> AssignedBatch:
    """Decide about every candidate whose fingerprint is known or has a vector; leave out the others.

    An event that comes twice in a batch is decided once, where it comes first.

    A failure whose fingerprint is known joins that pattern, and moves nothing. Else it joins the
    pattern of its guard with the nearest centroid when that is at most `distance` away (and, while
    the centre is young, near it by raw vectors too), and the centroid moves towards it. Else it is
    a new pattern. New and moved patterns are found at once by the candidates after it, so that a
    batch decides what its events would have decided one by one. Of equally near patterns the one
    with more texts wins, then the one with the lower id.

    Args:
        candidates: the failures of one project, in order of arrival.
        known: patterns by fingerprint, as far as they were known before this batch.
        vectors: by fingerprint; raw, shape (d,), float32, unit length.
        near: by fingerprint, the patterns that may be nearest, in any order; other ids do no harm.
        centroids: guard and exact centroid by pattern id; ids of `near` that are not here are gone.
        geometry: how vectors are compared.
        distance: the dedup distance: cosine of placed vectors, stretched (0 to 2).
        band: a join farther than `distance - band` is marked as grey.
        space: the name of the embedding space.
    """
    patterns = _Patterns(geometry, centroids)
    seen = dict(known)
    decided: list[Decided] = []
    for one in _each_once(candidates):
        vector = vectors.get(one.fingerprint)
        match = seen.get(one.fingerprint)
        if match is not None:
            decided.append(Decided(one, _joined(one, match, "fingerprint", space)))
        elif vector is not None:
            nearest = patterns.nearest(vector, one.guard, near.get(one.fingerprint, ()))
            if nearest is not None and patterns.admits(nearest, vector, distance):
                grey = nearest.distance > distance - band
                made = _joined(one, nearest, "embedding", space, grey=grey)
            else:
                made = _first(one, nearest, space)
            patterns.take(made.pattern_id, one.guard, vector)
            seen[one.fingerprint] = KnownFingerprint(made.pattern_id, made.distance)
            decided.append(Decided(one, made, vector))
    return AssignedBatch(decided, patterns.changed)


class _Patterns:
    """Patterns as they are while a batch is decided."""

    def __init__(self, geometry: Geometry, centroids: Mapping[str, tuple[str, Centroid]]) -> None:
        """`centroids` as they were before the batch."""
        self.changed: dict[str, tuple[str, Centroid]] = {}
        self._before = centroids
        self._geometry = geometry
        self._stretch = geometry.stretch
        self._placed: dict[str, np.ndarray] = {}
        self._changed_of: dict[str, _Rows] = {}

    def nearest(
        self, vector: np.ndarray, guard: str, near: Sequence[str]
    ) -> KnownFingerprint | None:
        """The nearest of the named patterns, and of all that this batch has changed."""
        place = self._place(vector)
        best: tuple[float, int, str] | None = None
        changed = self._changed_of.get(guard)
        few = () if changed is None else changed.nearest(place)
        for pattern_id in dict.fromkeys((*(one for one in near if one not in self.changed), *few)):
            found = self._of(pattern_id)
            if found is None or found[0] != guard:
                continue
            cosine = float(np.dot(place, self._placed_centroid(pattern_id, found[1])))
            distance = max(0.0, round((1.0 - cosine) * self._stretch, _DECIMALS))
            rank = (distance, -found[1].count, pattern_id)
            best = rank if best is None else min(best, rank)
        return None if best is None else KnownFingerprint(best[2], min(FARTHEST, best[0]))

    def admits(self, nearest: KnownFingerprint, vector: np.ndarray, distance: float) -> bool:
        """Whether the pattern is near enough, by raw vectors too while the centre is young."""
        found = self._of(nearest.pattern_id)
        return (
            found is not None
            and nearest.distance <= distance
            and self._geometry.reaches(vector, found[1].total)
        )

    def take(self, pattern_id: str, guard: str, vector: np.ndarray) -> None:
        """Add a text to a pattern, which may be a new one."""
        found = self._of(pattern_id)
        before = found[1] if found is not None else Centroid(np.zeros_like(vector), 0)
        after = before.with_one(vector)
        self.changed[pattern_id] = (guard, after)
        place = self._placed[pattern_id] = self._place(after.mean)
        self._changed_of.setdefault(guard, _Rows(len(place))).put(pattern_id, place)

    def _of(self, pattern_id: str) -> tuple[str, Centroid] | None:
        return self.changed.get(pattern_id) or self._before.get(pattern_id)

    def _placed_centroid(self, pattern_id: str, centroid: Centroid) -> np.ndarray:
        if pattern_id not in self._placed:
            self._placed[pattern_id] = self._place(centroid.mean)
        return self._placed[pattern_id]

    def _place(self, raw: np.ndarray) -> np.ndarray:
        # in float64 a product does not depend on how rows are laid out in memory
        place: np.ndarray = self._geometry.placed(raw[np.newaxis])[0].astype(np.float64)
        return place


class _Rows:
    """The patterns of one guard that a batch has changed, to be looked through at once."""

    def __init__(self, dimension: int) -> None:
        self._at: dict[str, int] = {}
        self._names: list[str] = []
        self._rows = np.empty((_FIRST_ROWS, dimension), dtype=np.float64)

    def put(self, pattern_id: str, place: np.ndarray) -> None:
        """Have a pattern at this place (d,)."""
        at = self._at.setdefault(pattern_id, len(self._names))
        if at == len(self._names):
            self._names.append(pattern_id)
        if at == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[at] = place

    def nearest(self, place: np.ndarray) -> Sequence[str]:
        """The nearest, with all so close to it that rounding decides; they are compared one by one."""
        cosines = self._rows[: len(self._names)] @ place
        return [self._names[at] for at in np.flatnonzero(cosines >= cosines.max() - _CLOSE)]


def _each_once(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    first: dict[str, Candidate] = {}
    for one in candidates:
        first.setdefault(one.event_id, one)
    return list(first.values())


def _first(one: Candidate, nearest: KnownFingerprint | None, space: str) -> Assignment:
    return Assignment(
        pattern_id=derive_id("pattern", one.project, one.event_id)[:16],
        decided_by="first",
        distance=0.0,
        nearest_distance=None if nearest is None else nearest.distance,
        fingerprint=one.fingerprint,
        embedding_space=space,
    )


def _joined(
    one: Candidate,
    match: KnownFingerprint,
    decided_by: DecidedBy,
    space: str,
    *,
    grey: bool = False,
) -> Assignment:
    return Assignment(
        pattern_id=match.pattern_id,
        decided_by=decided_by,
        distance=match.distance,
        nearest_distance=match.distance,
        fingerprint=one.fingerprint,
        embedding_space=space,
        grey=grey,
    )
