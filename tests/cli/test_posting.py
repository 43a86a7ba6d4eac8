"""What `send` does with every answer that capture, or whatever is before it, may give."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from services.cli.posting import Capture
from services.cli.problem import ExitCode, Problem

Answer = tuple[int, dict[str, str], bytes]
Decide = Callable[[str, bytes], Answer]

TAKEN: dict[str, str] = {"status": "accepted"}


class _Server:
    """A real HTTP server whose answers a test decides."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.decide: Decide = lambda _, body: _all_taken(body)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.path, body))
                status, headers, answer = outer.decide(self.path, body)
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


def _all_taken(body: bytes) -> Answer:
    count = len(json.loads(body)["traces"])
    return 200, {}, json.dumps({"results": [TAKEN] * count}).encode()


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def test_a_batch_is_one_request_with_the_traces_as_they_stood(server: _Server) -> None:
    with Capture(server.url + "/") as capture:
        assert capture.send_traces([b'{"a": 1}', b'{"b":2}']) == [None, None]
    assert server.requests == [("/v1/captures", b'{"traces":[{"a": 1},{"b":2}]}')]


@pytest.mark.parametrize("status", [429, 503])
def test_when_told_to_wait_it_waits_and_sends_again(
    server: _Server, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Iterator[Answer] = iter([(status, {"Retry-After": "0"}, b"{}")] * 2)
    server.decide = lambda _, body: next(answers, _all_taken(body))
    with Capture(server.url) as capture:
        assert capture.send_traces([b"{}"]) == [None]
    assert len(server.requests) == 3
    assert "Waiting for capture, attempt 1: HTTP" in capsys.readouterr().err


def test_the_server_says_how_long_to_wait(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    answers: Iterator[Answer] = iter(
        [
            (503, {"Retry-After": "7"}, b"{}"),
            (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"{}"),
            (503, {"Retry-After": "86400"}, b"{}"),
            (503, {"Retry-After": "soon"}, b"{}"),
        ]
    )
    server.decide = lambda _, body: next(answers, _all_taken(body))
    with Capture(server.url) as capture:
        capture.send_traces([b"{}"])
    assert slept == [7.0, 0.0, 30.0, 1.6]


def test_a_batch_that_is_too_large_is_halved(server: _Server) -> None:
    """The verdicts keep their order, and one trace alone that is too large is refused alone."""

    def decide(_: str, body: bytes) -> Answer:
        if len(json.loads(body)["traces"]) > 1 or b"huge" in body:
            return 413, {}, b'{"error": {"code": "too_large", "message": "too large"}}'
        return _all_taken(body)

    server.decide = decide
    with Capture(server.url) as capture:
        assert capture.send_traces([b"{}", b'{"huge":1}', b"{}"]) == [None, "too large", None]


def test_every_trace_of_a_batch_gets_its_own_verdict(server: _Server) -> None:
    refused = {"status": "rejected", "error": {"code": "invalid", "message": "too long"}}
    server.decide = lambda *_: (200, {}, json.dumps({"results": [TAKEN, refused]}).encode())
    with Capture(server.url) as capture:
        assert capture.send_traces([b"{}", b"{}"]) == [None, "too long"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": "nothing here"}', "nothing here"),
        (b'{"detail": "wrong path"}', "wrong path"),
        (b"<html>no</html>", "HTTP 404 <html>no</html>"),
        (b"", "HTTP 404"),
    ],
)
def test_a_refusal_of_the_whole_batch_is_every_traces_verdict(
    server: _Server, body: bytes, reason: str
) -> None:
    server.decide = lambda *_: (404, {}, body)
    with Capture(server.url) as capture:
        assert capture.send_traces([b"{}", b"{}"]) == [reason, reason]


def test_an_answer_without_verdicts_acknowledges_nothing(server: _Server) -> None:
    """A 200 from something that is no capture must not pass for an acknowledgement."""
    server.decide = lambda *_: (200, {}, b"<html>welcome</html>")
    with Capture(server.url) as capture:
        (verdict,) = capture.send_traces([b"{}"])
    assert verdict is not None
    assert "is it capture" in verdict


def test_spans_that_otlp_rejects_in_part_are_told(server: _Server) -> None:
    partial = {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "no trace id"}}
    server.decide = lambda *_: (200, {}, json.dumps(partial).encode())
    with Capture(server.url) as capture:
        assert capture.send_otlp(b"{}") == "2 spans rejected: no trace id"
        server.decide = lambda *_: (200, {}, b"{}")
        assert capture.send_otlp(b"{}") is None
        server.decide = lambda *_: (
            400,
            {},
            b'{"code": 3, "message": "these are logs", "error": {"message": "these are logs"}}',
        )
        assert capture.send_otlp(b"{}") == "these are logs"


def test_nobody_there_is_said_at_once() -> None:
    with Capture("http://127.0.0.1:9") as capture, pytest.raises(Problem) as told:
        capture.send_traces([b"{}"])
    assert told.value.code == ExitCode.UNREACHABLE
    assert "evalratchet up" in told.value.detail


@pytest.mark.parametrize("url", ["localhost:8321", "ftp://somewhere", "http://[::1"])
def test_an_address_that_is_none_is_wrong_use(url: str) -> None:
    with pytest.raises(Problem) as told:
        Capture(url)
    assert told.value.code == ExitCode.USAGE
