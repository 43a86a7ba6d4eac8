"""Two texts next to each other, with what is different in them to be found at a glance."""

import difflib
import re
import sys

from rich.table import Table
from rich.text import Text

from services.cli.output import console, printable

_NARROW = 60  # columns: below it the texts go one below the other
_MOST_CHARS = 2400  # of one text: what is beyond fills a screen of its own
_ISLAND = 3  # characters: a lone "the" between two runs is no agreement
_STYLE = "bold underline yellow"  # underlined too: NO_COLOR leaves that
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def print_side_by_side(left: tuple[str, str], right: tuple[str, str]) -> None:
    """Print two titled texts. In a pipe, and on a narrow terminal, one below the other."""
    shown = console()
    one, other = _shortened(left[1]), _shortened(right[1])
    first, second = different(one, other)
    if not sys.stdout.isatty():
        print(f"{left[0]}\n{_marked(one, first)}\n\n{right[0]}\n{_marked(other, second)}\n")
        return
    texts = _styled(one, first), _styled(other, second)
    titles = Text(left[0], "bold"), Text(right[0], "bold")
    if shown.width < _NARROW:
        for title, text in zip(titles, texts, strict=True):
            shown.print(title)
            shown.print(text)
            shown.print()
        return
    table = Table.grid(padding=(0, 3, 0, 0), expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    table.add_row(*titles)
    table.add_row(*texts)
    shown.print(table)


def different(one: str, other: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where each text says what the other does not: runs of words, as (start, end) in characters.

    Case and white space make no difference.
    """
    words = [list(_WORDS.finditer(text)) for text in (one, other)]
    left, right = ([re.sub(r"\s+", " ", word[0].lower()) for word in ones] for ones in words)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    runs: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for kind, *spans in matcher.get_opcodes():
        if kind == "equal":
            continue
        for side, (start, end) in enumerate((spans[:2], spans[2:])):
            if start < end:
                run = words[side][start].start(), words[side][end - 1].end()
                _add(runs[side], run, (one, other)[side])
    return runs


def _add(runs: list[tuple[int, int]], run: tuple[int, int], text: str) -> None:
    """Add a run, together with the one before where next to nothing is between the two."""
    start, end = run
    if not text[start:end].strip():
        return
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    if runs and len(text[runs[-1][1] : start].strip()) <= _ISLAND:
        start = runs.pop()[0]
    runs.append((start, end))


def _shortened(text: str) -> str:
    text = printable(text).strip()
    left_out = len(text) - _MOST_CHARS
    return text if left_out <= 0 else f"{text[:_MOST_CHARS]} … ({left_out} more characters)"


def _styled(text: str, runs: list[tuple[int, int]]) -> Text:
    shown = Text(text)
    for start, end in runs:
        shown.stylize(_STYLE, start, end)
    return shown


def _marked(text: str, runs: list[tuple[int, int]]) -> str:
    """With « and » around what is different."""
    for start, end in reversed(runs):
        text = f"{text[:start]}«{text[start:end]}»{text[end:]}"
    return text
