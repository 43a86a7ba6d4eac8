"""The one loop that every stage runs: fetch, decode, handle, publish, commit.

A handler returns outcomes and delivers nothing; only this file publishes, parks and commits, and
always in that order, so that a process may die between any two lines and nothing is lost: what
was not committed is delivered again, and every handler repeats its own earlier decision.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog

from services.errors import Halted, Unavailable, is_fatal
from services.patience import Stopped, patiently, pause
from services.stream import envelope
from services.stream.decoding import Readable, decoded
from services.stream.delivery import Delivery
from services.stream.holding import Holding, queued
from services.stream.loop_settings import LoopSettings
from services.stream.outcome import DeadLetter, Event, Hold, Outcome, Retry
from services.stream.port import Publisher, Record, Source
from services.telemetry import StageMetrics

T = TypeVar("T")
Again = dict[str, Hold] | None
"""Of records that were set aside: the projects found at this try to have to wait on. None: of the topic."""

_NO_ROOM_SECONDS = 5.0  # until a batch with nowhere to be set aside is tried again


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

    def __init__(  # noqa: PLR0913 - all that a loop is made of, once
        self,
        settings: LoopSettings,
        *,
        source: Source,
        publisher: Publisher,
        handler: Handler,
        attempts: Attempts,
        metrics: StageMetrics,
        decode: Callable[[Record], Event] = envelope.decode,
        holding: Holding | None = None,
    ) -> None:
        """Wire a loop; nothing is read before `run`.

        `decode` makes of a record what the handler wants to see of it, and raises as
        `envelope.decode` does. Without `holding`, an event to be held keeps its batch waiting.
        """
        self._settings = settings
        self._source = source
        self._publisher = publisher
        self._handler = handler
        self._attempts = attempts
        self._metrics = metrics
        self._decode = decode
        self._holding = holding
        self._begun: set[tuple[str, str]] = set()
        self._stop = asyncio.Event()
        self._log = structlog.get_logger().bind(stage=settings.stage, consumer=settings.consumer)
        self._delivery = Delivery(settings, self._log)

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
                more = await self._work_on_what_was_held()
                fetch = self._fetch_at_once if more else self._fetch
                records = await self._patiently(fetch)
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

    async def _fetch_at_once(self) -> Sequence[Record]:
        return await self._source.fetch(limit=self._settings.batch, wait_seconds=0.0)

    async def _work(self, records: Sequence[Record]) -> None:
        """Handle what one fetch gave; what is set aside is as safe then as what is published."""
        consumer = self._settings.consumer
        if self._holding is not None:  # a partition may have come, with what was set aside of it
            await self._patiently(self._holding.look)
        firsts, _ = await self._survive(records, consumer, again=None)
        await self._patiently(lambda: self._source.commit(records))
        await self._patiently(lambda: self._end(consumer, firsts))

    async def _work_on_what_was_held(self) -> bool:
        """Try a batch of what was set aside and is due; whether there may be more at once."""
        holding = self._holding
        if holding is None:
            return False
        await self._patiently(holding.look)
        records = await self._patiently(lambda: holding.due(self._settings.batch))
        if not records:
            return False
        consumer = f"{self._settings.consumer}/held"
        firsts, held = await self._survive(records, consumer, again={})
        waits = {id(record) for record, _ in held}
        done = [record for record in records if id(record) not in waits]
        still = {outcome.project for _, outcome in held}
        await self._patiently(lambda: holding.release(done, still))
        await self._patiently(lambda: self._end(consumer, firsts))
        self._metrics.touch()
        return bool(done)

    async def _survive(
        self, records: Sequence[Record], consumer: str, *, again: Again
    ) -> tuple[list[str], list[tuple[Record, Hold]]]:
        """Take records through a step. A batch that a process died of is taken one at a time.

        Returns the attempts to be forgotten once that is committed, and what has to wait on.
        """
        firsts = {(r.topic, r.partition): _position(r) for r in reversed(records)}
        counts = await self._patiently(lambda: self._begin(consumer, list(firsts.values())))
        marked = {place for place, first in firsts.items() if counts.get(first, 1) > 1}
        suspects = [record for record in records if (record.topic, record.partition) in marked]
        if suspects:
            self._log.warning("careful_after_a_crash", records=len(suspects))
        held: list[tuple[Record, Hold]] = []
        for record in suspects:
            held += await self._work_carefully(record, f"{consumer}/one", again=again)
        if len(suspects) < len(records):
            others = [r for r in records if (r.topic, r.partition) not in marked]
            held += await self._step(others, again=again)
        return list(firsts.values()), held

    async def _work_carefully(
        self, record: Record, consumer: str, *, again: Again
    ) -> list[tuple[Record, Hold]]:
        position = _position(record)
        held: list[tuple[Record, Hold]] = []
        counts = await self._patiently(lambda: self._begin(consumer, [position]))
        if counts.get(position, 1) > self._settings.max_attempts:
            detail = f"the process died {self._settings.max_attempts} times while handling it"
            await self._deliver([(record, DeadLetter("kills_process", detail))])
        else:
            held = await self._step([record], again=again)
        await self._patiently(lambda: self._end(consumer, [position]))
        return held

    async def _step(self, records: Sequence[Record], *, again: Again) -> list[tuple[Record, Hold]]:
        """Decide about every record, then set aside and publish what follows from it.

        `again`: as `Again`; they are still where they were if they have to wait on, and are added to
        it. Returns what has to wait.
        """
        readable, dead = await decoded(records, self._decode, self._handler.accepts)
        decided: list[tuple[Record, Outcome]] = [*dead]
        decided.extend(await self._patiently(lambda: self._handle(readable, again=again)))
        place = {id(record): number for number, record in enumerate(records)}
        decided.sort(key=lambda pair: place[id(pair[0])])  # a key's order is kept
        held = [(record, out) for record, out in decided if isinstance(out, Hold)]
        if again is not None:
            again.update((outcome.project, outcome) for _, outcome in held)
        elif held and self._holding is not None:
            holding = self._holding
            await self._patiently(lambda: holding.keep(held))
            for _, outcome in held:
                self._metrics.count(outcome)
        await self._deliver([pair for pair in decided if not isinstance(pair[1], Hold)])
        return held

    async def _handle(
        self, readable: Sequence[Readable], *, again: Again
    ) -> list[tuple[Record, Outcome]]:
        """Outcomes for all, however often the handler asks to be given some of them again."""
        place = {id(record): number for number, (record, _) in enumerate(readable)}
        done: list[tuple[Readable, Outcome]] = []
        while readable:
            pairs = await self._outcomes(readable, again=again)
            room = again is not None or self._has_room(pairs)
            later = (Retry,) if room else (Retry, Hold)
            done += [(one, out) for one, out in pairs if not isinstance(out, later)]
            waiting = [(one, out) for one, out in pairs if isinstance(out, (Retry, Hold))]
            waiting = [(one, out) for one, out in waiting if isinstance(out, later)]
            if waiting:
                self._log.info("handled_again_later", events=len(waiting), why=waiting[0][1].detail)
                self._metrics.touch()
                await pause(min(_seconds(outcome) for _, outcome in waiting), self._stop)
                if again is None:  # what was held before may make room
                    await self._work_on_what_was_held()
            readable = [one for one, _ in waiting]
        done.sort(key=lambda pair: place[id(pair[0][0])])
        return [(record, outcome) for (record, _), outcome in queued(done)]

    async def _outcomes(
        self, readable: Sequence[Readable], *, again: Again
    ) -> list[tuple[Readable, Outcome]]:
        """One for each; of a project that waits already all queue up, without being looked at."""
        waits: dict[int, Outcome] = {}
        if self._holding is not None:
            waiting = self._holding.waits if again is None else again.get
            for place, (_, event) in enumerate(readable):
                if (hold := waiting(event.project)) is not None:
                    waits[place] = hold
        asked = [one for place, one in enumerate(readable) if place not in waits]
        decided = iter(await self._decide(asked) if asked else [])
        pairs = [(one, waits.get(n) or next(decided)) for n, one in enumerate(readable)]
        return queued(pairs)

    def _has_room(self, pairs: Sequence[tuple[Readable, Outcome]]) -> bool:
        held = sum(isinstance(outcome, Hold) for _, outcome in pairs)
        return held == 0 or (self._holding is not None and self._holding.has_room_for(held))

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
        outcomes, messages = self._delivery.written(decided)
        if messages:
            await self._patiently(lambda: self._publisher.publish(messages))
        for outcome in outcomes:
            self._metrics.count(outcome)

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


def _seconds(outcome: Retry | Hold) -> float:
    return outcome.after_seconds if isinstance(outcome, Retry) else _NO_ROOM_SECONDS


def _position(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
