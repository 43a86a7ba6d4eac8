"""`/v1/patterns`: merging, splitting and naming patterns, undoing that, and who did it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.http import describe_patterns as describe
from services.http.asked import body_of, by_of, limit_of, project_of, told
from services.http.problem import Problem, json_response
from services.pattern_changes import MOST_NAME, PatternChange, PatternChanges

_MOST_BYTES = 1 << 20  # of a request: ten thousand names of events, with room
_MOST_WORDS = 2000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Words = Annotated[str, msgspec.Meta(max_length=_MOST_WORDS)]


class Merging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become part of a pattern."""

    merged: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=1000)]
    reason: Words = ""
    by: Words = ""


class Splitting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which occurrences of a pattern become one of their own, by event id."""

    events: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=10_000)]
    reason: Words = ""
    by: Words = ""


class Naming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pattern is to be called."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)]
    reason: Words = ""
    by: Words = ""


class Undoing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a change is taken back."""

    reason: Words = ""
    by: Words = ""


def pattern_routes(
    changes: PatternChanges, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """Routes that change patterns, and the one that tells how they were changed."""
    router = APIRouter(tags=["patterns"])

    @router.post("/v1/patterns/{pattern_id}/merge", **describe.MERGE)
    async def merge(request: Request, pattern_id: str) -> Response:
        wanted = await body_of(request, Merging, most_bytes=_MOST_BYTES)
        by, project = by_of(request, wanted.by), project_of(request)
        return await _changed(
            changes.merge(
                project, pattern_id, wanted.merged, by=by, reason=wanted.reason, at=clock()
            )
        )

    @router.post("/v1/patterns/{pattern_id}/split", **describe.SPLIT)
    async def split(request: Request, pattern_id: str) -> Response:
        wanted = await body_of(request, Splitting, most_bytes=_MOST_BYTES)
        by, project = by_of(request, wanted.by), project_of(request)
        return await _changed(
            changes.split(
                project, pattern_id, wanted.events, by=by, reason=wanted.reason, at=clock()
            )
        )

    @router.put("/v1/patterns/{pattern_id}/name", **describe.NAME)
    async def name(request: Request, pattern_id: str) -> Response:
        wanted = await body_of(request, Naming, most_bytes=_MOST_BYTES)
        by, project = by_of(request, wanted.by), project_of(request)
        return await _changed(
            changes.name(project, pattern_id, wanted.name, by=by, reason=wanted.reason, at=clock())
        )

    @router.delete("/v1/patterns/{pattern_id}/name", **describe.UNNAME)
    async def unname(request: Request, pattern_id: str) -> Response:
        by, project = by_of(request, _words(request, "by")), project_of(request)
        reason = _words(request, "reason")
        return await _changed(
            changes.name(project, pattern_id, None, by=by, reason=reason, at=clock())
        )

    @router.post("/v1/patterns/changes/{change_id}/undo", **describe.UNDO)
    async def undo(request: Request, change_id: str) -> Response:
        wanted = await body_of(request, Undoing, most_bytes=_MOST_BYTES)
        by, project = by_of(request, wanted.by), project_of(request)
        return await _changed(
            changes.undo(project, change_id, by=by, reason=wanted.reason, at=clock())
        )

    @router.get("/v1/patterns/changes", **describe.HISTORY)
    async def history(request: Request) -> Response:
        project, limit = project_of(request), limit_of(request)
        with told():
            return json_response({"changes": await changes.history(project, limit=limit)})

    return router


async def _changed(change: Awaitable[PatternChange]) -> Response:
    """The change, made. Raises `Problem`."""
    with told():
        return json_response(await change)


def _words(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if len(text) > _MOST_WORDS:
        raise Problem(400, "malformed", f"{name} has at most {_MOST_WORDS} characters")
    return text
