"""`traces list` and `traces show`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from capture.assemble import assemble
from capture.events import Piece, SpansReceived
from capture.redaction.placeholder import numbered
from services.archive import ArchivedPiece, TraceRow, TraceState
from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_fields, print_json, print_table, when
from services.cli.problem import misused, note, refuse
from services.errors import Undecodable
from services.store.open import Store
from services.stream import envelope

_WHY = {
    None: "",
    "experiment": "eval, experiment or gate traffic",
    "environment": "the policy leaves its environment out",
    "too_large": "its pieces together are too large to be read at once",
    "dead_letter": "it could not be handled: see `evalratchet dlq list`",
}


class ShownTrace(msgspec.Struct, frozen=True):
    """A trace and all that came of it."""

    row: TraceRow
    pieces: Sequence[ArchivedPiece]


def list_traces(
    *, project: str | None, state: TraceState | None, limit: int, as_json: bool
) -> None:
    """Print archived traces, those that got something last first."""
    rows = run(_list(project, state, limit))
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    if not rows:
        note("The archive has no such traces.")
        return
    columns = ["trace", "state", "pieces", "last", "scored", "project", "why"]
    cells = [
        [
            one_line(row.trace_id, 128),
            _state(row),
            str(row.pieces),
            when(_moment(row.last_ms)),
            when(_moment(row.scored_ms)) or "-",
            row.project,
            one_line(_why(row)),
        ]
        for row in rows
    ]
    print_table(columns, cells, flexible="why")


def show_trace(trace_id: str, *, project: str | None, as_json: bool) -> None:
    """Print what the archive knows of one trace."""
    if not trace_id.strip():
        misused("Say which trace: its id, or the id of a span in it.")
    shown = run(_one(trace_id, project))
    if as_json:
        print_json(_whole(shown))
    else:
        _print(shown)


async def _list(project: str | None, state: TraceState | None, limit: int) -> Sequence[TraceRow]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        return await store.traces.latest(project=project, state=state, limit=limit)


async def _one(trace_id: str, project: str | None) -> ShownTrace:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        row = await find_trace(store, trace_id, project)
        return ShownTrace(row, await store.traces.pieces_of(row.project, row.trace_id))


async def find_trace(store: Store, trace_id: str, project: str | None) -> TraceRow:
    """The one trace that is meant. Raises `Problem` when there is none, or more than one."""
    found = await store.traces.find(trace_id, project=project)
    if not found:
        refuse(
            f"The archive has no trace {one_line(trace_id)!r}, and no span of that id.",
            "It may not have come yet, or be older than EVALRATCHET_RETENTION_DAYS. "
            "See `evalratchet traces list` and `evalratchet status`.",
        )
    if len(found) > 1:
        refuse(
            f"There are {len(found)} such traces. Say which project's with --project:",
            "\n".join(f"{row.project}  {one_line(row.trace_id, 128)}" for row in found),
        )
    return found[0]


def _print(shown: ShownTrace) -> None:
    row = shown.row
    fields = [
        ("trace", row.trace_id),
        ("project", row.project),
        ("state", _state(row)),
        ("why", _why(row)),
        ("scorers that failed to say", "\n".join(row.problems)),
        ("scored", when(_moment(row.scored_ms))),
        ("policy", "" if row.policy_version is None else f"version {row.policy_version}"),
        ("looked at next", when(_moment(row.due_ms))),
        ("session", row.session_id or ""),
        ("size", f"{row.bytes} bytes in {row.pieces} pieces"),
        ("first", when(_moment(row.first_ms))),
        ("last", when(_moment(row.last_ms))),
        ("kept until", when(_moment(_kept_until(row)))),
    ]
    print_fields([(name, value) for name, value in fields if value])
    print()
    cells = [[one.event_id, one.schema, str(len(one.body)), _told(one)] for one in shown.pieces]
    print_table(["piece", "schema", "bytes", "what"], cells, flexible="what")


def _told(one: ArchivedPiece) -> str:
    piece = _decoded(one)
    if piece is None:
        return "cannot be read by this version"
    if isinstance(piece, SpansReceived):
        names = ", ".join(dict.fromkeys(span.name or span.span_id for span in piece.spans))
        return one_line(f"{len(piece.spans)} spans: {names}")
    signal = getattr(piece, "signal", None)
    if signal is not None:
        return one_line(f"{signal.name} = {signal.value!r} from {signal.source}")
    return "the whole trace"


def _whole(shown: ShownTrace) -> dict[str, Any]:
    pieces = [one for one in map(_decoded, shown.pieces) if one is not None]
    trace = assemble(pieces)
    listed = [
        {"event_id": one.event_id, "schema": one.schema, "body": msgspec.Raw(one.body)}
        for one in shown.pieces
    ]
    together = None if trace is None else full(numbered(trace))
    return _as_json(shown.row) | {"pieces": listed, "trace": together}


def _decoded(one: ArchivedPiece) -> Piece | None:
    try:
        piece: Piece = envelope.decode_body(one.schema, one.body)
    except Undecodable:
        return None
    return piece


def _as_json(row: TraceRow) -> dict[str, Any]:
    """The row with times as everywhere else in our JSON."""
    shown = msgspec.structs.asdict(row)
    times = {
        "first_at": row.first_ms,
        "last_at": row.last_ms,
        "scored_at": row.scored_ms,
        "due_at": row.due_ms,
        "kept_until": _kept_until(row),
    }
    for name in ("first_ms", "last_ms", "scored_ms", "due_ms", "drop_ms", "chunk_end_ms"):
        del shown[name]
    shown["piece_count"] = shown.pop("pieces")
    return shown | {name: _moment(ms) for name, ms in times.items()}


def _kept_until(row: TraceRow) -> int:
    """The moment from which the next tidying deletes it, in ms."""
    kept = row.chunk_end_ms + effective_settings().retention_ms
    return kept if row.drop_ms is None else min(row.drop_ms, kept)


def _state(row: TraceRow) -> str:
    return f"{row.state}, truncated" if row.truncated else row.state


def _why(row: TraceRow) -> str:
    return ", ".join(row.failing) or _WHY.get(row.why, row.why or "")


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, tz=UTC)
