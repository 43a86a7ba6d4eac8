"""What `send` says of files in which something, or everything, is not a trace."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from typer.testing import Result

Run = Callable[..., Result]


class _Takes(BaseHTTPRequestHandler):
    """Capture, as far as `send` can tell: takes what has a trace_id."""

    def do_POST(self) -> None:
        traces = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))["traces"]
        verdicts = [{"status": "accepted" if "trace_id" in one else "rejected"} for one in traces]
        answer = json.dumps({"results": verdicts}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing: standard error is what the tests look at."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Takes) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("line", ["no trace", '{"some": "thing"}'])
def test_a_wrong_file_is_given_up_after_twenty_lines(
    cli: Run, tmp_path: Path, url: str, line: str
) -> None:
    file = tmp_path / "wrong.log"
    file.write_text(f"{line}\n" * 6819)
    sent = cli("send", str(file), "--url", url)
    assert sent.exit_code == 1
    assert sent.stderr.count("rejected: ") == 20
    assert "the first 20 lines are not traces: is this the right file?" in sent.stderr
    assert "harmless" not in sent.stdout


def test_rejections_after_the_twentieth_are_counted(cli: Run, tmp_path: Path, url: str) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text('{"trace_id": "a"}\n' + "no trace\n" * 6819)
    sent = cli("send", str(file), "--url", url)
    assert sent.exit_code == 1
    assert sent.stderr.count("rejected: ") == 20
    assert "... and 6,799 more" in sent.stderr
    assert "1 trace accepted, 6819 rejected. Sending the same again is harmless" in sent.stdout


def test_an_empty_file_is_an_error_and_the_others_are_sent(
    cli: Run, tmp_path: Path, url: str
) -> None:
    empty, good = tmp_path / "empty.jsonl", tmp_path / "good.jsonl"
    empty.write_text("\n")
    good.write_text('{"trace_id": "a"}\n')
    sent = cli("send", str(empty), str(good), "--url", url)
    assert sent.exit_code == 1
    assert f"evalratchet: {empty}: there is nothing in it to send." in sent.stderr
    assert "1 trace accepted" in sent.stdout


def test_when_nothing_was_taken_nothing_is_said_to_have_arrived(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.log"
    file.write_text("no trace\n")
    sent = cli("send", str(file), "--wait")
    assert sent.exit_code == 1
    assert "nothing accepted, 1 rejected" in sent.stdout
    assert "reached the store" not in sent.output
    assert json.loads(cli("send", str(file), "--wait", "--json").stdout)["reached_store"] is False
