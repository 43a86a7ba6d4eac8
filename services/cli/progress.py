"""Progress of `send`: a bar on a terminal, lines elsewhere; on standard error, beside the result."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from services.cli.problem import note
from services.cli.trace_files import STANDARD_INPUT

_LINE_SECONDS = 10.0  # often enough to see that it moves, seldom enough for a log


class Shown(Protocol):
    """How far the files are."""

    def say(self, text: str) -> None:
        """Print a line, without disturbing the bar."""

    def advance(self, file: str, counts: str, position: int) -> None:
        """The file was read up to `position`, in bytes."""

    def finish(self, file: str, counts: str) -> None:
        """The file is done."""


@contextmanager
def shown_progress(files: Sequence[str], *, quiet: bool) -> Iterator[Shown]:
    """What suits standard error; `quiet` says rejections only."""
    if quiet or not sys.stderr.isatty():
        yield _Lines(quiet=quiet)
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        console=Console(stderr=True),
    )
    with progress:
        yield _Bars(progress, files)


class _Lines:
    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said_at = time.monotonic()

    def say(self, text: str) -> None:
        note(text)

    def advance(self, file: str, counts: str, position: int) -> None:
        now = time.monotonic()
        if not self._quiet and now - self._said_at > _LINE_SECONDS:
            self._said_at = now
            note(f"{file}: {counts} ({position} bytes read)")

    def finish(self, file: str, counts: str) -> None:
        if not self._quiet:
            note(f"{file}: {counts}")


class _Bars:
    def __init__(self, progress: Progress, files: Sequence[str]) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        for name in files:
            known = name != STANDARD_INPUT and Path(name).is_file()
            total = Path(name).stat().st_size if known else None
            shown = "standard input" if name == STANDARD_INPUT else name
            self._tasks[shown] = progress.add_task(escape(shown), total=total, counts="")

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, file: str, counts: str, position: int) -> None:
        self._progress.update(self._tasks[file], completed=position, counts=counts)

    def finish(self, file: str, counts: str) -> None:
        task = self._tasks[file]
        total = self._progress.tasks[self._progress.task_ids.index(task)].total
        whole = total if total is not None else 1
        self._progress.update(task, completed=whole, total=whole, counts=counts)
