"""Fixtures that tests of several folders share. The servers in here are real."""

import importlib.util
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent

# --- Kafka ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def local_kafka() -> ModuleType:
    """deploy/kafka/local_kafka.py, the very script that users start their cluster with."""
    script = ROOT / "deploy" / "kafka" / "local_kafka.py"
    spec = importlib.util.spec_from_file_location("local_kafka", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["local_kafka"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    try:
        module.fetch_jars(ROOT / ".kafka" / "libs")
    except module.LocalKafkaError as error:
        pytest.skip(str(error))
    return module


@pytest.fixture(scope="session")
def kafka_url(local_kafka: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Kafka of one node, as kafka://127.0.0.1:PORT. Nobody stops or kills this one."""
    cluster = local_kafka.Cluster(tmp_path_factory.mktemp("kafka"), ROOT / ".kafka" / "libs")
    try:
        cluster.start(nodes=1, port=0)
        yield cluster.url
    finally:
        cluster.stop(wipe=True, gently=False)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has, so that all can share one cluster."""
    return f"t{uuid.uuid4().hex[:12]}."
