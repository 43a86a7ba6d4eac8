"""Runs services in one process until told to stop: all four, or the one that was asked for."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from services.alone import alone
from services.collector import Collector
from services.errors import Halted
from services.guarding import connection_limits, remembering
from services.health import Health
from services.hosts import check_hosts
from services.http.app import create_capture_app
from services.http.server import serve
from services.http.state import create_state_app
from services.patience import Stopped, patiently
from services.settings import Settings, mask_url
from services.store.open import open_store
from services.stream.loop import Loop
from services.stream.open import open_stream
from services.stream.port import TopicSettings
from services.stream.topics import Topics
from services.telemetry import Metrics
from services.wiring import (
    Parts,
    ServiceName,
    encoders_of,
    examiner_of,
    grey_judge_of,
    indexes_of,
    loops_of,
    modes_of,
    redaction_of,
    representatives_of,
)

log = structlog.get_logger()

_STOP_SECONDS = 20.0  # a batch in hand takes a few; a broker that is gone would take for ever
_EXPIRY_SECONDS = 600.0  # how often what is older than the retention is deleted
_MODES_SECONDS = 60.0  # how often is looked whether modes are to be refitted
_EXPIRY_CHUNK = 1000  # traces a transaction, so that expiry never holds the writer for long


async def run_services(
    settings: Settings,
    names: Sequence[ServiceName],
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> int:
    """Run services until SIGTERM or SIGINT; return the exit code: 1 when a service gave up.

    `on_ready` is called once everything is open and, where capture runs, the port is listening.

    Raises:
        services.alone.AlreadyRunning: on the embedded stream, another process runs one of the services.
        Unavailable: the address to listen on is taken; or store or stream did not come in time.
        services.settings.SettingsError: other machines reach it and there is no API key; or a host
            that nobody knows is to be connected to.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with alone(settings, names):
        try:
            async with _opened(settings, names, stop) as parts:
                return await _run(parts, names, stop, on_ready)
        except Stopped:
            return 0


@contextlib.asynccontextmanager
async def _opened(
    settings: Settings, names: Sequence[ServiceName], stop: asyncio.Event
) -> AsyncIterator[Parts]:
    """Stream, store and encoders, waiting for those that are not there yet.

    Raises `Stopped`, `Unavailable` after the time that the settings give, `SettingsError`.
    """
    await check_hosts(settings)
    stream, store = open_stream(settings), open_store(settings)
    encoders, indexes = encoders_of(settings), indexes_of(settings)
    metrics = Metrics()
    examiner = examiner_of(settings, store, metrics)
    parts = Parts(settings, stream, store, metrics, encoders, indexes, examiner)
    try:
        for start in (store.start, stream.start):
            await patiently(start, stop=stop, log=log, give_up_seconds=settings.start_seconds)
        if settings.embedded_stream:
            await stream.apply_topics(_topics(settings))
        if "dedup" in names:
            encoders.start()
        yield parts
    finally:
        for close in (indexes.close, encoders.close, examiner.close, stream.close, store.close):
            try:
                await asyncio.wait_for(close(), _STOP_SECONDS)
            except Exception as error:  # noqa: BLE001 - the others are to be closed all the same
                log.warning("not_closed", what=close.__qualname__, why=repr(error))


def _topics(settings: Settings) -> Sequence[TopicSettings]:
    return Topics(settings.topic_prefix).all(
        partitions=settings.topic_partitions,
        retention_ms=settings.retention_ms,
        max_trace_bytes=settings.max_trace_bytes,
    )


