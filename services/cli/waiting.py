"""Waiting until everything sent has reached the store."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from services.cli.problem import note
from services.cli.typed import own_name
from services.errors import Unavailable
from services.store.open import Store
from services.stream.port import Stream
from services.stream.topics import Stage, Topics

_POLL_SECONDS = 0.1
_STALL_SECONDS = 15.0  # longer than a cold model takes to load: until then, patience is right

Remaining = Callable[[], Awaitable[int]]


async def wait_until_quiet(
    store: Store, stream: Stream, topics: Topics, *, timeout_seconds: float, embedded: bool
) -> list[str]:
    """Wait until nothing is on its way, stage by stage in the order of the flow.

    A stage publishes before it commits, so once one stage has nothing left, all that it made is
    in the next one's topic. Returns what is still waiting when `timeout_seconds` are over, one
    line each; nothing when all is done. A dependency that goes away meanwhile is waited for.
    `embedded` says whether one process runs all services, for the advice when nothing moves.
    """
    deadline = time.monotonic() + timeout_seconds
    steps = _steps(store, stream, topics)
    patience = _Patience(embedded=embedded)
    for _, remaining in steps:
        while (left := await _or_unknown(remaining)) != 0:
            if time.monotonic() >= deadline:
                return await _still(steps)
            patience.look(left)
            await asyncio.sleep(_POLL_SECONDS)
    return []


def what_to_look_at(*, embedded: bool) -> str:
    """What to do when nothing moves; `embedded` says whether one process runs all services."""
    command = f"{own_name()} up" if embedded else f"{own_name()} serve SERVICE"
    return (
        f"Are the services running? Start them with `{command}`. A stage may also have stopped "
        "itself: its log says why."
    )


def _steps(store: Store, stream: Stream, topics: Topics) -> list[tuple[str, Remaining]]:
    async def unsettled() -> int:
        return (await store.reader.totals()).traces_waiting

    def lag(stage: Stage) -> Remaining:
        async def waiting() -> int:
            return (await stream.lag(topics.input(stage), topics.group(stage))).waiting

        return waiting

    async def ungrouped() -> int:
        held = await store.held.projects(topics.group("deduper"))
        return await lag("deduper")() + sum(one.records for one in held.values())

    return [
        ("events to be archived (capture)", lag("scorer")),
        ("traces to be scored (capture)", unsettled),
        ("failures to be grouped (dedup)", ungrouped),
        ("failures to be graded (grade)", lag("grader")),
        ("failures to become cases (promote)", lag("promoter")),
    ]


async def _or_unknown(remaining: Remaining) -> int | None:
    try:
        return await remaining()
    except Unavailable:
        return None


async def _still(steps: list[tuple[str, Remaining]]) -> list[str]:
    lines = []
    for what, remaining in steps:
        left = await _or_unknown(remaining)
        if left != 0:
            lines.append(f"{'an unknown number of' if left is None else left} {what}")
    return lines


class _Patience:
    """Says once that nothing moves: the services may not be running."""

    def __init__(self, *, embedded: bool) -> None:
        self._advice = what_to_look_at(embedded=embedded)
        self._seen: int | None = -1
        self._since = time.monotonic()
        self._said = False

    def look(self, left: int | None) -> None:
        now = time.monotonic()
        if left != self._seen:
            self._seen, self._since = left, now
        elif not self._said and now - self._since > _STALL_SECONDS:
            self._said = True
            note(f"Nothing has moved for {_STALL_SECONDS:.0f} s. {self._advice}")
