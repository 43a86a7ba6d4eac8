"""Scorers in Python run in a process of their own, whatever they do there."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from capture.scoring.own_code import PythonScorer
from capture.scoring.scorer import Finding, Trouble
from capture.trace import Trace
from services import own_scorers as module
from services.own_scorers import OwnScorers

HERE = Path(__file__).parent
TRACE = Trace(trace_id="t1", project="shop", output="give it to me")


@pytest.fixture
async def own(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwnScorers]:
    monkeypatch.syspath_prepend(HERE)
    one = OwnScorers()
    yield one
    await one.close()


def scorer(function: str, **more: Any) -> PythonScorer:
    return PythonScorer(function=f"scorers_of_a_user:{function}", **more)


async def test_a_function_says_whether_a_trace_passed_and_how_good_it_was(own: OwnScorers) -> None:
    (failed,) = await own.ask(scorer("polite", name="polite"), TRACE)
    assert isinstance(failed, Finding)
    assert (failed.name, failed.value, failed.reason) == ("polite", False, "polite says it failed.")
    assert list(await own.ask(scorer("polite", options={"word": "give"}), TRACE)) == []
    (low,) = await own.ask(scorer("length", name="length"), TRACE)
    assert isinstance(low, Finding)
    assert low.reason == "length is 0.13, below the bound of 0.5."
    assert list(await own.ask(scorer("length", below=0.1), TRACE)) == []
    (told,) = await own.ask(scorer("told"), TRACE)
    assert isinstance(told, Finding)
    assert (told.reason, told.value, told.severity) == ("t1 is bad", 0.1, "critical")
    assert list(await own.ask(scorer("silent"), TRACE)) == []


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("scorers_of_a_user:wrong", "returned list; it may return None"),
        ("scorers_of_a_user:infinite", "returned nan, which is no score"),
        ("scorers_of_a_user:raises", "raised KeyError: 'no such thing'"),
        ("scorers_of_a_user:leaves", "raised SystemExit: 3"),
        ("scorers_of_a_user:missing", "cannot be loaded: AttributeError"),
        ("scorers_of_a_user:NOT_A_FUNCTION", "it is a int, not a function"),
        ("no_such_module:f", "cannot be loaded: ModuleNotFoundError"),
        ("nobodys_entry_point", "no installed package has it in the entry point group"),
    ],
)
async def test_what_a_function_does_wrong_is_a_trouble_that_says_where(
    own: OwnScorers, function: str, said: str
) -> None:
    (trouble,) = await own.ask(PythonScorer(function=function), TRACE)
    assert isinstance(trouble, Trouble)
    assert said in trouble.detail


async def test_a_function_that_hangs_is_killed_and_the_others_go_on(own: OwnScorers) -> None:
    await own.ask(scorer("silent"), TRACE)
    (hung,) = await own.ask(scorer("hangs", timeout_seconds=0.1), TRACE)
    assert isinstance(hung, Trouble)
    assert hung.detail == "scorers_of_a_user:hangs did not return within 0.1 s"
    assert list(await own.ask(scorer("polite", options={"word": "give"}), TRACE)) == []


async def test_a_function_that_dies_is_left_alone_after_three_times(own: OwnScorers) -> None:
    for _ in range(3):
        (died,) = await own.ask(scorer("dies"), TRACE)
        assert isinstance(died, Trouble)
        assert "took its process down" in died.detail
    (resting,) = await own.ask(scorer("dies"), TRACE)
    assert isinstance(resting, Trouble)
    assert "hung or crashed 3 times in a row" in resting.detail
    assert "`evalratchet rescore` catches up" in resting.detail
    assert list(await own.ask(scorer("silent"), TRACE)) == []
    own._resting_until.clear()
    (again,) = await own.ask(scorer("dies"), TRACE)
    assert isinstance(again, Trouble)
    assert "took its process down" in again.detail


async def test_many_questions_share_one_process(own: OwnScorers, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    asked = [own.ask(scorer("counts", options={"file": str(log)}), TRACE) for _ in range(10)]
    assert await asyncio.gather(*asked) == [()] * 10
    pids = set(log.read_text().split())
    assert len(pids) == 1
    assert pids != {str(os.getpid())}


def test_an_entry_point_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint, EntryPoints  # noqa: PLC0415 - used here alone

    point = EntryPoint(name="ours", value="os.path:basename", group=module.ENTRY_POINTS)
    monkeypatch.setattr(module.importlib.metadata, "entry_points", lambda **_: EntryPoints([point]))
    assert module._found("ours") is os.path.basename


async def test_what_was_killed_leaves_no_error_behind(own: OwnScorers) -> None:
    """The pool tells of the death later; by then everything has been said."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: unheard.append(what))
    await own.ask(scorer("silent"), TRACE)
    await own.ask(scorer("hangs", timeout_seconds=0.05), TRACE)
    await own.ask(scorer("silent"), TRACE)
    gc.collect()
    assert unheard == []


async def test_a_trace_does_not_wait_for_ever_behind_slow_ones(
    own: OwnScorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUEUE_SECONDS", 0.02)
    await own._turn.acquire()
    (trouble,) = await own.ask(scorer("silent"), TRACE)
    assert isinstance(trouble, Trouble)
    assert "waited 0.02 s for its turn; `evalratchet rescore` catches up" in trouble.detail
    own._turn.release()
    assert list(await own.ask(scorer("silent"), TRACE)) == []
