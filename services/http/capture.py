"""The native side of the capture API: `/v1/captures` and `/v1/feedback`."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from capture.events import FeedbackReceived, TraceReceived
from capture.malformed import Malformed
from capture.native import (
    Refused,
    decode_captures,
    decode_feedback,
    ignored_in_captures,
    ignored_in_feedback,
)
from services.collector import Collected, Collector
from services.errors import Unavailable
from services.http import describe
from services.http.body import off_the_loop, read_body
from services.http.media import JSON, idempotency_key_of, media_type, traceparent_of
from services.http.problem import Problem, json_response, unavailable
from services.settings import Settings

_Taken = TraceReceived | FeedbackReceived
_Decode = Callable[..., Sequence[_Taken | Refused]]
_Ignored = Callable[[bytes], dict[int, list[str]]]


def capture_routes(collector: Collector, settings: Settings) -> APIRouter:
    """Routes that take native traces and feedback."""
    router = APIRouter(tags=["capture"])

    @router.post("/v1/captures", **describe.CAPTURES)
    async def captures(request: Request) -> Response:
        return await _take(request, decode_captures, ignored_in_captures, collector, settings)

    @router.post("/v1/feedback", **describe.FEEDBACK)
    async def feedback(request: Request) -> Response:
        return await _take(request, decode_feedback, ignored_in_feedback, collector, settings)

    return router


async def _take(
    request: Request,
    decode: _Decode,
    ignored_in: _Ignored,
    collector: Collector,
    settings: Settings,
) -> Response:
    _require_json(request)
    body = await read_body(request, max_bytes=settings.max_request_bytes)
    try:
        key = idempotency_key_of(request)
        items, ignored = await off_the_loop(
            len(body),
            lambda: (
                decode(body, max_bytes=settings.max_trace_bytes, idempotency_key=key),
                ignored_in(body),
            ),
        )
    except Malformed as error:
        raise Problem(400, "malformed", str(error)) from error
    taken = [item for item in items if not isinstance(item, Refused)]
    try:
        collected = iter(await collector.collect(taken, traceparent=traceparent_of(request)))
    except Unavailable as error:
        raise unavailable(error) from error
    results = [
        _refused(index, item) if isinstance(item, Refused) else _taken(index, item, next(collected))
        for index, item in enumerate(items)
    ]
    for index, names in ignored.items():
        results[index]["ignored"] = names
    accepted = sum(result["status"] == "accepted" for result in results)
    answer = {"results": results, "accepted": accepted, "rejected": len(results) - accepted}
    if results and not accepted:
        nothing = {"code": "invalid", "message": f"None was taken: {_why(results[0])}"}
        return json_response({"error": nothing, **answer}, 422)
    return json_response(answer, 202)


def _require_json(request: Request) -> None:
    """JSON, or nothing said: what posts JSON without saying so means JSON."""
    if "content-type" in request.headers and media_type(request) != JSON:
        message = (
            f"Content-Type {request.headers['content-type'][:80]!r} is not read here; send "
            f"{JSON} in UTF-8 (with curl: -H 'content-type: {JSON}')"
        )
        raise Problem(415, "unsupported_media_type", message, headers={"accept-post": JSON})


def _refused(index: int, item: Refused) -> dict[str, Any]:
    error = {"code": item.code, "message": item.message}
    return {"index": index, "status": "rejected", "trace_id": item.trace_id, "error": error}


def _taken(index: int, item: _Taken, collected: Collected) -> dict[str, Any]:
    result = {"index": index, "event_id": collected.event_id, "trace_id": item.trace_id}
    if collected.refusal is not None:
        error = {"code": "too_large", "message": collected.refusal}
        return {**result, "status": "rejected", "error": error}
    return {**result, "status": "accepted"}


def _why(result: dict[str, Any]) -> str:
    return str(result["error"]["message"])
