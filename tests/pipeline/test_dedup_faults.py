# ruff: noqa: ASYNC110, ASYNC240 - what is waited for is another process; the disk is a test's
"""Dedupers are killed under load, with 20 projects, and their indexes deleted in between.

Failures are published straight to `failures`, so that nothing but dedup decides how fast it goes.
What must hold: every failure counted once, none lost, and the grouping exactly the one that a replay
of the store's own history gives: a worker that had overlooked a pattern would have made a twin of it.
"""

import asyncio
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from capture.events import FailingSignal, Failure
from capture.trace import Trace
from dedup.events import Assigned
from dedup.policy import DedupPolicy
from dedup.what_if import replay
from services.settings import Settings
from services.store.open import Store, open_store
from services.stream import envelope
from services.stream.open import open_stream
from services.stream.port import Stream
from services.stream.topics import Topics

PROJECTS = 20
FAILURES = 1200
FIRST = 200  # are there before any service is: each of its kills comes in the midst of work
KILLS_EACH = 4

_MECHANISMS = (
    "the tracking page of carrier {} says delivered but nothing came",
    "invoice {} charges the shipping twice",
    "password reset mail for account {} never arrives",
    "voucher {} is refused at checkout although it is valid",
    "return label {} opens an empty page",
    "size table of article {} is in inches only",
)
_SAID = ("", "please help", "again", "since yesterday", "what now", "this is the second time")
_SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "pra", "ste", "vi", "zo", "tru")


def _text(number: int) -> str:
    """A mechanism in one of several wordings, with a word or a number of its own now and then."""
    rng = random.Random(number)
    if number % 25 == 0:
        return " ".join("".join(rng.choices(_SYLLABLES, k=3)) for _ in range(7))
    said = rng.choice(_SAID)
    if number % 4 == 0:
        said += " " + "".join(rng.choices(_SYLLABLES, k=4))
    return f"{rng.choice(_MECHANISMS).format(number)} {said}"


def _failures() -> list[Failure]:
    signal = FailingSignal(name="solved", scorer="x/1", severity="high", reason="It was not.")
    return [
        Failure(
            event_id=f"event-{number:05d}",
            trace=Trace(
                trace_id=f"t-{number:05d}", project=f"p{number % PROJECTS:02d}", input=_text(number)
            ),
            signals=(signal,),
            severity="high",
            failed_at=datetime(2026, 1, 2, tzinfo=UTC),
            fault="model" if number % 3 else "infrastructure",
        )
        for number in range(FAILURES)
    ]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Store, Stream]]:
    store, stream = open_store(settings), open_stream(settings)
    await stream.start()
    try:
        yield store, stream
    finally:
        await stream.close()
        await store.close()


async def _publish(stream: Stream, failures: Sequence[Failure]) -> None:
    """Each twice, some time apart: a stream delivers at least once."""
    topic = Topics().output("scorer")
    late = failures[-100:] + failures[:-100]
    for start in range(0, len(failures), 100):
        batch = failures[start : start + 100] + late[start : start + 100]
        await stream.publish([envelope.encode(one, topic) for one in batch])


async def _killed_again_and_again(
    service: Any, metrics: str, stream: Stream, indexes: Path, rng: random.Random
) -> None:
    """Each kill comes while it works: after it has decided something, and with more to come."""
    for turn in range(KILLS_EACH):
        async with asyncio.timeout(120), httpx.AsyncClient() as client:
            while not await _decided_something(client, metrics) and await _waiting(stream):
                await asyncio.sleep(0.1)  # another process tells nobody when it gets on
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        await asyncio.to_thread(service.kill)
        if turn % 2:
            shutil.rmtree(indexes, ignore_errors=True)
        else:
            for file in indexes.rglob("index.bin"):
                file.write_bytes(b"no index " * 50)
        service.start()


async def _decided_something(client: httpx.AsyncClient, metrics: str) -> bool:
    """Whether this start of the service has."""
    try:
        answer = await client.get(f"http://{metrics}/metrics")
    except httpx.TransportError:
        return False
    return 'evalratchet_records_total{outcome="emit"' in answer.text


async def _waiting(stream: Stream) -> int:
    topics = Topics()
    return (await stream.lag(topics.input("deduper"), topics.group("deduper"))).waiting


async def _wait_until_read(stream: Stream, seconds: float = 400) -> None:
    async with asyncio.timeout(seconds):
        while await _waiting(stream):
            await asyncio.sleep(0.2)


async def _assert_every_failure_once(store: Store, failures: Sequence[Failure]) -> None:
    for number in range(PROJECTS):
        project = f"p{number:02d}"
        sent = {one.trace.trace_id for one in failures if one.project == project}
        members = await store.reader.members(project=project, pattern_id=None, limit=None)
        assert Counter(one.trace_id for one in members) == Counter(sent), project
        patterns = await store.reader.patterns(project=project, limit=100_000)
        counted = {one.pattern_id: one.occurrences for one in patterns}
        assert counted == Counter(one.pattern_id for one in members), project


