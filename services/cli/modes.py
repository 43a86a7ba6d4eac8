"""`modes list`, `modes show` and `modes refit`."""

from datetime import UTC, datetime
from typing import Any

from services.cli.known import check_beginning, check_project
from services.cli.logs import warnings_on_stderr
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import counted, full, one_line, print_fields, print_json, print_table
from services.cli.patterns import called
from services.cli.problem import ExitCode, note, refuse
from services.mode_store import Mode, ModeMember, ModeRefit
from services.modes import NothingToRefit
from services.store.open import Store
from services.wiring import modes_of

_SHOWN_MEMBERS = 20
_EVERYTHING = 1_000_000


def list_modes(*, project: str | None, gone: bool, as_json: bool) -> None:
    """Print modes, the largest first."""
    modes = run(_list(project, gone=gone))
    if as_json:
        print_json([full(one) for one in modes])
        return
    if not modes:
        note(
            "There are no modes yet. They are looked for from 20 patterns on, and found where enough "
            "of them lie close together; `evalratchet modes refit` looks now."
        )
        return
    rows = [
        [
            one.mode_id,
            str(one.size),
            str(one.born_refit),
            "" if one.gone_refit is None else str(one.gone_refit),
            one.project,
            one_line(one.name),
        ]
        for one in modes
    ]
    print_table(["mode", "patterns", "born", "gone", "project", "name"], rows, flexible="name")


def show_mode(mode_id: str, *, limit: int | None, as_json: bool) -> None:
    """Print one mode and its patterns."""
    check_beginning(mode_id, "mode")
    asked = limit or (_EVERYTHING if as_json else _SHOWN_MEMBERS)
    mode, members = run(_one(mode_id, asked))
    if as_json:
        print_json(full(mode) | {"patterns": [full(member) for member in members]})
        return
    print_fields(
        [
            ("mode", mode.mode_id),
            ("name", mode.name),
            ("project", mode.project),
            ("terms", ", ".join(mode.terms)),
            ("patterns", str(mode.size)),
            ("since", f"refit {mode.born_refit}"),
            ("gone", "" if mode.gone_refit is None else f"since refit {mode.gone_refit}"),
            ("came from", ", ".join(mode.parents)),
        ]
    )
    print()
    rows = [
        [
            one.pattern_id,
            str(one.occurrences),
            f"{one.membership:.2f}",
            f"{one.outlier:.2f}",
            one_line(called(one.name, one.text)),
        ]
        for one in members
    ]
    columns = ["pattern", "seen", "membership", "outlier", "text"]
    print_table(columns, rows, flexible="text", optional=["outlier", "membership"])
    if len(members) < mode.size and mode.gone_refit is None:
        note(f"{len(members)} of {mode.size} are shown; --limit shows more.")


def refit_modes(project: str | None, *, as_json: bool) -> None:
    """Refit a project's modes now, and print what became of them."""
    with warnings_on_stderr():
        refit = run(_refit(project))
    if as_json:
        print_json(full(refit))
        return
    detail: dict[str, Any] = refit.detail
    print(
        f"{refit.project}: {refit.patterns - detail['in_no_mode']} of {refit.patterns} patterns are in "
        f"{counted(refit.modes, 'mode')} ({refit.seconds:.1f} s)."
    )
    if not refit.modes and not detail["gone"]:
        print(
            "Too few of them lie close together to make a mode; there may be one with more patterns."
        )
        return
    print(
        f"{detail['kept']} modes are known from before, {len(detail['born'])} are new, "
        f"{len(detail['gone'])} are gone."
    )
    if detail["proposals"]:
        print(f"{detail['proposals']} merges are proposed: `evalratchet patterns proposals`.")


async def _list(project: str | None, *, gone: bool) -> list[Mode]:
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        return list(await store.modes.modes(project, gone=gone))


async def _one(mode_id: str, limit: int) -> tuple[Mode, list[ModeMember]]:
    async with opened_store(effective_settings()) as store:
        mode = await _found(store, mode_id)
        members = await store.modes.members(mode.project, mode.mode_id, limit=limit)
        return mode, list(members)


async def _found(store: Store, mode_id: str) -> Mode:
    modes = await store.modes.modes(None, gone=True)
    found = [one for one in modes if one.mode_id.startswith(mode_id)]
    if not found:
        refuse(
            f"There is no mode whose id starts with {mode_id!r}.", "See `evalratchet modes list`."
        )
    if len(found) > 1:
        refuse(
            f"{len(found)} modes have ids that start with {mode_id!r}. Give more of it.",
            "\n".join(f"{one.mode_id}  {one.project}  {one.name}" for one in found[:20]),
            code=ExitCode.USAGE,
        )
    return found[0]


async def _refit(project: str | None) -> ModeRefit:
    settings = effective_settings()
    async with opened_store(settings) as store:
        name = await one_project(store, project)
        async with modes_of(settings, store, lambda: datetime.now(UTC)) as modes:
            try:
                return await modes.refit(name)
            except NothingToRefit as error:
                refuse("There is nothing to refit.", f"{error}.")
