import asyncio
from typing import Any

import pytest

from services.errors import Unavailable
from services.patience import Stopped, patiently, pause


class _Log:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def warning(self, event: str, **values: Any) -> None:
        self.lines.append({"event": event, **values})


class _Flaky:
    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error or Unavailable("the broker is away")

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "done"


@pytest.fixture
def log() -> _Log:
    return _Log()


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.patience._FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr("services.patience._LONGEST_PAUSE_SECONDS", 0.001)


async def test_it_tries_until_the_dependency_is_there(log: _Log, in_a_hurry: None) -> None:
    work, waits = _Flaky(9), []
    result = await patiently(
        work, stop=asyncio.Event(), log=log, on_wait=lambda: waits.append(work.calls)
    )
    assert (result, work.calls) == ("done", 10)
    assert waits == list(range(1, 10)), "liveness is touched before every pause"


async def test_it_says_so_at_attempts_1_2_4_and_8_and_why(log: _Log, in_a_hurry: None) -> None:
    """A long outage is a few lines, not a flood."""
    await patiently(_Flaky(9), stop=asyncio.Event(), log=log)
    assert [line["attempt"] for line in log.lines] == [1, 2, 4, 8]
    assert {line["why"] for line in log.lines} == {"the broker is away"}


async def test_after_the_given_time_it_gives_up_with_the_last_reason(
    log: _Log, in_a_hurry: None
) -> None:
    work = _Flaky(1_000_000)
    with pytest.raises(Unavailable, match="the broker is away"):
        await patiently(work, stop=asyncio.Event(), log=log, give_up_seconds=0.02)
    assert work.calls > 1
    once = _Flaky(1_000_000)
    with pytest.raises(Unavailable):
        await patiently(once, stop=asyncio.Event(), log=log, give_up_seconds=0)
    assert once.calls == 1


async def test_any_other_error_is_raised_at_once(log: _Log) -> None:
    work = _Flaky(1, ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await patiently(work, stop=asyncio.Event(), log=log)
    assert work.calls == 1


async def test_being_told_to_stop_ends_the_wait_at_once(log: _Log) -> None:
    stop, work = asyncio.Event(), _Flaky(1000)
    asyncio.get_running_loop().call_later(0.05, stop.set)
    with pytest.raises(Stopped):
        await asyncio.wait_for(patiently(work, stop=stop, log=log), 5)


async def test_work_that_succeeds_is_not_stopped(log: _Log) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await patiently(_Flaky(0), stop=stop, log=log) == "done"


async def test_a_pause_lasts_as_long_as_it_should_when_nobody_stops_it() -> None:
    started = asyncio.get_running_loop().time()
    await pause(0.05, asyncio.Event())
    assert asyncio.get_running_loop().time() - started >= 0.045
