"""What is answered when something is not as it should be: one shape, whatever went wrong.

`{"error": {"code", "message", "detail"?}}`: the code is for programs, the message says to a person
what to change, the detail is what only some need.
"""

import random
from http import HTTPStatus
from typing import Any, Literal

import msgspec
import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.errors import Unavailable

ProblemCode = Literal[
    "malformed",  # 400: the request cannot be read
    "invalid",  # 422: it can be read, and nothing in it can be taken
    "wrong_signal",  # 400: OTLP logs or metrics on the path for traces
    "unauthorized",  # 401: no API key, or none that opens anything
    "forbidden",  # 403: the key, or the page that asks, may not do this
    "timeout",  # 408: the body did not arrive in time
    "conflict",  # 409: an Idempotency-Key that was used for something else
    "too_large",  # 413: more bytes than are taken in one request
    "unsupported_media_type",  # 415: a content type or encoding that is not read here
    "rate_limited",  # 429: more requests than the sender may make
    "headers_too_large",  # 431
    "not_found",  # 404
    "method_not_allowed",  # 405
    "unavailable",  # 503: the stream does not take anything just now; send it again later
    "internal",  # 500: our fault
    "refused",  # any other status that the framework answers
]

_CODES: dict[int, ProblemCode] = {404: "not_found", 405: "method_not_allowed"}
_RETRY_SECONDS = (1, 5)  # spread, so that clients that failed together do not return together

log = structlog.get_logger()


class Problem(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        code: ProblemCode,
        message: str,
        *,
        detail: Any = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`detail` is any JSON."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers


def unavailable(error: Unavailable) -> Problem:
    """503 with a `Retry-After` in seconds, a little different for everybody."""
    seconds = random.randint(*_RETRY_SECONDS)  # noqa: S311 - spreading load is no secret
    message = f"Not stored, send it again after {seconds} s: {error}"
    return Problem(503, "unavailable", message, headers={"retry-after": str(seconds)})


def busy(why: str) -> Problem:
    """503 for a process that has its hands full, with a `Retry-After` as above."""
    seconds = random.randint(*_RETRY_SECONDS)  # noqa: S311 - spreading load is no secret
    message = f"Not taken, send it again after {seconds} s: {why}"
    return Problem(503, "unavailable", message, headers={"retry-after": str(seconds)})


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Any msgspec-encodable value as an answer."""
    return Response(
        msgspec.json.encode(content), status, media_type="application/json", headers=headers
    )


def error_body(problem: Problem) -> dict[str, Any]:
    """The one shape of errors."""
    error = {"code": problem.code, "message": problem.message}
    return {"error": error if problem.detail is None else {**error, "detail": problem.detail}}


def answer(problem: Problem) -> Response:
    """A problem as JSON."""
    return json_response(error_body(problem), problem.status, problem.headers)


def install(app: FastAPI) -> None:
    """Answer every problem, the framework's own included, in the one shape."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_anything_else)


async def answer_to(request: Request, error: Exception) -> Response:
    """The answer to whatever a route raised."""
    if isinstance(error, Problem):
        return answer(error)
    if isinstance(error, HTTPException):
        return await _on_http_exception(request, error)
    if isinstance(error, ClientDisconnect):
        return await _on_disconnect(request, error)
    return await _on_anything_else(request, error)


async def _on_problem(_: Request, error: Exception) -> Response:
    return answer(error) if isinstance(error, Problem) else await _on_anything_else(_, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _on_anything_else(request, error)
    phrase = HTTPStatus(error.status_code).phrase
    message = f"{phrase}: {request.method} {request.url.path}. What there is is described at /docs"
    headers = dict(error.headers) if error.headers else None
    code = _CODES.get(error.status_code, "refused")
    return answer(Problem(error.status_code, code, message, headers=headers))


async def _on_disconnect(_: Request, __: Exception) -> Response:
    """Nobody is there to read this; it only keeps the log free of a traceback."""
    return answer(Problem(400, "malformed", "The connection ended before the body did"))


async def _on_anything_else(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=error)
    message = "Something went wrong on the server; nothing of this request is known to be stored"
    return answer(Problem(500, "internal", message))
