"""The one loop that every stage runs: fetch, decode, handle, publish, commit.

A handler returns outcomes and delivers nothing; only this file publishes, parks and commits, and
always in that order, so that a process may die between any two lines and nothing is lost: what
was not committed is delivered again, and every handler repeats its own earlier decision.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
import structlog

from services.errors import Halted, Unavailable, Undecodable, is_fatal
from services.patience import Stopped, patiently, pause
from services.stream import envelope
from services.stream.limit import DeadLetterWatch
from services.stream.loop_settings import LoopSettings
from services.stream.outcome import DeadLetter, Emit, Event, Outcome, Retry
from services.stream.port import Message, Publisher, Record, Source
from services.telemetry import StageMetrics

T = TypeVar("T")

_BREATH_BYTES = 512 * 1024  # about 1 ms of decoding
_PAUSE_A_TURN = (
    4  # a loop that gathers takes a fifth of a core at most, unless its batches are full
)


class Handler(Protocol):
    """A stage's decisions, without any delivery."""

    @property
    def accepts(self) -> tuple[type, ...]:
        """The kinds of event that have a place in this stage's topic; others are dead letters."""

    async def ready(self) -> None:
        """Return when work can start (a model is loaded, say). Raises `Unavailable`."""

    async def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One outcome for each event, in order. Deciding twice about one event gives the same."""


class Attempts(Protocol):
    """Remembers, across the death of the process, what was being handled."""

    async def begin(self, consumer: str, positions: Sequence[str]) -> Mapping[str, int]:
        """Count one more attempt at each position, durably; return the counts, first is 1.

        Raises `Unavailable`.
        """

    async def end(self, consumer: str, positions: Sequence[str]) -> None:
        """Forget these positions: they were survived. Raises `Unavailable`."""


class Loop:
    """Runs one handler over one source until told to stop."""

    def __init__(
        self,
        settings: LoopSettings,
        *,
        source: Source,
        publisher: Publisher,
        handler: Handler,
        attempts: Attempts,
        metrics: StageMetrics,
        decode: Callable[[Record], Event] = envelope.decode,
    ) -> None:
        """Wire a loop; nothing is read before `run`.

        `decode` makes of a record what the handler wants to see of it, and raises as
        `envelope.decode` does.
        """
        self._settings = settings
        self._source = source
        self._publisher = publisher
        self._handler = handler
        self._attempts = attempts
        self._metrics = metrics
        self._decode = decode
        self._watch = DeadLetterWatch(settings.limit, settings.dead_letter_topic)
        self._begun: set[tuple[str, str]] = set()
        self._stop = asyncio.Event()
        self._log = structlog.get_logger().bind(stage=settings.stage, consumer=settings.consumer)

    @property
    def stage(self) -> str:
        """The stage's name, as logs and metrics have it."""
        return self._settings.stage

    @property
    def consumer(self) -> str:
        """Under which name its attempts are remembered."""
        return self._settings.consumer

    def stop(self) -> None:
        """Finish the batch in hand, commit it, and return from `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped. Raises `Halted` when too many records are dead letters."""
        try:
            while not self._stop.is_set():
                await self._patiently(self._handler.ready)
                records = await self._patiently(self._fetch)
                self._metrics.touch()
                if records:
                    began = asyncio.get_running_loop().time()
                    await self._work(records)
                    took = asyncio.get_running_loop().time() - began
                    if seconds := self._settings.pause_after(len(records), took):
                        await pause(seconds, self._stop)
        except Stopped:
            await self._forgive()
            self._log.info("stopped_while_waiting")
        except (Halted, asyncio.CancelledError):  # cancelled: the process had waited long enough
            await self._forgive()
            raise
        finally:
            await self._source.close()

    async def _fetch(self) -> Sequence[Record]:
        settings = self._settings
        return await self._source.fetch(limit=settings.batch, wait_seconds=settings.wait_seconds)

    async def _work(self, records: Sequence[Record]) -> None:
        """Handle what one fetch gave. A batch that a process died of is taken one record at a time."""
        firsts = {(r.topic, r.partition): _position(r) for r in reversed(records)}
        consumer = self._settings.consumer
        counts = await self._patiently(lambda: self._begin(consumer, list(firsts.values())))
        marked = {place for place, first in firsts.items() if counts.get(first, 1) > 1}
        suspects = [record for record in records if (record.topic, record.partition) in marked]
        if suspects:
            self._log.warning("careful_after_a_crash", records=len(suspects))
        for record in suspects:
            await self._work_carefully(record)
        if len(suspects) < len(records):
            await self._step([r for r in records if (r.topic, r.partition) not in marked])
        await self._patiently(lambda: self._source.commit(records))
        await self._patiently(lambda: self._end(consumer, list(firsts.values())))

    async def _work_carefully(self, record: Record) -> None:
        consumer, position = f"{self._settings.consumer}/one", _position(record)
        counts = await self._patiently(lambda: self._begin(consumer, [position]))
        if counts.get(position, 1) > self._settings.max_attempts:
            detail = f"the process died {self._settings.max_attempts} times while handling it"
            verdict = DeadLetter("kills_process", detail)
            await self._deliver([(record, verdict)])
        else:
            await self._step([record])
        await self._patiently(lambda: self._end(consumer, [position]))

    async def _step(self, records: Sequence[Record]) -> None:
        """Decide about every record, then publish everything that follows from it."""
        decided: list[tuple[Record, Outcome]] = []
        readable: list[tuple[Record, Event]] = []
        size = 0
        for record in records:
            if (size := size + len(record.value)) > _BREATH_BYTES:
                await asyncio.sleep(0)  # what else runs in this process is not kept waiting
                size = 0
            try:
                event = self._decode(record)
            except envelope.UnknownSchema as error:
                decided.append((record, DeadLetter("unknown_schema", str(error))))
            except Undecodable as error:
                decided.append((record, DeadLetter("undecodable", str(error))))
            else:
                fits: bool = isinstance(event, self._handler.accepts)
                if fits:
                    readable.append((record, event))
                else:
                    decided.append((record, _misplaced(record)))
        decided.extend(await self._patiently(lambda: self._handle(readable)))
        decided.sort(key=lambda pair: (pair[0].partition, pair[0].offset))  # a key's order is kept
        await self._deliver(decided)

    async def _handle(
        self, readable: Sequence[tuple[Record, Event]]
    ) -> list[tuple[Record, Outcome]]:
        """Outcomes for all, however often the handler asks to be given some of them again."""
        done: list[tuple[Record, Outcome]] = []
        while readable:
            pairs = list(zip(readable, await self._decide(readable), strict=True))
            done += [(record, out) for (record, _), out in pairs if not isinstance(out, Retry)]
            again = [(one, outcome) for one, outcome in pairs if isinstance(outcome, Retry)]
            if again:
                self._log.info("handled_again_later", events=len(again), why=again[0][1].detail)
                self._metrics.touch()
                await pause(min(outcome.after_seconds for _, outcome in again), self._stop)
            readable = [one for one, _ in again]
        return done

    async def _decide(self, readable: Sequence[tuple[Record, Event]]) -> list[Outcome]:
        """One outcome each; an event that makes the handler raise is found by halving."""
        try:
            outcomes = list(await self._handler.handle([event for _, event in readable]))
        except Exception as error:
            if is_fatal(error) or isinstance(error, Unavailable):
                raise
            if (half := len(readable) // 2) > 0:
                return await self._decide(readable[:half]) + await self._decide(readable[half:])
            self._log.exception("handler_error", event_id=readable[0][1].event_id)
            return [DeadLetter("handler_error", f"{type(error).__name__}: {error}")]
        if len(outcomes) != len(readable):
            message = f"handler gave {len(outcomes)} outcomes for {len(readable)} events"
            raise AssertionError(message)
        return outcomes

    async def _deliver(self, decided: Sequence[tuple[Record, Outcome]]) -> None:
        final = [self._deliverable(record, outcome) for record, outcome in decided]
        self._watch.note(dead=[isinstance(outcome, DeadLetter) for outcome, _ in final])
        messages = [message for _, message in final if message is not None]
        if messages:
            await self._patiently(lambda: self._publisher.publish(messages))
        for outcome, _ in final:
            self._metrics.count(outcome)

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

    async def _begin(self, consumer: str, positions: Sequence[str]) -> Mapping[str, int]:
        """Count an attempt, unless this very process counted it already: an outage is no crash."""
        new = [position for position in positions if (consumer, position) not in self._begun]
        counts = await self._attempts.begin(consumer, new) if new else {}
        self._begun.update((consumer, position) for position in new)
        return counts

    async def _end(self, consumer: str, positions: Sequence[str]) -> None:
        await self._attempts.end(consumer, positions)
        self._begun.difference_update((consumer, position) for position in positions)

    async def _forgive(self) -> None:
        """This process ends alive: what it had begun is no evidence against any record."""
        begun = {consumer for consumer, _ in self._begun}
        for consumer in begun:
            positions = [position for owner, position in self._begun if owner == consumer]
            try:
                await self._end(consumer, positions)
            except Unavailable as error:
                self._log.info("attempts_kept", why=str(error))

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        return await patiently(work, stop=self._stop, log=self._log, on_wait=self._metrics.touch)


def _misplaced(record: Record) -> DeadLetter:
    detail = f"{record.header('schema')} has no place in {record.topic}"
    return DeadLetter("unexpected_schema", detail)


def _position(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
