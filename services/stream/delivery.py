"""What becomes of outcomes: messages for the next topic, letters for the dead-letter topic."""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.stream import envelope
from services.stream.limit import DeadLetterWatch
from services.stream.loop_settings import LoopSettings
from services.stream.outcome import DeadLetter, Emit, Event, Outcome
from services.stream.port import Message, Record


class Delivery:
    """Writes what one loop has decided, and stops it where too much of that is dead letters."""

    def __init__(self, settings: LoopSettings, log: Any) -> None:
        """Nothing is sent here: the loop publishes."""
        self._settings = settings
        self._log = log
        self._watch = DeadLetterWatch(settings.limit, settings.dead_letter_topic)

    def written(
        self, decided: Sequence[tuple[Record, Outcome]]
    ) -> tuple[list[Outcome], list[Message]]:
        """What is decided in the end, and the messages that follow from it, in order.

        Raises:
            Halted: too many of the latest records are dead letters.
        """
        final = [self._deliverable(record, outcome) for record, outcome in decided]
        self._watch.note(dead=[isinstance(outcome, DeadLetter) for outcome, _ in final])
        return (
            [outcome for outcome, _ in final],
            [message for _, message in final if message is not None],
        )

    def _deliverable(self, record: Record, outcome: Outcome) -> tuple[Outcome, Message | None]:
        """The outcome and its message; an event that cannot be sent on is a dead letter."""
        if isinstance(outcome, Emit):
            message = self._emission(record, outcome.event)
            if isinstance(message, Message):
                return outcome, message
            outcome = message
        if isinstance(outcome, DeadLetter):
            return outcome, self._park(record, outcome)
        return outcome, None

    def _emission(self, record: Record, event: Event) -> Message | DeadLetter:
        topic, traceparent = self._settings.output_topic, record.header("traceparent")
        try:
            message = envelope.encode(event, topic, traceparent=traceparent)
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            why = f"what follows from it cannot be written: {type(error).__name__}: {error}"
            return DeadLetter("handler_error", why)
        size, limit = len(message.value), self._settings.max_message_bytes
        if size > limit:
            why = f"what follows from it has {size} bytes, the limit is {limit}"
            return DeadLetter("too_large", why)
        return message

    def _park(self, record: Record, verdict: DeadLetter) -> Message:
        self._log.warning(
            "dead_letter",
            reason=verdict.reason,
            detail=verdict.detail,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        size, limit = len(record.value), self._settings.max_message_bytes
        if size > limit:  # a trace of many pieces, or from before the limit was lowered
            detail = f"{verdict.detail} (its {size} bytes, over the limit of {limit}, are left out)"
            verdict = DeadLetter(verdict.reason, detail)
            record = envelope.without_pieces(record)
        return envelope.dead_letter(
            record, verdict, topic=self._settings.dead_letter_topic, stage=self._settings.stage
        )
