"""Values that a project names by JSON path (RFC 9535), hidden whole."""

from collections.abc import Callable, Sequence
from typing import Any

import jsonpath
import msgspec

from capture.events import Span
from capture.trace import Signal, Trace

Place = tuple[str | int, ...]
Hide = Callable[[Any, Place], str]

_ROUTES = frozenset({"trace_id", "project", "type", "source"})  # a trace is found and read by these
_FREE = frozenset({"input", "output", "metadata", "content", "arguments", "attributes", "resource"})
"""Fields that take any JSON: what is below them may be a text instead."""


_DEEPEST = (
    90  # levels that are looked into; jsonpath goes no further than 100, and the wire's are 64
)

Path = jsonpath.JSONPath | jsonpath.CompoundJSONPath


def compiled_paths(paths: Sequence[str]) -> list[Path]:
    """Paths ready to be asked. Raises `jsonpath.JSONPathError`, which a policy has ruled out."""
    return [jsonpath.compile(path) for path in paths]


class Paths:
    """Hides what compiled paths point at, in a trace, a signal, or a span's attributes."""

    def __init__(self, paths: Sequence[Path], hide: Hide) -> None:
        """`hide` gives the text that takes the place of a value."""
        self._paths = paths
        self._hide = hide

    def trace(self, trace: Trace) -> Trace:
        """The trace without what the paths name."""
        if not self._paths:
            return trace
        told = msgspec.to_builtins(trace)
        after = self._hidden(told)
        return trace if after is told else msgspec.convert(after, Trace)

    def signal(self, signal: Signal) -> Signal:
        """A signal that came by itself, as `$.signals[0]` of its trace."""
        if not self._paths:
            return signal
        told = {"signals": [msgspec.to_builtins(signal)]}
        after = self._hidden(told)
        if after is told:
            return signal
        left = after.get("signals")
        named = left[0] if left else {"name": signal.name, "source": signal.source}
        return msgspec.convert(named, Signal)

    def session(self, session_id: str) -> str:
        """The session that feedback names, as `$.session_id` of its trace."""
        after: str = self._hidden({"session_id": session_id})["session_id"]
        return after

    def spans(
        self, resource: dict[str, Any], spans: Sequence[Span]
    ) -> tuple[dict[str, Any], Sequence[Span]]:
        """Resource and spans; the paths are held against {"attributes", "resource"} of each span."""
        if not self._paths:
            return resource, spans
        after, shared = [], resource
        for index, span in enumerate(spans):
            told = {"attributes": span.attributes, "resource": resource}
            changed = self._hidden(told, ("spans", index))
            if changed is not told:
                if changed.get("resource") != resource:
                    shared = _object(changed.get("resource"))
                attributes = _object(changed.get("attributes"))
                after.append(msgspec.structs.replace(span, attributes=attributes))
            else:
                after.append(span)
        return shared, after

    def _hidden(self, told: dict[str, Any], at: Place = ()) -> dict[str, Any]:
        """The document after hiding; the same object when no path names anything in it."""
        texts: list[tuple[Place, str]] = []
        open_: dict[str, Any] = _opened(told, (), texts)
        places = sorted(
            {tuple(match.parts) for path in self._paths for match in path.finditer(open_)}, key=len
        )
        hidden: list[Place] = []
        for place in places:
            if any(place[: len(outer)] == outer for outer in hidden) or not place:
                continue  # what it stood in is hidden already; the whole document has no place
            if self._hide_at(open_, place, at):
                hidden.append(place)
        if not hidden:
            return told
        for place, text in reversed(texts):
            if any(place == outer[: len(place)] and len(outer) > len(place) for outer in hidden):
                _set(open_, place, msgspec.json.encode(_get(open_, place)).decode())
            elif not any(place[: len(outer)] == outer for outer in hidden):
                _set(open_, place, text)
        return open_

    def _hide_at(self, document: Any, place: Place, at: Place) -> bool:
        value, field = _get(document, place), place[-1]
        free = any(step in _FREE for step in place)
        if value is None or (not free and (field in _ROUTES or _is_name(place))):
            return False
        if free or isinstance(value, str):
            _set(document, place, self._hide(value, (*at, *place)))
        elif isinstance(field, int) and isinstance(value, dict):  # a whole step or signal
            kept = {name: value[name] for name in ("type", "name", "source") if name in value}
            words = "content" if "type" in value else "comment"
            _set(document, place, {**kept, words: self._hide(value, (*at, *place))})
        else:  # a number or a time, where no text can stand
            self._hide(value, (*at, *place))
            _get(document, place[:-1]).pop(field)
        return True


def _is_name(place: Place) -> bool:
    return len(place) == 3 and place[0] == "signals" and place[2] == "name"  # noqa: PLR2004 - $.signals[0].name


def _opened(value: Any, at: Place, texts: list[tuple[Place, str]]) -> Any:
    """A copy in which texts that are JSON objects or arrays are what they say; `texts` notes them."""
    if isinstance(value, str):
        if len(value) > 1 and value[0] in "{[":
            try:
                inner = msgspec.json.decode(value)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                inner = None
            if inner is None or _deeper_than(_DEEPEST - len(at), inner):
                return value
            texts.append((at, value))
            return _opened(inner, at, [])
        return value
    if isinstance(value, dict):
        return {name: _opened(inner, (*at, name), texts) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_opened(inner, (*at, index), texts) for index, inner in enumerate(value)]
    return value


def _deeper_than(levels: int, value: Any) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for one in level
            for inner in (
                one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            )
        ]
        if not level:
            return False
    return True


def _get(document: Any, place: Place) -> Any:
    for step in place:
        document = document[step]
    return document


def _set(document: Any, place: Place, value: Any) -> None:
    _get(document, place[:-1])[place[-1]] = value


def _object(value: Any) -> dict[str, Any]:
    """What was an object: hidden whole it is a text, kept under a name of its own."""
    return value if isinstance(value, dict) else {"evalratchet.hidden": value}
