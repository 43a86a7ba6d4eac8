"""A store and a stream filled through the same handlers that the services run, and a command line."""

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from capture.events import TraceReceived
from capture.trace import Signal, Trace
from services.cli import output
from services.cli.app import app
from services.deduper import Deduper
from services.encoders import Encoders
from services.examiner import ScorerExaminer
from services.grader import Grader
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.intake import Intake, received
from services.policy import Policies
from services.promoter import Promoter
from services.scorer import Scoring
from services.settings import load_settings
from services.settling import Settling
from services.store.open import Store, open_store
from services.stream import envelope
from services.stream.open import open_stream
from services.stream.outcome import Emit
from services.stream.port import Message, Stream
from services.stream.topics import Topics

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Axes:
    """Embeds a text by its first word: texts that begin with the same word are the same."""

    encoder = "axes@1/axes-64"

    def __init__(self) -> None:
        self._words: list[str] = []

    def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> np.ndarray:
        known = [word for word in ("parcel", "invoice", "voucher") if word in text]
        word = known[0] if known else text
        if word not in self._words:
            self._words.append(word)
        vector = np.zeros(64, dtype=np.float32)
        vector[self._words.index(word)] = 1
        return vector


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder the commands use; empty, and no TOML file anywhere near."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALRATCHET_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EVALRATCHET_CONFIG", raising=False)
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path) -> Callable[..., Result]:
    """Runs the command line in this process; `input` is what it finds on standard input."""
    runner = CliRunner()

    def run(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002 - the runner's name
        return runner.invoke(app, list(arguments), input=input)

    return run


@pytest.fixture
def cli_json(cli: Callable[..., Result]) -> Callable[..., Any]:
    """Runs a command with --json and gives the one document it printed."""

    def run(*arguments: str) -> Any:
        result = cli(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def failing(trace_id: str, text: str, project: str = "shop", **more: Any) -> Trace:
    """A trace that its application says it did not solve."""
    return Trace(
        trace_id=trace_id,
        project=project,
        input=text,
        output="I cannot help with that.",
        signals=(Signal(name="task_resolved", value=0, source="outcome"),),
        **more,
    )


TRACES = (
    failing("t1", "parcel 17 did not come", model="gpt-4o", release="r7"),
    failing("t2", "parcel lost, says [bold]nothing[/bold] \x1b[31mred"),
    failing("t3", "invoice is wrong"),
    failing("t4", "voucher refused", project="other"),
    Trace(trace_id="t5", project="shop", input="hello", output="hi"),
)


async def _fill(traces: Sequence[Trace]) -> None:
    settings = load_settings()
    store, stream = open_store(settings), open_stream(settings)
    await store.upgrade()
    await store.start()
    await stream.start()
    try:
        await stream.apply_topics(
            Topics().all(partitions=1, retention_ms=86_400_000, max_trace_bytes=1 << 20)
        )
        await _through_the_stages(store, stream, traces)
    finally:
        await stream.close()
        await store.close()


async def _through_the_stages(store: Store, stream: Stream, traces: Sequence[Trace]) -> None:
    events = [TraceReceived(event_id="", trace=trace) for trace in traces]
    await stream.publish([envelope.seal(event, "traces")[1] for event in events])
    source = stream.source("traces", Topics().group("scorer"))
    records = await source.fetch(limit=100, wait_seconds=1)
    intake = Intake(store.archive, settle_seconds=0, clock_ms=lambda: 1000)
    await intake.handle([received(record) for record in records])
    await source.commit(records)
    policies = Policies(store.policies)
    settling = Settling(store.archive, "traces", clock_ms=lambda: 2000)
    due = await settling.fetch(limit=100, wait_seconds=1)
    scoring = Scoring(policies, ScorerExaminer(), clock=lambda: NOW, on_verdict=settling.found)
    flow: Sequence[Any] = [envelope.decode(record) for record in due]
    flow = _emitted(await scoring.handle(flow))
    await settling.commit(due)
    for handler in (
        Deduper(
            store.patterns,
            Encoders(Axes(), lambda _: Axes()),
            Indexes(IndexFiles(load_settings().home / "indexes")),
            policies,
            clock=lambda: NOW,
        ),
        Grader(store.grades),
        Promoter(store.cases, policies, clock=lambda: NOW),
    ):
        flow = _emitted(await handler.handle(flow))


def _emitted(outcomes: Sequence[Any]) -> list[Any]:
    return [outcome.event for outcome in outcomes if isinstance(outcome, Emit)]


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data folders that a test made and others need too, by what is in them."""
    return tmp_path_factory.mktemp("made-before")


@pytest.fixture
def made_once(home: Path, made_before: Path) -> Callable[[str, Callable[[], None]], Path]:
    """Makes the data folder by some work; what that leaves is copied when it is asked for again."""

    def make(what: str, work: Callable[[], None]) -> Path:
        if (made_before / what).exists():
            shutil.copytree(made_before / what, home)
        else:
            work()
            shutil.copytree(home, made_before / what)
        return home

    return make


@pytest.fixture
def filled(made_once: Callable[..., Path]) -> Path:
    """Five traces went through everything: four failures, three patterns, three cases."""
    return made_once("filled", lambda: asyncio.run(_fill(TRACES)))


@pytest.fixture
def crowded(made_once: Callable[..., Path]) -> Path:
    """Seventeen cases: more than there are hexadecimal digits, so two ids begin with the same."""
    traces = [failing(f"c{letter}", f"failure {letter}") for letter in "abcdefghijklmnopq"]
    return made_once("crowded", lambda: asyncio.run(_fill(traces)))


@pytest.fixture
def publish(home: Path) -> Callable[[Sequence[Message]], None]:
    """Appends messages to the stream, as a service would."""

    async def append(messages: Sequence[Message]) -> None:
        stream = open_stream(load_settings())
        await stream.start()
        try:
            await stream.publish(messages)
        finally:
            await stream.close()

    return lambda messages: asyncio.run(append(messages))


@pytest.fixture
def waiting_in(home: Path) -> Callable[[str, str], list[bytes]]:
    """The bodies that a group has not read in a topic."""

    async def read(topic: str, group: str) -> list[bytes]:
        stream = open_stream(load_settings())
        await stream.start()
        try:
            records = await stream.source(topic, group).fetch(limit=100, wait_seconds=0.1)
            return [record.value for record in records]
        finally:
            await stream.close()

    return lambda topic, group: asyncio.run(read(topic, group))


@pytest.fixture
def trace_line() -> Callable[..., bytes]:
    """A failing trace as a line of a native file."""
    return lambda trace_id, text="parcel", **more: (
        msgspec.json.encode(failing(trace_id, text, **more)) + b"\n"
    )


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has commands print for a terminal of so many columns."""

    def columns(count: int) -> None:
        monkeypatch.setattr(output, "console", lambda: Console(width=count, highlight=False))
        monkeypatch.setenv("COLUMNS", str(count))

    return columns
