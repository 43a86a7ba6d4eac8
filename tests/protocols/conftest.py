"""Other people's clients, each in a process of its own, against the real server on a real socket."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from capture.assemble import assemble
from capture.events import FeedbackReceived, SpansReceived
from capture.trace import Trace
from services.collector import Collector
from services.http.app import create_capture_app
from services.http.server import serve
from services.redaction import Unredacted
from services.settings import Settings
from services.stream import envelope
from services.stream.port import Message, Record
from services.telemetry import Metrics

HERE = Path(__file__).resolve().parent
_PATIENCE_SECONDS = 120  # for a client to import, send and end, on a machine with much else to do


class Received:
    """What clients sent to the server at `url`, as the pipeline reads it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.url = ""
        self.messages: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        """Keep the messages: the stream that the server publishes to."""
        self.messages.extend(messages)

    @property
    def events(self) -> list[Any]:
        """What was published, decoded as the consumers decode it."""
        return [
            envelope.decode(Record(m.topic, 0, n, m.key, m.value, m.headers, 0))
            for n, m in enumerate(self.messages)
        ]

    @property
    def feedback(self) -> list[FeedbackReceived]:
        """The feedback among it."""
        return [event for event in self.events if isinstance(event, FeedbackReceived)]

    @property
    def traces(self) -> list[Trace]:
        """The traces among it, put together, in the order in which they began to come."""
        events = self.events
        ids = {e.trace_id: None for e in events if isinstance(e, SpansReceived)}
        told = [assemble([e for e in events if e.trace_id == trace_id]) for trace_id in ids]
        return [trace for trace in told if trace is not None]

    @property
    def trace(self) -> Trace:
        """The only trace."""
        (trace,) = self.traces
        return trace


@pytest.fixture
async def received(tmp_path: Path) -> AsyncIterator[Received]:
    """A server that is running, and what it received."""
    remembered = Received()
    settings = Settings(home=tmp_path)
    collector = Collector(
        remembered, Unredacted(), topic="traces", max_message_bytes=2 * settings.max_trace_bytes
    )
    app = create_capture_app(collector, settings, metrics=Metrics())
    stop = asyncio.Event()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, "127.0.0.1:0", stop, on_started=started.set_result))
    remembered.url = await started
    yield remembered
    stop.set()
    await asyncio.wait_for(task, 20)


Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a client with nothing but these environment variables, and return what it printed.

    `run("otel_sdk.py", OTEL_EXPORTER_OTLP_ENDPOINT=url)`. The client fails the test by failing.
    """

    async def running(client: str, **environment: str) -> str:
        script = HERE / "clients" / client
        return await _ended([sys.executable, str(script)], tmp_path, environment)

    return running


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts of `node/` and the packages of its lock file, as `npm ci` makes it."""
    if shutil.which("node") is None or (npm := shutil.which("npm")) is None:
        _missing("node and npm are not installed: the clients in JavaScript cannot run")
    folder = tmp_path_factory.mktemp("node")
    for file in (HERE / "node").iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    installed = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    if installed.returncode:
        _missing(f"npm ci failed: {installed.stderr[-1000:]}")
    return folder


@pytest.fixture
def run_node(node_modules: Path) -> Run:
    """As `run`, for a script of `node/`."""

    async def running(script: str, **environment: str) -> str:
        command = [str(shutil.which("node")), str(node_modules / script)]
        return await _ended(command, node_modules, environment)

    return running


@pytest.fixture
def missing() -> Callable[[str], None]:
    """Say that what a test needs is not on this machine."""
    return _missing


async def _ended(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**kept, "HOME": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, errors.decode()[-4000:]
    return out.decode() + errors.decode()


def _missing(reason: str) -> NoReturn:
    """What a test needs is not on this machine: in CI that is a failure, elsewhere a skip."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
