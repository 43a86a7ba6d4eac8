"""How much of what goes wrong is known, as `status` and `dedup coverage` show it."""

from collections.abc import Sequence

from dedup.coverage import Coverage, Interval
from services.cli.output import counted, one_line, print_table
from services.coverage import ModeCoverage, ProjectCoverage

_MODES_SHOWN = 3  # of a project: those of which the least is known


def print_coverage(projects: Sequence[ProjectCoverage]) -> None:
    """Print a line for each project, and below it the modes of which the least is known."""
    if not projects:
        return
    print()
    rows = [
        row
        for one in projects
        for row in (
            _row(one.project, one.coverage),
            *(
                _row(f"  {one_line(mode.name or mode.mode_id, 40)}", mode.coverage)
                for mode in one.modes[:_MODES_SHOWN]
            ),
        )
    ]
    _print("coverage", rows)


def mode_table(modes: Sequence[tuple[str, Coverage]]) -> None:
    """Print a line for each mode, by its name."""
    _print("mode", [_row(one_line(name, 40), one) for name, one in modes])


def of_modes(modes: Sequence[ModeCoverage]) -> list[tuple[str, Coverage]]:
    """Modes by name, or by id while they have none."""
    return [(mode.name or mode.mode_id, mode.coverage) for mode in modes]


def read(one: Coverage) -> list[tuple[str, str]]:
    """The estimates by name and value, as people read them."""
    _, patterns, once, share, new, in_all = _row("", one)
    return [
        ("patterns", f"{patterns} of {counted(one.failures, 'failure')}"),
        ("seen once", once),
        ("known share", share),
        ("new in as many again", new),
        ("in all", in_all),
    ]


def _print(first: str, rows: Sequence[Sequence[str]]) -> None:
    columns = [first, "patterns", "seen once", "known share", "new in as many again", "in all"]
    optional = ["new in as many again", "seen once", "patterns"]
    print_table(columns, rows, flexible=first, optional=optional)


def _shares(interval: Interval | None) -> str:
    """An interval of shares, in brackets."""
    return "" if interval is None else f" ({interval.low:.0%} to {interval.high:.0%})"


def _counts(one: Coverage) -> str:
    """How many patterns there are at least, with the interval."""
    in_all = one.patterns_in_all_interval
    if round(in_all.low) == round(in_all.high):
        return f"at least {one.patterns_in_all:,.0f}"
    return f"at least {one.patterns_in_all:,.0f} ({in_all.low:,.0f} to {in_all.high:,.0f})"


def _row(name: str, one: Coverage) -> list[str]:
    share = "-" if one.known_share is None else f"{one.known_share:.0%}"
    return [
        name,
        f"{one.patterns:,}",
        f"{one.seen_once:,}",
        f"{share}{_shares(one.known_share_interval)}",
        f"{one.new_in_next:,.0f}",
        _counts(one),
    ]
