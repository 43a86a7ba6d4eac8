"""What a sidecar remembers of the store, so that it redacts by the last known policy without it.

Policies and the key of the placeholders' hashes are written to files beside the spool as they are
read. What was never read is not known, and then nothing is taken: `Unavailable`, which is a 503.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import structlog

from services.errors import Unavailable
from services.policy import Policy

T = TypeVar("T")

_ASK_SECONDS = 2.0  # how long a store that is slow is waited for
_ASK_AGAIN_SECONDS = 5.0  # after it did not answer: meanwhile what is remembered holds
_PROJECTS = 1000  # an app has one; the bound is for whoever posts under names without end

log = structlog.get_logger()


class PolicySource(Protocol):
    """Where policies come from."""

    async def of(self, project: str) -> Policy:
        """The project's policy. Raises `Unavailable`."""


class SecretSource(Protocol):
    """Where secrets come from."""

    async def get_or_make(self, name: str) -> bytes:
        """The random bytes of this name. Raises `Unavailable`."""


class RememberedPolicies:
    """Policies as the store has them; while it is away, as it had them last."""

    def __init__(
        self, store: PolicySource, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read what an earlier process wrote into `folder`. `clock` gives seconds."""
        self._asking = _Asking(clock)
        self._writing = asyncio.Lock()
        self._store = store
        self._file = folder / "policies.json"
        self._known = _read(self._file, dict[str, Policy], {})

    async def of(self, project: str) -> Policy:
        """The policy in force, or the last known one. Raises `Unavailable` when there is none."""
        known = self._known.get(project)
        try:
            policy = await self._asking.for_(lambda: self._store.of(project), known is not None)
        except Unavailable as error:
            if known is not None:
                return known
            message = f"the policy of {project} is not known here yet: {error}"
            raise Unavailable(message) from error
        if known != policy and (known is not None or len(self._known) < _PROJECTS):
            self._known = {**self._known, project: policy}
            async with self._writing:  # one after another: what is written last knows most
                await _write(self._file, msgspec.json.encode(self._known))
        return policy


class RememberedSecrets:
    """Secrets as the store has them, which never change: asked for once, ever."""

    def __init__(self, store: SecretSource, folder: Path) -> None:
        """Read what an earlier process wrote into `folder`."""
        self._asking = _Asking(time.monotonic)
        self._writing = asyncio.Lock()
        self._store = store
        self._file = folder / "secrets.json"
        self._known: Mapping[str, bytes] = _read(self._file, dict[str, bytes], {})

    async def get_or_make(self, name: str) -> bytes:
        """The secret of this name. Raises `Unavailable` when it was never read and cannot be now."""
        known = self._known.get(name)
        if known is None:
            known = await self._asking.for_(lambda: self._store.get_or_make(name), False)  # noqa: FBT003
            self._known = {**self._known, name: known}
            async with self._writing:
                await _write(self._file, msgspec.json.encode(self._known))
        return known


class _Asking:
    """Asks the store, in bounded time; one that did not answer is left alone for a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._again = -1.0

    async def for_(self, question: Callable[[], Awaitable[T]], known: bool) -> T:  # noqa: FBT001
        """The answer. Raises `Unavailable`; at once, where something is `known`, for some seconds."""
        if known and self._clock() < self._again:
            message = "the store did not answer just now"
            raise Unavailable(message)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return await question()
        except TimeoutError as error:
            message = f"the store did not answer within {_ASK_SECONDS:g} s"
            raise self._failed(message) from error
        except Unavailable as error:
            raise self._failed(str(error)) from error
        except Exception as error:
            # not migrated, no permission, another version's row: whatever it is, nothing was read
            log.warning("store_not_read", why=repr(error))
            message = f"the store cannot be read: {error}"
            raise self._failed(message) from error

    def _failed(self, why: str) -> Unavailable:
        self._again = self._clock() + _ASK_AGAIN_SECONDS
        return Unavailable(why)


def _read(file: Path, kind: type[T], default: T) -> T:
    """What was written, or the default where nothing was, or nothing that can be understood."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return default
    except (msgspec.MsgspecError, OSError) as error:
        log.warning("not_remembered", file=str(file), why=str(error))
        return default


async def _write(file: Path, content: bytes) -> None:
    """Replace the file, on the disk when this returns. A disk that is full only costs the memory."""
    try:
        await asyncio.to_thread(_replace, file, content)
    except OSError as error:
        log.warning("cannot_remember", file=str(file), why=str(error))


def _replace(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=file.parent, delete=False
    ) as written:  # for its owner alone
        try:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
            Path(written.name).replace(file)
        except BaseException:
            Path(written.name).unlink(missing_ok=True)
            raise
