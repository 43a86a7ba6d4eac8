"""The capture application."""

from pathlib import Path

import msgspec
import swagger_ui_bundle
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from services.collector import Collector
from services.http import describe, problem
from services.http.capture import capture_routes
from services.http.credentials import needed
from services.http.feedback import feedback_routes
from services.http.front import FrontDoor
from services.http.grey import grey_routes
from services.http.guard import Guard, Guarding
from services.http.idempotency import Idempotency
from services.http.inflight import Budget
from services.http.keys import KeyStore, key_routes
from services.http.knob import Asking, knob_routes
from services.http.modes import mode_routes
from services.http.openapi import openapi_of
from services.http.otlp import otlp_routes
from services.http.patterns import pattern_routes
from services.http.problem import json_response
from services.http.project_path import ProjectInPath
from services.http.rate import Buckets
from services.http.state import state_routes
from services.key_ring import KeyRing
from services.labelling import GreyDecisions
from services.mode_store import ModeStore
from services.pattern_changes import PatternChanges
from services.settings import Settings
from services.telemetry import Metrics

_RATE_WITH_KEYS = 1000.0  # requests a second: ten times what the busiest exporters post


class Remembering(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP side remembers in the store."""

    keys: KeyStore
    ring: KeyRing
    idempotency: Idempotency
    changes: PatternChanges | None = None
    """What patterns are merged and split in; without it that is not served."""
    asking: Asking | None = None
    """What questions about patterns are put to; without it they are not served."""
    grey: GreyDecisions | None = None
    """Where doubtful decisions are; without it they are not served."""
    modes: ModeStore | None = None
    """What questions about modes are put to; without it they are not served."""


def create_capture_app(
    collector: Collector,
    settings: Settings,
    *,
    metrics: Metrics,
    remembering: Remembering | None = None,
) -> ASGIApp:
    """What capture serves: traces, feedback, its own state, and a page that explains them.

    Without `remembering` there are no API keys, so that nobody is let in where they are needed, and
    an `Idempotency-Key` is an event's id and nothing more.
    """
    app = FastAPI(
        title="evalratchet capture",
        version=describe.API_VERSION,
        description=describe.INTRODUCTION,
        docs_url=None,
        redoc_url=None,
    )
    problem.install(app)
    idempotency = None if remembering is None else remembering.idempotency
    posts = [
        capture_routes(collector, settings, idempotency),
        otlp_routes(collector, settings),
        feedback_routes(collector, settings),
    ]
    others = [state_routes(metrics)]
    if remembering is not None:
        others.append(key_routes(remembering.keys, remembering.ring))
        if remembering.changes is not None:
            others.append(pattern_routes(remembering.changes))
            if remembering.grey is not None:
                others.append(grey_routes(remembering.grey, remembering.changes))
        if remembering.asking is not None:
            others.append(knob_routes(remembering.asking))
        if remembering.modes is not None:
            others.append(mode_routes(remembering.modes))
    for router in (*posts, *others):
        app.include_router(router)
    _add_pages(app)
    app.openapi = openapi_of(app)  # type: ignore[method-assign] # FastAPI's documented way
    front = FrontDoor(app, [route for router in posts for route in router.routes])
    routes = [*app.routes, *(route for router in (*posts, *others) for route in router.routes)]
    paths = frozenset(
        route.path for route in routes if isinstance(route, Route) and "{" not in route.path
    )
    guarded = Guard(front, guarding(settings, remembering), metrics, paths)
    return ProjectInPath(guarded)


def guarding(settings: Settings, remembering: Remembering | None) -> Guarding:
    """What requests are held to by these settings."""
    required = needed(settings.auth, settings.listen)
    rate = settings.rate_per_second
    if rate is None:
        rate = _RATE_WITH_KEYS if required else 0
    burst = settings.rate_burst or max(1, int(2 * rate))
    return Guarding(
        ring=None if remembering is None else remembering.ring,
        required=required,
        trusting=settings.auth == "off",
        buckets=Buckets(rate, burst) if rate else None,
        budget=Budget(settings.max_inflight_bytes),
        grace_seconds=settings.body_seconds,
        min_bytes_per_second=settings.body_bytes_per_second,
    )


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
        paths = [
            "/v1/captures",
            "/v1/traces",
            "/v1/logs",
            "/v1/feedback",
            "/v1/dedup/what-if",
            "/v1/dedup/coverage",
            "/v1/patterns/changes",
            "/v1/patterns/proposals",
            "/v1/modes",
            "/healthz",
            "/readyz",
            "/metrics",
        ]
        return json_response({"service": "evalratchet capture", "docs": "/docs", "paths": paths})
