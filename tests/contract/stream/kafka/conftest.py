"""What the tests of the stream on Kafka share: a cluster, one topic, and members that take turns."""

import time
from collections.abc import Callable

import pytest

from services.stream.open import open_stream
from services.stream.port import Message, TopicSettings

PARTITIONS = 4


@pytest.fixture
async def open_kafka(kafka_url, settings_of):
    """Open streams on the session's Kafka, or on another one."""
    opened = []

    async def open_kafka(url=kafka_url, **changes):
        stream = open_stream(settings_of(stream=url, **changes))
        opened.append(stream)
        await stream.start()
        return stream

    yield open_kafka
    for stream in opened:
        await stream.close()


@pytest.fixture
def topic(topic_prefix):
    return topic_prefix + "work"


@pytest.fixture
def group(topic_prefix):
    return topic_prefix + "evalratchet.worker"


@pytest.fixture
def wanted(topic):
    return TopicSettings(topic, PARTITIONS, 3_600_000, 1 << 20)


@pytest.fixture
async def stream(open_kafka, wanted):
    stream = await open_kafka()
    await stream.apply_topics([wanted])
    return stream


@pytest.fixture(scope="module")
def own_cluster(local_kafka, tmp_path_factory, request):
    libs = request.config.rootpath / ".kafka" / "libs"
    cluster = local_kafka.Cluster(tmp_path_factory.mktemp("breakable"), libs)
    yield cluster
    cluster.stop(wipe=True, gently=False)


@pytest.fixture
def breakable(own_cluster):
    """A node of these tests' own, to be killed and paused. Its address does not change."""
    own_cluster.start(nodes=1, port=0)
    return own_cluster


@pytest.fixture
def spread(topic) -> Callable[..., list[Message]]:
    """Messages over all partitions."""
    return lambda *values: [Message(topic, b"key-%d" % n, value) for n, value in enumerate(values)]


@pytest.fixture
def take_turns():
    """Fetch and commit from every source until `enough` says so; what each of them got."""

    async def take_turns(sources, enough, *, seconds=20):
        got = [[] for _ in sources]
        deadline = time.monotonic() + seconds
        while not enough(got):
            assert time.monotonic() < deadline, [len(records) for records in got]
            for records, source in zip(got, sources, strict=True):
                fetched = await source.fetch(limit=50, wait_seconds=0.1)
                await source.commit(fetched)
                records.extend(fetched)
        return got

    return take_turns
