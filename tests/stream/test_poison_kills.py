"""An event that keeps killing the process is parked after so many persisted attempts."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from services.errors import Unavailable
from services.stream.outcome import Emit

WORKER = Path(__file__).with_name("poisoned_worker.py")


class Dying:
    """Dies of one event, as a process does: nothing after that line runs."""

    accepts = (object,)

    async def ready(self):
        return

    async def handle(self, events):
        if any(event.event_id == "e-5" for event in events):
            raise SystemExit
        return [Emit(event) for event in events]


async def test_the_event_that_kills_is_parked_and_all_others_pass(
    log, well_formed, make_loop, running, arrived
):
    await log.publish([well_formed(n) for n in range(10)])
    deaths = 0
    for _ in range(20):
        loop = make_loop(log, Dying(), max_attempts=3)
        task = asyncio.create_task(_surviving(loop))
        while not task.done():
            if len(await log.browse("out", limit=99)) >= 9 and await log.browse("in.dlq", limit=1):
                loop.stop()
            await asyncio.sleep(0.002)
        if task.result():
            break
        deaths += 1
    (letter,) = await arrived(log, "in.dlq", 1)
    assert deaths == 1 + 3  # once in a batch, three times alone
    assert letter.header("dlq.reason") == "kills_process"
    assert letter.header("event_id") == "e-5"
    out = {record.header("event_id") for record in await arrived(log, "out", 9)}
    assert out == {f"e-{n}" for n in range(10) if n != 5}


async def test_only_the_partition_that_a_process_died_of_is_taken_with_care(
    double, well_formed, make_loop, remembered, wrapping, committed
):
    """A replica that dies marks what it had in hand; the heir's other partitions go on in batches."""
    await double.publish([well_formed(n) for n in range(9)])
    records = double.topics["in"]
    records[:] = [msgspec.structs.replace(one, partition=n % 3) for n, one in enumerate(records)]
    loop = make_loop(double, handler := wrapping())
    died_of = next(one for one in records if one.partition == 1)
    place = f"{died_of.topic}/{died_of.partition}/{died_of.offset}"
    remembered.counts[loop.consumer, place] = 1
    task = asyncio.create_task(loop.run())
    await committed(double, len(records))
    loop.stop()
    await task
    assert [len(batch) for batch in handler.batches] == [1, 1, 1, 6]
    assert remembered.counts == {}


async def _surviving(loop):
    """Whether the loop ended as it should; SystemExit would end the test run's event loop too."""
    try:
        await loop.run()
    except SystemExit:
        return False
    return True


async def test_stopping_during_an_outage_is_no_evidence_against_a_record(
    double, well_formed, make_loop, remembered
):
    """Restarted again and again while a dependency is down: the records are not to blame."""

    class Down(Dying):
        async def handle(self, events):
            message = "the store is down"
            raise Unavailable(message)

    await double.publish([well_formed(1)])
    for _ in range(8):
        loop = make_loop(double, Down(), max_attempts=3)
        task = asyncio.create_task(loop.run())
        await asyncio.sleep(0.01)
        loop.stop()
        await asyncio.wait_for(task, 20)
    assert "in.dlq" not in double.topics
    assert remembered.counts == {}


@pytest.mark.slow
def test_a_real_process_that_is_killed_by_its_work_gets_past_it(tmp_path):
    """Real SIGKILL, SQLite stream, the store's own counts."""
    deaths = 0
    for _ in range(12):
        worker = subprocess.run(
            [sys.executable, WORKER, tmp_path], capture_output=True, text=True, check=False
        )
        if worker.returncode == 0:
            break
        assert worker.returncode == -signal.SIGKILL, worker.stderr
        deaths += 1
    assert deaths == 1 + 2
    assert worker.stdout.splitlines() == ["out e-0 e-1 e-2 e-3", "parked e-2.poison kills_process"]
