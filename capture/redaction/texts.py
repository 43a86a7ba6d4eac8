"""What is personal or secret in one text."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import msgspec

from capture.redaction import emails, phones, secrets
from capture.redaction.finding import Found, apart
from capture.redaction.gates import Gates
from capture.redaction.placeholder import PLACEHOLDER
from capture.redaction.policy import KINDS, Kind, RedactionPolicy, allowed_pattern, compiled
from capture.redaction.presidio import Recogniser, windows
from capture.redaction.recognisers import Recognisers
from capture.redaction.words import Words

_MOST_CANDIDATES = 500  # of numbers in a text; with more, a table of them, nobody is asked
_WORD = 40  # characters of a number or word, on either side of what a gate saw of it
_CROWDED = "number"
_SAYS_ENOUGH = 6  # characters that hardly mean something else where they stand again
_ETHEREUM = re.compile(
    r"(?<![0-9A-Za-z])0x[0-9a-fA-F]{40}(?![0-9A-Za-z])"
)  # EIP-55; Presidio has none

IDENTIFIER_KINDS: tuple[Kind, ...] = ("email", "iban", "secret", "jwt", "url_user")
"""Looked for in ids and names that a trace is found by: no number is taken for a phone there."""


def _elsewhere(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """The same words at other places of the text, where what stands beside them says less."""
    known = {said: f for f in found if len(said := text[f.start : f.end]) >= _SAYS_ENOUGH}
    if known:
        for start, end in Words(known).places(text):
            yield msgspec.structs.replace(known[text[start:end]], start=start, end=end)


def _whole(text: str, start: int, end: int) -> tuple[int, int]:
    """The place with the rest of the number or word that a gate saw a part of."""
    first, last = max(0, start - _WORD), min(len(text), end + _WORD)
    while start > first and text[start - 1].isalnum():
        start -= 1
    while end < last and text[end].isalnum():
        end += 1
    return start, end


class Searcher:
    """Finds what a policy's kinds, patterns and allowed values say."""

    def __init__(
        self,
        policy: RedactionPolicy,
        recognisers: Callable[[], Recognisers],
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        """Look for those `kinds` that the policy has too; `recognisers` decide, once asked for."""
        self._kinds = frozenset(policy.kinds) & frozenset(kinds)
        self._gates = Gates(self._kinds, policy.phone_regions)
        self._regions = policy.phone_regions
        self._recognisers = recognisers
        self._behind: dict[str, Sequence[Recogniser]] = {}
        self._patterns = [
            (name, compiled(pattern, name)) for name, pattern in policy.patterns.items()
        ]
        patterns = [allowed_pattern(value) for value in policy.allow]
        self._allowed = [compiled(p, "allow") for p in patterns if p is not None]
        self._allowed_values = {
            value.casefold()
            for value, pattern in zip(policy.allow, patterns, strict=True)
            if pattern is None
        }

    def allows(self, value: str) -> bool:
        """Whether the policy says never to redact this."""
        return value.casefold() in self._allowed_values or any(
            pattern.fullmatch(value) is not None for pattern in self._allowed
        )

    def gates_of(self, text: str, before: str) -> frozenset[str]:
        """The gates that the text passes, where it stands after `before`."""
        return self._gates.open_for(f"{before}: {text}" if before else text)

    def find(self, text: str, before: str, names: Sequence[Found] = ()) -> list[Found]:
        """All there is in the text, in order, apart; `before` is the name it stands under.

        Placeholders are borders: nothing is looked for in them, nor across them. `names` were found
        by a model beforehand.
        """
        found = list(names)
        start = 0
        for border in (*PLACEHOLDER.finditer(text), None) if "<" in text else (None,):
            end = len(text) if border is None else border.start()
            if start < end:
                segment = text[start:end]
                lead = f"{before} {text[max(0, start - 60) : start]}" if start else before
                found += (
                    msgspec.structs.replace(f, start=f.start + start, end=f.end + start)
                    for f in self._find(segment, lead)
                )
            start = len(text) if border is None else border.end()
        borders = [m.span() for m in PLACEHOLDER.finditer(text)] if "<" in text else []
        found = [f for f in found if not self._left_alone(text, f, borders)]
        return apart([*found, *_elsewhere(text, found)], text)

    def _left_alone(self, text: str, found: Found, borders: Sequence[tuple[int, int]]) -> bool:
        """Whether it is allowed, or touches a placeholder: those are in order, and apart."""
        ends_before = bisect_left(borders, found.end, key=lambda border: border[0])
        in_one = ends_before > 0 and borders[ends_before - 1][1] > found.start
        return in_one or self.allows(text[found.start : found.end])

    def _find(  # noqa: C901 - a line a kind
        self, text: str, before: str
    ) -> Iterator[Found]:
        for name, pattern in self._patterns:
            for match in pattern.finditer(text):
                if match[0]:
                    yield Found(match.start(), match.end(), name, match[0])
        passed = self.gates_of(text, before)
        users = list(secrets.find_users(text)) if "url_user" in passed else []
        yield from users
        if "email" in passed:
            for found in emails.find(text, self._recognisers().email):
                if not any(u.start < found.end and found.start < u.end for u in users):
                    yield found
        if "key" in passed:
            yield from self._keys(text)
        if "crypto" in passed:
            for match in _ETHEREUM.finditer(text):
                yield Found(match.start(), match.end(), "crypto", match[0].lower())
        if "jwt" in passed:
            yield from secrets.find_jwts(text)
        if "keyword" in passed:
            yield from secrets.find_after_keywords(text)
        yield from self._numbers(text, before, passed)

    def _keys(self, text: str) -> Iterator[Found]:
        yield from secrets.find_shapes(text)
        yield from secrets.find_keys(
            text, self._gates.places("key", text), self._recognisers().keys
        )

    def _numbers(self, text: str, before: str, passed: frozenset[str]) -> Iterator[Found]:
        """Numbers and identifiers: near each candidate, those recognisers that its gate is for."""
        weak = {"weak"} if {"near", "weak"} <= passed else set()
        asked = 0
        for gate in sorted((passed & _NUMBER_GATES) | weak):
            theirs = self._asked_by(gate)
            near: list[tuple[int, int]] = []
            for start, end in self._gates.places(gate, text):
                asked += 1
                if asked > _MOST_CANDIDATES:
                    low, high = _whole(text, start, end)
                    yield Found(low, high, _CROWDED, text[low:high])
                    continue
                near.append((start, end))
                if gate in _PHONE_GATES and "phone" in self._kinds:
                    yield from phones.find(text, start, end, self._regions)
            for first, last in windows(text, near):
                for recogniser in theirs:
                    yield from recogniser.find(text, first, last, before)

    def _asked_by(self, gate: str) -> Sequence[Recogniser]:
        """The recognisers of the policy's kinds that a gate is for."""
        known = self._behind.get(gate)
        if known is None:
            known = self._behind[gate] = [
                r
                for r in self._recognisers().numbers
                if gate in r.entry.gates and r.entry.kind in self._kinds
            ]
        return known


_PHONE_GATES = frozenset({"plain", "plus", "grouped"})
_NUMBER_GATES = _PHONE_GATES | {"lettered", "fiscal", "iban", "ip", "mac", "crypto"}
