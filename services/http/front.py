"""The way in for posts. Every trace comes through here, so it skips the framework's layers.

The routes are FastAPI's: it documents them and answers whatever else is asked of their paths. Between
the socket and a route it has nine layers, none of which a route that reads a raw body needs; they
cost as much as decoding a span (`docs/decisions/0018-ingest-performance.md`).
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from services.http.problem import answer_to

_Endpoint = Callable[[Request], Awaitable[Response]]


class FrontDoor:
    """Calls the endpoints of posts directly; hands everything else to the application behind."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        """Take the `routes` of `app` that are posted to, have a fixed path and take the request alone."""
        self._app = app
        self._posts: dict[str, _Endpoint] = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, APIRoute) and route.methods == {"POST"} and _takes_a_request(route)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope, as ASGI has it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._posts.get(scope["path"])
            if endpoint is not None:
                request = Request(scope, receive, send)
                try:
                    response = await endpoint(request)
                except Exception as error:  # noqa: BLE001 - every error has its answer
                    response = await answer_to(request, error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _takes_a_request(route: APIRoute) -> bool:
    fixed = "{" not in route.path
    return fixed and list(inspect.signature(route.endpoint).parameters) == ["request"]
