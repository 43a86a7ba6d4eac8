"""`dedup grey`: doubtful decisions, and what people say of them."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from dedup.labels import Verdict
from services.cli.cases import EVERYTHING
from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_json, print_table, when
from services.cli.patterns import called
from services.cli.problem import ExitCode, misused, note, refuse
from services.cli.side_by_side import print_side_by_side
from services.labelling import AlreadyDecided, GreyDecision, settle_grey
from services.pattern_changes import NotPossible, PatternChange
from services.store.open import Store

_TABLE_ROWS = 20
_FEW = 5  # so many are shown with both texts; more are a table


def list_grey(*, project: str | None, limit: int | None, as_json: bool) -> None:
    """Print doubtful decisions that nobody has reviewed, the nearest first."""
    asked = limit or (EVERYTHING if as_json else _TABLE_ROWS)
    rows, more = run(_undecided(project, asked))
    if as_json:
        print_json([full(row) for row in rows])
        return
    if not rows:
        note("No decision waits for a review.")
        return
    if len(rows) <= _FEW:
        _print_pairs(rows)
    else:
        _print_table(rows)
    if more:
        note(f"The {len(rows)} nearest are shown; --limit shows more.")
    print(
        "`evalratchet dedup grey same EVENT` keeps a failure where it is, `... different EVENT` gives "
        "it a pattern of its own."
    )


def decide_grey(
    event_id: str,
    verdict: Verdict,
    *,
    project: str | None,
    reason: str,
    by: str | None,
    as_json: bool,
) -> None:
    """Carry out a reviewer's verdict."""
    if not event_id.strip():
        misused("Say which decision: the event's id, or enough of its beginning.")
    decision, change = run(_decide(event_id, verdict, project, reason, by or getpass.getuser()))
    made = None if change is None else str(change.detail["to"])
    if as_json:
        print_json(
            {
                "project": decision.project,
                "event_id": decision.event_id,
                "verdict": verdict,
                "pattern_id": made or decision.pattern_id,
                "change_id": None if change is None else change.change_id,
            }
        )
    elif change is not None:
        print(
            f"{decision.event_id} and every failure with its text are pattern {made} now. "
            f"`evalratchet patterns undo {change.change_id}` takes it back."
        )
    else:
        print(f"{decision.event_id} stays in pattern {decision.pattern_id}.")


async def _undecided(project: str | None, limit: int) -> tuple[Sequence[GreyDecision], bool]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        rows = await store.grey.undecided(project, limit=limit + 1)
        return rows[:limit], len(rows) > limit


async def _decide(
    event_id: str, verdict: Verdict, project: str | None, reason: str, by: str
) -> tuple[GreyDecision, PatternChange | None]:
    async with opened_store(effective_settings()) as store:
        decision = await _found(store, event_id, project)
        try:
            change = await settle_grey(
                decision,
                verdict,
                decisions=store.grey,
                changes=store.changes,
                by=by,
                reason=reason or "reviewed as a doubtful decision: different",
                at=datetime.now(UTC),
            )
        except AlreadyDecided as error:
            said = f"The verdict was: {decision.decided}." if decision.decided else ""
            refuse(str(error), said)
        except NotPossible as error:
            refuse("This failure cannot be split off.", str(error))
        return decision, change


async def _found(store: Store, event_id: str, project: str | None) -> GreyDecision:
    await check_project(store, project)
    rows = await store.grey.find(event_id, project)
    if not rows:
        refuse(
            f"There is no doubtful decision about an event whose id starts with {event_id!r}.",
            "See `evalratchet dedup grey list`.",
        )
    if len(rows) > 1:
        refuse(
            f"{len(rows)} doubtful decisions are about events that start with {event_id!r}. Give more "
            "of it, or --project.",
            "\n".join(f"{row.event_id}  {row.project}" for row in rows[:20]),
            code=ExitCode.USAGE,
        )
    return rows[0]


def _print_pairs(rows: Sequence[GreyDecision]) -> None:
    for row in rows:
        print(
            f"{row.event_id}  {row.project}  {when(row.failed_at)}  distance {row.distance:.4f} to "
            f"pattern {row.pattern_id}\n"
        )
        print_side_by_side(("the failure", row.text), (_the_pattern(row), row.pattern_text))
        print()


def _the_pattern(row: GreyDecision) -> str:
    return called(row.pattern_name and one_line(row.pattern_name), "the pattern")


def _print_table(rows: Sequence[GreyDecision]) -> None:
    columns = ["event", "distance", "failed", "project", "pattern", "texts"]
    cells = []
    for row in rows:
        head = [row.event_id, f"{row.distance:.4f}", when(row.failed_at), row.project]
        cells.append([*head, row.pattern_id, one_line(row.text)])
        cells.append(["", "", "", "", "", one_line(called(row.pattern_name, row.pattern_text))])
    print_table(columns, cells, flexible="texts", optional=["failed", "project", "distance"])
    print()
