"""How results look: tables for people, one JSON document for programs."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 10_000  # a pipe has no width: no column is ever cut for want of one
_GAP = 2
_ROOM = 32  # cells: of a text in fewer one hardly sees what it is about
# What steers a terminal, and what is not seen but changes how the rest is seen or read, such as an
# override of the direction; the joiners U+200C and U+200D stay, Persian and emoji need them.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def console() -> Console:
    """Standard output: coloured on a terminal unless `NO_COLOR` is set, plain and wide in a pipe."""
    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)


def printable(text: str) -> str:
    """The text without what could steer a terminal: what users wrote is not trusted."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str, limit: int = 100) -> str:
    """The text in one line of at most `limit` characters."""
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def times(count: int) -> str:
    """How often, in words: once, or so many times."""
    return "once" if count == 1 else f"{count} times"


def counted(count: int, noun: str) -> str:
    """How many of something, in words: 1 pattern, 1,204 patterns."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def when(moment: datetime | None) -> str:
    """A time as people read it, in UTC to the second."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    flexible: str,
    optional: Sequence[str] = (),
) -> None:
    """Print a table. On a narrow terminal the `flexible` column gives way, the others stay whole.

    `optional` ones are left out, in this order, until there is room for what is to be read; a line below
    the table says which.
    """
    shown = console()
    columns, rows, left_out = _fitting(columns, rows, flexible, optional, shown.width)
    widths = [
        max([_cells(name), *(_cells(row[at]) for row in rows)]) for at, name in enumerate(columns)
    ]
    at = columns.index(flexible)
    others = sum(widths) - widths[at] + _GAP * (len(columns) - 1)
    widths[at] = max(_cells(flexible), min(widths[at], shown.width - others))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, width, cells in zip(columns, widths, _columns(columns, rows), strict=True):
        numbers = bool(cells) and all(_is_number(cell) for cell in cells)
        table.add_column(name, no_wrap=True, width=width, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(cell, overflow="ellipsis") for cell in row))
    shown.width = max(shown.width, others + widths[at])  # a line too long is better than one cut
    with shown.capture() as captured:
        shown.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
    if left_out:
        print(f"(A wider terminal shows more: {', '.join(left_out)}.)")


def fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the terminal shows a table of these whole, with no column cut."""
    widths = [max(map(_cells, cells)) for cells in zip(columns, *rows, strict=True)]
    return sum(widths) + _GAP * (len(columns) - 1) <= console().width


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one below the other; a value of several lines stays aligned."""
    width = max((len(name) for name, _ in fields), default=0)
    shown = console()
    for name, value in fields:
        first, *more = printable(value).split("\n") or [""]
        gap = " " * (width + _GAP - _cells(name)) if first else ""
        shown.print(Text.assemble((name, "bold"), gap, first), soft_wrap=True)
        for line in more:
            shown.print(Text((" " * (width + _GAP) + line).rstrip()), soft_wrap=True)


def print_json(document: Any) -> None:
    """Print one JSON document and nothing else."""
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def full(struct: msgspec.Struct) -> dict[str, Any]:
    """A struct as an object with all its fields, also those that have their default value."""
    return {name: msgspec.to_builtins(getattr(struct, name)) for name in struct.__struct_fields__}


def _fitting(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    flexible: str,
    optional: Sequence[str],
    width: int,
) -> tuple[Sequence[str], Sequence[Sequence[str]], list[str]]:
    """Columns and rows without as many of the optional ones as have to go, and which those are."""
    widths = {
        name: max([_cells(name), *(_cells(row[at]) for row in rows)])
        for at, name in enumerate(columns)
    }
    wanted = min(_ROOM, widths[flexible])
    left_out: list[str] = []
    for name in optional:
        stay = [one for one in columns if one not in left_out]
        others = sum(widths[one] for one in stay) - widths[flexible] + _GAP * (len(stay) - 1)
        if width - others >= wanted:
            break
        left_out.append(name)
    at = [place for place, name in enumerate(columns) if name not in left_out]
    return [columns[one] for one in at], [[row[one] for one in at] for row in rows], left_out


def _columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[row[at] for row in rows] for at in range(len(columns))]


def _cells(text: str) -> int:
    """How many cells of a terminal the text takes: two for each Chinese character."""
    return Text(text).cell_len


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
