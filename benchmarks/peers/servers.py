"""The servers that are measured: how each is started, killed, and asked what it has kept."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from peers.agent_spans import MAIL, span_number, templates
from peers.client import Connection, Target

from capture.events import SpansReceived
from services.settings import Settings
from services.stream import envelope
from services.stream.open import open_stream
from services.stream.topics import Topics

_COMMAND = Path(sys.executable).parent / "evalratchet"
_START_SECONDS = 180.0  # MLflow migrates its database for half a minute
_STOP_SECONDS = 60.0


class Kind(NamedTuple):
    """A server that can be measured.

    `effort` divides how many spans its cost is measured with, for those that take minutes of them.
    `command` makes its arguments and `environment` its variables of port and folder; `prepare` does
    what comes once, before the first start; `kept` reads the numbers of the spans that are durable.
    """

    name: str
    command: Callable[[int, Path], Sequence[str]]
    environment: Callable[[int, Path], Mapping[str, str]]
    kept: Callable[[Path], set[int]]
    headers: Mapping[str, str] = {}
    prepare: Sequence[str] = ()
    effort: int = 1


class Server:
    """A server in a data folder of its own, which outlives its process."""

    def __init__(self, kind: Kind) -> None:
        """Start nothing yet."""
        self.kind = kind
        self.home = Path(tempfile.mkdtemp(prefix="evalratchet-spans-"))
        self._port = _free_port()
        self._process: psutil.Popen | None = None

    @property
    def target(self) -> Target:
        """Where it listens."""
        return Target("127.0.0.1", self._port, headers=self.kind.headers)

    def start(self) -> None:
        """Start it, and return once it takes a request without spans."""
        environment = os.environ | dict(self.kind.environment(self._port, self.home))
        with (self.home / "log").open("a") as log:
            if self.kind.prepare:
                prepare = list(self.kind.prepare)
                subprocess.run(prepare, env=environment, stdout=log, stderr=log, check=True)
            self._process = psutil.Popen(
                list(self.kind.command(self._port, self.home)),
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.home,
            )
        asyncio.run(self._until_it_answers())

    async def _until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        request = templates(1, pool=1)[0].body
        while time.monotonic() < deadline:
            connection = Connection(self.target)
            with contextlib.suppress(OSError):
                if 200 <= await connection.post(request) < 300:
                    return
            connection.close()
            if not self._running.is_running() or self._running.status() == psutil.STATUS_ZOMBIE:
                break
            await asyncio.sleep(0.05)
        log = (self.home / "log").read_text()
        message = f"{self.kind.name} took nothing within {_START_SECONDS:.0f} s:\n{log[-3000:]}"
        raise TimeoutError(message)

    def cpu_seconds(self) -> float:
        """User and system time of the process and everything below it."""
        total = 0.0
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def kept(self) -> set[int]:
        """The numbers of the spans that are durable."""
        return self.kind.kept(self.home)

    def kill(self) -> None:
        """SIGKILL, the whole family at once."""
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._running.wait(_STOP_SECONDS)
        psutil.wait_procs(family, _STOP_SECONDS)

    def terminate(self) -> None:
        """SIGTERM to the first process; kills what is left after a minute."""
        family = self._family()
        self._running.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(family, _STOP_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def remove(self) -> None:
        """Kill it if it runs, and delete its folder."""
        if self._process is not None and self._process.is_running():
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def _running(self) -> psutil.Popen:
        if self._process is None:
            message = f"{self.kind.name} was not started"
            raise RuntimeError(message)
        return self._process

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self._running, *self._running.children(recursive=True)]
        return []


def ours(name: str, *arguments: str, settle_seconds: str, **settings: str) -> Kind:
    """Evalratchet on its embedded default."""

    def environment(port: int, home: Path) -> dict[str, str]:
        return {
            "EVALRATCHET_HOME": str(home),
            "EVALRATCHET_LISTEN": f"127.0.0.1:{port}",
            "EVALRATCHET_SETTLE_SECONDS": settle_seconds,
            "EVALRATCHET_EMBEDDING_MODEL": "hashing",
            **{f"EVALRATCHET_{key.upper()}": value for key, value in settings.items()},
        }

    return Kind(
        name,
        lambda _port, _home: [str(_COMMAND), *arguments],
        environment,
        lambda home: asyncio.run(_in_our_stream(home)),
        prepare=(str(_COMMAND), "db", "upgrade"),
    )


async def _in_our_stream(home: Path) -> set[int]:
    settings = Settings(home=home)
    stream = open_stream(settings)
    await stream.start()
    try:
        source = stream.source(Topics().traces(), "benchmark")
        numbers: set[int] = set()
        while records := await source.fetch(limit=1000, wait_seconds=0):
            for record in records:
                if MAIL in record.value:
                    message = f"an e-mail address reached the stream: {record.value[:2000]!r}"
                    raise RuntimeError(message)
                event = envelope.decode(record)
                if isinstance(event, SpansReceived):
                    numbers.update(span_number(span.span_id) for span in event.spans)
        return numbers
    finally:
        await stream.close()


def bare() -> Kind:
    """The reference (`bare.py`)."""
    script = str(Path(__file__).parent / "bare.py")
    return Kind(
        "bare Starlette",
        lambda port, home: [sys.executable, script, str(port), str(home / "spans.db")],
        lambda _port, _home: {},
        lambda home: _in_table(home / "spans.db", "span"),
    )


def mlflow(binaries: Path, workers: int = 4) -> Kind:
    """MLflow's tracking server, on SQLite, with its default number of workers."""
    store = "mlflow.db"
    return Kind(
        "MLflow",
        lambda port, home: [
            *(str(binaries / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", str(workers), "--backend-store-uri", f"sqlite:///{home / store}"),
        ],
        lambda _port, _home: {"PATH": f"{binaries}:{os.environ['PATH']}", "DO_NOT_TRACK": "true"},
        lambda home: _in_table(home / store, "spans"),
        headers={"x-mlflow-experiment-id": "0"},
        effort=10,
    )


def phoenix(binaries: Path) -> Kind:
    """Arize Phoenix, on SQLite."""
    return Kind(
        "Phoenix",
        lambda _port, _home: [str(binaries / "phoenix"), "serve"],
        lambda port, home: {
            "PHOENIX_WORKING_DIR": str(home),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(_free_port()),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        },
        lambda home: _in_table(home / "phoenix.db", "spans"),
        effort=10,
    )


def _in_table(file: Path, table: str) -> set[int]:
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as db:
        rows = db.execute(f"SELECT span_id FROM {table}")  # noqa: S608 - a constant
        return {span_number(span_id) for (span_id,) in rows}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
