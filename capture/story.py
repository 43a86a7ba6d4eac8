"""What happened while a request was served, told once.

Every model call repeats the conversation so far, frameworks wrap one call in several spans, and a
tool call is told by the model that asked for it, by the span that made it and by the next call's
history. A story takes all of these and keeps each thing once, in the order it was first told.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from capture.trace import Step, content_text

MOST_STEPS = 2000  # of one request; the longest agent runs that were seen have a few hundred

_ASCII_SPACES = ("  ", *"\n\t\r\v\f\x1c\x1d\x1e\x1f")
"""What `str.split` makes one plain space of."""

_Key = tuple[str, str, str]


class _Keys(NamedTuple):
    """What makes two tellings of a step the same."""

    own: _Key
    """The call's id where there is one, else `named`."""
    named: _Key
    """A tool by its name, anything said by its words."""
    every: tuple[_Key, ...]
    """These and its words, each once."""


class Story:
    """Steps in order, each once."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self.steps: list[Step] = []
        self.left_out = 0
        self._told: Counter[_Key] = Counter()
        self._announced: defaultdict[_Key, deque[str | None]] = defaultdict(deque)
        self._seen_in_spans: Counter[_Key] = Counter()
        self._keys: dict[int, tuple[Step, _Keys]] = {}

    def history(self, steps: Sequence[Step]) -> None:
        """Take what a model was shown: everything that was told before, and perhaps more."""
        shown: dict[_Key, int] = {}
        for step in steps:
            key = self._of(step).own
            shown[key] = count = shown.get(key, 0) + 1
            if count <= self._told.get(key, 0):
                continue
            if step.type == "tool_call":
                self._announce(step)
            else:
                self._tell(step)

    def answer(self, steps: Sequence[Step]) -> None:
        """Take what a model answered: new, except calls whose spans came first."""
        for step in steps:
            if step.type == "tool_call":
                self._announce(step)
            else:
                self._tell(step)

    def tool_called(self, step: Step) -> Step:
        """Take a tool span's call, and return it with the id it was announced under."""
        announced = self._announced[self._of(step).named]
        if step.call_id is not None and self._told[self._of(step).own]:
            if step.call_id in announced:
                announced.remove(step.call_id)
            return step
        if announced:
            return msgspec.structs.replace(step, call_id=announced.popleft() or step.call_id)
        self._seen_in_spans[self._of(step).named] += 1
        self._tell(step)
        return step

    def tool_returned(self, step: Step) -> None:
        """Take a tool span's result."""
        if step.call_id is None or not self._told[self._of(step).own]:
            self._tell(step)

    def happened(self, step: Step) -> None:
        """Take something only one span tells of: a retrieval, an error."""
        self._tell(step)

    def _announce(self, step: Step) -> None:
        if step.call_id is not None and self._told[self._of(step).own]:
            return
        if self._seen_in_spans[self._of(step).named]:
            self._seen_in_spans[self._of(step).named] -= 1
            if step.call_id is not None:
                self._told[self._of(step).own] += 1
            return
        self._announced[self._of(step).named].append(step.call_id)
        self._tell(step)

    def _tell(self, step: Step) -> None:
        for key in self._of(step).every:
            self._told[key] = (
                self._told.get(key, 0) + 1
            )  # five times quicker than a Counter's `+= 1`
        if len(self.steps) < MOST_STEPS:
            self.steps.append(step)
        else:
            self.left_out += 1

    def _of(self, step: Step) -> _Keys:
        """A step's keys, worked out once: histories repeat steps, and share them."""
        known = self._keys.get(id(step))
        if known is None:
            # The step is kept beside its keys, so that its id stays its own.
            known = self._keys[id(step)] = step, _keys(step)
        return known[1]


def _keys(step: Step) -> _Keys:
    own = named = worded = (step.type, "text", _words(content_text(step.content)))
    if step.name is not None and step.type in ("tool_call", "tool_result"):
        own = named = (step.type, "name", step.name)
    if step.call_id is not None:
        own = (step.type, "id", step.call_id)
    every = (own,) if own is worded else tuple({own, named, worded})
    return _Keys(own, named, every)


def _words(text: str) -> str:
    """The text with one space between words. Asking whether it is so already is many times cheaper."""
    text = text.strip()
    if not text.isascii():  # of all white space only the plain space is printable
        return text if text.isprintable() and "  " not in text else " ".join(text.split())
    for space in _ASCII_SPACES:
        if space in text:
            return " ".join(text.split())
    return text
