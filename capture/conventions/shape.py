"""What a convention is, and how values are found under its names."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from capture.depth import DEEPEST, too_deep
from capture.malformed import UNREADABLE

Kind = Literal["llm", "tool", "retrieval", "agent", "chain", "embedding"]

Field = Literal[
    "input",  # what went into the span, in any form
    "output",  # what came out of it
    "input_messages",  # the messages a model was shown
    "output_messages",  # the messages it answered with
    "model",
    "tokens_in",
    "tokens_out",
    "cost",  # in US dollars
    "session",
    "user",
    "environment",
    "release",
    "tool_name",
    "call_id",
    "arguments",
    "result",
    "documents",
    "error_type",
    "error_message",
    "error_level",  # ERROR, where a convention has levels
    "tools",  # what the model was offered, in any form
    "finish_reason",  # why the model stopped
]

Attributes = Mapping[str, Any]
KindOf = Callable[[Any], Kind | None]
"""What a span stands for, by the value of an attribute."""

_DEEPEST_FAMILY = 16  # parts of a flattened name; the longest in use has nine
LONGEST_JSON = 4_000_000  # characters; a longer text is taken as it is


class Convention(msgspec.Struct, frozen=True, kw_only=True):
    """One way of naming things.

    A name in `fields` is an attribute; `name#key` is the value at `key` of the JSON object in the
    attribute; `name.*` is the family of attributes that a list of objects was flattened into.
    `prefixes` and `bulky` name what else belongs to the convention and is not worth keeping.
    """

    fields: dict[Field, tuple[str, ...]]
    prefixes: tuple[str, ...] = ()
    bulky: frozenset[str] = frozenset()
    kinds: dict[str, KindOf] = {}
    """Attributes that say what a span stands for."""


def one_of(kinds: Mapping[str, Kind]) -> KindOf:
    """The kind that a word stands for, whatever its case, JSON or not."""

    def kind_of(value: Any) -> Kind | None:
        if not isinstance(value, str):
            return None
        if (kind := kinds.get(value)) is not None:
            return kind
        word = decoded(value)
        return kinds.get(word.lower()) if isinstance(word, str) else None

    return kind_of


def always(kind: Kind) -> KindOf:
    """The kind of every span that has the attribute."""
    return lambda _: kind


def decoded(value: Any) -> Any:
    """A string that holds a JSON object, array or string as what it holds; lists item by item."""
    if isinstance(value, str):
        if value[:1] in ("{", "[", '"') and len(value) <= LONGEST_JSON:
            try:
                found = msgspec.json.decode(value)
            except UNREADABLE:
                return value
            # Text with few brackets cannot nest deeply: most is never walked.
            shallow = value.count("{") + value.count("[") <= DEEPEST
            return found if shallow or not too_deep(found) else value
        return value
    if isinstance(value, list) and any(isinstance(item, str) for item in value):
        return [decoded(item) if isinstance(item, str) else item for item in value]
    return value


def unflattened(attributes: Attributes, prefix: str) -> list[Any] | None:
    """The list that was flattened into `prefix0.a.b`, `prefix0.c`, `prefix1.a.b`, ..."""
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if not name.startswith(prefix):
            continue
        *path, leaf = name[len(prefix) :].split(".", _DEEPEST_FAMILY)
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                break
        else:
            node.setdefault(leaf, decoded(value))
    listed = _listed(tree)
    return listed if isinstance(listed, list) else None


def _listed(node: Any) -> Any:
    """Objects whose keys are all numbers as lists, in the order of the numbers."""
    if not isinstance(node, dict):
        return node
    if node and all(key.isascii() and key.isdigit() and len(key) <= 6 for key in node):  # noqa: PLR2004 - an index
        return [_listed(node[key]) for key in sorted(node, key=int)]
    return {key: _listed(value) for key, value in node.items()}
