"""The shape of a tool's arguments: keys and types, no values."""

from typing import Any

import msgspec

from dedup.masks import masked_name

_DEEPEST = 3
_KEYS = 24
_KEY_CHARS = 40
_ITEMS = 8
_CHARS = 400
_READ = 1_000_000  # characters of JSON; what is longer is told as text

_TYPES = {bool: "bool", int: "number", float: "number", type(None): "null"}


def shape_of(arguments: Any) -> str:
    """Keys in alphabetical order with the types of their values, `{order_id: text, items: [number]}`.

    Arguments that came as text are read as JSON where they are. Bounded in depth, keys and length.
    """
    if arguments is None or arguments == "":
        return "nothing"
    if isinstance(arguments, str):
        read = _read(arguments)
        return "text that is not JSON" if read is _UNREAD else _shape(read, 0)[:_CHARS]
    return _shape(arguments, 0)[:_CHARS]


_UNREAD = object()


def _read(text: str) -> object:
    if len(text) > _READ:
        return _UNREAD
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return _UNREAD


def _shape(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        return _of_object(value, depth)
    if isinstance(value, list | tuple):
        kinds = {_shape(one, depth + 1) for one in value[:_ITEMS]} if depth < _DEEPEST else {"…"}
        return f"[{' | '.join(sorted(kinds))}]"
    if isinstance(value, str):
        return "text" if value else "empty text"
    return _TYPES.get(type(value), "something else")


def _of_object(value: dict[Any, Any], depth: int) -> str:
    if depth >= _DEEPEST:
        return "{…}"
    shown = {
        masked_name(str(key)[:_KEY_CHARS]): _shape(value[key], depth + 1)
        for key in sorted(value, key=str)[:_KEYS]
    }
    more = ", …" if len(value) > _KEYS else ""
    return "{" + ", ".join(f"{key}: {kind}" for key, kind in shown.items()) + more + "}"
