"""Commands that teach: their help is their docstring, and examples close it."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer

Function = TypeVar("Function", bound=Callable[..., Any])


def command(
    group: typer.Typer, *examples: str, name: str | None = None
) -> Callable[[Function], Function]:
    """Add a function to a group: its docstring is the help, the examples are the epilog."""

    def add(function: Function) -> Function:
        help_text = reflowed(inspect.getdoc(function) or "")
        return group.command(name, help=help_text, epilog=epilog(*examples))(function)

    return add


def epilog(*examples: str, after: str = "") -> str:
    """Commands as they are typed, one a line, and a closing sentence."""
    shown = "\n".join(f"$ {example}".replace("[", r"\[") for example in examples)
    title = "Examples:" if len(examples) > 1 else "Example:"
    return "\n\n".join(filter(None, [f"{title}\n{shown}" if examples else "", after]))


def reflowed(text: str) -> str:
    """The text with every paragraph in one line, so that the terminal's width breaks it."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()).replace("[", r"\[") for paragraph in paragraphs)
