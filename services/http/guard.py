"""What every request passes before anything else: who it is from, how often, and what it may hold."""

import math
from collections.abc import Mapping, MutableMapping
from ipaddress import IPv6Address
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from services.errors import Unavailable
from services.http.counting import put_metrics
from services.http.credentials import from_this_machine, presented
from services.http.inflight import Budget, Hold, put_hold
from services.http.media import PROTOBUF
from services.http.problem import Problem, answer, unavailable
from services.http.rate import Allowance, Buckets
from services.http.rpc_status import rpc_status
from services.http.sender import ANYBODY, Sender, put_sender
from services.key_ring import KeyRing
from services.keys import Scope, id_in
from services.telemetry import Metrics

_OPEN = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})
_READ = (b"authorization", b"x-api-key", b"api_key", b"api-key", b"origin", b"expect")
_WANTED = frozenset(_READ)
_HOW = (
    "Send it as `Authorization: Bearer KEY` or `x-api-key: KEY`; "
    "`evalratchet keys create PROJECT --scope ingest` makes one"
)
_INTERFACE_BITS = 64  # of an IPv6 address: which of its network's
_CHALLENGE = 'Bearer realm="evalratchet"'


class Guarding(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard holds requests to."""

    ring: KeyRing | None = None
    """The keys; None where there is no store, and then no key opens anything."""
    required: bool = False
    trusting: bool = False
    """EVALRATCHET_AUTH=off: keys are not looked at, but by what manages keys."""
    buckets: Buckets | None = None
    budget: Budget
    grace_seconds: float
    min_bytes_per_second: int


class Guard:
    """An ASGI application around another. Adds about 10 µs to a request, 15 µs with a key."""

    def __init__(
        self, app: ASGIApp, guarding: Guarding, metrics: Metrics, routes: frozenset[str]
    ) -> None:
        """Guard `app`; requests are counted by route when it is one of `routes`."""
        self._app = app
        self._guarding = guarding
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # what is there to get can be asked about; the server leaves the body out
            scope = {**scope, "method": "GET"}
        guarding = self._guarding
        headers = {name: value for name, value in scope["headers"] if name in _WANTED}
        answering = _Answering(send)
        if b"expect" in headers:
            receive = answering.watched(receive)
        hold = Hold(
            guarding.budget,
            grace_seconds=guarding.grace_seconds,
            min_bytes_per_second=guarding.min_bytes_per_second,
        )
        put_hold(scope, hold)
        put_metrics(scope, self._metrics)
        try:
            refusal = self._refusal(scope, headers, answering)
            if refusal is None:
                await self._app(scope, receive, answering)
            else:
                await _told(refusal, scope)(scope, receive, answering)
        finally:
            hold.release()
            path = scope["path"]
            self._metrics.count_request(path if path in self._routes else "other", answering.status)

    def _refusal(
        self, scope: AsgiScope, headers: Mapping[bytes, bytes], answering: "_Answering"
    ) -> Problem | None:
        """Why the request goes no further; None when it may, and then its sender is known."""
        path: str = scope["path"]
        if path in _OPEN or path.startswith("/static/"):
            return None
        wanted: Scope = "ingest"
        if path == "/metrics" or path.startswith(("/v1/dedup/", "/v1/modes")):
            wanted = "read"
        elif path.startswith("/v1/patterns/"):
            wanted = "read" if scope["method"] == "GET" else "review"
        elif path.startswith("/v1/keys"):
            wanted = "admin"
        try:
            sender = self._sender(headers, wanted)
        except Unavailable as error:
            return unavailable(error)
        if isinstance(sender, Problem):
            return sender
        if wanted not in sender.scopes:
            return _out_of_scope(sender, wanted)
        put_sender(scope, sender)
        return self._too_often(sender, scope, answering)

    def _sender(self, headers: Mapping[bytes, bytes], wanted: Scope) -> Sender | Problem:
        """Who sends. Raises `Unavailable` when keys cannot be checked."""
        guarding = self._guarding
        key_needed = guarding.required or wanted == "admin"
        if not key_needed:
            if guarding.trusting:
                return ANYBODY
            origin = headers.get(b"origin")
            if origin is not None and not from_this_machine(origin):
                said = "Web pages of other sites may not send here without an API key"
                return Problem(403, "forbidden", said)
        key = presented(headers)
        if not key:
            return _unauthorized("no API key came with the request") if key_needed else ANYBODY
        if not key_needed and not id_in(key):
            return ANYBODY  # clients of other servers always send something: it need not be ours
        found = "unknown" if guarding.ring is None else guarding.ring.find(key)
        if isinstance(found, str):
            said = "is not known here" if found == "unknown" else f"is {found}"
            return _unauthorized(f"the API key {said}")
        return Sender(found.project, frozenset(found.scopes), found.key_id)

    def _too_often(
        self, sender: Sender, scope: AsgiScope, answering: "_Answering"
    ) -> Problem | None:
        buckets = self._guarding.buckets
        if buckets is None:
            return None
        allowance = buckets.take(sender.key_id or _address(scope))
        answering.added = _rate_headers(buckets, allowance)
        if allowance.taken:
            return None
        seconds = max(1, math.ceil(allowance.wait_seconds))
        whose = "this API key" if sender.key_id else "this address"
        message = (
            f"More than {buckets.per_second:g} requests a second from {whose}: send again after "
            f"{seconds} s, or more in one request (EVALRATCHET_RATE_PER_SECOND)"
        )
        return Problem(429, "rate_limited", message, headers={"retry-after": str(seconds)})


class _Answering:
    """The way back: notes the status, adds headers."""

    __slots__ = ("_expects", "_send", "added", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._expects = False
        self.added: list[tuple[bytes, bytes]] = []
        self.status = 499  # nobody was answered: the client went away

    async def __call__(self, message: Message) -> None:
        """Send on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            added = self.added
            if self._expects:
                # the client was never told to go on, so what comes next on this connection could
                # be the body or another request: there must be nothing next
                added = [*added, (b"connection", b"close")]
            if added:
                message["headers"] = [*message.get("headers", []), *added]
        await self._send(message)

    def watched(self, receive: Receive) -> Receive:
        """`receive` of a client that waits to be told to go on, which the first call does."""
        self._expects = True

        async def told() -> MutableMapping[str, Any]:
            self._expects = False
            return await receive()

        return told


def _address(scope: AsgiScope) -> str:
    """The client's address; of IPv6 the network, of which one client has all addresses."""
    client = scope.get("client")
    host: str = client[0] if client else ""
    if ":" not in host:
        return host
    try:
        return hex(int(IPv6Address(host.partition("%")[0])) >> _INTERFACE_BITS)
    except ValueError:
        return host


def _rate_headers(buckets: Buckets, allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (version 10)."""
    window = max(1, math.ceil(buckets.burst / buckets.per_second))
    wait = math.ceil(allowance.wait_seconds)
    return [
        (b"ratelimit-policy", b'"requests";q=%d;w=%d' % (buckets.burst, window)),
        (b"ratelimit", b'"requests";r=%d;t=%d' % (allowance.remaining, wait)),
    ]


def _unauthorized(why: str) -> Problem:
    message = f"An API key is needed, and {why}. {_HOW}"
    return Problem(401, "unauthorized", message, headers={"www-authenticate": _CHALLENGE})


def _out_of_scope(sender: Sender, wanted: Scope) -> Problem:
    has = ", ".join(sorted(sender.scopes)) or "none"
    message = f"The API key may not do this: it needs the scope {wanted!r} and has {has}"
    challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{wanted}"'
    return Problem(403, "forbidden", message, headers={"www-authenticate": challenge})


def _told(problem: Problem, scope: AsgiScope) -> Response:
    """The refusal in the shape of the route: OTLP's clients get a google.rpc.Status."""
    for name, value in scope["headers"]:
        if name == b"content-type" and b"protobuf" in value.lower():
            return rpc_status(problem, PROTOBUF)
    return answer(problem)
