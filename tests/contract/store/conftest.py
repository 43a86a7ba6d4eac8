"""The store on both databases, with tables, empty, and as many handles on it as a test wants."""

import asyncio
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.store.open import Store
from services.store.schema import upgrade

sys.path.insert(0, str(Path(__file__).parent))  # for `recording`

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the store's tables, to copy."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    work = upgrade(f"sqlite:///{path}")
    thread = threading.Thread(target=asyncio.run, args=[work])
    thread.start()
    thread.join()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of the test's own."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def another_store(store_url: str) -> AsyncIterator[Callable[[], Store]]:
    """Opens one more handle on the store, as another process would."""
    opened: list[Store] = []

    def open_one() -> Store:
        opened.append(Store(store_url))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(another_store: Callable[[], Store]) -> Store:
    """A handle on the store."""
    return another_store()


@pytest.fixture
def at() -> Callable[[float], datetime]:
    """A moment, by the seconds since some start."""
    return lambda seconds: START + timedelta(seconds=seconds)
