"""Every `evalratchet` command that a page shows exists, with the options it is shown with."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from services.cli.app import app

_CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_COMMAND = re.compile(
    r"(?:^\s*|[;|&(]\s*|\$ |/|=\S+ )evalratchet +([a-z][^\n#;|&>)]*)", re.MULTILINE
)


def _typed(code: str) -> str:
    """What is typed: where a block shows prompts, the other lines are what was answered."""
    lines = code.splitlines()
    prompted = [line for line in lines if line.startswith("$ ")]
    return "\n".join(prompted or lines)


def _shown(pages: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    for page in pages:
        for block, inline in _CODE.findall(page.read_text(encoding="utf-8")):
            code = _typed((block or inline).replace("\\\n", " "))
            for said in _COMMAND.findall(code):
                try:
                    words = shlex.split(said)
                except ValueError:  # a quotation mark that closes after a character we cut at
                    words = said.split()
                yield page.name, words


def _problem(words: list[str]) -> str | None:
    """What is wrong with a command line, or None. Alternatives `a|b` and `...` are allowed."""
    command: Any = get_command(app)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no command {name!r}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {"--help", "-h"}
    options = [word.partition("=")[0] for word in words if word.startswith("-") and len(word) > 1]
    wrong = [option for option in options if option not in known]
    return f"{command.name} has no {', '.join(wrong)}" if wrong else None


def test_every_command_that_a_page_shows_exists(pages: Sequence[Path]) -> None:
    problems = {
        f"{page}: {problem}" for page, words in _shown(pages) if (problem := _problem(words))
    }
    assert not problems


def test_the_pages_show_commands_at_all(pages: Sequence[Path]) -> None:
    """Guards the test above: a changed layout must not make it see nothing."""
    assert len(list(_shown(pages))) > 20


@pytest.mark.parametrize("line", ["nonsense", "cases nonsense", "status --nonsense"])
def test_a_command_that_does_not_exist_would_be_found(line: str) -> None:
    assert _problem(line.split())
