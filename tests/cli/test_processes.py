"""The command line against real services in another process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).parent / "evalratchet")

Done = subprocess.CompletedProcess[str]
Ask = Callable[..., Done]


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled modules, so that a command starts as fast as where it is installed."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def environment(home: Path, bytecode: Path, unused_tcp_port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(bytecode),
        "EVALRATCHET_HOME": str(home),
        "EVALRATCHET_LISTEN": f"127.0.0.1:{unused_tcp_port}",
        "EVALRATCHET_SETTLE_SECONDS": "0",
        "EVALRATCHET_EMBEDDING_MODEL": "hashing",
    }


@pytest.fixture
def ask(environment: dict[str, str]) -> Ask:
    """Runs a command in a process of its own."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        done = subprocess.run(
            [COMMAND, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=90,
            check=False,
        )
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def up(environment: dict[str, str]) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts `evalratchet up`, waits until it says that it is ready, and stops it in the end."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [COMMAND, "up"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert "is ready" in process.stdout.readline()
        return process

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def lines(tmp_path: Path, trace_line: Callable[..., bytes]) -> Path:
    """Three failing traces, and two lines that are none."""
    file = tmp_path / "traces.jsonl"
    file.write_bytes(
        trace_line("p1", "the parcel did not come")
        + b"this is no trace\n"
        + trace_line("p2", "the parcel did not come")
        + b'{"trace_id": "x", "project": "not a/project"}\n'
        + trace_line("p3", "an invoice with the wrong sum")
    )
    return file


def test_a_file_becomes_cases_and_what_is_wrong_in_it_is_named(
    up: Callable[[], object], ask: Ask, lines: Path
) -> None:
    up()
    sent = ask("send", str(lines), "--wait", "--timeout", "60")
    assert sent.returncode == 1
    assert f"{lines}:2: rejected: not a trace in JSON" in sent.stderr
    assert f"{lines}:4: rejected:" in sent.stderr
    assert "3 traces accepted, 2 rejected" in sent.stdout
    assert "harmless" in sent.stdout
    cases = json.loads(ask("cases", "list", "--json").stdout)
    assert sorted(one["occurrences"] for one in cases) == [1, 2]


def test_sending_again_changes_nothing(up: Callable[[], object], ask: Ask, lines: Path) -> None:
    up()
    documents = []
    for _ in range(2):
        sent = ask("send", str(lines), "--wait", "--json")
        assert json.loads(sent.stdout)["traces_accepted"] == 3
        documents.append(ask("patterns", "members", "--format", "csv").stdout)
    assert documents[0] == documents[1]


def test_standard_input_is_sent(
    up: Callable[[], object], ask: Ask, trace_line: Callable[..., bytes]
) -> None:
    up()
    sent = ask("send", "-", "--wait", stdin=trace_line("s1"))
    assert sent.returncode == 0, sent.stderr
    assert "standard input: 1 trace accepted" in sent.stderr


def test_up_says_where_to_post_where_to_look_and_how_to_stop(
    up: Callable[[], subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    process = up()
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    said = process.stdout.read()
    process.wait(30)
    assert f"http://{environment['EVALRATCHET_LISTEN']}/v1/captures" in said
    assert "evalratchet status" in said
    assert "Ctrl-C" in said
    assert process.returncode == 0


def test_a_second_up_on_the_same_folder_says_who_runs_there(
    up: Callable[[], subprocess.Popen[str]], ask: Ask
) -> None:
    process = up()
    second = ask("up")
    assert second.returncode == 1
    assert f"process {process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def test_status_works_beside_the_services_and_after_them(
    up: Callable[[], subprocess.Popen[str]], ask: Ask, lines: Path
) -> None:
    process = up()
    ask("send", str(lines), "--wait")
    beside = ask("status", "--json")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    after = ask("status", "--wait", "--json")
    assert beside.returncode == after.returncode == 0
    assert json.loads(beside.stdout) == json.loads(after.stdout)
    assert json.loads(after.stdout)["cases"] == 2


def test_a_stage_alone_leaves_the_others_their_work(
    environment: dict[str, str], ask: Ask, lines: Path
) -> None:
    """With capture alone, failures wait for dedup, and waiting says so."""
    assert ask("db", "upgrade").returncode == 0
    process = subprocess.Popen(
        [COMMAND, "serve", "capture"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "capture is running" in process.stdout.readline()
        assert f"{environment['EVALRATCHET_LISTEN']}/v1/captures" in process.stdout.readline()
        assert ask("send", str(lines)).returncode == 1
        _until(lambda: json.loads(ask("status", "--json").stdout)["failures"] == 3)
        waited = ask("status", "--wait", "--timeout", "0.1")
        assert waited.returncode == 1
        assert "3 failures to be grouped (dedup)" in waited.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EVALRATCHET_STREAM", "kafka://broker:notaport", "notaport"),
        ("EVALRATCHET_HOME", "/dev/null/home", "cannot be made"),
        ("EVALRATCHET_LISTEN", "nowhere", "HOST:PORT"),
    ],
)
def test_services_do_not_start_with_a_setting_that_cannot_be_used(
    environment: dict[str, str], ask: Ask, name: str, value: str, said: str
) -> None:
    environment[name] = value
    done = ask("up")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_send_says_what_to_start(ask: Ask, lines: Path) -> None:
    sent = ask("send", str(lines))
    assert sent.returncode == 3
    assert "evalratchet up" in sent.stderr
    assert "Traceback" not in sent.stderr


def test_a_server_that_comes_back_gets_the_rest(
    up: Callable[[], subprocess.Popen[str]],
    environment: dict[str, str],
    ask: Ask,
    trace_line: Callable[..., bytes],
) -> None:
    """An outage in the middle of a send is waited out."""
    process = up()
    sender = subprocess.Popen(
        [COMMAND, "send", "-", "--json"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert sender.stdin is not None
    sender.stdin.write(b"".join(trace_line(f"first-{n}") for n in range(200)))
    sender.stdin.flush()
    _until(lambda: json.loads(ask("status", "--json").stdout)["events_in"] >= 100)
    process.kill()
    process.wait()
    sender.stdin.write(b"".join(trace_line(f"second-{n}") for n in range(200)))
    sender.stdin.close()
    time.sleep(0.5)
    up()
    assert sender.stdout is not None
    assert sender.stderr is not None
    document = json.loads(sender.stdout.read())
    assert b"Waiting for capture" in sender.stderr.read()
    sender.stderr.close()
    sender.stdout.close()
    assert sender.wait(60) == 0
    assert document["traces_accepted"] == 400
    assert ask("status", "--wait", "--timeout", "60").returncode == 0
    assert json.loads(ask("status", "--json").stdout)["failures"] == 400


def test_real_sessions_and_real_telemetry_are_sent(
    up: Callable[[], object], ask: Ask, sample_data: Path
) -> None:
    up()
    ask("policy", "set", "rag", "--score", "faithfulness=3")
    native = ask(
        "send", *map(str, sorted((sample_data / "traces").glob("*.jsonl"))), "--wait", "--json"
    )
    assert native.returncode == 0, native.stderr
    assert json.loads(native.stdout)["traces_accepted"] == 260
    otlp = ask("send", *map(str, sorted((sample_data / "otlp").glob("*.json"))), "--json")
    document = json.loads(otlp.stdout)
    refused = {Path(one["file"]).stem for one in document["rejected"]}
    assert refused == {"otelproto_events", "otelproto_logs", "otelproto_metrics"}
    assert document["otlp_requests_accepted"] == 11


def _until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)
