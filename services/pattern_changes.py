"""How people change patterns: merging, splitting, naming, undoing. The port. Loads no numerics."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

ChangeKind = Literal["merge", "split", "name", "undo"]

MOST_NAME = 120  # characters: a name has room in a table's cell


EVENTS_TOLD = 100
"""Occurrences that a split names of those it moved; `count` says how many they were."""


class NotPossible(ValueError):
    """A change that patterns as they are do not allow. The message says why, and what to do."""


class NotThere(NotPossible):
    """A pattern, an occurrence or a change that is named is not there."""


class PatternChange(msgspec.Struct, frozen=True, kw_only=True):
    """A merge, a split, a naming, or the undoing of one: who, when, why, and what it did.

    `detail` is JSON: for a merge {"into", "merged": [ids], "counts": {id: occurrences}}; for a split
    {"from", "to", "count", "events": [the first ids], "fingerprints": [..]}; for a naming {"pattern", "name",
    "before"}, null where there is none; for an undo {"of": change_id, "kind", "patterns": [ids]}.
    """

    project: str
    change_id: str
    seq: int
    kind: ChangeKind
    by: str
    reason: str
    at: datetime
    detail: dict[str, Any]
    undone_by: str | None = None


class PatternChanges(Protocol):
    """Merging, splitting, naming and undoing. Each under the project's lock, whole, audited.

    Ids of patterns may be those of merged ones: they mean the pattern these are part of.
    """

    async def merge(
        self, project: str, into: str, merged: Sequence[str], *, by: str, reason: str, at: datetime
    ) -> PatternChange:
        """Make patterns one. Raises `NotPossible` (guards differ, unknown, already one), `Unavailable`."""

    async def split(
        self,
        project: str,
        pattern_id: str,
        event_ids: Sequence[str],
        *,
        by: str,
        reason: str,
        at: datetime,
    ) -> PatternChange:
        """Give occurrences a pattern of their own, with all of the same fingerprint.

        Raises `NotPossible` (unknown, or nothing would be left), `Unavailable`.
        """

    async def name(
        self,
        project: str,
        pattern_id: str,
        called: str | None,
        *,
        by: str,
        reason: str,
        at: datetime,
    ) -> PatternChange:
        """Give a pattern a name, or take it away. White space in it counts as one blank.

        Raises `NotPossible` (unknown, too long, or nothing would change), `Unavailable`.
        """

    async def undo(
        self, project: str, change_id: str, *, by: str, reason: str, at: datetime
    ) -> PatternChange:
        """Take a change back. Raises `NotPossible` where a later change builds on it, `Unavailable`."""

    async def history(self, project: str | None, *, limit: int) -> Sequence[PatternChange]:
        """Changes of a project, or of all, the latest first."""
