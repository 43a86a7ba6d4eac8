"""`dedup coverage`: how much of what goes wrong in a project is known, and the curve to it."""

from pathlib import Path

from services.cli.coverage import mode_table, of_modes, read
from services.cli.drawing import check_picture
from services.cli.drawing_discovery import draw_discovery, terminal_discovery
from services.cli.one_project import one_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import print_fields, print_json
from services.cli.problem import note, refuse
from services.coverage import DiscoveredProject, discovered


def show_coverage(project: str | None, *, plot: Path | None, as_json: bool) -> None:
    """Print a project's coverage, and draw its discovery curve."""
    if plot is not None:
        check_picture(plot)
    known = run(_known(project))
    if plot is not None:
        draw_discovery(known, plot)
        note(f"Drawn: {plot}")
    if as_json:
        print_json(known)
        return
    print_fields([("project", known.project), *read(known.coverage)])
    if known.modes:
        print()
        mode_table(of_modes(known.modes))
    print(f"\n{terminal_discovery(known)}")


async def _known(project: str | None) -> DiscoveredProject:
    async with opened_store(effective_settings()) as store:
        name = await one_project(store, project)
        known = await discovered(store.knob, name)
    if known is None:
        refuse(f"{name} has no failures yet.", "Coverage is estimated from the first one on.")
    return known
