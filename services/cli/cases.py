"""`cases`: the eval cases in the store."""

from typing import Any

from capture.trace import Content, content_text
from promote.case import Case, CaseSet
from services.cli.known import check_beginning, check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import (
    full,
    one_line,
    print_fields,
    print_json,
    print_table,
    times,
    when,
)
from services.cli.problem import ExitCode, note, refuse
from services.reading import KeptCase

TABLE_ROWS = 50
EVERYTHING = 1_000_000_000  # no store has so many; a limit is asked for anyway


def list_cases(
    *, project: str | None, case_set: CaseSet | None, limit: int | None, as_json: bool
) -> None:
    """Print cases, the heaviest first."""
    asked = limit or (EVERYTHING if as_json else TABLE_ROWS)
    kept, more = run(_list(project, case_set, asked))
    if as_json:
        print_json([_document(one) for one in kept])
        return
    if not kept:
        note("There are no such cases yet.")
        return
    columns = ["case", "set", "severity", "weight", "seen", "label", "project", "input"]
    optional = ["weight", "label", "project", "severity"]
    print_table(columns, [_row(one) for one in kept], flexible="input", optional=optional)
    if more:
        note(f"The {len(kept)} heaviest are shown; --limit shows more.")


def show_case(case_id: str, *, as_json: bool) -> None:
    """Print one case in full."""
    check_beginning(case_id, "case")
    one = run(_one(case_id))
    if as_json:
        print_json(_document(one))
    else:
        print_fields(_fields(one))


async def _list(
    project: str | None, case_set: CaseSet | None, limit: int
) -> tuple[list[KeptCase], bool]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        kept = await store.reader.cases(project=project, case_set=case_set, limit=limit + 1)
        return list(kept[:limit]), len(kept) > limit


async def _one(case_id: str) -> KeptCase:
    async with opened_store(effective_settings()) as store:
        found = await store.reader.case(case_id)
    if not found:
        refuse(
            f"There is no case whose id starts with {case_id!r}.", "See `evalratchet cases list`."
        )
    if len(found) > 1:
        ids = "\n".join(f"{one.case.case_id}  {one.case.project}" for one in found[:20])
        refuse(
            f"{len(found)} cases have ids that start with {case_id!r}. Give more of it.",
            ids,
            code=ExitCode.USAGE,
        )
    return found[0]


def _document(one: KeptCase) -> dict[str, Any]:
    case = full(one.case) | {"provenance": full(one.case.provenance)}
    return full(one) | {"case": case}


def _row(one: KeptCase) -> list[str]:
    case = one.case
    return [
        case.case_id,
        case.set,
        case.severity,
        f"{case.weight:.3f}",
        str(one.occurrences),
        one_line(case.label, 24),
        case.project,
        one_line(content_text(case.input)),
    ]


def _fields(one: KeptCase) -> list[tuple[str, str]]:
    case = one.case
    waits = f", waits for {case.waits_for}" if case.waits_for else ""
    return [
        ("case", case.case_id),
        ("project", case.project),
        ("set", f"{case.set}{waits}"),
        ("label", case.label),
        ("severity", case.severity),
        ("weight", _weight(case)),
        ("seen", f"{times(one.occurrences)}, the last at {when(one.last_failed_at)}"),
        *_superseded(one),
        ("created", when(case.created_at)),
        ("tags", ", ".join(case.tags)),
        ("", ""),
        ("input", _text(case.input)),
        ("", ""),
        ("failing output", _text(case.failing_output)),
        ("", ""),
        ("expected", _text(case.expected) if case.expected is not None else "nobody said yet"),
        ("", ""),
        *(("failed because", f"{s.name} ({s.severity}): {s.reason}") for s in case.signals),
        ("", ""),
        *_provenance(case),
    ]


def _superseded(one: KeptCase) -> list[tuple[str, str]]:
    if one.superseded_by is None:
        return []
    said = (
        f"not counted: pattern {one.case.pattern_id} has another case since change "
        f"{one.superseded_by}; see `evalratchet patterns history`"
    )
    return [("superseded", said)]


def _weight(case: Case) -> str:
    parts = " x ".join(f"{name} {value:g}" for name, value in case.components.items())
    return f"{case.weight:g} = {parts}" if parts else f"{case.weight:g}"


def _provenance(case: Case) -> list[tuple[str, str]]:
    names = {
        "trace": case.provenance.trace_id,
        "event": case.provenance.event_id,
        "pattern": case.provenance.pattern_id,
        "failed": when(case.provenance.failed_at),
        "started": when(case.provenance.started_at),
        "environment": case.provenance.environment,
        "release": case.provenance.release,
        "model": case.provenance.model,
        "session": case.provenance.session_id,
        "scorers": ", ".join(case.provenance.scorers),
        "embedding": case.provenance.embedding_space,
    }
    return [(name, value) for name, value in names.items() if value]


def _text(content: Content) -> str:
    return content_text(content) or "(empty)"
