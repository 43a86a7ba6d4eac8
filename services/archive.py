"""The archive's port: traces as they came, which of them are due, and what was said of them."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

TraceState = Literal[
    "waiting",  # not scored yet: pieces may still come, or nothing but feedback has come
    "passed",  # no scorer had anything against it
    "failed",  # at least one failing signal; it stays so, whatever comes later
    "left_out",  # never to be a failure: `why` says why
]

LeftOut = Literal[
    "experiment",  # eval or gate traffic
    "environment",  # of an environment that the policy leaves out
    "too_large",  # its pieces together are too large to be read at once
    "dead_letter",  # it could not be handled and was parked
]

Naming = Literal["trace", "span", "session"]

NEVER_MS = 1 << 53
"""A moment that does not come, in milliseconds since the epoch."""


class ArchivedPiece(msgspec.Struct, frozen=True):
    """A piece as the archive keeps it. `body` is the event's JSON.

    `spans` are the ids of the spans in it. A piece whose sender only knew a span or a session says so
    in `names`; its `trace_id` is then `span:<id>` or `session:<id>`, under which it waits until the
    trace is known.
    """

    project: str
    trace_id: str
    event_id: str
    schema: str
    body: bytes
    spans: tuple[str, ...] = ()
    names: Naming = "trace"


class DueTrace(msgspec.Struct, frozen=True):
    """A trace that is to be looked at, with all its pieces in order of arrival; none if it is too large.

    `revision` rises with every new piece, so that settling never overlooks one that came meanwhile.
    `failing` are the failing signals that were emitted. `until_ms` is the moment from which nothing
    is waited for any more. `scored` says that there was a verdict before, `unreadable` that it was
    that the trace is too large.
    """

    project: str
    trace_id: str
    revision: int
    pieces: tuple[ArchivedPiece, ...]
    failing: tuple[str, ...] = ()
    last_ms: int = 0
    until_ms: int = NEVER_MS
    scored: bool = False
    unreadable: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a trace.

    A `waiting` one is looked at again when a piece comes, and if `look_again` also at its hard age
    limit. `failing` are all the failing signals that were emitted so far. `drop_ms` is the moment
    from which the trace need not be kept; without one it is kept for the retention.
    """

    state: TraceState
    why: LeftOut | None = None
    look_again: bool = False
    truncated: bool = False
    failing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    session_id: str | None = None
    policy_version: int | None = None
    drop_ms: int | None = None


class Settled(msgspec.Struct, frozen=True):
    """When verdicts are given, and what holds for a trace that got a piece while it was in hand.

    `due_ms` is when that one is due again, `until_ms` its new hard age limit.
    """

    now_ms: int
    due_ms: int
    until_ms: int = NEVER_MS


class Claim(Protocol):
    """Due traces that this worker alone has in hand."""

    @property
    def traces(self) -> Sequence[DueTrace]:
        """The traces; never two of the same id."""

    async def settle(self, verdicts: Sequence[Verdict], at: Settled) -> None:
        """Give each trace its verdict, and let go.

        A trace whose revision has moved on stays due. A claim that was lost meanwhile (the database
        went away) settles all the same, by revision. Raises `Unavailable`; settle again then.
        """

    async def abandon(self) -> None:
        """Let go without settling; the traces are still due. Never raises."""


class Archive(Protocol):
    """Traces as they came, and which of them are due."""

    async def add(
        self,
        pieces: Sequence[ArchivedPiece],
        *,
        now_ms: int,
        due_ms: int,
        until_ms: int = NEVER_MS,
        again: bool = False,
    ) -> int:
        """Keep pieces (each once, by project, trace and event id); return how many were new.

        Traces that gained a piece become due at `due_ms`, but not later than what was `until_ms` when
        the first piece came that has not been scored. With `again` all of them become due, and none
        counts as scored any more: what came of it before was a dead letter. Raises `Unavailable`.
        """

    async def rescore(self, project: str, trace_id: str, *, due_ms: int) -> bool:
        """The same for a trace that is here with all its pieces; False when it is not (any more).

        Raises `Unavailable`.
        """

    async def claim_due(self, *, now_ms: int, limit: int) -> Claim:
        """Take up to `limit` due traces, longest due first, that no other worker has in hand.

        Raises `Unavailable`.
        """


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive knows of a trace, for people. Times are the server's, in ms since the epoch.

    It is kept until `drop_ms`, or where that is null for the retention from `chunk_end_ms` on.
    """

    project: str
    trace_id: str
    state: TraceState
    why: str | None
    truncated: bool
    failing: tuple[str, ...]
    problems: tuple[str, ...]
    session_id: str | None
    policy_version: int | None
    pieces: int
    bytes: int
    first_ms: int
    last_ms: int
    due_ms: int | None
    scored_ms: int | None
    drop_ms: int | None
    chunk_end_ms: int


class ArchiveReading(Protocol):
    """What people ask the archive."""

    async def find(self, trace_id: str, *, project: str | None) -> Sequence[TraceRow]:
        """Traces of this id, of one project or of all; by a span's id, the trace it is in."""

    async def pieces_of(self, project: str, trace_id: str) -> Sequence[ArchivedPiece]:
        """All that came of a trace, in order of arrival."""

    async def latest(
        self, *, project: str | None, state: TraceState | None, limit: int
    ) -> Sequence[TraceRow]:
        """Traces, those that got something last first."""

    async def size(self) -> "ArchiveSize":
        """How much is kept."""


class ArchiveSize(msgspec.Struct, frozen=True):
    """What the archive takes up. `bytes` is of pieces and indexes, packed; times in ms."""

    bytes: int
    chunks: int
    oldest_ms: int | None
