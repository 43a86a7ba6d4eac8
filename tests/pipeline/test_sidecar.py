"""The sidecar as a process, on a real Kafka and PostgreSQL that are killed under it."""

import asyncio
import json
import threading
import time
from collections import defaultdict
from pathlib import Path

import httpx
import pytest

from services.settings import Settings
from services.stream.open import open_stream

SENDERS = 4
ADDRESS_PART = b"@mail.example.org"


@pytest.fixture
def own_kafka(local_kafka, tmp_path):
    """A real Kafka of one node that the test may kill."""
    libs = Path(__file__).resolve().parents[2] / ".kafka" / "libs"
    cluster = local_kafka.Cluster(tmp_path / "kafka", libs)
    try:
        cluster.start(nodes=1, port=0)
        yield cluster
    finally:
        cluster.stop(wipe=True, gently=False)


@pytest.fixture
def beside(own_kafka, own_postgres, unused_tcp_port, tmp_path, asking):
    """Settings of a sidecar of an installation that is set up; broker and database are running."""
    environment = {
        "EVALRATCHET_HOME": str(tmp_path / "home"),
        "EVALRATCHET_LISTEN": f"127.0.0.1:{unused_tcp_port}",
        "EVALRATCHET_STREAM": own_kafka.url,
        "EVALRATCHET_STORE": own_postgres.create(),
        "EVALRATCHET_TOPIC_PARTITIONS": "4",
        "EVALRATCHET_LOG_FORMAT": "json",
    }
    for command in (("db", "upgrade"), ("topics", "apply")):
        done = asking(environment).run(*command)
        assert done.returncode == 0, done.stderr
    return environment


