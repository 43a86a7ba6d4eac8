"""A project named in the path: `/projects/support/v1/traces` is `/v1/traces` of the project `support`.

Most clients take a base address from one environment variable and no header, so an address is the one
place where all of them can say whose data it is.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from services.http.project import put_project

_PREFIX = "/projects/"


class ProjectInPath:
    """Takes the project off the path of a request, and hands the rest on."""

    def __init__(self, app: ASGIApp) -> None:
        """Serve `app` below `/projects/<name>` too."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope, as ASGI has it."""
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            project, slash, rest = scope["path"].removeprefix(_PREFIX).partition("/")
            if project and slash:
                scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
                put_project(scope, project)
        await self._app(scope, receive, send)
