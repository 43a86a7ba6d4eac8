"""Waiting for a dependency: again and again, with growing pauses, until it is there or we stop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_exponential_jitter,
)

from services.errors import Unavailable

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0  # so that work goes on soon after a long outage


class Stopped(Exception):
    """Told to stop while waiting."""


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Sleep. Raises `Stopped` as soon as told to stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
    raise Stopped


async def patiently(
    work: Callable[[], Awaitable[T]],
    *,
    stop: asyncio.Event,
    log: Any,
    on_wait: Callable[[], None] = lambda: None,
    give_up_seconds: float | None = None,
) -> T:
    """Do the work, and again for as long as it raises `Unavailable`, or so many seconds at most.

    The wait is logged at attempts 1, 2, 4, 8 and so on; `on_wait` is called before every pause.
    Raises `Stopped` when told to stop meanwhile, the last `Unavailable` when given up, and whatever
    else the work raises.
    """

    async def sleep(seconds: float) -> None:
        on_wait()
        await pause(seconds, stop)

    def say(state: RetryCallState) -> None:
        if state.attempt_number & (state.attempt_number - 1) == 0:
            error = state.outcome.exception() if state.outcome else None
            log.warning("waiting", attempt=state.attempt_number, why=str(error))

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_exponential_jitter(
            multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS, jitter=_FIRST_PAUSE_SECONDS
        ),
        stop=stop_never if give_up_seconds is None else stop_after_delay(give_up_seconds),
        reraise=True,
        sleep=sleep,
        before_sleep=say,
    )

    async def attempt() -> T:  # tenacity awaits only what it can see to be a coroutine function
        return await work()

    return await retrying(attempt)
