import asyncio
import importlib.resources
from collections.abc import Callable
from typing import TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from services.errors import Unavailable
from services.store.engines import open_database
from services.store.open import Store
from services.store.schema import HEAD, StoreNotReady, downgrade, upgrade
from services.store.tables import metadata

T = TypeVar("T")


async def inspected(url: str, look: Callable[[Connection], T]) -> T:
    database, _ = open_database(url)
    try:
        return await database.read(look)
    finally:
        await database.close()


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "services.store:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_migrations_are_part_of_the_package() -> None:
    """An installed wheel upgrades without the repository."""
    folder = importlib.resources.files("services.store") / "migrations"
    assert (folder / "env.py").is_file()
    assert (folder / "versions" / "0001_first.py").is_file()


async def test_migrations_make_exactly_the_tables_of_the_models(empty_url: str) -> None:
    await upgrade(empty_url)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert await inspected(empty_url, differences) == []


async def test_migrations_run_up_down_and_up_again(empty_url: str) -> None:
    await upgrade(empty_url)
    first = await inspected(empty_url, _described)
    await downgrade(empty_url, "base")
    tables = await inspected(empty_url, lambda connection: inspect(connection).get_table_names())
    assert tables == ["alembic_version"]
    await upgrade(empty_url)
    assert await inspected(empty_url, _described) == first
    assert set(first) == {*metadata.tables, "alembic_version"}


def _described(connection: Connection) -> dict[str, object]:
    found = inspect(connection)
    return {
        name: (
            [(column["name"], str(column["type"])) for column in found.get_columns(name)],
            sorted(str(index["name"]) for index in found.get_indexes(name)),
            found.get_pk_constraint(name)["constrained_columns"],
        )
        for name in found.get_table_names()
    }


async def test_upgrading_twice_or_at_once_is_the_same_as_once(
    empty_url: str, open_at: Callable[[str], Store]
) -> None:
    await asyncio.gather(*(open_at(empty_url).upgrade() for _ in range(3)))
    store = open_at(empty_url)
    await store.upgrade()
    await store.start()


async def test_a_store_without_tables_says_which_command_makes_them(
    empty_url: str, open_at: Callable[[str], Store]
) -> None:
    with pytest.raises(StoreNotReady, match=r"no tables yet.*`evalratchet db upgrade`"):
        await open_at(empty_url).start()


@pytest.mark.parametrize(
    ("revision", "says"),
    [("0000", f"needs {HEAD}.*`evalratchet db upgrade`"), ("9999", "newer than this version")],
)
async def test_a_store_of_another_version_says_what_to_do(
    empty_url: str, open_at: Callable[[str], Store], revision: str, says: str
) -> None:
    await upgrade(empty_url)
    database, _ = open_database(empty_url)
    change = text("UPDATE alembic_version SET version_num = :revision")
    await database.write(lambda connection: connection.execute(change, {"revision": revision}))
    await database.close()
    with pytest.raises(StoreNotReady, match=says):
        await open_at(empty_url).start()


@pytest.mark.postgres
async def test_a_database_that_is_not_there_is_named_without_the_password(
    postgres_url: str, open_at: Callable[[str], Store]
) -> None:
    wrong = postgres_url.replace("postgres@", "postgres:secret@").rpartition("/")[0] + "/nowhere"
    with pytest.raises(StoreNotReady, match='"nowhere" does not exist') as refused:
        await open_at(wrong).start()
    assert "secret" not in str(refused.value)


async def test_a_server_that_is_not_there_is_unavailable(
    unused_tcp_port: int, open_at: Callable[[str], Store]
) -> None:
    url = f"postgresql+asyncpg://ada:secret@127.0.0.1:{unused_tcp_port}/evals"
    with pytest.raises(Unavailable, match=r"ada:\*\*\*@127.0.0.1") as down:
        await open_at(url).start()
    assert "secret" not in str(down.value)
