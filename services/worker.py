"""A process of its own for work that may hang, crash, or take the processor for long."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

T = TypeVar("T")

_TRACKER_FILTER = "ignore:resource_tracker"


class WorkerProcess:
    """One worker process: started when it is first asked, and again after it was killed.

    It dies with its parent, and leaves Ctrl-C to it.
    """

    def __init__(self, *, niceness: int) -> None:
        """Nothing is started before `start`. `niceness` as `nice` takes it."""
        self._niceness = niceness
        self._pool: ProcessPoolExecutor | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process, or one on its way."""
        return self._pool is not None

    def start(self) -> None:
        """Make ready to start the process, which the first piece of work does."""
        if self._pool is None:
            _hush_the_resource_tracker()
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                1, mp_context=context, initializer=_begin, initargs=(self._niceness,)
            )

    def submit(self, function: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Have the process call a function of a module. Work is done in order.

        Raises `BrokenProcessPool` where the process is gone: `kill`, and start again.
        """
        self.start()
        if self._pool is None:
            message = "the worker was killed as it was started"
            raise BrokenProcessPool(message)
        return self._pool.submit(function, *arguments)

    def kill(self) -> ProcessPoolExecutor | None:
        """Kill the process; its pool, which notices by itself and fails what was asked of it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):  # noqa: SLF001 - 3.14 has kill_workers
                process.kill()
        return pool

    async def close(self) -> None:
        """Stop the process at once."""
        pool = self.kill()
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


async def within(future: "Future[T]", seconds: float) -> T:
    """The future's result. Raises `TimeoutError`, and what the work raises; it is not cancelled."""
    wrapped = asyncio.wrap_future(future)
    # what comes of it after the time is over is nobody's business, and must not be logged as lost
    wrapped.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.wait_for(asyncio.shield(wrapped), seconds)


def _hush_the_resource_tracker() -> None:
    """Multiprocessing's tracker tidies up after a worker that was killed; it need not say so.

    It is a process of its own that reads warning filters from the environment alone.
    """
    filters = [one for one in os.environ.get("PYTHONWARNINGS", "").split(",") if one]
    if _TRACKER_FILTER not in filters:
        os.environ["PYTHONWARNINGS"] = ",".join([*filters, _TRACKER_FILTER])


def _begin(niceness: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.nice(niceness)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that is killed cannot stop its workers: they have to notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
