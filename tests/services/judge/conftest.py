"""A server that speaks chat completions over real HTTP, and misbehaves when it is told to."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.judge.client import ModelClient

Reply = Callable[["ModelServer", BaseHTTPRequestHandler], None]


def completion(content: str | None, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, **more}
    return json.dumps(
        {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    ).encode()


class ModelServer:
    """Answers with `replies` in turn, the last one for ever; remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.hold = threading.Event()
        self.hold.set()
        self.drop = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def says(self, *contents: str) -> None:
        self.replies = [(200, {}, completion(one)) for one in contents]

    def answers(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append((status, named, body))

    def close(self) -> None:
        self.hold.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with server._lock:
                    server.asked.append(json.loads(body) | {"path": self.path})
                    server.headers.append(dict(self.headers))
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                    reply = server.replies[0] if server.replies else (200, {}, completion("{}"))
                    if len(server.replies) > 1:
                        server.replies.pop(0)
                    dropped, server.drop = server.drop > 0, max(0, server.drop - 1)
                server.hold.wait(10)
                with server._lock:
                    server.at_once -= 1
                if dropped:
                    self.connection.close()
                    self.close_connection = True
                    return
                status, headers, content = reply
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model that passes everything, until it is told otherwise."""
    one = ModelServer()
    one.says('{"pass": true, "reason": "fine", "score": 1}')
    yield one
    one.close()


@pytest.fixture
async def client(server: ModelServer) -> Any:
    """A client of that server."""
    one = ModelClient(
        server.url, model="small", api_key="sk-secret", timeout_seconds=5, concurrency=4
    )
    yield one
    await one.close()
