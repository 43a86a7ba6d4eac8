"""What the embedded stream promises beside the contract: one file, several processes, no surprise."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from services.errors import Unavailable
from services.stream import sqlite_log, sqlite_thread
from services.stream.port import Message
from services.stream.sqlite import SqliteStream

APPENDER = Path(__file__).with_name("appending_process.py")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "stream.db"


@pytest.fixture
async def open_file(file):
    opened = []

    async def open_file(**changes):
        given = {"retention_ms": 3_600_000, "max_message_bytes": 1 << 20, **changes}
        stream = SqliteStream(file, **given)
        opened.append(stream)
        await stream.start()
        return stream

    yield open_file
    for stream in opened:
        await stream.close()


def message(value, topic="work"):
    return Message(topic, b"key", value)


async def values_in(stream, topic="work"):
    return [record.value for record in await stream.browse(topic, limit=100_000)]


async def test_a_topic_is_made_by_the_first_message(open_file):
    stream = await open_file()
    await stream.publish([message(b"1")])
    assert await values_in(stream) == [b"1"]


def append_and_kill(file):
    """Three processes append to one file, each is killed after its 50th acknowledgement."""
    processes = [
        subprocess.Popen(
            [sys.executable, APPENDER, file, str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(3)
    ]
    acknowledged = set()
    for process in processes:
        acknowledged.update(process.stdout.readline().strip() for _ in range(50))
    for process in processes:
        process.kill()
        rest, _ = process.communicate()
        lines = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        acknowledged.update(line.strip() for line in lines)
        assert process.returncode == -signal.SIGKILL
    return acknowledged


async def test_what_was_acknowledged_survives_a_kill(file, open_file):
    acknowledged = append_and_kill(file)
    stream = await open_file()
    found = {value.decode() for value in await values_in(stream)}
    assert acknowledged <= found
    source = stream.source("work", "reader")
    records = []
    while batch := await source.fetch(limit=500, wait_seconds=0):
        records += batch
    assert [record.offset for record in records] == list(range(len(records)))


async def test_concurrent_calls_share_a_transaction(open_file):
    stream = await open_file()
    statements = []
    await stream.writer.run(lambda db: db.set_trace_callback(statements.append))
    await asyncio.gather(*(stream.publish([message(b"%d" % n)]) for n in range(200)))
    await stream.writer.run(lambda db: db.set_trace_callback(None))
    assert statements.count("COMMIT") < 20
    assert len(await values_in(stream)) == 200


async def test_a_bad_call_does_not_fail_those_that_share_its_transaction(open_file):
    stream = await open_file()
    bad = Message("work", b"key", object())  # sqlite3 refuses it, as it does a value of 2 GB
    bad_call = stream.writer.run(lambda db: db.execute("SELECT ?", (bad.value,)))
    good_calls = [stream.publish([message(b"%d" % n)]) for n in range(5)]
    failed, *fine = await asyncio.gather(bad_call, *good_calls, return_exceptions=True)
    assert isinstance(failed, sqlite3.Error)
    assert fine == [None] * 5
    assert sorted(await values_in(stream)) == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(file, open_file):
    stream = await open_file()
    await stream.publish([message(b"before")])
    await stream.writer.run(lambda db: db.execute("PRAGMA max_page_count=1").fetchone())
    with pytest.raises(Unavailable, match=rf"{file}.*full"):
        await stream.publish([message(b"x" * 5000) for _ in range(100)])
    await stream.writer.run(lambda db: db.execute("PRAGMA max_page_count=1000000").fetchone())
    await stream.publish([message(b"after")])
    assert await values_in(stream) == [b"before", b"after"]


async def test_a_locked_file_is_unavailable_and_can_still_be_read(file, open_file, monkeypatch):
    monkeypatch.setattr(sqlite_thread, "_BUSY_SECONDS", 0.05)
    stream = await open_file()
    await stream.publish([message(b"before")])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match=rf"{file}.*locked"):
        await stream.publish([message(b"x")])
    assert await values_in(stream) == [b"before"]
    other.execute("ROLLBACK")
    other.close()
    await stream.publish([message(b"after")])
    assert await values_in(stream) == [b"before", b"after"]


@pytest.mark.parametrize(
    "content", [b"this is no database, but it is long enough" * 99, b"\xff" * 4096]
)
async def test_another_file_is_refused_by_name(file, open_file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(Unavailable, match=rf"{file}.*not a database"):
        await open_file()
    assert file.read_bytes() == content


async def test_a_file_of_a_newer_version_is_refused(file, open_file):
    await (await open_file()).close()
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(Unavailable, match="newer evalratchet"):
        await open_file()


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "stream.db"
    stream = SqliteStream(path, retention_ms=1, max_message_bytes=1)
    with pytest.raises(Unavailable, match=str(path)):
        await stream.start()
    await stream.close()


async def test_a_stream_that_was_not_started_says_so(file):
    stream = SqliteStream(file, retention_ms=1, max_message_bytes=1)
    with pytest.raises(Unavailable, match="not started"):
        await stream.publish([message(b"")])
    await stream.close()


async def test_retention_deletes_only_what_every_group_has_read(open_file):
    stream = await open_file(retention_ms=0, sweep_seconds=0.02)
    fast, slow = stream.source("work", "fast"), stream.source("work", "slow")
    for source in (fast, slow):
        await source.fetch(limit=1, wait_seconds=0)  # from now on both are known
    await stream.publish([message(b"%d" % n) for n in range(500)])
    await fast.commit(await fast.fetch(limit=500, wait_seconds=0))
    await slow.commit(await slow.fetch(limit=450, wait_seconds=0))
    await until_left(stream, 50)
    await asyncio.sleep(0.1)
    assert await values_in(stream) == [b"%d" % n for n in range(450, 500)]
    records = await slow.fetch(limit=500, wait_seconds=0)
    assert [record.offset for record in records] == list(range(450, 500))
    lag = await stream.lag("work", "slow")
    assert (lag.total, lag.waiting) == (500, 50)
    await slow.commit(records)
    await until_left(stream, 0)
    await stream.publish([message(b"new")])
    assert (await stream.browse("work", limit=1))[0].offset == 500


async def until_left(stream, count):
    for _ in range(500):
        if len(await values_in(stream)) == count:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{len(await values_in(stream))} records are left, not {count}")


async def test_what_is_larger_than_one_fetch_is_browsed_whole(open_file, monkeypatch):
    """Else the newest dead letters could neither be listed nor replayed together with the others."""
    stream = await open_file()
    monkeypatch.setattr(sqlite_log, "_FETCH_BYTES", 10)
    await stream.publish([message(b"%d" % n * 8) for n in range(9)])
    assert [record.offset for record in await stream.browse("work", limit=5)] == [4, 5, 6, 7, 8]


async def test_retention_leaves_what_is_young(open_file):
    stream = await open_file(sweep_seconds=0.02)
    await stream.publish([message(b"young")])
    await asyncio.sleep(0.1)
    assert await values_in(stream) == [b"young"]


async def test_records_of_another_process_are_seen_within_the_poll(open_file):
    reader, writer = await open_file(), await open_file()
    source = reader.source("work", "reader")
    for n in range(5):
        waiting = asyncio.create_task(source.fetch(limit=1, wait_seconds=60))
        await asyncio.sleep(0.07)
        started = time.monotonic()
        await writer.publish([message(b"%d" % n)])
        assert [record.value for record in await waiting] == [b"%d" % n]
        assert time.monotonic() - started < 30, "only the wait's end had it look again"


async def test_writing_does_not_wait_for_a_reader(open_file):
    stream = await open_file()
    await stream.publish([message(b"1")])
    begun, end = threading.Event(), threading.Event()

    def read(_):
        begun.set()
        return end.wait(60)

    slow = asyncio.create_task(stream.reader.run(read))
    await asyncio.to_thread(begun.wait)
    await stream.publish([message(b"2")])
    assert not slow.done()
    end.set()
    assert await slow


async def test_a_publisher_that_gives_up_waiting_breaks_nothing(open_file):
    stream = await open_file()
    given_up = asyncio.create_task(stream.publish([message(b"given up")]))
    await asyncio.sleep(0)
    given_up.cancel()
    await stream.publish([message(b"next")])
    assert given_up.cancelled()
    assert (await values_in(stream))[-1] == b"next"
