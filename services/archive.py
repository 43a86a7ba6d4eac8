"""The archive's port: traces as they came, and which of them are due to be scored."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class ArchivedPiece(msgspec.Struct, frozen=True):
    """A piece as the archive keeps it. `body` is the event's JSON."""

    project: str
    trace_id: str
    event_id: str
    schema: str
    body: bytes


class DueTrace(msgspec.Struct, frozen=True):
    """A trace that has gone quiet, with all its pieces in order of arrival; none if it is too large.

    `revision` rises with every new piece, so that settling never overlooks one that came meanwhile.
    """

    project: str
    trace_id: str
    revision: int
    failed: bool
    pieces: tuple[ArchivedPiece, ...]


class Claim(Protocol):
    """Due traces that this worker alone has in hand."""

    @property
    def traces(self) -> Sequence[DueTrace]:
        """The traces; never two of the same id."""

    async def settle(self, failed: Sequence[bool]) -> None:
        """Say of each trace whether it failed, and let go. A failed trace stays failed.

        A trace whose revision has moved on stays due. A claim that was lost meanwhile (the database
        went away) settles all the same, by revision. Raises `Unavailable`; settle again then.
        """

    async def abandon(self) -> None:
        """Let go without settling; the traces are still due. Never raises."""


class Archive(Protocol):
    """Traces as they came, and which of them are due."""

    async def add(
        self, pieces: Sequence[ArchivedPiece], *, now_ms: int, due_ms: int, again: bool = False
    ) -> int:
        """Keep pieces (each once, by project, trace and event id); return how many were new.

        Traces that gained a piece become due at `due_ms`; with `again` all of them do, and none
        counts as failed any more: what came of it before was a dead letter. Raises `Unavailable`.
        """

    async def rescore(self, project: str, trace_id: str, *, due_ms: int) -> bool:
        """The same for a trace that is here with all its pieces; False when it is not (any more).

        Raises `Unavailable`.
        """

    async def claim_due(self, *, now_ms: int, limit: int) -> Claim:
        """Take up to `limit` due traces, longest due first, that no other worker has in hand.

        Raises `Unavailable`.
        """
