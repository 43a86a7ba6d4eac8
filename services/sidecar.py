"""The sidecar: capture's HTTP side beside an app, which goes on while stream and store are away.

It takes what `serve capture` takes, redacts it, and publishes it to Kafka. It runs no loop: what
follows is the services' work. While Kafka is away, or slow, messages are kept on disk.
"""

import asyncio
import signal
from collections.abc import Callable

import structlog

from services.alone import locked
from services.collector import Collector
from services.guarding import connection_limits
from services.http.app import create_capture_app
from services.http.credentials import is_loopback
from services.http.server import serve
from services.names import WorkerNames
from services.patience import Stopped, patiently
from services.policy import Policies
from services.redaction import Redaction
from services.settings import Settings, SettingsError, mask_url
from services.sidecar_memory import RememberedPolicies, RememberedSecrets
from services.spool.metrics import watch
from services.spool.publisher import SpoolingPublisher
from services.spool.spool import Spool
from services.store.open import Store, open_store
from services.store.schema import StoreNotReady
from services.stream.open import open_stream
from services.stream.topics import Topics
from services.telemetry import Metrics

log = structlog.get_logger()

_STOP_SECONDS = 20.0


async def run_sidecar(settings: Settings, *, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGTERM or SIGINT; return the exit code. Waits for neither stream nor store.

    Raises:
        services.settings.SettingsError: the settings are not those of a sidecar.
        services.alone.AlreadyRunning: another sidecar has the spool.
        Unavailable: the address to listen on is taken.
        OSError: the spool's folder cannot be used.
    """
    check(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.home.mkdir(parents=True, exist_ok=True)
    with locked(settings.home / "sidecar.lock", "sidecar"):
        await _run(settings, stop, on_ready)
    return 0


def check(settings: Settings) -> None:
    """Raises `SettingsError` for settings that a sidecar cannot keep its promises with."""
    if settings.embedded_stream:
        message = (
            "EVALRATCHET_STREAM=sqlite: a sidecar publishes to the Kafka that the services read. "
            "Set it to kafka://HOST:PORT; on the embedded default the app posts to `evalratchet up`."
        )
        raise SettingsError(message)
    if settings.store.get_secret_value() == "sqlite":
        message = (
            "EVALRATCHET_STORE=sqlite: a sidecar reads the projects' redaction policies in the store "
            "that the services share. Set it to postgresql+asyncpg://USER:PASSWORD@HOST:PORT/DATABASE."
        )
        raise SettingsError(message)
    if settings.auth != "off" and (settings.auth == "required" or not is_loopback(settings.listen)):
        message = (
            f"EVALRATCHET_LISTEN={settings.listen}, EVALRATCHET_AUTH={settings.auth}: a sidecar checks "
            "no API keys and listens to its own machine alone. Set EVALRATCHET_LISTEN=127.0.0.1:8321; "
            "or, when something else guards the port, EVALRATCHET_AUTH=off."
        )
        raise SettingsError(message)


async def _run(settings: Settings, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    stream, store, metrics = open_stream(settings), open_store(settings), Metrics()
    folder = settings.home / "spool"
    spool = Spool(folder, max_bytes=settings.spool_bytes)
    publisher = SpoolingPublisher(stream, spool, on_change=lambda why: _tell(metrics, spool, why))
    watch(publisher, spool, metrics.registry)
    redaction = _redaction(settings, store, metrics)
    await publisher.start()
    looking = asyncio.create_task(_look_at_store(store, stop), name="store")
    try:
        redaction.start()
        await _serve(settings, publisher, redaction, metrics, stop, on_ready)
    finally:
        stop.set()
        looking.cancel()
        await asyncio.wait([looking])
        for close in (redaction.close, publisher.close, stream.close, store.close):
            try:
                await asyncio.wait_for(close(), _STOP_SECONDS)
            except Exception as error:  # noqa: BLE001 - the others are to be closed all the same
                log.warning("not_closed", what=close.__qualname__, why=repr(error))
        log.info("stopped", spooled=spool.waiting)


async def _serve(
    settings: Settings,
    publisher: SpoolingPublisher,
    redaction: Redaction,
    metrics: Metrics,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    topics = Topics(settings.topic_prefix)
    collector = Collector(
        publisher,
        redaction,
        topic=topics.traces(),
        max_message_bytes=topics.max_message_bytes(settings.max_trace_bytes),
    )
    app = create_capture_app(collector, settings, metrics=metrics)

    def started(_: str) -> None:
        stream = mask_url(settings.stream_url)
        log.info("started", services=["sidecar"], stream=stream, spool=str(settings.home / "spool"))
        on_ready()

    async def say_when_stopping() -> None:
        await stop.wait()
        log.info("stopping")
        metrics.health.stop()

    saying = asyncio.create_task(say_when_stopping())
    try:
        limits = connection_limits(settings)
        await serve(app, settings.listen, stop, on_started=started, limits=limits)
    finally:
        saying.cancel()


def _redaction(settings: Settings, store: Store, metrics: Metrics) -> Redaction:
    """As in capture, with policies and key remembered."""
    folder = settings.home / "remembered"
    key, model = settings.redaction_key, settings.redaction_ner
    return Redaction(
        RememberedPolicies(Policies(store.policies), folder),
        RememberedSecrets(store.secrets, folder),
        key=None if key is None else key.get_secret_value().encode(),
        names=None if model is None else WorkerNames(model),
        on_redacted=metrics.count_redactions,
    )


def _tell(metrics: Metrics, spool: Spool, why: str | None) -> None:
    """Say on `/readyz` whether the spool has taken over."""
    text = None if why is None else f"keeps what comes in {spool.folder}, and sends it later: {why}"
    metrics.health.note("spool", text)


async def _look_at_store(store: Store, stop: asyncio.Event) -> None:
    """Say once what is wrong with the store, if anything: the answers only say what they need."""
    try:
        await patiently(store.start, stop=stop, log=log)
    except StoreNotReady as error:
        log.error("store_not_ready", why=str(error))  # noqa: TRY400 - it says why itself
    except Stopped:
        return
