"""`/v1/patterns`: merging and splitting patterns, undoing that, and who did it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from capture.otlp import project_name_problem
from services.errors import Unavailable
from services.http import describe_patterns as describe
from services.http.body import read_body
from services.http.problem import Problem, json_response, unavailable
from services.http.project import meant_project
from services.http.sender import forbidden_project, sender_of
from services.keys import MARK
from services.pattern_changes import NotPossible, NotThere, PatternChange, PatternChanges

_MOST_BYTES = 1 << 20  # of a request: ten thousand names of events, with room
_MOST_CHANGES = 1000

Wanted = TypeVar("Wanted")
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Words = Annotated[str, msgspec.Meta(max_length=2000)]


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
        wanted = await _wanted(request, Merging)
        by, project = _by(request, wanted.by), _project(request)
        return await _changed(
            changes.merge(
                project, pattern_id, wanted.merged, by=by, reason=wanted.reason, at=clock()
            )
        )

    @router.post("/v1/patterns/{pattern_id}/split", **describe.SPLIT)
    async def split(request: Request, pattern_id: str) -> Response:
        wanted = await _wanted(request, Splitting)
        by, project = _by(request, wanted.by), _project(request)
        return await _changed(
            changes.split(
                project, pattern_id, wanted.events, by=by, reason=wanted.reason, at=clock()
            )
        )

    @router.post("/v1/patterns/changes/{change_id}/undo", **describe.UNDO)
    async def undo(request: Request, change_id: str) -> Response:
        wanted = await _wanted(request, Undoing)
        by, project = _by(request, wanted.by), _project(request)
        return await _changed(
            changes.undo(project, change_id, by=by, reason=wanted.reason, at=clock())
        )

    @router.get("/v1/patterns/changes", **describe.HISTORY)
    async def history(request: Request) -> Response:
        project, limit = _project(request), _limit(request)
        try:
            found = await changes.history(project, limit=limit)
        except Unavailable as error:
            raise unavailable(error) from error
        return json_response({"changes": found})

    return router


async def _changed(change: Awaitable[PatternChange]) -> Response:
    """The change, made. Raises `Problem`."""
    try:
        return json_response(await change)
    except NotThere as error:
        raise Problem(404, "not_found", str(error)) from error
    except NotPossible as error:
        raise Problem(409, "conflict", str(error)) from error
    except Unavailable as error:
        raise unavailable(error) from error


async def _wanted(request: Request, kind: type[Wanted]) -> Wanted:
    """What the body asks for. Raises `Problem`."""
    body = await read_body(request, max_bytes=_MOST_BYTES)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(422, "invalid", f"That is no change of patterns: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed", f"The body is not JSON: {error}") from error


def _by(request: Request, said: str) -> str:
    """Who the history names: what the request says, and the key that it came with."""
    key_id = sender_of(request).key_id
    who = said.strip() or "somebody over the API"
    return who if key_id is None else f"{who} (key {MARK}{key_id})"


def _project(request: Request) -> str:
    """The project meant. Raises `Problem`."""
    project = request.query_params.get("project") or meant_project(request)
    if project is None:
        raise Problem(400, "malformed", "Say which project: ?project=NAME")
    if (wrong := project_name_problem(project)) is not None:
        raise Problem(400, "malformed", f"project: {wrong}")
    said = forbidden_project(sender_of(request), project)
    if said is not None:
        raise Problem(403, "forbidden", said)
    return project


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_CHANGES):
        message = f"limit is a number from 1 to {_MOST_CHANGES}, not {text[:80]!r}"
        raise Problem(400, "malformed", message)
    return int(text)