class Posting(threading.Thread):
    """Posts versions of one trace one after another; each again until it is acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._name = name
        self._stop_it = threading.Event()
        self.acknowledged: list[str] = []
        self.slowest = 0.0
        self.refused: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            number = 0
            while not self._stop_it.is_set():
                body = {
                    "project": "beside",
                    "trace_id": self._name,
                    "input": f"number {number:06d}, write to somebody.{number}@mail.example.org",
                }
                began = time.monotonic()
                try:
                    answer = client.post(f"{self._url}/v1/captures", json=body)
                except httpx.TransportError:
                    time.sleep(0.02)  # unknown: the same again
                    continue
                if answer.is_success:
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.acknowledged.append(answer.json()["results"][0]["event_id"])
                    number += 1
                else:
                    self.refused.append(answer.text)
                time.sleep(0.002)

    def finish(self) -> None:
        self._stop_it.set()
        self.join(60)


@pytest.fixture
def posting():
    """Starts posting, and ends it with the test."""
    started = []

    def start(url):
        threads = [Posting(url, f"trace-{n}") for n in range(SENDERS)]
        for thread in threads:
            thread.start()
        started.extend(threads)
        return threads

    yield start
    for thread in started:
        thread.finish()


def post(url, project="beside", text="hello"):
    body = {"project": project, "trace_id": "one", "input": text}
    return httpx.post(f"{url}/v1/captures", json=body, timeout=60)


def metric(url, name):
    for line in httpx.get(f"{url}/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    pytest.fail(f"there is no {name}")


def wait_until(condition, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def records_of(environment):
    """Everything in the topic of traces, oldest first in each partition."""

    async def browse():
        stream = open_stream(Settings(stream=environment["EVALRATCHET_STREAM"]))
        await stream.start()
        try:
            return await stream.browse("traces", limit=1_000_000)
        finally:
            await stream.close()

    return asyncio.run(browse())


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_broker_and_sidecar_are_killed_and_everything_acknowledged_arrives_in_order(
    beside, own_kafka, start_service, wait_until_listening, posting, tmp_path
):
    url = f"http://{beside['EVALRATCHET_LISTEN']}"
    sidecar = start_service("serve", "sidecar", environment=beside)
    wait_until_listening(url)
    wait_until(lambda: metric(url, "evalratchet_spool_active") == 0)
    assert post(url).is_success  # and what recognises personal data is loaded
    senders = posting(url)
    wait_until(lambda: all(len(one.acknowledged) > 20 for one in senders))
    own_kafka.kill(1)
    wait_until(lambda: metric(url, "evalratchet_spool_messages") > 100)
    assert metric(url, "evalratchet_spool_active") == 1
    assert metric(url, "evalratchet_spool_bytes") > 0
    answer = httpx.get(f"{url}/readyz")
    assert answer.is_success
    assert "sends it later" in answer.json()["spool"]
    sidecar.kill()
    spooled = b"".join(file.read_bytes() for file in (tmp_path / "home" / "spool").iterdir())
    assert b"number 0000" in spooled
    assert ADDRESS_PART not in spooled, "it is redacted before it is written, here too"
    before = [len(one.acknowledged) for one in senders]
    sidecar.start()
    wait_until(
        lambda: all(len(s.acknowledged) > n + 50 for s, n in zip(senders, before, strict=True))
    )
    own_kafka.start(nodes=1)
    wait_until(lambda: metric(url, "evalratchet_spool_active") == 0)
    assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}
    before = [len(one.acknowledged) for one in senders]
    wait_until(
        lambda: all(len(s.acknowledged) > n + 20 for s, n in zip(senders, before, strict=True))
    )
    for sender in senders:
        sender.finish()
    assert [one.refused for one in senders] == [[]] * SENDERS, "none was refused at any time"
    wait_until(lambda: metric(url, "evalratchet_spool_messages") == 0)
    assert sidecar.terminate() == 0, sidecar.log()
    assert "spool_takes_over" in sidecar.log()
    assert "spool_drained" in sidecar.log()

    records = records_of(beside)
    arrived = defaultdict(list)
    for record in records:
        assert ADDRESS_PART not in record.value
        event = json.loads(record.value)
        trace = event["trace"]
        if trace["trace_id"].startswith("trace-"):
            arrived[trace["trace_id"]].append((trace["input"], record.header("event_id")))
    for number, sender in enumerate(senders):
        once = list(dict.fromkeys(arrived[f"trace-{number}"]))  # readers absorb what came again
        assert [event_id for _, event_id in once] == sender.acknowledged
        assert [text for text, _ in once] == sorted(text for text, _ in once)


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_without_broker_and_store_it_takes_what_it_has_a_policy_for_and_nothing_else(
    beside, own_kafka, own_postgres, start_service, wait_until_listening, asking, tmp_path
):
    done = asking(beside).run(
        *("policy", "set", "beside", "--latency-ms", "9000", "--reason", "so that there is one")
    )
    assert done.returncode == 0, done.stderr
    own_kafka.kill(1)
    url = f"http://{beside['EVALRATCHET_LISTEN']}"
    sidecar = start_service("serve", "sidecar", environment=beside)
    wait_until_listening(url)
    assert post(url, text="first, from a@mail.example.org").is_success, "the broker was never there"
    own_postgres.stop()
    sidecar.kill()
    sidecar.start()
    wait_until_listening(url)
    taken = post(url, text="second, from b@mail.example.org")
    assert taken.is_success, taken.text
    refused = post(url, project="unheard-of", text="c@mail.example.org")
    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert int(refused.headers["retry-after"]) >= 1
    assert "the policy of unheard-of is not known here" in refused.text
    own_postgres.start()
    own_kafka.start(nodes=1)
    wait_until(lambda: metric(url, "evalratchet_spool_active") == 0)
    assert sidecar.terminate() == 0, sidecar.log()
    values = [record.value for record in records_of(beside)]
    assert len(values) == 2
    assert not [value for value in values if ADDRESS_PART in value]
    kept = tmp_path / "home" / "remembered" / "secrets.json"
    assert kept.stat().st_mode & 0o077 == 0, "the key of the hashes is its owner's alone"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"EVALRATCHET_STREAM": "sqlite"}, "publishes to the Kafka that the services read"),
        ({"EVALRATCHET_STORE": "sqlite"}, "reads the projects' redaction policies"),
        ({"EVALRATCHET_LISTEN": "0.0.0.0:8321"}, "listens to its own machine alone"),
        ({"EVALRATCHET_AUTH": "required"}, "checks no API keys"),
    ],
)
def test_settings_that_it_cannot_keep_its_promises_with_are_refused(
    asking, tmp_path, setting, said
):
    environment = {
        "EVALRATCHET_HOME": str(tmp_path),
        "EVALRATCHET_STREAM": "kafka://127.0.0.1:9",
        "EVALRATCHET_STORE": "postgresql+asyncpg://u:p@127.0.0.1:9/d",
        **setting,
    }
    done = asking(environment).run("serve", "sidecar")
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


@pytest.mark.slow
def test_a_second_sidecar_on_the_same_spool_is_refused(
    asking, start_service, wait_until_listening, tmp_path, unused_tcp_port
):
    """Two of them would send each other's messages out of order."""
    environment = {
        "EVALRATCHET_HOME": str(tmp_path),
        "EVALRATCHET_LISTEN": f"127.0.0.1:{unused_tcp_port}",
        "EVALRATCHET_STREAM": "kafka://127.0.0.1:9",
        "EVALRATCHET_STORE": "postgresql+asyncpg://u:p@127.0.0.1:9/d",
    }
    first = start_service("serve", "sidecar", environment=environment)
    wait_until_listening(f"http://127.0.0.1:{unused_tcp_port}")
    done = asking(environment).run("serve", "sidecar")
    assert done.returncode != 0
    assert "running already" in done.stderr
    assert first.terminate() == 0
