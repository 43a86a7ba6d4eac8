"""What one span's attributes say, by field: every attribute is looked at once, and decoded once.

Tables made from the conventions say what a name means. Names of flattened lists and those under a
prefix are worked out when first met, and remembered: an application has few.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from capture.conventions.messages import steps_of
from capture.conventions.plain import plain_steps
from capture.conventions.shape import (
    LONGEST_JSON,
    Convention,
    Field,
    Kind,
    KindOf,
    decoded,
    unflattened,
)
from capture.malformed import UNREADABLE
from capture.trace import Step

KnownSteps = dict[bytes, list[Step] | None]
"""The steps in each message of a trace, by the message's JSON."""

_REMEMBERED = 1024  # sets of names; spans of one kind have the same, an application has some dozens
_MOST_REMEMBERED = (
    64  # names in a set: longer ones are flattened lists, of which no two are the same
)
_LONGEST_REMEMBERED = 256  # characters of a name: names are not meant to be data
_NOWHERE: tuple["Source", ...] = ()
_EMPTY: tuple[Any, ...] = ("", [], {}, "None", "null")

_OF_OBJECTS = re.compile(r"\[\s*[{\"\[]")  # the beginning of an array that is not of numbers
_MAY_BE_JSON = (str, list)
_array = msgspec.json.Decoder(list[msgspec.Raw])


class Source(msgspec.Struct, frozen=True):
    """Where a field's value may be: an attribute, a key of the JSON in it, or a flattened list."""

    rank: int
    """Its place in the order of trust; the lowest is believed."""
    attribute: str
    key: str = ""
    family: bool = False


class Meaning(msgspec.Struct, frozen=True):
    """What an attribute's name says about it."""

    sources: tuple[tuple[Field, Source], ...] = ()
    kind: tuple[int, KindOf] | None = None
    known: bool = False
    """Whether some convention has the name; the others are kept beside the trace."""


class Plan(msgspec.Struct, frozen=True):
    """What a set of attributes' names says, the most trusted first."""

    sources: dict[Field, tuple[Source, ...]]
    kinds: tuple[tuple[str, KindOf], ...]
    unexplained: tuple[str, ...]
    """Names that no convention has."""


class Reader:
    """Knows what names mean in a set of conventions, in order of trust."""

    def __init__(
        self, conventions: Sequence[Convention], *, kinds_first: Sequence[Convention] = ()
    ) -> None:
        """Where two conventions speak about the same thing, the first is believed.

        What a span stands for is asked of those in `kinds_first` before all others.
        """
        self._exact: dict[str, Meaning] = {}
        self._families: dict[str, Meaning] = {}
        self._prefixes: tuple[str, ...] = ()
        rank = 0
        for place, convention in enumerate(conventions):
            for field, names in convention.fields.items():
                for name in names:
                    self._learn(field, name, rank)
                    rank += 1
            trust = -1 if convention in kinds_first else place
            for name, kind_of in convention.kinds.items():
                known = self._exact.get(name, Meaning())
                self._exact[name] = msgspec.structs.replace(
                    known, kind=known.kind or (trust, kind_of), known=True
                )
            for name in convention.bulky:
                known = self._exact.get(name, Meaning())
                self._exact[name] = msgspec.structs.replace(known, known=True)
            self._prefixes += convention.prefixes
        self._plans: dict[tuple[str, ...], Plan] = {}

    def _learn(self, field: Field, name: str, rank: int) -> None:
        if name.endswith(".*"):
            prefix = name[:-1]
            known = self._families.get(prefix, Meaning())
            source = (field, Source(rank, prefix, family=True))
            self._families[prefix] = Meaning((*known.sources, source), known=True)
            return
        attribute, _, key = name.partition("#")
        known = self._exact.get(attribute, Meaning())
        sources = (*known.sources, (field, Source(rank, attribute, key)))
        self._exact[attribute] = msgspec.structs.replace(known, sources=sources, known=True)

    def said(self, attributes: Mapping[str, Any], known: KnownSteps | None = None) -> "Said":
        """What these attributes say. Spans of one trace share what is `known` of its messages."""
        names = tuple(attributes)
        plan = self._plans.get(names)
        if plan is None:
            plan = self._planned(names)
            if (
                len(names) <= _MOST_REMEMBERED
                and len(max(names, key=len, default="")) <= _LONGEST_REMEMBERED
            ):
                if len(self._plans) >= _REMEMBERED:
                    self._plans.clear()  # an application that has so many goes on having others
                self._plans[names] = plan
        return Said(attributes, plan, {} if known is None else known)

    def _planned(self, names: tuple[str, ...]) -> Plan:
        sources: dict[Field, list[Source]] = {}
        kinds: list[tuple[int, str, KindOf]] = []
        unexplained: list[str] = []
        for name in names:
            meaning = self._exact.get(name) or self._worked_out(name)
            if not meaning.known:
                unexplained.append(name)
            for field, source in meaning.sources:
                found = sources.setdefault(field, [])
                if source not in found:
                    found.append(source)
            if meaning.kind is not None:
                kinds.append((meaning.kind[0], name, meaning.kind[1]))
        return Plan(
            {field: tuple(sorted(found, key=_rank)) for field, found in sources.items()},
            tuple((name, kind_of) for _, name, kind_of in sorted(kinds, key=lambda kind: kind[0])),
            tuple(unexplained),
        )

    def _worked_out(self, name: str) -> Meaning:
        parts = name.split(".")
        prefix = ""
        for part, following in pairwise(parts):
            prefix += part + "."
            if following.isdigit() and (family := self._families.get(prefix)) is not None:
                return family
        return Meaning(known=name.startswith(self._prefixes))


