"""Asks scorers in Python of a project's own, in a worker process that may hang and crash."""

import asyncio
import importlib
import importlib.metadata
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import msgspec
import structlog

from capture.scoring.own_code import PythonScorer
from capture.scoring.scorer import Said, Trouble
from capture.trace import Trace
from services.worker import WorkerProcess, within

log = structlog.get_logger()

ENTRY_POINTS = "evalratchet.scorers"
"""The group in which an installed package names its scorers."""

_START_SECONDS = 60.0  # of the process and the imports of the function's module
_NICENESS = 10  # capture goes first
_QUEUE_SECONDS = 120.0  # a slow function must not make the loop stand still for longer than it may
_CATCH_UP = "`evalratchet rescore` catches up"
_STRIKES = 3  # hangs or crashes in a row after which a function is left alone
_REST_SECONDS = 300.0
_DEATHS = (BrokenProcessPool, TimeoutError, MemoryError)

_loaded: dict[str, Callable[..., Any]] = {}  # of the worker process


class Answer(msgspec.Struct, frozen=True):
    """What the worker says: the function's answer as JSON, or in words why there is none."""

    returned: bytes | None = None
    problem: str = ""


class OwnScorers:
    """One worker process for all of them, one question at a time."""

    def __init__(self) -> None:
        """Nothing is started before the first question."""
        self._process = WorkerProcess(niceness=_NICENESS)
        self._turn = asyncio.Lock()
        self._ready: set[str] = set()
        self._strikes: dict[str, int] = {}
        self._resting_until: dict[str, float] = {}

    async def ask(self, scorer: PythonScorer, trace: Trace) -> Sequence[Said]:
        """What the function said of the trace; why it could not, as a trouble."""
        name = scorer.function
        try:
            await asyncio.wait_for(self._turn.acquire(), _QUEUE_SECONDS)
        except TimeoutError:
            return (Trouble(f"{name} waited {_QUEUE_SECONDS:g} s for its turn; {_CATCH_UP}"),)
        try:
            left = self._resting_until.get(name, 0.0) - asyncio.get_running_loop().time()
            if left > 0:
                return (
                    Trouble(
                        f"{name} hung or crashed {_STRIKES} times in a row and is not asked for another "
                        f"{left:.0f} s; {_CATCH_UP}"
                    ),
                )
            answer = await self._answer(scorer, trace)
        finally:
            self._turn.release()
        if answer.returned is None:
            return (Trouble(answer.problem),)
        return scorer.verdict(msgspec.json.decode(answer.returned))

    async def close(self) -> None:
        """Stop the worker at once."""
        self._ready.clear()
        await self._process.close()

    async def _answer(self, scorer: PythonScorer, trace: Trace) -> Answer:
        name, seconds = scorer.function, scorer.timeout_seconds
        try:
            if name not in self._ready:
                seconds = _START_SECONDS
                loaded = await within(self._process.submit(load, name), seconds)
                if loaded.problem:
                    return loaded
                self._ready.add(name)
                seconds = scorer.timeout_seconds
            asked = self._process.submit(call, name, msgspec.json.encode(trace), scorer.options)
            answer = await within(asked, seconds)
        except _DEATHS as error:
            self._strike(name)
            if isinstance(error, TimeoutError):
                return Answer(problem=f"{name} did not return within {seconds:g} s")
            return Answer(problem=f"{name} took its process down with it")
        self._strikes.pop(name, None)
        return answer

    def _strike(self, name: str) -> None:
        """The process hung or died at this function: kill it, and mind how often that happens."""
        self._process.kill()
        self._ready.clear()
        strikes = self._strikes.get(name, 0) + 1
        log.warning("own_scorer_killed", function=name, strikes=strikes)
        if strikes < _STRIKES:
            self._strikes[name] = strikes
            return
        self._strikes.pop(name, None)
        self._resting_until[name] = asyncio.get_running_loop().time() + _REST_SECONDS


def load(name: str) -> Answer:
    """In the worker: import a function."""
    if name in _loaded:
        return Answer()
    try:
        _loaded[name] = _found(name)
    except BaseException as error:  # noqa: BLE001 - importing runs foreign code
        return Answer(problem=f"{name} cannot be loaded: {_told(error)}")
    return Answer()


def call(name: str, trace: bytes, options: dict[str, Any]) -> Answer:
    """In the worker: ask a function about a trace in JSON."""
    try:
        returned = _loaded[name](_whole(trace), **options)
        if hasattr(returned, "item") and not isinstance(returned, dict):
            returned = returned.item()  # a number of numpy's
        if not isinstance(returned, (bool, int, float, dict, type(None))):
            return Answer(
                problem=f"{name} returned {type(returned).__name__}; it may return None, a truth value, "
                "a number or a dict"
            )
        if isinstance(returned, float) and (returned != returned or abs(returned) == float("inf")):  # noqa: PLR0124 - NaN
            return Answer(problem=f"{name} returned {returned}, which is no score")
        return Answer(msgspec.json.encode(returned))
    except BaseException as error:  # noqa: BLE001 - foreign code raises what it likes, SystemExit too
        return Answer(problem=f"{name} raised {_told(error)}")


def _whole(trace: bytes) -> dict[str, Any]:
    """The trace with all its fields, also those that have their default value."""
    struct = msgspec.json.decode(trace, type=Trace)
    whole = {name: getattr(struct, name) for name in struct.__struct_fields__}
    plain: dict[str, Any] = msgspec.to_builtins(whole)
    return plain


def _found(name: str) -> Callable[..., Any]:
    module, colon, path = name.partition(":")
    if not colon:
        return _entry_point(name)
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return _callable(found)


def _entry_point(name: str) -> Callable[..., Any]:
    group = importlib.metadata.entry_points(group=ENTRY_POINTS)
    if name not in group.names:
        there = ", ".join(sorted(group.names)) or "none"
        message = (
            f"no installed package has it in the entry point group {ENTRY_POINTS!r} (there: {there}); "
            "for a function of a module write package.module:function"
        )
        raise LookupError(message)
    return _callable(group[name].load())


def _callable(found: Any) -> Callable[..., Any]:
    if not callable(found):
        message = f"it is a {type(found).__name__}, not a function"
        raise TypeError(message)
    loaded: Callable[..., Any] = found
    return loaded


def _told(error: BaseException) -> str:
    """The error in a line, with the place in the foreign code."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if len(frames) > 1 else ""
    return f"{type(error).__name__}: {error}{place}"
