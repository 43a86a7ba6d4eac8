"""What no convention explains: kept beside the trace, within bounds."""

from collections.abc import Sequence
from typing import Any

import msgspec

from capture import conventions
from capture.tree import Node

_MOST = 100  # attributes; a request has about thirty that nobody's convention explains
_LONGEST = 1000  # characters of one value as JSON
# What decides whether a trace may become a case at all is kept however much else there is.
_ALWAYS = ("langfuse.experiment.", "evalratchet.")


def spare_attributes(
    root: Node, said_by: Sequence[dict[str, Any]], resource: dict[str, Any]
) -> dict[str, Any]:
    """Attributes that were not read, the root's first, then the others', then the resource's."""
    kept: dict[str, Any] = {"span.name": root.span.name} if root.span.name else {}
    for attributes in (*said_by, resource):
        for name, value in attributes.items():
            if name.startswith(_ALWAYS):
                kept.setdefault(name, _bounded(value))
    for attributes in (*said_by, resource):
        for name, value in attributes.items():
            if len(kept) >= _MOST:
                return kept
            if name not in kept and not conventions.is_known(name):
                kept[name] = _bounded(value)
    return kept


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    if not isinstance(value, (dict, list)):
        return value
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
