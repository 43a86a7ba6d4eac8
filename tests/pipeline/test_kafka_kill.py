"""Services, broker and database are killed under load on Kafka and PostgreSQL; nothing may be lost."""

import random
import threading
import time
from pathlib import Path

import pytest

ACKNOWLEDGED = 2000
KILLS_EACH = 4


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
def scaled_out(own_kafka, own_postgres, unused_tcp_port, tmp_path):
    """Settings of an installation on Kafka and PostgreSQL, nothing in it yet."""
    return {
        "EVALRATCHET_HOME": str(tmp_path / "home"),
        "EVALRATCHET_LISTEN": f"127.0.0.1:{unused_tcp_port}",
        "EVALRATCHET_STREAM": own_kafka.url,
        "EVALRATCHET_STORE": own_postgres.create(),
        "EVALRATCHET_TOPIC_PARTITIONS": "4",
        "EVALRATCHET_SETTLE_SECONDS": "0",
        "EVALRATCHET_EMBEDDING_MODEL": "hashing",
        "EVALRATCHET_LOG_FORMAT": "json",
    }


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(420)
def test_killing_services_broker_and_database_loses_nothing_and_counts_nothing_twice(
    scaled_out,
    own_kafka,
    own_postgres,
    start_service,
    start_sender,
    asking,
    counted_once,
    wait_until_listening,
):
    """Every acknowledged failing trace is in the store exactly once, whatever was killed when."""
    asked = asking(scaled_out)
    for command in (("db", "upgrade"), ("topics", "apply")):
        done = asked.run(*command)
        assert done.returncode == 0, done.stderr
    # two dedupers share the work, and may both believe that a partition is theirs
    names = ("capture", "dedup", "dedup", "grade", "promote")
    services = [start_service("serve", name, environment=scaled_out) for name in names]
    url = f"http://{scaled_out['EVALRATCHET_LISTEN']}"
    wait_until_listening(url)
    sender = start_sender(url)
    rng = random.Random()  # the moments are random on purpose; the promise holds at every one

    def kill_again_and_again(service):
        for _ in range(KILLS_EACH):
            time.sleep(rng.uniform(2.0, 7.0))
            service.kill()
            service.start()

    killers = [threading.Thread(target=kill_again_and_again, args=(one,)) for one in services]
    for killer in killers:
        killer.start()
    time.sleep(6)
    own_kafka.kill(1)
    time.sleep(2)
    own_kafka.start(nodes=1)
    time.sleep(5)
    own_postgres.stop()
    time.sleep(2)
    own_postgres.start()
    for killer in killers:
        killer.join()
    sender.wait_for(ACKNOWLEDGED)
    sender.finish()
    asked.wait_until_all_is_in(120)
    counted_once(asked, sender, "faults")
