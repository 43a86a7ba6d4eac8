"""What happened while a request was served, told once.

Every model call repeats the conversation so far, frameworks wrap one call in several spans, and a
tool call is told by the model that asked for it, by the span that made it and by the next call's
history. A story takes all of these and keeps each thing once, in the order it was first told.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence

import msgspec

from capture.trace import Step, content_text

MOST_STEPS = 2000  # of one request; the longest agent runs that were seen have a few hundred

_Key = tuple[str, str, str]


class Story:
    """Steps in order, each once."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self.steps: list[Step] = []
        self.left_out = 0
        self._told: Counter[_Key] = Counter()
        self._announced: defaultdict[_Key, deque[str | None]] = defaultdict(deque)
        self._seen_in_spans: Counter[_Key] = Counter()

    def history(self, steps: Sequence[Step]) -> None:
        """Take what a model was shown: everything that was told before, and perhaps more."""
        shown: Counter[_Key] = Counter()
        for step in steps:
            key = _key(step)
            shown[key] += 1
            if shown[key] <= self._told[key]:
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
        announced = self._announced[_named(step)]
        if step.call_id is not None and self._told[_key(step)]:
            if step.call_id in announced:
                announced.remove(step.call_id)
            return step
        if announced:
            return msgspec.structs.replace(step, call_id=announced.popleft() or step.call_id)
        self._seen_in_spans[_named(step)] += 1
        self._tell(step)
        return step

    def tool_returned(self, step: Step) -> None:
        """Take a tool span's result."""
        if step.call_id is None or not self._told[_key(step)]:
            self._tell(step)

    def happened(self, step: Step) -> None:
        """Take something only one span tells of: a retrieval, an error."""
        self._tell(step)

    def _announce(self, step: Step) -> None:
        if step.call_id is not None and self._told[_key(step)]:
            return
        if self._seen_in_spans[_named(step)]:
            self._seen_in_spans[_named(step)] -= 1
            if step.call_id is not None:
                self._told[_key(step)] += 1
            return
        self._announced[_named(step)].append(step.call_id)
        self._tell(step)

    def _tell(self, step: Step) -> None:
        for key in {_key(step), _named(step), _worded(step)}:
            self._told[key] += 1
        if len(self.steps) < MOST_STEPS:
            self.steps.append(step)
        else:
            self.left_out += 1


def _key(step: Step) -> _Key:
    """What makes two tellings the same: the call's id where there is one."""
    return (step.type, "id", step.call_id) if step.call_id is not None else _named(step)


def _named(step: Step) -> _Key:
    """The same without an id: a tool by its name, anything said by its words."""
    if step.type in ("tool_call", "tool_result") and step.name is not None:
        return (step.type, "name", step.name)
    return _worded(step)


def _worded(step: Step) -> _Key:
    return (step.type, "text", " ".join(content_text(step.content).split()))