async def _assert_no_twins(store: Store) -> int:
    """The history decided again gives the same patterns; how many there are."""
    total = 0
    for number in range(PROJECTS):
        recorded = await store.knob.history(f"p{number:02d}")
        assert recorded is not None
        history = recorded.history
        assert recorded.failures_without_vector == 0
        again = replay(history, DedupPolicy().distance).groups
        pairs = {*zip(history.decided.tolist(), again.tolist(), strict=True)}
        assert len(pairs) == len(set(again.tolist())) == len(np.unique(history.decided))
        total += len(pairs)
    return total


async def _assert_one_answer_each(stream: Stream, failures: Sequence[Failure]) -> None:
    """However often a failure was delivered, what was published of it names one pattern."""
    records = await stream.browse(Topics().output("deduper"), limit=1_000_000)
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        event = envelope.decode(record)
        assert isinstance(event, Assigned)
        answers[event.event_id].add(event.assignment.pattern_id)
    assert set(answers) == {one.event_id for one in failures}
    assert {len(patterns) for patterns in answers.values()} == {1}
    assert not await stream.browse(Topics().dead_letters("deduper"), limit=10)


async def _run_the_faults(environments: Sequence[dict[str, str]], start_service: Any) -> None:
    rng = random.Random()  # the moments are random on purpose; the promise holds at every one
    settings = Settings(
        home=Path(environments[0]["EVALRATCHET_HOME"]),
        stream=environments[0].get("EVALRATCHET_STREAM", "sqlite"),
        store=environments[0].get("EVALRATCHET_STORE", "sqlite"),
    )
    failures = _failures()
    async with _opened(settings) as (store, stream):
        await _publish(stream, failures[:FIRST])
        services = [start_service("serve", "dedup", environment=one) for one in environments]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish(stream, failures[FIRST:]))
            for service, one in zip(services, environments, strict=True):
                metrics, indexes = one["EVALRATCHET_METRICS_LISTEN"], settings.home / "indexes"
                tasks.create_task(_killed_again_and_again(service, metrics, stream, indexes, rng))
        await _wait_until_read(stream)
        for service in services:
            assert await asyncio.to_thread(service.terminate) == 0, service.log()
        await _assert_every_failure_once(store, failures)
        assert await _assert_no_twins(store) > PROJECTS
        await _assert_one_answer_each(stream, failures)


def _prepare(asked: Any, *commands: tuple[str, str]) -> None:
    for command in commands:
        done = asked.run(*command)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_on_the_embedded_default_kills_make_no_twins_and_lose_nothing(
    embedded, asking, start_service, unused_tcp_port_factory
):
    environment = {
        **embedded,
        "EVALRATCHET_METRICS_LISTEN": f"127.0.0.1:{unused_tcp_port_factory()}",
    }
    _prepare(asking(environment), ("db", "upgrade"))
    async with _opened(Settings(home=Path(embedded["EVALRATCHET_HOME"]))) as (_, stream):
        await stream.apply_topics(
            Topics().all(partitions=1, retention_ms=86_400_000, max_trace_bytes=1 << 20)
        )
    await _run_the_faults([environment], start_service)


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(900)
async def test_two_dedupers_on_kafka_make_no_twins_and_lose_nothing(
    local_kafka, own_postgres, tmp_path, asking, start_service, unused_tcp_port_factory
):
    """Both keep their names over their deaths, so that each comes back to work at once."""
    libs = Path(__file__).resolve().parents[2] / ".kafka" / "libs"
    cluster = local_kafka.Cluster(tmp_path / "kafka", libs)
    try:
        await asyncio.to_thread(cluster.start, nodes=1, port=0)
        environment = {
            "EVALRATCHET_HOME": str(tmp_path / "home"),
            "EVALRATCHET_STREAM": cluster.url,
            "EVALRATCHET_STORE": own_postgres.create(),
            "EVALRATCHET_TOPIC_PARTITIONS": "4",
            "EVALRATCHET_EMBEDDING_MODEL": "hashing",
            "EVALRATCHET_LOG_FORMAT": "json",
        }
        _prepare(asking(environment), ("db", "upgrade"), ("topics", "apply"))
        own = [
            {
                "EVALRATCHET_INSTANCE_ID": name,
                "EVALRATCHET_METRICS_LISTEN": f"127.0.0.1:{unused_tcp_port_factory()}",
            }
            for name in ("dedup-0", "dedup-1")
        ]
        await _run_the_faults([environment | one for one in own], start_service)
    finally:
        await asyncio.to_thread(cluster.stop, wipe=True, gently=False)
