"""How the process does: `/healthz`, `/readyz`, `/metrics`."""

from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from services.http import describe, problem
from services.http.problem import json_response
from services.telemetry import Metrics


def state_routes(metrics: Metrics) -> APIRouter:
    """Routes for whoever runs the process."""
    router = APIRouter(tags=["state"])

    @router.get("/healthz", **describe.HEALTH)
    async def healthz() -> Response:
        live = metrics.health.live()
        body = {"status": "ok" if live else "stuck", "stages": metrics.health.stages()}
        return json_response(body, 200 if live else 503)

    @router.get("/readyz", **describe.READY)
    async def readyz() -> Response:
        # A dependency that is down does not show here: a replica that gets no requests could never
        # find out that it is back. Clients are told 503 and when to come again instead. Nothing
        # listens before the stream and the store were reached once, so what is left to say no to
        # is the end: a load balancer should send what comes next to another replica.
        if metrics.health.ready():
            return json_response({"status": "ready", **metrics.health.notes()})
        return json_response({"status": "stopping"}, 503)

    @router.get("/metrics", **describe.METRICS)
    async def metrics_page() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def create_state_app(metrics: Metrics) -> FastAPI:
    """The application of a service that serves nothing else."""
    app = FastAPI(title="evalratchet", openapi_url=None, docs_url=None, redoc_url=None)
    problem.install(app)
    app.include_router(state_routes(metrics))
    return app
