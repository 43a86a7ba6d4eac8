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

from services.errors import Unavailable, Undecodable, is_fatal
from services.patience import Stopped, patiently, pause
from services.stream import envelope
from services.stream.limit import DeadLetterLimit, DeadLetterWatch
from services.stream.outcome import DeadLetter, Emit, Event, Outcome, Retry
from services.stream.port import Message, Publisher, Record, Source
from services.telemetry import StageMetrics

T = TypeVar("T")


class Handler(Protocol):
    """A stage's decisions, without any delivery."""

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


class LoopSettings(msgspec.Struct, frozen=True):
    """How a loop works. `wait_seconds` is how long an empty fetch lasts."""

    stage: str
    consumer: str
    output_topic: str
    dead_letter_topic: str
    max_message_bytes: int
    batch: int = 200
    wait_seconds: float = 0.5
    max_attempts: int = 5  # five deaths on one record alone: bad luck with SIGKILL does not do that
    limit: DeadLetterLimit = DeadLetterLimit()


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
    ) -> None:
        """Wire a loop; nothing is read before `run`."""
        self._settings = settings
        self._source = source
        self._publisher = publisher
        self._handler = handler
        self._attempts = attempts
        self._metrics = metrics
        self._watch = DeadLetterWatch(settings.limit, settings.dead_letter_topic)
        self._begun: set[tuple[str, str]] = set()
        self._stop = asyncio.Event()
        self._log = structlog.get_logger().bind(stage=settings.stage, consumer=settings.consumer)

    @property
    def stage(self) -> str:
        """The stage's name, as logs and metrics have it."""
        return self._settings.stage

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
                    await self._work(records)
        except Stopped:
            self._log.info("stopped_while_waiting")
        finally:
            await self._source.close()

    async def _fetch(self) -> Sequence[Record]:
        settings = self._settings
        return await self._source.fetch(limit=settings.batch, wait_seconds=settings.wait_seconds)

    async def _work(self, records: Sequence[Record]) -> None:
        """Handle what one fetch gave. A batch that a process died of is taken one record at a time."""
        firsts = list({(r.topic, r.partition): _position(r) for r in reversed(records)}.values())
        consumer = self._settings.consumer
        counts = await self._patiently(lambda: self._begin(consumer, firsts))
        if max(counts.values(), default=1) > 1:
            self._log.warning("careful_after_a_crash", records=len(records))
            for record in records:
                await self._work_carefully(record)
        else:
            await self._step(records)
        await self._patiently(lambda: self._source.commit(records))
        await self._patiently(lambda: self._end(consumer, firsts))

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
        for record in records:
            try:
                readable.append((record, envelope.decode(record)))
            except envelope.UnknownSchema as error:
                decided.append((record, DeadLetter("unknown_schema", str(error))))
            except Undecodable as error:
                decided.append((record, DeadLetter("undecodable", str(error))))
        decided.extend(await self._patiently(lambda: self._handle(readable)))
        await self._deliver(decided)

    async def _handle(
        self, readable: Sequence[tuple[Record, Event]]
    ) -> list[tuple[Record, Outcome]]:
        """Outcomes for all; one event that makes the handler raise does not take the others along."""
        if not readable:
            return []
        try:
            outcomes = await self._handler.handle([event for _, event in readable])
        except Exception as error:
            if is_fatal(error) or isinstance(error, Unavailable):
                raise
            if len(readable) > 1:
                return [pair for one in readable for pair in await self._handle([one])]
            self._log.exception("handler_error", event_id=readable[0][1].event_id)
            outcomes = [DeadLetter("handler_error", f"{type(error).__name__}: {error}")]
        if len(outcomes) != len(readable):
            message = f"handler gave {len(outcomes)} outcomes for {len(readable)} events"
            raise AssertionError(message)
        pairs = list(zip(readable, outcomes, strict=True))
        again = [(pair, outcome) for pair, outcome in pairs if isinstance(outcome, Retry)]
        done = [(r, outcome) for (r, _), outcome in pairs if not isinstance(outcome, Retry)]
        if again:
            self._log.info("handled_again_later", events=len(again), why=again[0][1].detail)
            self._metrics.touch()
            await pause(min(outcome.after_seconds for _, outcome in again), self._stop)
            done.extend(await self._handle([pair for pair, _ in again]))
        return done

    async def _deliver(self, decided: Sequence[tuple[Record, Outcome]]) -> None:
        final = [(record, self._fitting(record, outcome)) for record, outcome in decided]
        self._watch.note(dead=[isinstance(outcome, DeadLetter) for _, outcome in final])
        messages = [
            self._emission(record, outcome.event)
            if isinstance(outcome, Emit)
            else self._park(record, outcome)
            for record, outcome in final
            if isinstance(outcome, (Emit, DeadLetter))
        ]
        if messages:
            await self._patiently(lambda: self._publisher.publish(messages))
        for _, outcome in final:
            self._metrics.count(outcome)

    def _fitting(self, record: Record, outcome: Outcome) -> Outcome:
        """The outcome, unless it is an event that its topic would not take."""
        if not isinstance(outcome, Emit):
            return outcome
        size, limit = (
            len(self._emission(record, outcome.event).value),
            self._settings.max_message_bytes,
        )
        if size <= limit:
            return outcome
        return DeadLetter(
            "too_large", f"what follows from it has {size} bytes, the limit is {limit}"
        )

    def _emission(self, record: Record, event: Event) -> Message:
        topic, traceparent = self._settings.output_topic, record.header("traceparent")
        return envelope.encode(event, topic, traceparent=traceparent)

    def _park(self, record: Record, verdict: DeadLetter) -> Message:
        self._log.warning(
            "dead_letter",
            reason=verdict.reason,
            detail=verdict.detail,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
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

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        return await patiently(work, stop=self._stop, log=self._log, on_wait=self._metrics.touch)


def _position(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
