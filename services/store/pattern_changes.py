"""Merging, splitting and naming patterns, undoing that, and who did it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from services.pattern_changes import PatternChange
from services.store import change_rows
from services.store.change_rows import Signed
from services.store.database import Database
from services.store.pattern_merge import merge, unmerge
from services.store.pattern_name import name, unname
from services.store.pattern_split import split, unsplit


class PatternChanges:
    """`services.pattern_store.PatternChanges`.

    Under the lock of dedup, because patterns change, and under that of promote, because cases do.
    """

    def __init__(self, database: Database) -> None:
        """Change patterns in `database`."""
        self._database = database

    async def merge(
        self, project: str, into: str, merged: Sequence[str], *, by: str, reason: str, at: datetime
    ) -> PatternChange:
        """Make patterns one. Raises `NotPossible`, `Unavailable`."""
        signed = Signed(by, reason, at)
        return await self._database.write(
            lambda connection: merge(connection, project, into, merged, signed),
            "dedup",
            "promote",
            project=project,
        )

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
        """Give occurrences a pattern of their own. Raises `NotPossible`, `Unavailable`."""
        signed = Signed(by, reason, at)
        return await self._database.write(
            lambda connection: split(connection, project, pattern_id, event_ids, signed),
            "dedup",
            "promote",
            project=project,
        )

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
        """Give a pattern a name, or take it away. Raises `NotPossible`, `Unavailable`."""
        signed = Signed(by, reason, at)
        return await self._database.write(
            lambda connection: name(connection, project, pattern_id, called, signed),
            "dedup",
            project=project,
        )

    async def undo(
        self, project: str, change_id: str, *, by: str, reason: str, at: datetime
    ) -> PatternChange:
        """Take a change back. Raises `NotPossible`, `Unavailable`."""
        signed = Signed(by, reason, at)
        return await self._database.write(
            lambda connection: _undo(connection, project, change_id, signed),
            "dedup",
            "promote",
            project=project,
        )

    async def history(self, project: str | None, *, limit: int) -> Sequence[PatternChange]:
        """Changes of a project, or of all, the latest first. Raises `Unavailable`."""
        return await self._database.read(
            lambda connection: change_rows.history(connection, project, limit)
        )


def _undo(connection: Connection, project: str, change_id: str, signed: Signed) -> PatternChange:
    change, before = change_rows.to_undo(connection, project, change_id)
    number = change_rows.next_change(connection, project)
    patterns = _BACK[change.kind](connection, project, change, before, number[1])
    change_rows.mark_undone(connection, project, change_id, number[1])
    detail = {"of": change_id, "kind": change.kind, "patterns": patterns}
    return change_rows.add_change(
        connection, project, number, "undo", signed, detail, change_rows.Before()
    )


_BACK = {"merge": unmerge, "split": unsplit, "name": unname}
