"""A project's redaction policy made ready: what decides quickly that nothing need be done."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from capture.redaction import secrets
from capture.redaction.gates import Gates
from capture.redaction.paths import compiled_paths
from capture.redaction.policy import RedactionPolicy
from capture.redaction.recognisers import Recognisers
from capture.redaction.texts import IDENTIFIER_KINDS, Searcher

_REMEMBERED = 1024  # texts whose outcome is kept: conversations repeat what was said
_REMEMBERED_CHARS = 4000
_DRAWN = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AT_SIGNS = ("@", "%40", "\\u0040", "&#64;", "&#x40;", "&commat;", "＠", "\\uff20", "\\uFF20")
_OTHER_AT_SIGNS = re.compile("|".join(map(re.escape, _AT_SIGNS[1:])).encode())
_BY_AT_SIGN = frozenset({"email", "url_user"})
_BY_SHAPE = frozenset(
    {"plain", "plus", "grouped", "lettered", "fiscal", "iban", "ip", "mac", "crypto"}
)
"""Gates whose candidates have nothing in them that JSON would write in another way."""
_MOST_MARKS = 16  # with more, a table of numbers, looking for each costs more than it saves

Decided = tuple[str, tuple[tuple[str, str, str], ...]]
"""A text after redaction, and kind, before and after of everything that was taken out."""


class Rules:
    """A policy made ready under a project's key. May be shared by threads: nothing in it shows."""

    def __init__(
        self, policy: RedactionPolicy, key: bytes, recognisers: Callable[[], Recognisers]
    ) -> None:
        """`key`: see `placeholder.project_key`. `recognisers` is only asked about candidates."""
        self.key = key
        self.texts = Searcher(policy, recognisers)
        self.identifiers = Searcher(policy, recognisers, IDENTIFIER_KINDS)
        self.paths = compiled_paths(policy.json_paths)
        self.secrets = "secret" in policy.kinds
        self._gates = Gates(policy.kinds, policy.phone_regions)
        self._own = bool(policy.patterns or policy.json_paths)
        self._own_patterns = bool(policy.patterns)
        self._remembered: dict[Any, Decided] = {}
        self._telling: dict[str, bool] = {}

    def marks(self, value: Any) -> tuple[str, ...] | None:
        """None where nothing in the value is a candidate, told in one pass without any recogniser.

        Else one of these is in every text that has a candidate, so that the others need not be
        looked at; none of them: no telling. Where the project has patterns and paths of its own,
        they are asked about each text.
        """
        if self._own:
            return ()
        encoded = msgspec.json.encode(value)
        passed = self._gates.open_for(encoded)
        if not {"near", "weak"} <= passed:
            passed -= {"near", "weak"}
        return self._marks(encoded, passed) if passed else None

    def _marks(self, encoded: bytes, passed: frozenset[str]) -> tuple[str, ...]:
        by_shape = passed - _BY_AT_SIGN
        if not by_shape <= _BY_SHAPE or (by_shape and b"\\u" in encoded):
            return ()  # an escape may stand right before a candidate, or for a part of it
        marks: set[str] = set()
        if passed & _BY_AT_SIGN:
            marks.update(_AT_SIGNS if _OTHER_AT_SIGNS.search(encoded) else _AT_SIGNS[:1])
        for gate in by_shape:
            seen = self._gates.candidates(gate, encoded, _MOST_MARKS)
            if not seen:
                return ()  # the gate has seen more than its shape finds by itself
            marks.update(seen)
        return tuple(marks) if len(marks) <= _MOST_MARKS else ()

    def says_nothing(self, identifier: str) -> bool:
        """Whether this is an id as OpenTelemetry draws it, which no kind looks like."""
        return not self._own_patterns and _DRAWN.fullmatch(identifier) is not None

    def tells(self, name: str) -> bool:
        """Whether what stands under this name is a secret."""
        known = self._telling.get(name)
        if known is None:
            if len(self._telling) >= _REMEMBERED:
                self._telling.clear()
            known = self._telling[name] = secrets.is_secret_key(name)
        return known

    def remembered(self, place: tuple[bool, str, str]) -> Decided | None:
        """What was decided about the text, if that is known: `place` is the kind, name and text."""
        return self._remembered.get(place)

    def remember(self, place: tuple[bool, str, str], decided: Decided) -> None:
        """Keep what was decided, unless the text is long."""
        if len(place[2]) > _REMEMBERED_CHARS:
            return
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        self._remembered[place] = decided
