"""What requests about a project's patterns say, and how it is answered when that cannot be done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from starlette.requests import Request

from capture.otlp import project_name_problem
from services.errors import Unavailable
from services.http.body import read_body
from services.http.problem import Problem, unavailable
from services.http.project import meant_project
from services.http.sender import forbidden_project, sender_of
from services.keys import MARK
from services.pattern_changes import NotPossible, NotThere

_MOST = 1000
_MOST_DIGITS = 9  # zeros before a number may be any number of digits

Wanted = TypeVar("Wanted")


def project_of(request: Request) -> str:
    """The project meant, which the sender may ask about. Raises `Problem`."""
    project = request.query_params.get("project") or meant_project(request)
    if project is None:
        raise Problem(400, "malformed", "Say which project: ?project=NAME")
    if (wrong := project_name_problem(project)) is not None:
        raise Problem(400, "malformed", f"project: {wrong}")
    said = forbidden_project(sender_of(request), project)
    if said is not None:
        raise Problem(403, "forbidden", said)
    return project


def limit_of(request: Request, *, default: int = 100, most: int = _MOST) -> int:
    """How many are asked for at most. Raises `Problem`."""
    text = request.query_params.get("limit", str(default))
    digits = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    if not (digits and 1 <= int(text) <= most):
        message = f"limit is a whole number from 1 to {most}, not {text[:80]!r}"
        raise Problem(400, "malformed", message)
    return int(text)


def by_of(request: Request, said: str) -> str:
    """Who the history names: what the request says, and the key that it came with."""
    key_id = sender_of(request).key_id
    who = said.strip() or "somebody over the API"
    return who if key_id is None else f"{who} (key {MARK}{key_id})"


async def body_of(
    request: Request, kind: type[Wanted], *, most_bytes: int, what: str = "change of patterns"
) -> Wanted:
    """The body, as what it is to be. Raises `Problem`."""
    body = await read_body(request, max_bytes=most_bytes)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(422, "invalid", f"That is no {what}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed", f"The body is not JSON: {error}") from error


@contextmanager
def told() -> Iterator[None]:
    """Turn what the store raises into the problem that the client is told."""
    try:
        yield
    except NotThere as error:
        raise Problem(404, "not_found", str(error)) from error
    except NotPossible as error:
        raise Problem(409, "conflict", str(error)) from error
    except Unavailable as error:
        raise unavailable(error) from error
