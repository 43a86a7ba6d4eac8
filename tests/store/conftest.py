"""Empty databases, without tables, on both kinds; and a proxy that cuts connections."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.store.open import Store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables. SQLite's folder is not there yet either."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'store.db'}"
    server: Any = request.getfixturevalue("postgres")
    url: str = server.create()
    return url


@pytest.fixture
async def open_at() -> AsyncIterator[Callable[[str], Store]]:
    """Opens stores that are closed at the end."""
    opened: list[Store] = []

    def open_one(url: str) -> Store:
        opened.append(Store(url))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()
