"""`rescore`: history, scored once more with the policy in force."""

import re
import time
from collections.abc import AsyncIterator

import msgspec

from capture.assemble import assemble
from capture.experiments import is_experiment
from capture.redaction.placeholder import numbered
from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import print_json
from services.cli.problem import misused, note, refuse
from services.cli.scorings import Scored, grades, print_as_json, print_by_scorer
from services.settings import Settings
from services.store.open import Store
from services.stream import envelope
from services.wiring import examiner_of

_PAGE = 500  # traces a query
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SINCE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])")


class Rescored(msgspec.Struct, frozen=True):
    """How far a dry run came."""

    examined: int
    new: list[Scored]


def rescore(
    project: str, *, since: str | None, trace_id: str | None, dry_run: bool, as_json: bool
) -> None:
    """Make traces due again, or print what that would bring."""
    since_ms = 0 if since is None else _now_ms() - _milliseconds(since)
    if dry_run:
        _print_preview(run(_preview(project, since_ms, trace_id)), as_json=as_json)
        return
    made_due = run(_make_due(project, since_ms, trace_id))
    if as_json:
        print_json({"project": project, "due": made_due})
        return
    print(
        f"{made_due} traces of {project} are due to be scored again. A running `evalratchet up` takes "
        "them now; each fails at most once."
    )


def _print_preview(rescored: Rescored, *, as_json: bool) -> None:
    failing = [one for one in rescored.new if one.signals]
    if as_json:
        print_as_json(rescored.new, examined=rescored.examined, newly_failing=len(failing))
        return
    print_by_scorer(rescored.new, would="new")
    how = f" ({grades(failing)})" if failing else ""
    print(f"{len(failing)} of {rescored.examined} archived traces would newly fail{how}.")
    if failing:
        note("Nothing was changed (--dry-run). Without it they are scored again.")


async def _make_due(project: str, since_ms: int, trace_id: str | None) -> int:
    settings = effective_settings()
    async with opened_store(settings) as store:
        await check_project(store, project)
        made_due = 0
        async for one, _ in _traces(store, project, since_ms, trace_id):
            made_due += await store.archive.rescore(project, one, due_ms=_now_ms())
    return made_due


async def _preview(project: str, since_ms: int, trace_id: str | None) -> Rescored:
    settings = effective_settings()
    async with opened_store(settings) as store:
        await check_project(store, project)
        return await _compared(settings, store, project, since_ms, trace_id)


async def _compared(
    settings: Settings, store: Store, project: str, since_ms: int, trace_id: str | None
) -> Rescored:
    _, policy = await store.policies.current(project)
    examiner = examiner_of(settings, store)
    examined, new = 0, []
    try:
        async for one, failed in _traces(store, project, since_ms, trace_id):
            pieces = await store.traces.pieces_of(project, one)
            trace = assemble([envelope.decode_body(piece.schema, piece.body) for piece in pieces])
            if trace is None or is_experiment(trace):
                continue
            if not policy.intake.environments.admits(trace.environment):
                continue
            examined += 1
            found = Scored.of(one, "", await examiner.examine(numbered(trace), policy.scoring))
            if not failed and (found.signals or found.problems):
                new.append(found)
    finally:
        await examiner.close()
    return Rescored(examined, new)


async def _traces(
    store: Store, project: str, since_ms: int, trace_id: str | None
) -> AsyncIterator[tuple[str, bool]]:
    """Every trace that is meant, and whether it failed. Raises `Problem` when the one is not there."""
    if trace_id is not None:
        found = await store.rescoring.one(project, trace_id)
        if not found:
            refuse(
                f"The trace {trace_id!r} of {project} is not in the archive.",
                "Traces are kept for EVALRATCHET_RETENTION_DAYS.",
            )
        yield found[0]
        return
    after = ""
    while True:
        page = await store.rescoring.page(project, since_ms=since_ms, after=after, limit=_PAGE)
        for one in page:
            yield one
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def _milliseconds(since: str) -> int:
    found = _SINCE.fullmatch(since.strip().lower())
    if found is None:
        misused(
            f"--since {since} is not a span of time.",
            "Give a number and s, m, h or d, for example --since 24h",
        )
    return int(float(found[1]) * _UNITS[found[2]] * 1000)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
