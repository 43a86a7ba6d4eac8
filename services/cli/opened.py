"""What commands open: the settings, the store, the stream."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from services.cli.problem import ExitCode, Problem, misused, note
from services.errors import Unavailable
from services.settings import (
    PREFIX,
    Settings,
    SettingsError,
    load_settings,
    unknown_variables,
)
from services.store.open import Store, open_store
from services.store.schema import StoreNotReady
from services.stream.open import open_stream
from services.stream.port import Stream

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def effective_settings() -> Settings:
    """The settings, or the `Problem` with them. Says which variables look like settings and are none."""
    try:
        settings = load_settings()
    except SettingsError as error:
        raise unusable(error) from error
    for name in unknown_variables():
        note(f"evalratchet: {name} is not a setting and is ignored; see `evalratchet settings`.")
    return settings


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of these settings. Raises `Problem` when there is none yet, `Unavailable`."""
    if settings.store.get_secret_value() == "sqlite" and not (settings.home / "store.db").is_file():
        raise nothing_yet(settings)
    store = open_store(settings)
    try:
        try:
            await store.start()
        except StoreNotReady as error:
            raise not_ready(error) from error
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_stream(settings: Settings) -> AsyncIterator[Stream]:
    """The stream of these settings. Raises `Problem` when there is none yet, `Unavailable`."""
    if settings.embedded_stream and not (settings.home / "stream.db").is_file():
        raise nothing_yet(settings)
    async with started_stream(settings) as stream:
        yield stream


@asynccontextmanager
async def started_stream(settings: Settings) -> AsyncIterator[Stream]:
    """The same, made where there is none. Raises `Problem`, `Unavailable`."""
    try:
        stream = open_stream(settings)
    except SettingsError as error:
        raise unusable(error) from error
    try:
        await stream.start()
        yield stream
    finally:
        await stream.close()


async def make_embedded_store(settings: Settings) -> None:
    """Make the embedded store where there is none, so that it can be prepared before `up`."""
    if settings.store.get_secret_value() == "sqlite" and not (settings.home / "store.db").is_file():
        await migrate(settings)


async def migrate(settings: Settings) -> None:
    """Bring the store to this version's tables. Raises `Unavailable`, `Problem`."""
    make_home(settings)
    store = open_store(settings)
    try:
        await _upgrade(store)
    except StoreNotReady as error:
        raise not_ready(error) from error
    finally:
        await store.close()


def make_home(settings: Settings) -> None:
    """Make the data folder. Raises `Problem` when that cannot be."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        misused(
            f"The data folder {settings.home} cannot be made.",
            f"{error.strerror}. Set {PREFIX}HOME to a folder that can be written to.",
        )


def unusable(error: SettingsError) -> Problem:
    """What to say when a setting has a value that cannot be used."""
    return Problem("The settings cannot be used.", str(error), code=ExitCode.USAGE)


async def _upgrade(store: Store) -> None:
    try:
        await store.upgrade()
    except Unavailable:
        raise
    except Exception:
        await store.start()  # knows the words for it when the store is of a newer version
        raise


def not_ready(error: StoreNotReady) -> Problem:
    """What to say when the store is there but of another version."""
    return Problem("The store is not ready.", str(error))


def nothing_yet(settings: Settings) -> Problem:
    """What to say when the data folder is empty."""
    return Problem(
        f"There is no data in {settings.home} yet.",
        "Start with `evalratchet up`, or point the setting "
        f"{PREFIX}HOME at the folder another `up` uses.",
        code=ExitCode.UNREACHABLE,
    )
