"""One worker a service on the embedded stream: a lock file that dies with its process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.settings import Settings


class AlreadyRunning(RuntimeError):
    """Another process runs this service on the same data folder."""


@contextlib.contextmanager
def alone(settings: Settings, names: Sequence[str]) -> Iterator[None]:
    """Hold one lock file a service on the embedded default, where each service has one worker."""
    with contextlib.ExitStack() as held:
        if settings.alone:
            settings.home.mkdir(parents=True, exist_ok=True)
            for name in names:
                held.enter_context(locked(settings.home / f"{name}.lock", name))
        yield


@contextlib.contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Hold the lock file of the service called `name`. Raises `AlreadyRunning`."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            message = (
                f"{name} is running already on {path.parent} (process {owner}). Stop it first, or "
                "set EVALRATCHET_HOME to another folder."
            )
            raise AlreadyRunning(message) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
