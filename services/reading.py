"""What people and CI jobs ask the store: the read side, for the CLI and the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from capture.events import Fault
from promote.case import Case, CaseSet


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything there is.

    `traces_waiting` have not settled or are not scored yet; `traces_incomplete` wait beside them for
    a root that has not ended, up to their age limit.
    """

    pieces: int
    traces: int
    traces_waiting: int
    traces_incomplete: int = 0
    failures: int
    patterns: int
    occurrences: int
    cases: int
    cases_by_set: dict[str, int]
    failures_by_fault: dict[str, int]


class KeptCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case with what has happened to its pattern since.

    `superseded_by`: the change since which another case of its pattern counts; None: it counts.
    """

    case: Case
    occurrences: int
    last_failed_at: datetime
    superseded_by: str | None = None


class PatternRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern in a list. `text` is its representative's, `fault` its first failure's.

    `name`: that a reviewer gave it, if any.
    """

    project: str
    pattern_id: str
    text: str
    occurrences: int
    first_failed_at: datetime
    last_failed_at: datetime
    embedding_space: str
    fault: Fault
    name: str | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence: which pattern a failure belongs to, and how far it is from it."""

    project: str
    event_id: str
    trace_id: str
    pattern_id: str
    distance: float
    decided_by: str
    failed_at: datetime


class Reader(Protocol):
    """Questions to the store. Every answer is of one moment. All raise `Unavailable`."""

    async def totals(self, project: str | None = None) -> Totals:
        """Counts, of one project or of all."""

    async def projects(self) -> Sequence[str]:
        """Every project that sent anything, in alphabetical order."""

    async def cases(
        self, *, project: str | None, case_set: CaseSet | None, limit: int
    ) -> Sequence[KeptCase]:
        """Cases, the heaviest first, ties by newest first."""

    async def case(self, case_id: str) -> Sequence[KeptCase]:
        """Cases whose id starts with this, in any project: none, one, or several."""

    async def patterns(
        self, *, project: str | None, limit: int, fault: Fault | None = None
    ) -> Sequence[PatternRow]:
        """Patterns, of one fault or of all, the most frequent first."""

    async def pattern(self, pattern_id: str) -> Sequence[PatternRow]:
        """Patterns whose id starts with this; where it was merged, what it is part of now."""

    async def members(
        self, *, project: str | None, pattern_id: str | None, limit: int | None
    ) -> Sequence[Member]:
        """Occurrences in the order they were decided; all of them when `limit` is None."""


class ReplayStore(Protocol):
    """Which dead letters were replayed."""

    async def replayed(self, topic: str) -> frozenset[tuple[int, int]]:
        """(partition, offset) of every dead letter of a topic that was replayed."""

    async def mark_replayed(self, topic: str, places: Sequence[tuple[int, int]]) -> None:
        """Remember replays. Raises `Unavailable`."""
