"""The event grade emits: an assigned failure and what it weighs, on `graded`."""

import msgspec

from capture.events import Failure, Severity
from dedup.events import Assigned, Assignment


class Grade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a failure weighs, and the named components (each 0 to 1) whose product the weight is."""

    severity: Severity
    weight: float
    components: dict[str, float]


class Graded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An assigned failure with its grade. Schema `graded/1`, topic `graded`."""

    assigned: Assigned
    grade: Grade

    @property
    def failure(self) -> Failure:
        """The failure that was graded."""
        return self.assigned.failure

    @property
    def assignment(self) -> Assignment:
        """Its pattern."""
        return self.assigned.assignment

    @property
    def event_id(self) -> str:
        """The failure's event id."""
        return self.assigned.event_id

    @property
    def project(self) -> str:
        """The failure's project."""
        return self.assigned.project

    @property
    def trace_id(self) -> str:
        """The failure's trace id."""
        return self.assigned.trace_id
