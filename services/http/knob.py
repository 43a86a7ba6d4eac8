"""`/v1/dedup/what-if` and `/v1/dedup/coverage`: questions about a project's grouping as a whole."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.coverage import discovered
from services.http import describe_knob as describe
from services.http.asked import project_of, told
from services.http.problem import Problem, busy, json_response
from services.knob import KnobReader
from services.policy import PolicyStore
from services.spans_of_time import span_of
from services.what_if import Asked, what_if

_MOST_TEXTS = 100_000
"""Texts of one replay: about 10 s on two cores and 600 MB, which one request may cost; the command
line has no bound."""
_MOST_EXAMPLES = 100
_LARGEST_DISTANCE = 2.0
_AT_ONCE = 1  # replays: the process has requests to serve that somebody's app waits for


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    knob: KnobReader
    policies: PolicyStore


def knob_routes(
    asking: Asking, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """Routes that look at a project's history. They change nothing."""
    router = APIRouter(tags=["dedup"])
    replaying = asyncio.Semaphore(_AT_ONCE)

    @router.get("/v1/dedup/what-if", **describe.WHAT_IF)
    async def what_if_route(request: Request) -> Response:
        project = project_of(request)
        distance, examples = _distance(request), _examples(request)
        since = _since(request, clock)
        if replaying.locked():
            raise busy("another what-if is being computed")
        async with replaying:
            with told():
                await _check_size(asking.knob, project)
                policy = (await asking.policies.current(project))[1].dedup
                answer = await what_if(
                    asking.knob,
                    project,
                    Asked(
                        distance=distance,
                        since=since,
                        examples=examples,
                        representative=policy.representative,
                    ),
                    current=policy.distance,
                    adaptive=policy.adaptive is not None,
                )
        if answer is None:
            message = f"{project} has no stored failures to replay"
            raise Problem(404, "not_found", message)
        return json_response(answer)

    @router.get("/v1/dedup/coverage", **describe.COVERAGE)
    async def coverage_route(request: Request) -> Response:
        project = project_of(request)
        with told():
            known = await discovered(asking.knob, project)
        if known is None:
            raise Problem(404, "not_found", f"{project} has no failures yet")
        return json_response(known)

    return router


async def _check_size(knob: KnobReader, project: str) -> None:
    texts = await knob.size(project)
    if texts > _MOST_TEXTS:
        message = (
            f"{project} has {texts:,} distinct texts, more than the {_MOST_TEXTS:,} that are replayed "
            f"for a request: run `evalratchet dedup what-if --project {project}`"
        )
        raise Problem(422, "invalid", message)


def _distance(request: Request) -> float:
    number = _number(request, "distance", None)
    if not 0 <= number <= _LARGEST_DISTANCE:
        raise Problem(400, "malformed", "distance is a cosine distance from 0 to 2")
    return number


def _examples(request: Request) -> int:
    number = _number(request, "examples", 5)
    if not 0 <= number <= _MOST_EXAMPLES:
        raise Problem(400, "malformed", f"examples is a number from 0 to {_MOST_EXAMPLES}")
    return int(number)


def _number(request: Request, name: str, default: float | None) -> float:
    value: Any = request.query_params.get(name, default)
    if value is None:
        raise Problem(400, "malformed", f"Say which {name}: ?{name}=0.48")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Problem(400, "malformed", f"{name} is no number: {str(value)[:80]!r}")
    return number


def _since(request: Request, clock: Callable[[], datetime]) -> datetime | None:
    text = request.query_params.get("since")
    if text is None:
        return None
    span = span_of(text)
    if span is None:
        message = f"since is no span of time: {text[:80]!r}. For example ?since=30d"
        raise Problem(400, "malformed", message)
    return clock() - span
