"""The capture application."""

from pathlib import Path

import swagger_ui_bundle
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from services.collector import Collector
from services.http import describe, problem
from services.http.capture import capture_routes
from services.http.front import FrontDoor
from services.http.otlp import otlp_routes
from services.http.problem import json_response
from services.http.state import state_routes
from services.settings import Settings
from services.telemetry import Metrics


def create_capture_app(collector: Collector, settings: Settings, *, metrics: Metrics) -> ASGIApp:
    """What capture serves: traces, feedback, its own state, and a page that explains them."""
    app = FastAPI(
        title="evalratchet capture",
        version=describe.API_VERSION,
        description=describe.INTRODUCTION,
        docs_url=None,
        redoc_url=None,
    )
    problem.install(app)
    posts = [capture_routes(collector, settings), otlp_routes(collector, settings)]
    for router in posts:
        app.include_router(router)
    app.include_router(state_routes(metrics))
    _add_pages(app)
    app.openapi = describe.openapi_of(app)  # type: ignore[method-assign] # FastAPI's documented way
    return FrontDoor(app, [route for router in posts for route in router.routes])


def _add_pages(app: FastAPI) -> None:
    """`/` and `/docs`. Everything the page loads comes from here, by addresses relative to it."""
    assets = Path(str(swagger_ui_bundle.swagger_ui_path))
    app.mount("/static/swagger-ui", StaticFiles(directory=assets))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="evalratchet capture",
            swagger_js_url="static/swagger-ui/swagger-ui-bundle.js",
            swagger_css_url="static/swagger-ui/swagger-ui.css",
            swagger_favicon_url="static/swagger-ui/favicon-32x32.png",
            swagger_ui_parameters={"validatorUrl": None},  # or it asks a server about our API
        )

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        paths = ["/v1/captures", "/v1/traces", "/v1/feedback", "/healthz", "/readyz", "/metrics"]
        return json_response({"service": "evalratchet capture", "docs": "/docs", "paths": paths})
