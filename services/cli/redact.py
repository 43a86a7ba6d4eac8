"""`redact`: what redaction would take out of a file of traces, and the file without it."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from capture.events import Piece, SpansReceived, TraceReceived
from capture.malformed import Malformed
from capture.native import Refused, decode_captures
from capture.otlp import decode_json
from capture.redaction import recognisers
from capture.redaction.every_text import texts_of
from capture.redaction.placeholder import project_key
from capture.redaction.policy import RedactionPolicy
from capture.redaction.redactor import Names, Redacted, Redactor
from capture.redaction.rules import Rules
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import one_line, print_json, print_table
from services.cli.problem import ExitCode, Problem, misused, note, refuse
from services.cli.trace_files import TraceFile, Unreadable, check_files
from services.names import WorkerNames
from services.settings import Settings

_LARGEST = 64 << 20  # bytes of a trace: what may be kept by any setting
_SHOWN = 2  # first characters of what was found: enough to recognise it, too few to be it
_NOT_SENT = "evalratchet"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that redaction takes out. `pointer` is a JSON pointer into the trace or the spans."""

    file: str
    line: int
    trace: str
    kind: str
    pointer: str
    before: str
    after: str


class Examined(msgspec.Struct):
    """What became of all files."""

    findings: list[Finding] = []
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    pieces: int = 0
    unreadable: list[Unreadable] = []


def redact_files(
    files: Sequence[str], *, project: str | None, dry_run: bool, output: Path | None, as_json: bool
) -> None:
    """Show what would be taken out, and with `output` write what is left.

    Raises:
        Problem: a file cannot be read or written, or something in it is no trace.
    """
    if not dry_run and output is None:
        refuse(
            "Nothing was said to be done.",
            "Add --dry-run to see what would be redacted, or --output FILE to write the traces "
            "without it.",
            code=ExitCode.USAGE,
        )
    check_files(files)
    settings = effective_settings()
    examined = run(_examine(files, project, settings, output))
    if as_json:
        print_json(
            {
                "counts": dict(sorted(examined.counts.items())),
                "pieces": examined.pieces,
                "findings": examined.findings,
                "unreadable": examined.unreadable,
            }
        )
    else:
        _print(examined, output)
    if examined.unreadable:
        first = examined.unreadable[0]
        refuse(
            f"{len(examined.unreadable):,} of what is there could not be read.",
            f"{first.file}:{first.line}: {one_line(first.reason, 300)}",
        )


async def _examine(
    files: Sequence[str], project: str | None, settings: Settings, output: Path | None
) -> Examined:
    desk = _Desk(settings, await asyncio.to_thread(recognisers.load))
    examined = Examined()
    out = None
    try:
        out = None if output is None else output.open("wb")
        for name in files:
            for where, pieces in _pieces(name, project, examined):
                for piece in pieces:
                    redacted = await desk.redact(piece, where, examined)
                    if out is not None:
                        out.write(_line(redacted))
    except OSError as error:
        misused(f"{output} cannot be written.", str(error.strerror))
    finally:
        if out is not None:
            out.close()
        await desk.close()
    return examined


class _Desk:
    """Redacts pieces by the policies in the store, or the defaults where there is none."""

    def __init__(self, settings: Settings, loaded: recognisers.Recognisers) -> None:
        self._settings = settings
        self._loaded = loaded
        self._rules: dict[str, Rules | None] = {}
        model = settings.redaction_ner
        self._names = None if model is None else WorkerNames(model)

    async def redact(self, piece: Piece, where: tuple[str, int], examined: Examined) -> Piece:
        rules = await self._of(piece.project)
        examined.pieces += 1
        if rules is None:
            return piece
        names: Names = {} if self._names is None else await self._names.find(texts_of([piece]))

        def told(one: Redacted) -> None:
            examined.counts[one.kind] += 1
            examined.findings.append(_finding(one, piece, where))

        return Redactor(rules, names=names, told=told).redact(piece)

    async def close(self) -> None:
        if self._names is not None:
            await self._names.close()

    async def _of(self, project: str) -> Rules | None:
        if project not in self._rules:
            policy, key = await _policy_and_key(self._settings, project)
            made = Rules(policy, project_key(key, project), lambda: self._loaded)
            self._rules[project] = made if policy.enabled else None
            if not policy.enabled:
                note(f"Redaction is off in the policy of {project}.")
        return self._rules[project]


async def _policy_and_key(settings: Settings, project: str) -> tuple[RedactionPolicy, bytes]:
    own = settings.redaction_key
    try:
        async with opened_store(settings) as store:
            _, policy = await store.policies.current(project)
            key = (
                await store.secrets.get_or_make("redaction")
                if own is None
                else own.get_secret_value().encode()
            )
            return policy.redaction, key
    except Problem:  # there is no store yet: what would be redacted by default
        key = _NOT_SENT.encode() if own is None else own.get_secret_value().encode()
        return RedactionPolicy(), key


def _pieces(
    name: str, project: str | None, examined: Examined
) -> Iterator[tuple[tuple[str, int], list[Piece]]]:
    """Every item of a file as the pieces that capture would make of it."""
    with closing(TraceFile(name)) as file:
        for item in file:
            if isinstance(item, Unreadable):
                examined.unreadable.append(item)
                continue
            where = (item.file, item.line)
            try:
                yield where, _decoded(item.kind, item.body, project, where, examined)
            except Malformed as error:
                examined.unreadable.append(Unreadable(*where, str(error)))


def _decoded(
    kind: str, body: bytes, project: str | None, where: tuple[str, int], examined: Examined
) -> list[Piece]:
    if kind == "otlp":
        decoded = decode_json(body, header_project=project, max_bytes=_LARGEST)
        for span in decoded.rejected:
            reason = f"span {span.span_id or '?'}: {span.reason}"
            examined.unreadable.append(Unreadable(*where, reason))
        return list(decoded.pieces)
    pieces: list[Piece] = []
    for item in decode_captures(body, max_bytes=_LARGEST, idempotency_key=None):
        if isinstance(item, Refused):
            examined.unreadable.append(Unreadable(*where, item.message))
        else:
            pieces.append(item)
    return pieces


def _finding(one: Redacted, piece: Piece, where: tuple[str, int]) -> Finding:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in one.at)
    before = f"{one.before[:_SHOWN]}… ({len(one.before)} characters)"
    return Finding(
        file=where[0],
        line=where[1],
        trace=piece.trace_id,
        kind=one.kind,
        pointer="".join(f"/{step}" for step in steps),
        before=before if len(one.before) > 2 * _SHOWN else f"({len(one.before)} characters)",
        after=one.after,
    )


def _line(piece: Piece) -> bytes:
    """A native trace as it was sent; spans as capture keeps them."""
    told: Any = piece.trace if isinstance(piece, TraceReceived) else piece
    if isinstance(piece, SpansReceived):
        told = {name: getattr(piece, name) for name in ("project", "trace_id", "resource", "spans")}
    return msgspec.json.encode(told) + b"\n"


def _print(examined: Examined, output: Path | None) -> None:
    if examined.findings:
        columns = ("trace", "kind", "where", "before", "after")
        rows = [
            (one_line(f.trace, 40), f.kind, one_line(f.pointer, 80), one_line(f.before), f.after)
            for f in examined.findings
        ]
        print_table(columns, rows, flexible="where")
        print()
    counted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(examined.counts.items()))
    what = "1 piece" if examined.pieces == 1 else f"{examined.pieces:,} pieces"
    print(f"{what} of traces: {counted or 'nothing to redact'}.")
    if output is not None:
        print(f"Written without it: {output}")
