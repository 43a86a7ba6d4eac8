"""The whole application with a real store."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.store.open import Store

sys.path.insert(0, str(Path(__file__).parent))  # for `guarded`

from guarded import World


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = Store(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
def world(store: Store, publisher: Any, tmp_path: Path) -> World:
    return World(store, publisher, tmp_path)
