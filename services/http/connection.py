"""One connection of the server: what uvicorn's leaves to whoever stands in front of it.

uvicorn bounds neither the headers of a request nor the time they take, so that a client may keep a
connection for ever by sending a byte now and then. This one gives a request's headers a size and a
time, drops what is still sent after an answer only up to a limit, and closes on clients that do not
read. Trailers, which nobody here reads, are taken and dropped.
"""

import asyncio
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.http.problem import Problem, busy, error_body

_MOST_HEADERS = 200
_HEADER_OVERHEAD = 4  # bytes: colon, space, end of line
_UNREAD_SECONDS = 30.0  # for a client to read what it is sent, or to stop sending what is dropped


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is held to."""

    header_seconds: float = 10.0
    """For a connection's first request to begin, and for each request's headers to be complete."""
    header_bytes: int = 64 << 10
    """Of a request's line and headers; also of its trailers."""
    dropped_bytes: int = 64 << 20
    """Of a body that is still sent after it was answered: a client that is cut off while it sends
    never sees the answer."""
    max_connections: int = 4096


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits, which `limited` sets."""

    limits = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **named)
        self._in_head = False
        self._head_bytes = 0
        self._dropped_bytes = 0
        self._closing: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._refusal: Problem | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the first request is expected soon."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            why = (
                f"there are {self.limits.max_connections} connections (EVALRATCHET_MAX_CONNECTIONS)"
            )
            self._refuse(busy(why))
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        for timer in (self._closing, self._unread):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._ended or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self.parser is not None:
                self._refuse(self._refusal or _malformed(error))
            return
        except httptools.HttpParserUpgrade:
            return  # no other protocol is spoken here; the request itself is answered
        if self._in_head:
            if self._head_bytes > self.limits.header_bytes:
                self._refuse(self._headers_too_large())
            elif self._closing is None:
                self._expect_head()
        elif self._trailers_too_large():
            self._refuse(self._headers_too_large())
        elif self._closing is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()

    def on_message_begin(self) -> None:
        """A request's first byte is there."""
        super().on_message_begin()
        self._in_head = True
        self._dropped_bytes = 0

    def on_headers_complete(self) -> None:
        """The headers are there: begin to answer. Raises what ends the connection, to the parser."""
        self._in_head = False
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        # the bytes of several requests, or of a body, may have come with them: only then count
        if (
            self._head_bytes > self.limits.header_bytes and self._size() > self.limits.header_bytes
        ) or len(self.headers) > _MOST_HEADERS:
            self._refusal = self._headers_too_large()
        self._head_bytes = 0
        if self._refusal is not None:
            raise self._refusal
        super().on_headers_complete()
        self.headers = []  # what follows are trailers, and no part of what was authorised

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, or drop it when the request was answered already."""
        self._head_bytes = 0
        if self.cycle.response_complete:
            self._dropped_bytes += len(body)
            if self._dropped_bytes > self.limits.dropped_bytes:
                self.transport.close()
            elif self._closing is None:
                self._closing = self.loop.call_later(_UNREAD_SECONDS, self._close)
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there as a whole."""
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the shape of all errors."""
        self._refuse(Problem(400, "malformed", msg))

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(_UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _expect_head(self) -> None:
        self._closing = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _too_slow(self) -> None:
        """The headers did not come in time; a connection that sent nothing is only closed."""
        self._closing = None
        if self.cycle is not None and not self.cycle.response_complete and not self._in_head:
            return  # a request is being answered: its body has limits of its own
        if not self._in_head:
            self._close()
            return
        seconds = self.limits.header_seconds
        message = f"The headers did not arrive within {seconds:g} s (EVALRATCHET_HEADER_SECONDS)"
        self._refuse(Problem(408, "timeout", message))

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer what is not worth a request of its own, and end the connection.

        A request that is whole and being answered gets its answer first: what it says may be stored.
        """
        if self.transport.is_closing():
            return
        self._ended = True
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        if not answered and not cycle.more_body:
            cycle.keep_alive = False
            return
        if answered or not cycle.response_started:
            self.transport.write(_outside_of_any_request(problem))
        if not answered:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _size(self) -> int:
        """Bytes of the request's line and headers, or of the trailers."""
        pairs = sum(len(name) + len(value) + _HEADER_OVERHEAD for name, value in self.headers)
        return len(self.url) + pairs

    def _trailers_too_large(self) -> bool:
        return bool(self.headers) and (
            len(self.headers) > _MOST_HEADERS or self._size() > self.limits.header_bytes
        )

    def _headers_too_large(self) -> Problem:
        message = (
            f"The request's line and headers have more than {self.limits.header_bytes} bytes or "
            f"{_MOST_HEADERS} headers"
        )
        return Problem(431, "headers_too_large", message)


def limited(limits: ConnectionLimits) -> type[Connection]:
    """The protocol with these limits."""
    return type("LimitedConnection", (Connection,), {"limits": limits})


def _outside_of_any_request(problem: Problem) -> bytes:
    content = msgspec.json.encode(error_body(problem))
    headers = {
        **(problem.headers or {}),
        "content-type": "application/json",
        "content-length": str(len(content)),
        "connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[problem.status] + lines.encode("latin-1") + b"\r\n" + content


def _malformed(error: Exception) -> Problem:
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    return Problem(400, "malformed", f"This is no HTTP request that is read here: {cause or error}")
