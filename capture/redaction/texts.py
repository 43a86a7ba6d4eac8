"""What is personal or secret in one text."""

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from capture.redaction import emails, phones, secrets
from capture.redaction.finding import Found, apart
from capture.redaction.gates import Gates
from capture.redaction.placeholder import PLACEHOLDER
from capture.redaction.policy import KINDS, Kind, RedactionPolicy, allowed_pattern, compiled
from capture.redaction.recognisers import Recognisers

_MOST_CANDIDATES = 2000  # of numbers in a text; with more, a table of them, nobody is asked
_CROWDED = "number"
_SAYS_ENOUGH = 6  # characters that hardly mean something else where they stand again
_ETHEREUM = re.compile(
    r"(?<![0-9A-Za-z])0x[0-9a-fA-F]{40}(?![0-9A-Za-z])"
)  # EIP-55; Presidio has none

IDENTIFIER_KINDS: tuple[Kind, ...] = ("email", "iban", "secret", "jwt", "url_user")
"""Looked for in ids and names that a trace is found by: no number is taken for a phone there."""


def _elsewhere(text: str, found: Sequence[Found]) -> Iterator[Found]:
    """The same words at other places of the text, where what stands beside them says less."""
    for one in {text[f.start : f.end]: f for f in found}.values():
        said = text[one.start : one.end]
        if len(said) < _SAYS_ENOUGH or text.count(said) < 2:  # noqa: PLR2004 - itself and another
            continue
        for match in re.finditer(rf"(?<![0-9A-Za-z]){re.escape(said)}(?![0-9A-Za-z])", text):
            yield msgspec.structs.replace(one, start=match.start(), end=match.end())


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
        found = [f for f in found if not self._left_alone(text, f)]
        return apart([*found, *_elsewhere(text, found)], text)

    def _left_alone(self, text: str, found: Found) -> bool:
        return self.allows(text[found.start : found.end]) or (
            "<" in text
            and any(
                m.start() < found.end and found.start < m.end() for m in PLACEHOLDER.finditer(text)
            )
        )

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
        done = 0
        for start, end in self._gates.places("key", text):
            if end > done:
                yield from secrets.find_keys(text, start, end, self._recognisers().keys)
                done = end

    def _numbers(self, text: str, before: str, passed: frozenset[str]) -> Iterator[Found]:
        """Numbers and identifiers: near each candidate, those recognisers that its gate is for."""
        weak = {"weak"} if {"near", "weak"} <= passed else set()
        asked = 0
        for gate in sorted((passed & _NUMBER_GATES) | weak):
            theirs = [
                r
                for r in self._recognisers().numbers
                if gate in r.entry.gates and r.entry.kind in self._kinds
            ]
            for start, end in self._gates.places(gate, text):
                asked += 1
                if asked > _MOST_CANDIDATES and gate != "weak":
                    yield Found(start, end, _CROWDED, text[start:end])
                    continue
                for recogniser in theirs:
                    yield from recogniser.find(text, start, end, before)
                if gate in _PHONE_GATES and "phone" in self._kinds:
                    yield from phones.find(text, start, end, self._regions)


_PHONE_GATES = frozenset({"plain", "plus", "grouped"})
_NUMBER_GATES = _PHONE_GATES | {"lettered", "fiscal", "iban", "ip", "mac", "crypto"}