async def _run(
    parts: Parts, names: Sequence[ServiceName], stop: asyncio.Event, on_ready: Callable[[], None]
) -> int:
    serving = await _serving(parts, names, stop)
    loops = [loop for name in names for loop in loops_of(name, parts)]
    health = parts.metrics.health
    working = [asyncio.create_task(_watched(loop, health, stop), name=loop.stage) for loop in loops]
    chores = [asyncio.create_task(_expire(parts))] if "capture" in names else []
    judge = grey_judge_of(parts) if "dedup" in names else None
    if judge is not None:
        chores.append(asyncio.create_task(judge.run(), name="grey"))
    if "dedup" in names:
        chores.append(asyncio.create_task(representatives_of(parts).run(), name="representatives"))
    if "dedup" in names and parts.settings.modes_minutes:
        chores.append(asyncio.create_task(_refit_modes(parts), name="modes"))
    log.info("started", services=list(names), stream=mask_url(parts.settings.stream_url))
    on_ready()
    told = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(asyncio.wait(working, return_when=asyncio.FIRST_EXCEPTION))
    await asyncio.wait([told, ended, *serving], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    health.stop()
    stop.set()
    await asyncio.gather(*serving)  # what was accepted is answered before the stream closes
    for loop in loops:
        loop.stop()
    await asyncio.wait(working, timeout=_STOP_SECONDS)
    for task in (*working, *chores, told, ended):
        task.cancel()
    results = await asyncio.gather(*working, *chores, return_exceptions=True)
    gave_up = [str(result) for result in results if isinstance(result, (Exception, str))]
    log.info("stopped", gave_up=gave_up)
    return 1 if gave_up else 0


async def _watched(loop: Loop, health: Health, stop: asyncio.Event) -> str | None:
    """Run a loop. One that halts itself stays halted until a person stops the process.

    Ending the process instead would have a supervisor start it again, and again, and each start
    would let some more records through as dead letters.
    """
    try:
        await loop.run()
    except Halted as error:
        log.error("halted", stage=loop.stage, why=str(error))  # noqa: TRY400 - it says why itself
        health.halt(loop.stage, str(error))
        await stop.wait()
        return str(error)
    except Exception:
        log.exception("crashed", stage=loop.stage)
        raise
    return None


async def _serving(
    parts: Parts, names: Sequence[ServiceName], stop: asyncio.Event
) -> list[asyncio.Task[None]]:
    """The HTTP side, listening when this returns: capture's, or only the process's own state.

    Raises:
        Unavailable: the address is taken.
        services.settings.SettingsError: other machines reach it and there is no API key.
    """
    settings = parts.settings
    if "capture" in names:
        topics = Topics(settings.topic_prefix)
        redaction = redaction_of(parts.settings, parts.store, parts.metrics)
        redaction.start()
        collector = Collector(
            parts.stream,
            redaction,
            topic=topics.traces(),
            max_message_bytes=topics.max_message_bytes(settings.max_trace_bytes),
        )
        known = await patiently(
            lambda: remembering(settings, parts.store, parts.clock),
            stop=stop,
            log=log,
            give_up_seconds=settings.start_seconds,
        )
        chores = [asyncio.create_task(known.ring.keep_fresh(stop), name="keys")]
        app = create_capture_app(collector, settings, metrics=parts.metrics, remembering=known)
        listen, closing = settings.listen, redaction.close
    elif settings.metrics_listen is not None:
        app, listen, chores = create_state_app(parts.metrics), settings.metrics_listen, []
        closing = None
    else:
        return []
    listening = asyncio.Event()
    limits = connection_limits(settings)
    serving = asyncio.create_task(
        serve(app, listen, stop, on_started=lambda _: listening.set(), limits=limits), name="http"
    )
    started = asyncio.create_task(listening.wait())
    await asyncio.wait([serving, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if serving.done():
        stop.set()
        await asyncio.gather(serving, *chores)  # raises what kept it from listening
    if closing is not None:
        chores.append(asyncio.create_task(_after(serving, closing), name="redaction"))
    return [serving, *chores]


async def _after(serving: "asyncio.Task[None]", close: Callable[[], Awaitable[None]]) -> None:
    """Close what answers are made with, once the last is given."""
    await asyncio.wait([serving])
    await close()


async def _expire(parts: Parts) -> None:
    """Delete what is older than the retention, and put the archive in order, now and then."""
    archive, topics = parts.store.archive, Topics(parts.settings.topic_prefix)
    while True:
        try:
            # What still waits in the stream may be a thumb down on a trace whose grace ended while we
            # were away: here it is as late as it was when the oldest record that waits came.
            lag = await parts.stream.lag(topics.traces(), topics.group("scorer"))
            now = min(parts.clock_ms(), lag.oldest_ms or parts.clock_ms())
            before = now - parts.settings.retention_ms
            await archive.expire(now_ms=now, before_ms=before, limit=_EXPIRY_CHUNK)
            await archive.rejoin(now_ms=now, due_ms=now)
            parts.metrics.show_archive((await parts.store.traces.size()).bytes)
            while await parts.store.idempotency.expire(before_ms=before, limit=_EXPIRY_CHUNK):
                pass
            while await parts.store.judgements.expire(before_ms=before, limit=_EXPIRY_CHUNK):
                pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
            log.warning("expiry_put_off", why=repr(error))
        await asyncio.sleep(_EXPIRY_SECONDS)


async def _refit_modes(parts: Parts) -> None:
    """Look now and then whether a project has grown so much that its modes are to be found anew."""
    pause = timedelta(minutes=parts.settings.modes_minutes)
    async with modes_of(parts.settings, parts.store, parts.clock) as modes:
        while True:
            await asyncio.sleep(_MODES_SECONDS)
            try:
                await modes.refit_due(pause)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries again
                log.warning("modes_put_off", why=repr(error))
