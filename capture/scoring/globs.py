"""Globs: `*` is any text, `?` is any one character, everything else is itself; case counts not."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import re2

Glob = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


def matcher(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a text fits one of the globs. re2 takes time in proportion to the text, never more."""
    alternatives = "|".join(_as_regex(glob) for glob in globs)
    options = re2.Options()
    options.dot_nl = True
    options.case_sensitive = False
    compiled: Any = re2.compile(f"(?:{alternatives})", options)
    return lambda text: compiled.fullmatch(text) is not None


def _as_regex(glob: str) -> str:
    parts = []
    for character in glob:
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        else:
            parts.append(str(re2.escape(character)))
    return "".join(parts)
