"""The spool on a real disk: in order, bounded, and nothing acknowledged is lost."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.errors import Unavailable
from services.spool.segment import SUFFIXES
from services.spool.spool import Spool, SpoolFull
from services.stream.port import Message

CAP = 64 << 20


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
async def open_spool(folder):
    """Opens the spool, as often as a test likes; closes all of them."""
    opened = []

    async def open_it(max_bytes=CAP, of=folder):
        spool = Spool(of, max_bytes=max_bytes)
        opened.append(spool)
        await spool.start()
        return spool

    yield open_it
    for spool in opened:
        await spool.close()


def messages(*values, key=b"key"):
    return [Message("traces", key, value, (("schema", b"trace/1"),)) for value in values]


async def drained(spool):
    """Everything in the spool, taken out of it."""
    found = []
    while kept := await spool.read():
        found += [one.message for one in kept if one.message is not None]
        await spool.drop(kept[-1].number)
    return found


def files(folder):
    return sorted(path.name for path in folder.glob("spool-*"))


async def test_messages_come_out_as_they_went_in_and_leave_nothing_behind(open_spool, folder):
    spool = await open_spool()
    first, second = messages(b"1", b"2"), messages(b"3", key=b"other")
    await spool.append(first)
    await spool.append(second)
    assert (spool.waiting, spool.empty) == (3, False)
    assert await drained(spool) == [*first, *second]
    assert (spool.waiting, spool.empty, spool.oldest_ms) == (0, True, None)
    assert files(folder) == []


async def test_a_restart_goes_on_after_what_was_dropped(open_spool):
    spool = await open_spool()
    before = time.time_ns() // 1_000_000
    await spool.append(messages(b"1", b"2", b"3"))
    kept = await spool.read()
    await spool.drop(kept[0].number)
    await spool.close()
    again = await open_spool()
    assert again.waiting == 2
    assert before <= again.oldest_ms <= time.time_ns() // 1_000_000
    await again.append(messages(b"4"))
    assert [one.value for one in await drained(again)] == [b"2", b"3", b"4"]


async def test_what_was_read_and_not_dropped_is_read_again(open_spool):
    spool = await open_spool()
    await spool.append(messages(b"1"))
    assert await spool.read() == await spool.read()


async def test_large_amounts_span_files_in_order_and_files_go_as_they_are_sent(open_spool, folder):
    spool = await open_spool()
    value = random.Random(1).randbytes(300_000)
    for number in range(100):
        await spool.append(messages(b"%03d" % number + value))
    several = files(folder)
    assert len([name for name in several if name.endswith(".db")]) > 2
    numbers = []
    while kept := await spool.read():
        numbers += [int(one.message.value[:3]) for one in kept]
        await spool.drop(kept[-1].number)
        if len(numbers) >= 60:
            assert several[0] not in files(folder)
    assert numbers == list(range(100))
    assert files(folder) == []


async def test_a_full_spool_refuses_and_takes_again_once_something_is_sent(open_spool, folder):
    spool = await open_spool()
    taken = 0

    async def fill():
        nonlocal taken
        while True:
            await spool.append(messages(b"%04d" % taken + b"x" * 1_000_000))
            taken += 1
            assert sum(file.stat().st_size for file in folder.glob("spool-*")) <= CAP

    with pytest.raises(SpoolFull, match=r"full: \d+ of 67108864 bytes \(EVALRATCHET_SPOOL_BYTES\)"):
        await fill()
    assert taken > 40, "most of what is allowed is used"
    assert spool.waiting == taken
    values = []
    for _ in range(30):
        kept = await spool.read()
        values += [one.message.value[:4] for one in kept]
        await spool.drop(kept[-1].number)
    await spool.append(messages(b"last"))
    values += [message.value[:4] for message in await drained(spool)]
    assert values == [*(b"%04d" % number for number in range(taken)), b"last"]


async def test_concurrent_appends_stay_in_order_for_each_sender(open_spool):
    spool = await open_spool()

    async def send(key):
        for number in range(50):
            await spool.append(messages(b"%d" % number, key=key))

    keys = [b"%d" % n for n in range(20)]
    await asyncio.gather(*(send(key) for key in keys))
    found = await drained(spool)
    for key in keys:
        assert [int(m.value) for m in found if m.key == key] == list(range(50))


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes rights that we do not have here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(open_spool, small_disk):
    spool = await open_spool(of=small_disk / "spool")
    taken = []

    async def fill():
        for number in range(10_000):
            value = b"%04d" % number + b"x" * 20_000
            await spool.append(messages(value))
            taken.append(value)

    with pytest.raises(SpoolFull, match="full"):
        await fill()
    for _ in range(5):
        with pytest.raises(SpoolFull):
            await spool.append(messages(b"x" * 200_000))
    assert len(taken) > 10
    await spool.close()
    again = await open_spool(of=small_disk / "spool")
    assert [message.value for message in await drained(again)] == taken
    await again.append(messages(b"there is room again"))


@pytest.mark.parametrize("where", ["content", "header", "nothing left"])
async def test_a_file_that_is_no_database_is_set_aside_and_blocks_nothing(
    open_spool, folder, where
):
    spool = await open_spool()
    value = b"x" * 1_000_000
    for number in range(20):
        await spool.append(messages(b"%02d" % number + value))
    await spool.close()
    first, *others = sorted(folder.glob("spool-*.db"))
    assert others
    content = first.read_bytes()
    first.write_bytes(
        {
            "content": b"not a database" * 9999,
            "header": b"\0" * 512 + content[512:],
            "nothing left": b"x",
        }[where]
    )
    again = await open_spool()
    found = [int(message.value[:2]) for message in await drained(again)]
    assert found
    assert found == list(range(20 - len(found), 20)), "the files behind it are sent, in order"
    assert again.set_aside == 1
    assert len(list((folder / "set-aside").glob("*.db"))) == 1
    await again.append(messages(b"and it goes on"))


async def test_bytes_that_changed_on_the_disk_are_not_sent_and_are_kept_for_a_person(
    open_spool, folder
):
    spool = await open_spool()
    await spool.append(messages(b"good 1"))
    await spool.append(messages(b"to be damaged" + b"y" * 50_000))
    await spool.append(messages(b"good 2"))
    await spool.close()
    (file,) = folder.glob("spool-*.db")
    content = file.read_bytes()
    middle = content.index(b"y" * 100) + 50
    file.write_bytes(content[:middle] + b"Z" + content[middle + 1 :])
    again = await open_spool()
    assert [message.value for message in await drained(again)] == [b"good 1", b"good 2"]
    assert (again.damaged_messages, again.set_aside) == (1, 1)
    assert files(folder) == []


@pytest.mark.parametrize("cut", [1, 20, 3000, 9000])
async def test_a_torn_tail_costs_the_commit_it_tore_and_nothing_before(
    open_spool, folder, tmp_path, cut
):
    """As a power cut leaves it: the end of the log is missing. SQLite's checksums find that out."""
    spool = await open_spool()
    for number in range(40):
        await spool.append(messages(b"%02d" % number + b"x" * 5000))
    torn = tmp_path / "torn"
    torn.mkdir()
    for file in folder.glob("spool-*"):
        if not file.name.endswith("-shm"):
            (torn / file.name).write_bytes(file.read_bytes())
    (log,) = torn.glob("*-wal")
    log.write_bytes(log.read_bytes()[:-cut])
    again = await open_spool(of=torn)
    found = [int(message.value[:2]) for message in await drained(again)]
    assert 37 <= len(found) <= 39
    assert found == list(range(len(found)))


