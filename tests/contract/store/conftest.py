"""The store on both databases, with tables, empty, and as many handles on it as a test wants."""

import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.store.open import Store

sys.path.insert(0, str(Path(__file__).parent))  # for `recording`

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest) -> str:
    """An empty store of the test's own."""
    url: str = request.getfixturevalue(f"{request.param}_url")
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
