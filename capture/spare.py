"""What no convention explains: kept beside the trace, within bounds."""

from collections.abc import Sequence
from typing import Any

import msgspec

from capture.conventions.reading import Said
from capture.experiments import MARKERS
from capture.tree import Node

_MOST = 100  # attributes; a request has about thirty that nobody's convention explains
_LONGEST = 1000  # characters of one value as JSON
# What decides whether a trace may become a case at all is kept however much else there is.
_ALWAYS = (*MARKERS, "evalratchet.")


def spare_attributes(root: Node, said_by: Sequence[Said]) -> dict[str, Any]:
    """Attributes that no convention explains: of those with one name the first."""
    kept: dict[str, Any] = {"span.name": root.span.name} if root.span.name else {}
    for said in said_by:
        for name in said.plan.unexplained:
            if name.startswith(_ALWAYS) and name not in kept:
                kept[name] = _bounded(said.attributes[name])
    for said in said_by:
        for name in said.plan.unexplained:
            if name not in kept:
                if len(kept) >= _MOST:
                    return kept
                kept[name] = _bounded(said.attributes[name])
    return kept


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    if not isinstance(value, (dict, list)):
        return value
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
