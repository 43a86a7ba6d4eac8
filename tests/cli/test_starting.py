"""What `up` and `serve` do while something that they need is not there: wait for a while, and say so."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("evalratchet")


@pytest.fixture
def environment(tmp_path: Path, unused_tcp_port: int) -> dict[str, str]:
    """An installation of the test's own, at an address that is free."""
    kept = {name: value for name, value in os.environ.items() if "EVALRATCHET" not in name}
    return kept | {
        "EVALRATCHET_HOME": str(tmp_path / "home"),
        "EVALRATCHET_LISTEN": f"127.0.0.1:{unused_tcp_port}",
        "EVALRATCHET_EMBEDDING_MODEL": "hashing",
        "EVALRATCHET_LOG_FORMAT": "json",
        "EVALRATCHET_START_SECONDS": "0.3",
    }


@pytest.fixture
def started(environment: dict[str, str], tmp_path: Path) -> Any:
    """Run a command to its end: exit code and what it said on standard error."""

    def run(*arguments: str, **changes: str) -> tuple[int, str]:
        done = subprocess.run(
            [COMMAND, *arguments],
            env=environment | changes,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("command", [("up",), ("serve", "capture"), ("serve", "dedup")])
def test_a_store_that_does_not_come_in_time_ends_it_with_3(
    started: Callable[..., tuple[int, str]], command: tuple[str, ...]
) -> None:
    url = "postgresql+asyncpg://ann:secret@127.0.0.1:9/x"
    code, said = started(*command, EVALRATCHET_STORE=url)
    assert code == 3
    waiting = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert any(line["event"] == "waiting" and "127.0.0.1:9" in line["why"] for line in waiting)
    assert "The services could not start." in said
    assert "secret" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("EVALRATCHET_STORE", "postgresql+asyncpg://ann:secret@nobody.localhost.invalid/x"),
        ("EVALRATCHET_STREAM", "kafka://nobody.localhost.invalid:9092,no.invalid:9092"),
    ],
)
def test_a_host_that_nobody_knows_is_said_at_once(
    started: Callable[..., tuple[int, str]],
    setting: str,
    value: str,
    nobody_knows: None,
) -> None:
    code, said = started("up", EVALRATCHET_START_SECONDS="3600", **{setting: value})
    assert code == 2
    assert setting in said
    assert "nobody.localhost.invalid" in said
    assert "secret" not in said


@pytest.fixture
def nobody_knows() -> None:
    """Skips where the name servers do not even say that there is no such host."""
    import socket  # noqa: PLC0415 - of this fixture alone

    try:
        socket.getaddrinfo("nobody.localhost.invalid", None)
    except socket.gaierror as error:
        if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}:
            return
    pytest.skip("no name server says that this host is not there")


@pytest.mark.postgres
def test_a_store_that_comes_while_it_waits_is_used(
    environment: dict[str, str], own_postgres: Any, tmp_path: Path
) -> None:
    environment |= {
        "EVALRATCHET_STORE": own_postgres.create(),
        "EVALRATCHET_START_SECONDS": "60",
    }
    own_postgres.stop()
    process = subprocess.Popen(
        [COMMAND, "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        assert any('"waiting"' in line for line in process.stderr)
        own_postgres.start()
        assert "evalratchet is ready" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.postgres
def test_a_server_that_refuses_us_is_not_waited_for(
    started: Callable[..., tuple[int, str]], postgres_url: str
) -> None:
    url = postgres_url.rpartition("/")[0] + "/nobody_made_this"
    code, said = started("serve", "dedup", EVALRATCHET_STORE=url, EVALRATCHET_START_SECONDS="3600")
    assert code == 1
    assert "The store is not ready." in said
    assert "nobody_made_this" in said