class Said:
    """One span's attributes by field. Nothing is decoded before it is asked for."""

    __slots__ = ("_decoded", "_first", "_known", "_steps", "attributes", "kind", "plan", "sources")

    def __init__(self, attributes: Mapping[str, Any], plan: Plan, known: KnownSteps) -> None:
        """Read `attributes` as their names' `plan` says."""
        self.attributes = attributes
        self.plan = plan
        self.sources = plan.sources
        self._known = known
        self._decoded: dict[str, Any] = {}
        self._first: dict[Field, Any] = {}
        self._steps: dict[int, tuple[Any, list[Step] | None]] = {}
        self.kind: Kind | None = self._told_kind() or self._suggested_kind()
        """What the span stands for: what it says itself, else what its attributes suggest."""

    def values(self, field: Field) -> Iterator[Any]:
        """Every non-empty value of a field, the most trusted first."""
        for source in self.sources.get(field, _NOWHERE):
            value = self.value(source)
            if value is not None and value not in _EMPTY:
                yield value

    def told(self, *fields: Field) -> Iterator[tuple[list[Step] | None, Source]]:
        """The steps in every non-empty value of these fields, and where `value` finds it."""
        for field in fields:
            for source in self.sources.get(field, _NOWHERE):
                steps = self._listed_steps(source)
                if steps is None:
                    value = self.value(source)
                    if value is None or value in _EMPTY:
                        continue
                    steps = self._steps_in(value)
                yield steps, source

    def first(self, field: Field) -> Any:
        """The most trusted value of a field, or None."""
        sources = self.sources.get(field)
        if sources is None:
            return None
        if field in self._first:
            return self._first[field]
        for source in sources:
            value = self.value(source)
            if value is not None and value not in _EMPTY:
                break
        else:
            value = None
        self._first[field] = value
        return value

    def _steps_in(self, value: Any) -> list[Step] | None:
        """As `steps_of`, worked out once."""
        known = self._steps.get(id(value))
        if known is None:
            # The value is kept beside its steps, so that its id stays its own.
            known = self._steps[id(value)] = value, steps_of(value)
        return known[1]

    def _listed_steps(self, source: Source) -> list[Step] | None:
        """The steps in a JSON array of messages, or None when the value is none.

        Every call to a model repeats the conversation: a message that was read in another span of
        the trace is not read again.
        """
        text = None if source.family or source.key else self.attributes[source.attribute]
        if not isinstance(text, str) or not _OF_OBJECTS.match(text) or len(text) > LONGEST_JSON:
            return None
        listed = self._steps.get(id(text))
        if listed is None:
            listed = self._steps[id(text)] = text, self._read(text)
        return listed[1]

    def _read(self, text: str) -> list[Step] | None:
        try:
            messages = _array.decode(text)
        except UNREADABLE:
            return None
        found: list[Step] = []
        recognised = False
        for message in messages:
            raw = bytes(message)
            if raw in self._known:
                steps = self._known[raw]
            else:
                steps = plain_steps(message)
                if steps is None:
                    steps = steps_of(decoded(raw.decode()), 1)
                self._known[raw] = steps
            if steps is not None:
                recognised = True
                found += steps
        return found if recognised else None

    def _told_kind(self) -> Kind | None:
        for name, kind_of in self.plan.kinds:
            if (kind := kind_of(self.attributes[name])) is not None:
                return kind
        return None

    def _suggested_kind(self) -> Kind | None:
        if not self.sources:
            return None
        if self.first("tool_name") is not None:
            return "tool"
        if self.first("documents") is not None:
            return "retrieval"
        if self.first("model") is not None and self.first("tokens_in") is not None:
            return "agent" if "agent_name" in self.attributes else "llm"
        return "llm" if self.first("input_messages") is not None else None

    def value(self, source: Source) -> Any:
        """What is there, JSON in strings decoded; None when there is nothing."""
        name = source.attribute
        if name in self._decoded:
            value = self._decoded[name]
        else:
            found = unflattened(self.attributes, name) if source.family else self.attributes[name]
            value = self._decoded[name] = (
                decoded(found) if isinstance(found, _MAY_BE_JSON) else found
            )
        if source.key:
            return value.get(source.key) if isinstance(value, dict) else None
        return value


def _rank(source: Source) -> int:
    return source.rank
