"""What is measured of one server, and how."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from peers.agent_spans import SPANS_A_TRACE, Template, templates
from peers.client import Sent, saturate, steady
from peers.servers import Kind, Server

SIZES = (1, 10, 100)
_COST_CONNECTIONS = {1: 16, 10: 8, 100: 4}  # enough that the server never waits for the client
_POLL_SECONDS = 1.0
_REST_SECONDS = 3.0  # what a server does after its answers belongs to their cost
_STEADY_CONNECTIONS = 16
_APART = 10_000_000  # span numbers of different loads on one server never meet
_SETTLED_SECONDS = 10.0  # a server that acknowledges from memory has written all it ever will
_LONGEST_SETTLING_SECONDS = 180.0


class Options(NamedTuple):
    """How long and how much."""

    spans: int  # for the cost, at each size
    seconds: float  # of saturation
    rate: int
    posts: int
    rounds: int


class Figures(NamedTuple):
    """One server's column of the table. Losses are (acknowledged, lost) spans."""

    cost_ms: dict[int, float]
    durable_a_second: float
    p50_ms: float
    p99_ms: float
    killed: tuple[int, int]
    terminated: tuple[int, int]


class Pools:
    """Requests of each size, made when they are first asked for."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._made: dict[int, Sequence[Template]] = {}

    def of(self, size: int) -> Sequence[Template]:
        """Requests of so many spans."""
        if size not in self._made:
            self._made[size] = templates(size)
        return self._made[size]

    def span_bytes(self) -> float:
        """Mean size of a span on the wire."""
        return sum(len(one.body) for one in self.of(100)) / sum(one.spans for one in self.of(100))


def measure(kind: Kind, pools: Pools, options: Options) -> Figures:
    """All figures of one server, each load on a folder that the ones before have filled."""
    cost, rate, p50, p99 = _costs_and_rate(kind, pools, options)
    return Figures(
        cost, rate, p50, p99, _killed(kind, pools, options), _terminated(kind, pools, options)
    )


def _costs_and_rate(
    kind: Kind, pools: Pools, options: Options
) -> tuple[dict[int, float], float, float, float]:
    server = Server(kind)
    try:
        server.start()
        cost = {}
        for turn, size in enumerate(SIZES):
            share = options.spans // kind.effort // {100: 1, 10: 2, 1: 10}[size]
            cost[size] = _cost(server, pools.of(size), first=(turn + 1) * _APART, spans=share)
        waited = asyncio.run(
            steady(
                server.target,
                pools.of(1),
                first=8 * _APART,
                rate=options.rate,
                count=options.posts,
                connections=_STEADY_CONNECTIONS,
            )
        )
        rate = _durable_rate(server, pools.of(100), options.seconds)
    finally:
        server.remove()
    return cost, rate, _percentile(waited, 0.5), _percentile(waited, 0.99)


def _cost(server: Server, pool: Sequence[Template], *, first: int, spans: int) -> float:
    """CPU milliseconds a span of the whole process tree, what follows the answers included."""
    size = pool[0].spans
    connections = _COST_CONNECTIONS[size]
    warm = max(connections, spans // 10 // size) // SPANS_A_TRACE * SPANS_A_TRACE + SPANS_A_TRACE
    _checked(_load(server, pool, first=first, connections=connections, requests=warm))
    time.sleep(_REST_SECONDS)
    before = server.cpu_seconds()
    start, requests = first + warm * size, spans // size
    sent = _load(server, pool, first=start, connections=connections, requests=requests)
    _checked(sent)
    expected = _spans_of(sent.acknowledged, pool)
    _wait_until_kept(server, expected)
    return (server.cpu_seconds() - before) * 1000 / len(expected)


def _load(
    server: Server, pool: Sequence[Template], *, first: int, connections: int, requests: int
) -> Sent:
    return asyncio.run(
        saturate(server.target, pool, first=first, connections=connections, requests=requests)
    )


def _checked(sent: Sent) -> None:
    if sent.refused or not sent.acknowledged:
        message = f"{sent.refused} requests were refused, {len(sent.acknowledged)} acknowledged"
        raise RuntimeError(message)


def _wait_until_kept(server: Server, expected: set[int]) -> float:
    """Wait until all is durable or nothing is added any more; when the last of it was seen."""
    missing, last, began = len(expected), time.perf_counter(), time.perf_counter()
    time.sleep(_REST_SECONDS)
    while time.perf_counter() - began < _LONGEST_SETTLING_SECONDS:
        left = len(expected - server.kept())
        now = time.perf_counter()
        if left < missing:
            missing, last = left, now
        if not left or now - last > _SETTLED_SECONDS:
            break
        time.sleep(_POLL_SECONDS)
    return last


def _durable_rate(server: Server, pool: Sequence[Template], seconds: float) -> float:
    """Durable spans a second at saturation, until the last of them was durable."""
    first = 9 * _APART
    began = time.perf_counter()
    sent = asyncio.run(saturate(server.target, pool, first=first, connections=8, seconds=seconds))
    expected = _spans_of(sent.acknowledged, pool)
    at_the_answers = len(expected & server.kept())
    if at_the_answers == len(expected):
        return at_the_answers / sent.seconds
    last = _wait_until_kept(server, expected)
    return len(expected & server.kept()) / (last - began)


def _killed(kind: Kind, pools: Pools, options: Options) -> tuple[int, int]:
    """Spans acknowledged, and those of them that are gone, after SIGKILLs under saturation."""
    server, rng = Server(kind), random.Random(4)
    acknowledged: set[int] = set()
    try:
        for round_ in range(options.rounds):
            server.start()
            pause = rng.uniform(2, 5)
            acknowledged |= _ended_under_load(server, pools, round_, pause, server.kill)
        return len(acknowledged), len(acknowledged - server.kept())
    finally:
        server.remove()


def _terminated(kind: Kind, pools: Pools, options: Options) -> tuple[int, int]:
    """The same after one SIGTERM."""
    server = Server(kind)
    try:
        server.start()
        acknowledged = _ended_under_load(server, pools, options.rounds, 4.0, server.terminate)
        return len(acknowledged), len(acknowledged - server.kept())
    finally:
        server.remove()


def _ended_under_load(
    server: Server, pools: Pools, round_: int, seconds: float, end: Callable[[], None]
) -> set[int]:
    pool, first = pools.of(100), (round_ + 1) * _APART
    warm = _load(server, pool, first=first, connections=8, requests=16)
    ending = threading.Timer(seconds, end)
    ending.start()
    sent = asyncio.run(saturate(server.target, pool, first=first + _APART // 2, connections=8))
    ending.join()
    if sent.seconds < seconds:
        message = f"{server.kind.name} broke the connections after {sent.seconds:.1f} s by itself"
        raise RuntimeError(message)
    return _spans_of([*warm.acknowledged, *sent.acknowledged], pool)


def _spans_of(acknowledged: list[int], pool: Sequence[Template]) -> set[int]:
    return {number for first in acknowledged for number in range(first, first + pool[0].spans)}


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
