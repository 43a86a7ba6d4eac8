"""Which project a request means, where what it carries does not say."""

from starlette.requests import Request
from starlette.types import Scope

from capture.otlp import project_name_problem
from services.http.problem import Problem
from services.http.sender import sender_of

PROJECT_HEADER = "x-evalratchet-project"
_IN_SCOPE = "evalratchet.project"  # of the ASGI scope: the project that was named in the path


def put_project(scope: Scope, project: str) -> None:
    """Leave the project that the path names where `meant_project` finds it."""
    scope[_IN_SCOPE] = project


def meant_project(request: Request) -> str | None:
    """The project in the request's header, else in its path, else its sender's own, else None.

    Raises:
        Problem: 400, what is named there cannot be a project.
    """
    named = request.headers.get(PROJECT_HEADER)
    where = f"Header {PROJECT_HEADER}"
    if named is None:
        named, where = request.scope.get(_IN_SCOPE), "The address"
    if named is not None and (wrong := project_name_problem(named)) is not None:
        raise Problem(400, "malformed", f"{where}: {wrong}")
    return named or sender_of(request).project
