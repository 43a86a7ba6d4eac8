"""The script that starts a local cluster, as far as it needs no cluster."""

import uuid
from types import ModuleType

import pytest


def test_a_cluster_id_never_looks_like_an_option(
    local_kafka: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(bytes=bytes(16))])
    monkeypatch.setattr(local_kafka.uuid, "uuid4", lambda: next(drawn))
    assert local_kafka._cluster_id() == "A" * 22
