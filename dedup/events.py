"""The event dedup emits: a failure and the pattern it belongs to, on `patterns`."""

from typing import Literal

import msgspec

from capture.events import Failure

DecidedBy = Literal[
    "first",  # no pattern was near enough: this failure is a new pattern's representative
    "fingerprint",  # its masked text was seen before
    "embedding",  # the nearest representative was below the dedup distance
]


class Assignment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which pattern a failure belongs to, decided once and for all.

    `distance` is the cosine distance to the pattern's centroid, both placed in the project's geometry
    (0 for the first failure of a pattern). `nearest_distance` is the distance to the nearest pattern
    known before, null when there was none; for a new pattern it says how novel the failure was.
    """

    pattern_id: str
    decided_by: DecidedBy
    distance: float
    nearest_distance: float | None = None
    fingerprint: str
    embedding_space: str
    grey: bool = False
    """Doubtful: within the grey band, counted to the nearest pattern until somebody decides."""


class Assigned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failure with its pattern. Schema `assigned/1`, topic `patterns`."""

    failure: Failure
    assignment: Assignment

    @property
    def event_id(self) -> str:
        """The failure's event id."""
        return self.failure.event_id

    @property
    def project(self) -> str:
        """The failure's project."""
        return self.failure.project

    @property
    def trace_id(self) -> str:
        """The failure's trace id."""
        return self.failure.trace_id
