"""uvicorn inside a process that has other things to do: no signal handlers, no loop of its own."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable, Generator

import msgspec
import uvicorn
from starlette.types import ASGIApp

from services.errors import Unavailable
from services.http.connection import ConnectionLimits, limited

_KEEP_ALIVE_SECONDS = 75  # longer than a load balancer's 60, so that it never meets a closed one
_GRACEFUL_SECONDS = 10  # for requests in hand when told to stop
_BACKLOG = 2048
_OTHER_FILES = 200  # databases, the stream, brokers, and connections that are being refused


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the process's business."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when connections are accepted."""
        await super().startup(sockets)
        self._on_started()


async def serve(
    app: ASGIApp,
    listen: str,
    stop: asyncio.Event,
    *,
    on_started: Callable[[str], None] = lambda _: None,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - it is frozen
) -> None:
    """Serve until `stop` is set and what was accepted is answered.

    `listen` is HOST:PORT, an IPv6 host in brackets; port 0 takes any that is free. `on_started` is
    called with the root address once connections are accepted.

    Raises:
        Unavailable: the address cannot be listened on; the message says why.
    """
    limits = _within_open_files(limits)
    listening = _bound(listen)
    address = _url(listening)
    config = uvicorn.Config(
        app,
        http=limited(limits),
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )
    server = _Server(config, lambda: on_started(address))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopping.cancel()
        await serving
        listening.close()


def _within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """The limits with no more connections than the process may have open files, which is raised first.

    A server without a free one can neither accept nor refuse, and asyncio logs that once a second.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.max_connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return limits
    most = min(limits.max_connections, max(1, allowed - _OTHER_FILES))
    return msgspec.structs.replace(limits, max_connections=most)


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        message = (
            f"cannot listen on {listen}: {error.strerror or error}. Another process may have it; "
            "stop that one, or choose another address with EVALRATCHET_LISTEN"
        )
        raise Unavailable(message) from error
    listening.setblocking(False)  # noqa: FBT003 - the name is the standard library's
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
