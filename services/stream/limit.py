"""When a stage stops instead of draining everything into its dead-letter topic."""

from collections import deque
from collections.abc import Sequence

import msgspec

from services.errors import Halted


class DeadLetterLimit(msgspec.Struct, frozen=True):
    """More than `floor` of the latest `window` records dead, and at least `ratio` of them: stop.

    A bad deploy fails most records and stops soon after `floor`; a client that sends rubbish now
    and then never gets there.
    """

    ratio: float = 0.1
    window: int = 1000
    floor: int = 50


class DeadLetterWatch:
    """Counts dead letters among the latest records of one stage."""

    def __init__(self, limit: DeadLetterLimit, topic: str) -> None:
        """Start with an empty window: a restart gives the stage another `floor` records."""
        self._limit = limit
        self._topic = topic
        self._recent: deque[bool] = deque(maxlen=limit.window)

    def note(self, *, dead: Sequence[bool]) -> None:
        """Count a batch. Raises `Halted` when the limit is crossed."""
        self._recent.extend(dead)
        letters, seen = sum(self._recent), len(self._recent)
        if letters > self._limit.floor and letters >= self._limit.ratio * seen:
            message = (
                f"{letters} of the latest {seen} records are dead letters, the limit is "
                f"{self._limit.floor} and {self._limit.ratio:.0%}: nothing of this batch was "
                "committed. Mend the cause and restart; to let them through as dead letters "
                f"({self._topic}), restart once with a higher EVALRATCHET_DEAD_LETTER_FLOOR."
            )
            raise Halted(message)