@pytest.mark.slow
async def test_killed_again_and_again_it_keeps_everything_acknowledged_in_order(open_spool, folder):
    """SIGKILL at random moments under concurrent appends."""
    rng = random.Random()  # the moments are random on purpose; the promise holds at every one
    script = Path(__file__).with_name("spooling_process.py")
    acknowledged = set()
    for round_ in range(6):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), str(folder), str(round_ * 1_000_000)),
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(20):
            acknowledged.add((await process.stdout.readline()).decode().strip())
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        process.kill()
        said, _ = await process.communicate()
        whole = said[: said.rfind(b"\n") + 1]  # the last line may have been cut off
        acknowledged.update(whole.decode().splitlines())
    spool = await open_spool()
    found = [message.value.rstrip().decode() for message in await drained(spool)]
    assert acknowledged <= set(found)
    assert len(acknowledged) > 100
    assert len(found) == len(set(found))
    by_key = {}
    for text in found:
        by_key.setdefault(text.partition(":")[0], []).append(text)
    assert all(texts == sorted(texts) for texts in by_key.values())


async def test_files_that_are_not_its_own_are_left_alone(open_spool, folder):
    folder.mkdir()
    (folder / "spool-of-thread.db").write_bytes(b"what somebody left here")
    spool = await open_spool()
    await spool.append(messages(b"1"))
    assert [message.value for message in await drained(spool)] == [b"1"]
    assert (folder / "spool-of-thread.db").read_bytes() == b"what somebody left here"
    assert spool.set_aside == 0


async def test_a_folder_that_cannot_be_used_is_said_at_the_start(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        await Spool(tmp_path / "file" / "spool", max_bytes=CAP).start()


def test_a_full_spool_is_answered_like_a_stream_that_is_away():
    """503 with Retry-After: the sender keeps it and comes again."""
    assert issubclass(SpoolFull, Unavailable)


def test_what_is_moved_away_is_moved_with_the_files_beside_it():
    assert SUFFIXES == ("", "-wal", "-shm")
