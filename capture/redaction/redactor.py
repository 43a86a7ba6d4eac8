"""Pieces of traces without what a project's policy calls personal or secret."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from capture.events import FeedbackReceived, Piece, Span, SpansReceived, TraceReceived
from capture.redaction import secrets
from capture.redaction.again import tells_elsewhere, without_again
from capture.redaction.finding import Found
from capture.redaction.paths import Paths
from capture.redaction.placeholder import PLACEHOLDER, placeholder
from capture.redaction.rules import Decided, Rules
from capture.redaction.texts import Searcher
from capture.redaction.walk import Walk
from capture.trace import Signal, Step, Trace

_LONGEST_NAME = 128  # characters that ids and names of signals may have
_LARGE_NUMBER = 10_000_000  # a smaller number identifies nobody
_ROUNDS = 4  # a text is looked at again after a change, until nothing is found; two are usual


class Redacted(msgspec.Struct, frozen=True):
    """One thing that was taken out: where (steps from the piece), and what stands there now."""

    kind: str
    at: tuple[str | int, ...]
    before: str
    after: str


Names = Mapping[str, Sequence[Found]]
"""What a model found beforehand, by text."""


class Redactor:
    """Redacts pieces by rules; one for each batch of pieces, in one thread. Deterministic."""

    def __init__(
        self,
        rules: Rules,
        *,
        names: Names | None = None,
        told: Callable[[Redacted], None] | None = None,
    ) -> None:
        """`names` were found by a model beforehand; `told` hears of everything that is taken out."""
        self._rules = rules
        self._names = names or {}
        self._told = told
        self._paths = Paths(rules.paths, self._hidden)
        self._walk = Walk(
            self._changed, self._changed_name, self._changed_number, skip=self._skipped
        )
        self._marks: tuple[str, ...] = ()
        self._bare: dict[str, tuple[str, str]] = {}  # of the piece in hand: see `without_again`
        self.counts: Counter[str] = Counter()
        """How many of each kind were taken out so far."""

    def redact(self, piece: Piece) -> Piece:
        """The piece without; itself when there is nothing."""
        self._walk.at.clear()
        self._bare.clear()
        after = self._redacted(piece)
        return without_again(after, self._bare, self._note_at) if self._bare else after

    def _redacted(self, piece: Piece) -> Piece:
        if isinstance(piece, TraceReceived):
            return self._trace_piece(piece)
        if isinstance(piece, SpansReceived):
            return self._spans_piece(piece)
        return self._feedback_piece(piece)

    def _clean(self, value: Any) -> bool:
        return not self._names and self._rules.marks(value) is None

    # --- pieces ---------------------------------------------------------------------------------

    def _trace_piece(self, piece: TraceReceived) -> TraceReceived:
        if self._clean(piece.trace):
            return piece
        trace = self._trace(self._paths.trace(piece.trace))
        return piece if trace is piece.trace else msgspec.structs.replace(piece, trace=trace)

    def _spans_piece(self, piece: SpansReceived) -> SpansReceived:
        resource, spans = self._paths.spans(piece.resource, piece.spans)
        trace_id = self._identifier("trace_id", piece.trace_id)
        if not self._clean(resource):
            resource = self._walk.under("resource", resource)
        self._walk.at.append("spans")
        after = [self._span(index, span) for index, span in enumerate(spans)]
        self._walk.at.pop()
        same = all(new is old for new, old in zip(after, piece.spans, strict=True))
        changes = {
            "resource": resource,
            "spans": piece.spans if same else tuple(after),
            "trace_id": trace_id,
        }
        return cast("SpansReceived", _replaced(piece, changes))

    def _feedback_piece(self, piece: FeedbackReceived) -> FeedbackReceived:
        if self._clean(piece):
            return piece
        changes: dict[str, Any] = {"signal": self._signal(self._paths.signal(piece.signal))}
        for name in ("trace_id", "span_id"):
            changes[name] = self._identifier(name, getattr(piece, name))
        session = piece.session_id
        if session is not None:  # as the session of a trace: feedback must be found to belong to it
            hidden = self._paths.session(session)
            after = changes["session_id"] = self._walk.under("session_id", hidden, "session_id")
            if piece.trace_id == f"session:{session}":
                named = f"session:{after}"
                if len(named) > _LONGEST_NAME:
                    named = placeholder(self._rules.key, "field", named)
                changes["trace_id"] = piece.trace_id if after == session else named
        return cast("FeedbackReceived", _replaced(piece, changes))

    def _trace(self, trace: Trace) -> Trace:
        changes: dict[str, Any] = {
            name: self._identifier(name, getattr(trace, name))
            for name in ("trace_id", "environment", "release", "model")
        }
        for name in ("session_id", "user_id", "input", "output", "metadata"):
            changes[name] = self._walk.under(name, getattr(trace, name), name)
        changes["steps"] = self._each("steps", trace.steps, self._step)
        changes["signals"] = self._each("signals", trace.signals, self._signal)
        return cast("Trace", _replaced(trace, changes))

    def _each(self, name: str, items: Sequence[Any], change: Callable[[Any], Any]) -> Any:
        after = []
        for index, item in enumerate(items):
            self._walk.at += [name, index]
            after.append(change(item))
            del self._walk.at[-2:]
        return items if all(a is b for a, b in zip(after, items, strict=True)) else tuple(after)

    def _step(self, step: Step) -> Step:
        changes: dict[str, Any] = {
            "name": self._identifier("name", step.name),
            "call_id": self._identifier("call_id", step.call_id),
        }
        for name in ("content", "arguments", "error"):
            changes[name] = self._walk.under(name, getattr(step, name), name)
        return cast("Step", _replaced(step, changes))

    def _signal(self, signal: Signal) -> Signal:
        changes: dict[str, Any] = {
            "name": self._identifier("name", signal.name),
            "source": self._identifier("source", signal.source),
            "id": self._identifier("id", signal.id),
        }
        for name in ("comment", "label", "correction", "metadata"):
            changes[name] = self._walk.under(name, getattr(signal, name), name)
        if isinstance(signal.value, str):
            changes["value"] = self._walk.under("value", signal.value, "value")
        return cast("Signal", _replaced(signal, changes))

    def _span(self, index: int, span: Span) -> Span:
        said = (span.name, span.status_message, span.attributes, span.events)
        marks = () if self._names else self._rules.marks(said)
        if marks is None:
            return span
        self._marks = marks
        self._walk.at.append(index)
        changes: dict[str, Any] = {
            name: self._walk.under(name, getattr(span, name), name)
            for name in ("name", "status_message", "attributes", "events")
        }
        self._walk.at.pop()
        self._marks = ()
        return cast("Span", _replaced(span, changes))

    # --- texts ----------------------------------------------------------------------------------

    def _identifier(self, name: str, value: str | None) -> str | None:
        """An id or a name: short, and found by what is no number."""
        if not value or self._rules.says_nothing(value):
            return value
        self._walk.at.append(name)
        after = self._replaced_in(value, "", self._rules.identifiers)
        self._walk.at.pop()
        if after is not value and len(after) > _LONGEST_NAME:
            return placeholder(self._rules.key, "field", value)
        return after

    def _skipped(self, text: str) -> bool:
        for mark in self._marks:  # no `any()`: this is asked of every text and name
            if mark in text:
                return False
        return bool(self._marks)

    def _changed_name(self, name: str, _: str) -> str:
        return name if len(name) < 6 or self._skipped(name) else self._changed(name, "")  # noqa: PLR2004 - the shortest address: a@b.co

    def _changed(self, text: str, name: str) -> str:
        if not text:
            return text
        if self._rules.secrets and name and self._rules.tells(name) and self._holds_secret(text):
            after = placeholder(self._rules.key, "secret", text)
            self._note("secret", text, after)
            return after
        return self._replaced_in(text, name, self._rules.texts)

    def _changed_number(self, number: float, name: str) -> Any:
        """A card, or what its name says it is, as a number."""
        if not _LARGE_NUMBER <= number < 1e18 or number != int(number):  # noqa: PLR2004 - 18 digits
            return number
        text = str(int(number))
        if self._rules.secrets and self._rules.tells(name):
            return self._changed(text, name)
        found = self._rules.texts.find(text, name)
        sure = [f for f in found if f.kind == "card" or _says(name, f.kind)]
        if len(sure) != 1 or (sure[0].start, sure[0].end) != (0, len(text)):
            return number
        after = placeholder(self._rules.key, sure[0].kind, sure[0].value)
        self._note(sure[0].kind, text, after)
        return after

    def _holds_secret(self, text: str) -> bool:
        return not (
            PLACEHOLDER.fullmatch(text)
            or secrets.stands_for_nothing(text)
            or self._rules.texts.allows(text)
        )

    def _replaced_in(self, text: str, name: str, searcher: Searcher) -> str:
        place = (searcher is self._rules.texts, name, text)
        known = self._rules.remembered(place) if text not in self._names else None
        if known is None:
            known = self._decided(text, name, searcher)
            if text not in self._names:
                self._rules.remember(place, known)
        for kind, before, after in known[1]:
            self._note(kind, before, after)
        return known[0]

    def _decided(self, text: str, name: str, searcher: Searcher) -> Decided:
        notes: list[tuple[str, str, str]] = []
        result = text
        given = self._names.get(text, ()) if searcher is self._rules.texts else ()
        for _ in range(_ROUNDS):
            found = searcher.find(result, name, given)
            if not found:
                break
            given = ()
            parts, end = [], 0
            for one in found:
                said = result[one.start : one.end]
                after = placeholder(self._rules.key, one.kind, one.value)
                notes.append((one.kind, said, after))
                parts += [result[end : one.start], after]
                end = one.end
            result = "".join([*parts, result[end:]])
        return result, tuple(notes)

    def _note(self, kind: str, before: str, after: str) -> None:
        if tells_elsewhere(kind, before):
            self._bare[before] = kind, after
        self._note_at(kind, before, after, tuple(self._walk.at) if self._told is not None else ())

    def _note_at(self, kind: str, before: str, after: str, at: tuple[str | int, ...]) -> None:
        self.counts[kind] += 1
        if self._told is not None:
            self._told(Redacted(kind, at, before, after))

    def _hidden(self, value: Any, at: tuple[str | int, ...]) -> str:
        """What takes the place of a value that a JSON path names."""
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if PLACEHOLDER.fullmatch(text):
            return text
        after = placeholder(self._rules.key, "field", text)
        self.counts["field"] += 1
        if self._told is not None:
            self._told(Redacted("field", at, text, after))
        return after


def _says(name: str, kind: str) -> bool:
    """Whether a number's name says that it is of this kind."""
    words = {"phone": ("phone", "mobile", "tel", "fax", "whatsapp"), "iban": ("iban",)}
    return kind == "national_id" or any(word in name.lower() for word in words.get(kind, ()))


def _replaced(struct: msgspec.Struct, changes: Mapping[str, Any]) -> msgspec.Struct:
    """The struct with the changes; itself when they change nothing."""
    told = {name: value for name, value in changes.items() if value is not getattr(struct, name)}
    return msgspec.structs.replace(struct, **told) if told else struct
