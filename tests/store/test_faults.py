"""What the store says and does when its database is in trouble."""

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from services.archive import ArchivedPiece, Settled, Verdict
from services.errors import Unavailable
from services.store.database import BUSY_SECONDS
from services.store.faults import passes, translated
from services.store.open import Store

PASSED, FAILED = Verdict(state="passed"), Verdict(state="failed", failing=("x",))
AT = Settled(6, 6)


def piece(trace: str, event: str) -> ArchivedPiece:
    return ArchivedPiece("shop", trace, event, "trace/1", b"{}")


async def eventually(store: Store) -> None:
    """Wait until the store answers again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await store.reader.projects()
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


# --- SQLite ---


@pytest.fixture
async def file_store(tmp_path: Path, open_at: Callable[[str], Store]) -> Store:
    store = open_at(f"sqlite:///{tmp_path / 'store.db'}")
    await store.upgrade()
    return store


async def test_a_file_that_another_process_keeps_locked_is_unavailable_and_then_works(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.sqlite.BUSY_SECONDS", 0.2)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"store\.db is unavailable: database is locked"):
            await store.attempts.begin("c", ["p"])
        assert await store.reader.projects() == [], "readers never wait for the writer"
        other.execute("ROLLBACK")
        assert await store.attempts.begin("c", ["p"]) == {"p": 1}
    finally:
        other.close()
        await store.close()


async def test_a_full_disk_is_unavailable_and_loses_nothing(file_store: Store) -> None:
    """SQLite's own limit on pages raises what a full disk raises."""
    database: Any = file_store._database

    def limit(pages: int) -> Callable[[Any], object]:
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await file_store.attempts.begin("c", ["kept"])
    await database.write(limit(1))  # SQLite takes it as: no more than there are
    body = os.urandom(1 << 20)
    big = ArchivedPiece("shop", "t", "e", "trace/1", body)
    with pytest.raises(Unavailable, match="full"):
        await file_store.archive.add([big], now_ms=1, due_ms=1)
    assert (await file_store.reader.totals()).pieces == 0
    await database.write(limit(1 << 30))
    assert await file_store.archive.add([big], now_ms=1, due_ms=1) == 1
    assert await file_store.attempts.begin("c", ["kept"]) == {"kept": 2}


