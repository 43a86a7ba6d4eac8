"""The capture application, in the process or on a socket, with a stream that remembers."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.collector import Collector
from services.errors import Unavailable
from services.http.app import create_capture_app
from services.http.server import serve
from services.redaction import Unredacted
from services.settings import Settings
from services.stream import envelope
from services.stream.port import Message, Record
from services.telemetry import Metrics

sys.path.insert(0, str(Path(__file__).parent))  # for the corpus of malformed requests


@pytest.fixture
def otlp_requests(sample_data: Path) -> list[bytes]:
    """Real OTLP/JSON requests: traces, logs and metrics."""
    return [file.read_bytes() for file in sorted((sample_data / "otlp").glob("*.json"))]


class RememberingPublisher:
    """A stream that keeps every message, or takes none while `down` is set."""

    def __init__(self) -> None:
        """Start empty and well."""
        self.messages: list[Message] = []
        self.down: str | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Keep the messages. Raises `Unavailable` while down."""
        await asyncio.sleep(0)
        if self.down is not None:
            raise Unavailable(self.down)
        self.messages.extend(messages)

    @property
    def events(self) -> list[Any]:
        """What was published, decoded as the consumers decode it."""
        return [
            envelope.decode(Record(m.topic, 0, n, m.key, m.value, m.headers, 0))
            for n, m in enumerate(self.messages)
        ]


@pytest.fixture
def publisher() -> RememberingPublisher:
    return RememberingPublisher()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, max_trace_bytes=20_000, max_request_bytes=200_000)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def collector(publisher: RememberingPublisher, settings: Settings) -> Collector:
    return Collector(
        publisher, Unredacted(), topic="traces", max_message_bytes=2 * settings.max_trace_bytes
    )


@pytest.fixture
def app(collector: Collector, settings: Settings, metrics: Metrics) -> Any:
    return create_capture_app(collector, settings, metrics=metrics)


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The application without a socket; what it raises is answered, as a server would."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://capture") as client:
        yield client


Served = Callable[..., contextlib.AbstractAsyncContextManager[str]]


@pytest.fixture
def served(app: Any) -> Served:
    """Serve an application on a real socket; entering gives its address."""

    @contextlib.asynccontextmanager
    async def serving(listen: str = "127.0.0.1:0", what: Any = None) -> AsyncIterator[str]:
        stop = asyncio.Event()
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(what or app, listen, stop, on_started=started.set_result))
        await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        try:
            yield await started
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    return serving
