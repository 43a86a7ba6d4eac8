import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.alone import AlreadyRunning, alone
from services.settings import Settings

HOLD = """
import sys, time
from services.alone import alone
from services.settings import Settings
with alone(Settings(home=sys.argv[1]), ["capture"]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(home=tmp_path / "data" / "folder")


def test_the_same_service_twice_on_one_data_folder_is_refused_in_words(embedded: Settings) -> None:
    with alone(embedded, ["capture", "dedup"]):
        with (
            pytest.raises(AlreadyRunning) as refused,
            alone(embedded, ["grade", "dedup"]),
        ):
            pass
        message = str(refused.value)
        assert f"dedup is running already on {embedded.home} (process {os.getpid()})" in message
        assert "EVALRATCHET_HOME" in message


def test_other_services_share_a_folder_and_a_service_may_come_back(embedded: Settings) -> None:
    with alone(embedded, ["capture"]), alone(embedded, ["dedup"]):
        pass
    with alone(embedded, ["capture", "dedup"]):
        pass


def test_a_refused_process_lets_go_of_what_it_had_got(embedded: Settings) -> None:
    with alone(embedded, ["dedup"]):
        with pytest.raises(AlreadyRunning), alone(embedded, ["grade", "dedup"]):
            pass
        with alone(embedded, ["grade"]):
            pass


def test_a_lock_dies_with_its_process(embedded: Settings) -> None:
    """SIGKILL leaves the file; nobody has to delete it."""
    command = [sys.executable, "-c", HOLD, str(embedded.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(AlreadyRunning, match=f"process {holder.pid}"),
            alone(embedded, ["capture"]),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
    with alone(embedded, ["capture"]):
        pass


KAFKA = SecretStr("kafka://localhost:9092")
POSTGRESQL = SecretStr("postgresql+asyncpg://er@localhost/er")


def test_on_kafka_and_postgresql_replicas_share_the_work_and_nothing_is_locked(
    embedded: Settings,
) -> None:
    shared = embedded.model_copy(update={"stream": KAFKA, "store": POSTGRESQL})
    with alone(shared, ["capture"]), alone(shared, ["capture"]):
        assert not shared.home.exists()


@pytest.mark.parametrize("half", [{"stream": KAFKA}, {"store": POSTGRESQL}])
def test_a_file_on_either_side_has_one_worker(
    embedded: Settings, half: dict[str, SecretStr]
) -> None:
    mixed = embedded.model_copy(update=half)
    with alone(mixed, ["capture"]), pytest.raises(AlreadyRunning), alone(mixed, ["capture"]):
        pass
