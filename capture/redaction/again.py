"""What was found in one text of a piece, where it stands bare in another.

`my password is hunter2x9` says what it is; `hunter2x9` in the next span does not.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from capture.events import FeedbackReceived, Piece
from capture.redaction.finding import Found, apart
from capture.redaction.walk import Walk
from capture.redaction.words import Words

S = TypeVar("S", bound=msgspec.Struct)

Note = Callable[[str, str, str, tuple[str | int, ...]], None]
"""Told of each kind, what stood there, what stands there now, and where."""

_KINDS = frozenset({"secret", "national_id", "phone"})
"""Found by what stands beside them; other kinds are found by themselves wherever they are."""
_FEW = 50  # words that are looked for one by one before texts are walked
_RUN = re.compile(r"[0-9A-Za-z]+")  # what JSON never escapes
_LONG_ENOUGH = 8  # characters: a shorter word may mean something else in another text
_KEPT = frozenset(
    {"event_id", "project", "trace_id", "span_id", "parent_span_id", "call_id", "type", "source"}
)
"""Fields that tie pieces of a trace together, or say how they are read."""


def tells_elsewhere(kind: str, said: str) -> bool:
    """Whether what was found means the same wherever it stands in the piece."""
    return kind in _KINDS and len(said) >= _LONG_ENOUGH and any(one.isdigit() for one in said)


def without_again(piece: Piece, known: Mapping[str, tuple[str, str]], note: Note) -> Piece:
    """The piece without the `known` words: by word its kind and its placeholder."""
    if len(known) <= _FEW and not _may_stand(known, piece):
        return piece
    again = _Again(known, note)
    if isinstance(piece, FeedbackReceived):
        signal = again.struct(piece.signal)
        return piece if signal is piece.signal else msgspec.structs.replace(piece, signal=signal)
    return again.struct(piece)


def _may_stand(known: Mapping[str, tuple[str, str]], piece: Piece) -> bool:
    """Whether letters and digits of any of the words are left: the usual case is that none are."""
    encoded = msgspec.json.encode(piece)
    runs = (max(_RUN.findall(word), key=len, default="") for word in known)
    return any(run.encode() in encoded for run in runs)


class _Again:
    def __init__(self, known: Mapping[str, tuple[str, str]], note: Note) -> None:
        self._known = known
        self._words = Words(known)
        self._note = note
        self._walk = Walk(self._text, self._text, self._number)

    def struct(self, struct: S) -> S:
        changes = {}
        for name in struct.__struct_fields__:
            before = getattr(struct, name)
            if before is None or name in _KEPT:
                continue
            self._walk.at.append(name)
            after = self._value(before)
            self._walk.at.pop()
            if after is not before:
                changes[name] = after
        return msgspec.structs.replace(struct, **changes) if changes else struct

    def _value(self, value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return self.struct(value)
        if not (isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct)):
            return value if isinstance(value, (int, float)) else self._walk.value(value)
        after = []
        for index, item in enumerate(value):
            self._walk.at.append(index)
            after.append(self.struct(item))
            self._walk.at.pop()
        return value if all(a is b for a, b in zip(after, value, strict=True)) else tuple(after)

    def _text(self, text: str, _: str) -> str:
        found = [
            Found(start, end, *self._known[text[start:end]])
            for start, end in self._words.places(text)
        ]
        if not found:
            return text
        parts, done = [], 0
        for one in apart(found, text):
            said = text[one.start : one.end]
            kind, after = self._known.get(said, (one.kind, one.value))
            self._note(kind, said, after, tuple(self._walk.at))
            parts += [text[done : one.start], after]
            done = one.end
        return "".join([*parts, text[done:]])

    def _number(self, number: float, _: str) -> Any:
        known = self._known.get(str(number))
        if known is None:
            return number
        self._note(known[0], str(number), known[1], tuple(self._walk.at))
        return known[1]
