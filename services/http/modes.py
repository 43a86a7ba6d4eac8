"""`/v1/modes` and `/v1/patterns/proposals`: ways of failing, and which patterns look like one."""

from typing import get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.http import describe_modes as describe
from services.http.asked import limit_of, project_of, told
from services.http.problem import Problem, json_response
from services.mode_store import ModeStore, ProposalState


def mode_routes(modes: ModeStore) -> APIRouter:
    """Routes that look at modes. They change nothing."""
    router = APIRouter(tags=["modes"])

    @router.get("/v1/modes", **describe.MODES)
    async def modes_route(request: Request) -> Response:
        project = project_of(request)
        with told():
            found = await modes.modes(project, gone=request.query_params.get("gone") == "true")
            refits = await modes.refits(project, limit=1)
        return json_response({"modes": found, "refit": refits[0] if refits else None})

    @router.get("/v1/modes/{mode_id}", **describe.MODE)
    async def mode_route(request: Request, mode_id: str) -> Response:
        project = project_of(request)
        with told():
            found = [m for m in await modes.modes(project, gone=True) if m.mode_id == mode_id]
            members = await modes.members(project, mode_id, limit=limit_of(request))
        if not found:
            raise Problem(404, "not_found", f"{project} has no mode {mode_id[:80]!r}")
        return json_response({"mode": found[0], "patterns": members})

    @router.get("/v1/patterns/proposals", **describe.PROPOSALS)
    async def proposals_route(request: Request) -> Response:
        project, state = project_of(request), _state(request)
        with told():
            found = await modes.proposals(project, state=state, limit=limit_of(request))
        return json_response({"proposals": found})

    return router


def _state(request: Request) -> ProposalState | None:
    text = request.query_params.get("state", "open")
    if text == "all":
        return None
    for state in get_args(ProposalState):
        if text == state:
            found: ProposalState = state
            return found
    raise Problem(400, "malformed", "state is open, accepted, rejected or all")
