"""`/v1/modes` and `/v1/patterns/proposals`: ways of failing, and which patterns look like one."""

from typing import get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.errors import Unavailable
from services.http import describe_modes as describe
from services.http.problem import Problem, json_response, unavailable
from services.http.project import meant_project
from services.http.sender import forbidden_project, sender_of
from services.mode_store import ModeStore, ProposalState

_MOST = 1_000
_DEFAULT = 100


def mode_routes(modes: ModeStore) -> APIRouter:
    """Routes that look at modes. They change nothing."""
    router = APIRouter(tags=["modes"])

    @router.get("/v1/modes", **describe.MODES)
    async def modes_route(request: Request) -> Response:
        project = _project(request)
        try:
            found = await modes.modes(project, gone=request.query_params.get("gone") == "true")
            refits = await modes.refits(project, limit=1)
        except Unavailable as error:
            raise unavailable(error) from error
        return json_response({"modes": found, "refit": refits[0] if refits else None})

    @router.get("/v1/modes/{mode_id}", **describe.MODE)
    async def mode_route(request: Request, mode_id: str) -> Response:
        project = _project(request)
        try:
            found = [m for m in await modes.modes(project, gone=True) if m.mode_id == mode_id]
            members = await modes.members(project, mode_id, limit=_limit(request))
        except Unavailable as error:
            raise unavailable(error) from error
        if not found:
            raise Problem(404, "not_found", f"{project} has no mode {mode_id[:80]!r}")
        return json_response({"mode": found[0], "patterns": members})

    @router.get("/v1/patterns/proposals", **describe.PROPOSALS)
    async def proposals_route(request: Request) -> Response:
        project, state = _project(request), _state(request)
        try:
            found = await modes.proposals(project, state=state, limit=_limit(request))
        except Unavailable as error:
            raise unavailable(error) from error
        return json_response({"proposals": found})

    return router


def _project(request: Request) -> str:
    """The project asked about. Raises `Problem`."""
    project = request.query_params.get("project") or meant_project(request)
    if project is None:
        raise Problem(400, "malformed", "Say which project: ?project=NAME")
    said = forbidden_project(sender_of(request), project)
    if said is not None:
        raise Problem(403, "forbidden", said)
    return project


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(_DEFAULT))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _MOST):
        raise Problem(400, "malformed", f"limit is a whole number from 1 to {_MOST}")
    return int(text)


def _state(request: Request) -> ProposalState | None:
    text = request.query_params.get("state", "open")
    if text == "all":
        return None
    for state in get_args(ProposalState):
        if text == state:
            found: ProposalState = state
            return found
    raise Problem(400, "malformed", "state is open, accepted, rejected or all")
