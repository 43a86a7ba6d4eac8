"""Publishes to the stream while it is well, and to the spool while it is not."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol, TypeVar

import structlog

from services.errors import Unavailable
from services.patience import Stopped, patiently, pause
from services.spool.spool import Spool, SpoolFull
from services.stream.port import Message, Publisher
from services.stream.size import TooLarge

T = TypeVar("T")

_PATIENCE_SECONDS = (
    1.0  # a healthy cluster answers in 10 ms; whoever posts must not wait for a sick one
)
_LAST_MESSAGES = 100  # sent within milliseconds: those who wait for it hardly notice
_CLOSE_SECONDS = 15.0
_AFTER_A_SURPRISE_SECONDS = 1.0
_COMMIT_SECONDS = 0.005  # a commit of the spool takes about this long


class Upstream(Publisher, Protocol):
    """The stream, which need not be there yet."""

    async def start(self) -> None:
        """Connect. Raises `Unavailable`; may be called again then."""


class SpoolingPublisher:
    """`services.stream.port.Publisher`: durable means that the stream has it, or the disk here.

    Two states. *Direct*: the spool is empty and messages go to the stream. The first one that the
    stream does not take within a second changes it to *spooling*: every message goes to the spool,
    and one task sends what is there, in order, again and again until it is taken. Once nothing is left
    it is direct again. So equal keys stay in order, and only the requests that found out wait.

    Under steady traffic there would always be one more message in the spool. So the last part is sent
    with the door closed: what comes meanwhile waits for it, milliseconds if the stream is well, and
    goes to the spool as before if it is not.
    """

    def __init__(
        self,
        upstream: Upstream,
        spool: Spool,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
        on_change: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        """`on_change` is told why the spool has taken over, and None once it is empty again."""
        self._upstream = upstream
        self._spool = spool
        self._patience_seconds = patience_seconds
        self._on_change = on_change
        self._direct = False
        self._spooling = asyncio.Event()
        self._door = asyncio.Event()
        self._door.set()
        self._stop = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()
        self.refused = 0

    @property
    def active(self) -> bool:
        """Whether the spool takes what comes."""
        return not self._direct

    async def start(self) -> None:
        """Take up what was left in the spool. Does not wait for the stream. Raises OSError."""
        await self._spool.start()
        self._spooling.set()  # until it is connected
        self._on_change("the stream is not connected yet")
        self._sending = asyncio.create_task(self._send_for_ever(), name="spool")

    async def close(self) -> None:
        """Finish what is being sent, within seconds; the rest stays in the spool."""
        self._stop.set()
        self._door.set()
        self._spooling.set()
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_CLOSE_SECONDS)
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if self._late:
            await asyncio.wait(self._late, timeout=_CLOSE_SECONDS)
        await self._spool.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return once they are in the stream, or on the disk. Raises `Unavailable`, `TooLarge`."""
        if not messages:
            return
        if not self._door.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._door.wait(), self._patience_seconds)
        if self._direct and await self._published(messages):
            return
        try:
            await self._spool.append(messages)
        except SpoolFull:
            self.refused += len(messages)
            raise

    async def _published(self, messages: Sequence[Message]) -> bool:
        """Whether the stream has taken them in time. Raises `TooLarge`."""
        publishing = asyncio.ensure_future(self._upstream.publish(messages))
        # what is late is let run to its end: given up in the middle it might arrive after its successors
        self._late.add(publishing)
        publishing.add_done_callback(self._ended)
        done, _ = await asyncio.wait([publishing], timeout=self._patience_seconds)
        if not done:
            self._take_over(f"the stream did not answer within {self._patience_seconds:g} s")
            return False
        try:
            publishing.result()
        except Unavailable as error:
            self._take_over(str(error))
            return False
        return True

    def _ended(self, publishing: "asyncio.Task[None]") -> None:
        self._late.discard(publishing)
        if not publishing.cancelled():
            publishing.exception()  # looked at: whoever waited has gone on with the spool

    def _take_over(self, why: str) -> None:
        if self._direct:
            self._direct = False
            self._spooling.set()
            self._log.warning("spool_takes_over", why=why)
            self._on_change(why)

    async def _send_for_ever(self) -> None:
        connected = False
        with contextlib.suppress(Stopped):
            while True:
                try:
                    if not connected:
                        await self._patiently(self._upstream.start)
                        connected = True
                    await self._keep_sending()
                except Exception as error:
                    if isinstance(error, Stopped):
                        raise
                    # whatever it is: without this task nothing that was acknowledged is ever sent
                    self._log.exception("spool_not_sent")
                    self._door.set()
                    await pause(_AFTER_A_SURPRISE_SECONDS, self._stop)

    async def _keep_sending(self) -> NoReturn:
        while True:
            began = time.monotonic()
            sent = await self._send_all()
            seconds = round(time.monotonic() - began, 3)
            event = "spool_drained" if sent else "stream_reached"
            self._log.info(event, messages=sent, seconds=seconds)
            await self._spooling.wait()

    async def _send_all(self) -> int:
        """Send until the spool is empty, and be direct from that moment on; how many were sent."""
        sent = 0
        while True:
            kept = await self._patiently(self._spool.read)
            messages = [one.message for one in kept if one.message is not None]
            if len(kept) < _LAST_MESSAGES:
                self._door.clear()
            await self._patiently(lambda messages=messages: self._sent(messages))  # type: ignore[misc]
            if kept:
                sent += len(messages)
                await self._spool.drop(kept[-1].number)
            elif self._spool.empty:
                self._direct = True
                self._door.set()
                self._spooling.clear()
                self._on_change(None)
                return sent
            else:
                await asyncio.sleep(_COMMIT_SECONDS)  # something is being appended just now

    async def _sent(self, messages: Sequence[Message]) -> None:
        try:
            await self._upstream.publish(messages)
        except TooLarge as error:
            # the settings allow less than when it was taken: a person is to raise them again
            raise Unavailable(str(error)) from error

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        if self._stop.is_set():
            raise Stopped
        return await patiently(work, stop=self._stop, log=self._log, on_wait=self._door.set)
