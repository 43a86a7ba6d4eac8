"""`/v1/patterns/grey`: doubtful decisions, and what reviewers say of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from dedup.labels import Verdict
from services.http.asked import body_of, by_of, project_of, told
from services.http.describe import GUARDED, error
from services.http.problem import Problem, json_response
from services.labelling import GreyDecisions, settle_grey
from services.pattern_changes import PatternChanges

_MOST_BYTES = 64 << 10
_MOST = 1000
_PROJECT: dict[str, Any] = {
    "name": "project",
    "in": "query",
    "description": "the project; a key of one project means that one",
    "schema": {"type": "string"},
}
_JSON: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
_LIST: dict[str, Any] = {
    "summary": "List doubtful decisions",
    "description": "Failures that were counted to the nearest pattern, and only just, as far as nobody "
    "has reviewed them: the nearest first, with both texts. Wants a key of scope `read`.",
    "responses": {
        200: {"description": "Doubtful decisions", "content": _JSON},
        **GUARDED,
    },
    "openapi_extra": {"parameters": [_PROJECT]},
}
_DECIDE: dict[str, Any] = {
    "summary": "Review a doubtful decision",
    "description": "`same` keeps the failure where it is; `different` gives it a pattern of its own, "
    "which `/v1/patterns/changes` has and can undo. Wants a key of scope `review`.",
    "responses": {
        200: {"description": "The verdict, carried out", "content": _JSON},
        **GUARDED,
        404: error("There is no doubtful decision about this event"),
        408: error("The body did not arrive in time"),
        409: error("Somebody reviewed it before, or it cannot be split off"),
        413: error("More bytes than are taken in one request, after decompression"),
        415: error("A content encoding that is not read here"),
        422: error("That is no verdict"),
    },
    "openapi_extra": {
        "parameters": [_PROJECT],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["verdict"],
                        "additionalProperties": False,
                        "properties": {
                            "verdict": {"enum": ["same", "different"]},
                            "reason": {"type": "string", "maxLength": 2000},
                            "by": {"type": "string", "maxLength": 2000},
                        },
                    },
                    "example": {"verdict": "same", "by": "ann"},
                }
            },
        },
    },
}


class Reviewing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reviewer's verdict."""

    verdict: Verdict
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    by: Annotated[str, msgspec.Meta(max_length=2000)] = ""


def grey_routes(
    decisions: GreyDecisions,
    changes: PatternChanges,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """Routes that list and review doubtful decisions."""
    router = APIRouter(tags=["patterns"])

    @router.get("/v1/patterns/grey", **_LIST)
    async def undecided(request: Request) -> Response:
        project = project_of(request)
        with told():
            found = await decisions.undecided(project, limit=_MOST)
        return json_response({"decisions": found})

    @router.post("/v1/patterns/grey/{event_id}", **_DECIDE)
    async def decide(request: Request, event_id: str) -> Response:
        wanted = await body_of(request, Reviewing, most_bytes=_MOST_BYTES, what="verdict")
        by, project = by_of(request, wanted.by), project_of(request)
        with told():
            found = [
                one for one in await decisions.find(event_id, project) if one.event_id == event_id
            ]
            if not found:
                message = f"There is no doubtful decision about {event_id[:80]!r}"
                raise Problem(404, "not_found", message)
            change = await settle_grey(
                found[0],
                wanted.verdict,
                decisions=decisions,
                changes=changes,
                by=by,
                reason=wanted.reason,
                at=clock(),
            )
        return json_response({"event_id": event_id, "verdict": wanted.verdict, "change": change})

    return router
