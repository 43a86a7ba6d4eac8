"""Known words at whatever place of a text, in one pass however many they are."""

import re
from collections.abc import Collection, Iterator

_RUN = re.compile(r"[0-9A-Za-z]+")
_FEW = 8  # words that are looked for one by one: a search takes a hundredth of going run by run


class Words:
    """Words to be found where neither a letter nor a digit of ASCII stands beside them.

    Each word is known by its longest run of letters and digits: so a text is gone through run by
    run, instead of once for each word, of which a text of a megabyte may have fifty thousand.
    """

    def __init__(self, words: Collection[str]) -> None:
        """`words` are not empty."""
        self._words = frozenset(words)
        self._lies: dict[str, set[tuple[int, int]]] = {}
        """By run: where it begins in words that have it, and how long those words are."""
        self._others: list[str] = []
        if len(self._words) <= _FEW:
            self._others.extend(self._words)
            return
        for word in self._words:
            longest = max(_RUN.finditer(word), key=lambda run: len(run[0]), default=None)
            if longest is None:
                self._others.append(word)
            else:
                self._lies.setdefault(longest[0], set()).add((longest.start(), len(word)))

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the words are, each from its start to its end; they may overlap."""
        for run in _RUN.finditer(text) if self._lies else ():
            for offset, length in self._lies.get(run[0], ()):
                start = run.start() - offset
                if start >= 0 and text[start : start + length] in self._words:
                    yield from self._alone(text, start, start + length)
        for word in self._others:
            start = text.find(word)
            while start >= 0:
                yield from self._alone(text, start, start + len(word))
                start = text.find(word, start + len(word))

    @staticmethod
    def _alone(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        beside = text[start - 1 : start] + text[end : end + 1] if start else text[end : end + 1]
        if not any(one.isascii() and one.isalnum() for one in beside):
            yield start, end
