"""The whole pipeline as processes: started, killed and asked what it remembers."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

COMMAND = Path(sys.executable).parent / "evalratchet"

_MECHANISMS = (
    "the tracking page of carrier {} says delivered but nothing came",
    "invoice {} charges shipping twice",
    "password reset mail for account {} never arrives",
    "voucher {} is refused at checkout although it is valid",
    "return label {} opens an empty page",
    "size table of article {} is in inches only",
)


def failing_trace(number: int, project: str = "faults") -> dict[str, Any]:
    """One of six mechanisms, or one of its own now and then, with numbers that differ."""
    rng = random.Random(number)
    text = _MECHANISMS[number % 6].format(number)
    if number % 10 == 0:
        text = " ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=40))
    return {
        "trace_id": f"t-{number:06d}",
        "project": project,
        "input": text,
        "output": "I am afraid I cannot help with that.",
        "signals": [{"name": "task_resolved", "value": 0, "source": "outcome"}],
    }


class Service:
    """One evalratchet process that can be killed and started again."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._arguments = arguments
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, *self._arguments], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> int:
        """Ask it to stop; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace")


class Sender(threading.Thread):
    """Posts failing traces one after another for as long as it is let, and knows what was acknowledged."""

    def __init__(self, url: str, *, make: Callable[[int], dict[str, Any]], batch: int = 5) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._make = make
        self._batch = batch
        self._stop_it = threading.Event()
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()
        self.refused: str | None = None

    def run(self) -> None:
        """Post until told to stop, or until an answer that no fault excuses."""
        number = 0
        with httpx.Client(timeout=10) as client:
            while not self._stop_it.is_set():
                traces = [self._make(number + n) for n in range(self._batch)]
                self.sent.update(trace["trace_id"] for trace in traces)
                try:
                    answer = client.post(f"{self._url}/v1/captures", json={"traces": traces})
                except httpx.TransportError:
                    time.sleep(0.05)  # unknown: it may have been taken
                    continue
                if answer.is_success and answer.json()["accepted"] == len(traces):
                    self.acknowledged.update(trace["trace_id"] for trace in traces)
                    number += self._batch
                elif answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    time.sleep(0.05)
                else:
                    self.refused = answer.text
                    return
                time.sleep(0.005)

    def wait_for(self, acknowledged: int, *, seconds: float = 300) -> None:
        """Until so many traces are acknowledged."""
        deadline = time.monotonic() + seconds
        while len(self.acknowledged) < acknowledged:
            assert self.refused is None, self.refused
            assert time.monotonic() < deadline, f"only {len(self.acknowledged)} were acknowledged"
            time.sleep(0.1)

    def finish(self) -> None:
        self._stop_it.set()
        self.join(30)


class Asked:
    """What the command line says about one installation."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def members(self, project: str) -> list[dict[str, str]]:
        done = self.run("patterns", "members", project, "--format", "csv")
        assert done.returncode == 0, done.stderr
        header, *rows = done.stdout.splitlines()
        names = header.split(",")
        return [dict(zip(names, row.split(","), strict=True)) for row in rows]

    def wait_until_all_is_in(self, seconds: float = 200) -> None:
        done = self.run("status", "--wait", "--timeout", str(seconds), timeout=seconds + 30)
        assert done.returncode == 0, done.stdout + done.stderr


def assert_every_failure_counted_once(asked: Asked, sender: Sender, project: str) -> None:
    """The promise: every acknowledged failing trace is there exactly once, and no case twice."""
    members = asked.members(project)
    traces = [row["trace_id"] for row in members]
    assert len(traces) == len(set(traces)), "a trace was counted twice"
    lost = sender.acknowledged - set(traces)
    assert not lost, f"{len(lost)} acknowledged traces are lost: {sorted(lost)[:5]}"
    assert set(traces) <= sender.sent, "something was counted that was never sent"
    cases = asked.json("cases", "list", "--project", project, "--limit", "100000")
    patterns = {row["pattern_id"] for row in members}
    of_cases = [case["case"]["pattern_id"] for case in cases]
    assert sorted(of_cases) == sorted(patterns), "not one case for every pattern"
    assert sum(case["occurrences"] for case in cases) == len(traces)
    assert asked.json("dlq", "list") == []


@pytest.fixture
def embedded(tmp_path: Path, unused_tcp_port: int) -> dict[str, str]:
    """Settings of an embedded installation in a folder of its own."""
    return {
        "EVALRATCHET_HOME": str(tmp_path / "home"),
        "EVALRATCHET_LISTEN": f"127.0.0.1:{unused_tcp_port}",
        "EVALRATCHET_SETTLE_SECONDS": "0",
        "EVALRATCHET_EMBEDDING_MODEL": "hashing",
        "EVALRATCHET_LOG_FORMAT": "json",
    }


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts evalratchet processes and leaves none behind."""
    started: list[Service] = []

    def start(*arguments: str, environment: Mapping[str, str]) -> Service:
        service = Service(list(arguments), environment, tmp_path / f"service-{len(started)}.log")
        service.start()
        started.append(service)
        return service

    yield start
    for service in started:
        service.kill()


@pytest.fixture
def start_sender() -> Iterator[Callable[..., Sender]]:
    """Starts senders and leaves none running."""
    started: list[Sender] = []

    def start(url: str, *, project: str = "faults", batch: int = 5) -> Sender:
        sender = Sender(url, make=lambda number: failing_trace(number, project), batch=batch)
        sender.start()
        started.append(sender)
        return sender

    yield start
    for sender in started:
        sender.finish()


@pytest.fixture
def asking() -> Callable[[Mapping[str, str]], Asked]:
    """Asks the command line about an installation."""
    return Asked


@pytest.fixture
def counted_once() -> Callable[[Asked, Sender, str], None]:
    """The check of the promise, as a fixture so that test modules need no imports of each other."""
    return assert_every_failure_counted_once


@pytest.fixture
def wait_until_listening() -> Callable[[str], None]:
    """Waits until a capture address answers."""

    def wait(url: str, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/healthz").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail(f"{url} did not answer within {seconds} s")

    return wait
