"""Expected problems: one sentence, the detail, an exit code; never a traceback."""

import errno
import os
import sys
from enum import IntEnum
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from services.errors import Halted, Unavailable

_OUTPUT_LOST = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class ExitCode(IntEnum):
    """What the process says to a script."""

    OK = 0
    NO = 1
    """The answer is no, or a part of what was asked failed."""
    USAGE = 2
    """What was asked cannot be asked: a wrong option, setting or file."""
    UNREACHABLE = 3
    """Something that is needed is not there: the server, the store, the stream."""


class Problem(Exception):
    """What to tell the user, and how to exit. `detail` may have several lines."""

    def __init__(self, sentence: str, detail: str = "", *, code: ExitCode = ExitCode.NO) -> None:
        """Take the sentence, what there is to add, and the exit code."""
        super().__init__(sentence)
        self.sentence = sentence
        self.detail = detail
        self.code = code


def refuse(sentence: str, detail: str = "", *, code: ExitCode = ExitCode.NO) -> NoReturn:
    """Raise a `Problem`."""
    raise Problem(sentence, detail, code=code)


def misused(sentence: str, detail: str = "") -> NoReturn:
    """Raise a `Problem` with how it was asked: exit code 2."""
    refuse(sentence, detail, code=ExitCode.USAGE)


class Guarded(TyperGroup):
    """A group of commands whose expected problems are told instead of raised."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises `typer.Exit` with the problem's code."""
        try:
            return super().invoke(ctx)
        except Problem as problem:
            tell(problem)
            raise typer.Exit(problem.code) from problem
        except Unavailable as error:
            tell(Problem("Something that is needed cannot be reached.", str(error)))
            raise typer.Exit(ExitCode.UNREACHABLE) from error
        except Halted as error:
            tell(Problem("A stage stopped itself so that somebody can look.", str(error)))
            raise typer.Exit(ExitCode.NO) from error


def tell(problem: Problem) -> None:
    """Say a problem on standard error: the sentence, then the detail, indented."""
    lines = [f"evalratchet: {problem.sentence}", *problem.detail.splitlines()]
    print("\n  ".join(lines), file=sys.stderr)


def output_lost(error: OSError) -> ExitCode:
    """Say that standard output cannot be written, and how to exit. Raises any other error again."""
    if error.filename is not None or error.errno not in _OUTPUT_LOST:
        raise error
    if error.errno != errno.EPIPE:  # a reader that has enough is no problem
        tell(Problem("The output could not be written.", f"{error.strerror}."))
    # What is still buffered has nowhere to go: without this Python tries, and says so, again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.NO


def note(text: str) -> None:
    """Say something on standard error that is no result."""
    sys.stdout.flush()  # or it stands before what was said first, where both go to one file
    print(text, file=sys.stderr)
