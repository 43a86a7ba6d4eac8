"""How a loop works: under which names, how much at a time, and how long it lets records gather."""

import msgspec

from services.stream.limit import DeadLetterLimit

_PAUSE_A_TURN = 4  # a loop that gathers takes a fifth of a core, unless its batches are full


class LoopSettings(msgspec.Struct, frozen=True):
    """How a loop works.

    `wait_seconds` is how long an empty fetch lasts. `gather_seconds` is the pause after a batch that
    was not full: what arrives meanwhile shares the next one, and its transactions. Where turns take
    long, because much arrives or others need the machine, it grows up to `gather_most_seconds`.
    """

    stage: str
    consumer: str
    output_topic: str
    dead_letter_topic: str
    max_message_bytes: int
    batch: int = 200
    wait_seconds: float = 0.5
    gather_seconds: float = 0.0
    gather_most_seconds: float = 0.0
    max_attempts: int = 5  # five deaths on one record alone: bad luck with SIGKILL does not do that
    limit: DeadLetterLimit = DeadLetterLimit()
    held_most: int = 100_000  # records set aside for projects that wait; beyond, the topic waits

    def pause_after(self, records: int, took_seconds: float) -> float:
        """Seconds in which records may gather, after a turn with so many that took so long."""
        if records >= self.batch:
            return 0.0
        most = max(self.gather_seconds, self.gather_most_seconds)
        return min(max(self.gather_seconds, _PAUSE_A_TURN * took_seconds), most)