async def test_a_lock_that_is_never_left_makes_the_others_unavailable(
    file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.sqlite.BUSY_SECONDS", 0.1)
    async with file_store.patterns.locked("shop") as writer:
        with pytest.raises(Unavailable, match="busy"):
            await file_store.attempts.begin("c", ["p"])
        assert await writer.decisions(["a"]) == {}


async def test_no_thread_is_left_when_the_store_is_closed(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    await store.upgrade()
    await store.reader.totals()
    await store.close()
    assert [one.name for one in threading.enumerate() if "evalratchet-store" in one.name] == []


# --- PostgreSQL ---


@pytest.fixture
async def server_store(postgres_url: str, open_at: Callable[[str], Store]) -> Store:
    return open_at(postgres_url)


def end_connections(postgres: Any, url: str) -> None:
    name = url.rpartition("/")[2]
    postgres.sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - a name of ours
    )


@pytest.mark.postgres
async def test_a_claim_vanishes_with_its_connection(
    server_store: Store, postgres_url: str, postgres: Any, open_at: Callable[[str], Store]
) -> None:
    """Another worker has the traces at once; the first settles quietly, and rightly."""
    await server_store.archive.add([piece("t", "a"), piece("u", "a")], now_ms=1, due_ms=1)
    lost = await server_store.archive.claim_due(now_ms=5, limit=10)
    end_connections(postgres, postgres_url)
    other = open_at(postgres_url)
    claim = await other.archive.claim_due(now_ms=5, limit=10)
    assert [trace.trace_id for trace in claim.traces] == ["t", "u"]
    await server_store.archive.add([piece("t", "b")], now_ms=6, due_ms=6)
    await lost.settle([FAILED, PASSED], AT)
    await claim.settle([PASSED, PASSED], AT)
    (trace,) = (await server_store.archive.claim_due(now_ms=9, limit=10)).traces
    assert (trace.trace_id, trace.failing, len(trace.pieces)) == ("t", ("x",), 2)


@pytest.mark.postgres
async def test_letting_go_of_a_lost_claim_is_quiet(
    server_store: Store, postgres_url: str, postgres: Any
) -> None:
    await server_store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    claim = await server_store.archive.claim_due(now_ms=5, limit=10)
    end_connections(postgres, postgres_url)
    await claim.abandon()
    again = await server_store.archive.claim_due(now_ms=5, limit=10)
    assert len(again.traces) == 1


@pytest.mark.postgres
async def test_an_ended_connection_under_the_lock_is_unavailable_and_keeps_nothing(
    server_store: Store, postgres_url: str, postgres: Any
) -> None:
    async def lose() -> None:
        async with server_store.patterns.locked("shop") as writer:
            end_connections(postgres, postgres_url)
            await writer.decisions(["a"])

    with pytest.raises(Unavailable):
        await lose()
    async with server_store.patterns.locked("shop") as writer:
        assert await writer.decisions(["a"]) == {}


@pytest.mark.postgres
async def test_idle_connections_that_were_ended_are_replaced_unseen(
    server_store: Store, postgres_url: str, postgres: Any
) -> None:
    await asyncio.gather(*(server_store.reader.totals() for _ in range(5)))
    end_connections(postgres, postgres_url)
    await asyncio.gather(*(server_store.reader.totals() for _ in range(5)))


@pytest.mark.postgres
async def test_a_server_that_crashes_is_unavailable_and_then_works(
    own_postgres: Any, open_at: Callable[[str], Store]
) -> None:
    """What was acknowledged before is there, what was in hand is due, settling works again."""
    store = open_at(own_postgres.create())
    await store.upgrade()
    await store.archive.add([piece("t", "a")], now_ms=1, due_ms=1)
    claim = await store.archive.claim_due(now_ms=5, limit=10)
    own_postgres.stop()
    for attempt in (
        store.archive.add([piece("t", "b")], now_ms=1, due_ms=1),
        store.archive.claim_due(now_ms=5, limit=1),
        store.attempts.begin("c", ["p"]),
        store.reader.totals(),
        store.policies.current("shop"),
        store.start(),
        claim.settle([FAILED], AT),
        claim.settle([FAILED], AT),
    ):
        with pytest.raises(Unavailable):
            await attempt
    own_postgres.start()
    await eventually(store)
    await claim.settle([FAILED], AT)
    totals = await store.reader.totals()
    assert (totals.pieces, totals.failures, totals.traces_waiting) == (1, 1, 0)


@pytest.mark.postgres
async def test_a_worker_that_waits_for_the_lock_too_long_is_told_so(
    postgres_url: str, open_at: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_limits(), "lock_timeout", "100ms")
    holder, waiter = open_at(postgres_url), open_at(postgres_url)

    async def wait() -> None:
        async with waiter.patterns.locked("shop"):
            pytest.fail("two holders")

    async with holder.patterns.locked("shop"):
        with pytest.raises(Unavailable, match="lock timeout"):
            await wait()
        async with waiter.patterns.locked("bank") as writer:
            assert await writer.decisions(["a"]) == {}, "projects do not wait for each other"


def _limits() -> dict[str, str]:
    from services.store import postgresql  # noqa: PLC0415 - only these tests have a server

    return postgresql._LIMITS


@pytest.mark.postgres
async def test_a_server_with_no_connection_left_is_unavailable(
    postgres_url: str, postgres: Any, open_at: Callable[[str], Store]
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres.sql(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0")
    refused = open_at(postgres_url.replace("postgres@", f"{name}@"))
    with pytest.raises(Unavailable, match="too many connections"):
        await refused.start()


# --- which errors pass ---


class _WithState(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"state {sqlstate}")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "state", ["08006", "40P01", "53100", "53300", "57P01", "57P03", "57014", "55P03", "25006"]
)
def test_states_that_pass(state: str) -> None:
    assert passes(_WithState(state))
    assert passes(DBAPIError("SELECT", {}, _WithState(state)))


@pytest.mark.parametrize("state", ["42601", "42P01", "22021", "23505", "28P01", "3D000", "XX000"])
def test_states_that_stay_as_they_are(state: str) -> None:
    assert not passes(_WithState(state))
    assert not passes(DBAPIError("SELECT", {}, _WithState(state)))


def test_a_programming_error_stays_what_it_is() -> None:
    with pytest.raises(KeyError), translated("the store"):
        raise KeyError("a")


def test_a_network_error_passes_and_names_the_store() -> None:
    reset = OSError(errno.ECONNRESET, "Connection reset by peer")
    says = r"the store db is unavailable: .*reset by peer"
    with pytest.raises(Unavailable, match=says), translated("db"):
        raise reset


def test_a_server_that_says_nothing_is_said_to_say_nothing() -> None:
    with pytest.raises(Unavailable, match="unavailable: it does not answer"), translated("db"):
        raise TimeoutError


def test_waiting_is_bounded() -> None:
    assert 1 <= BUSY_SECONDS <= 60
