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
from services.http.counting import count_items
from services.http.idempotency import Idempotency
from services.http.media import JSON, idempotency_key_of, media_type, traceparent_of
from services.http.problem import Problem, json_response, unavailable
from services.http.sender import Sender, forbidden_project, sender_of
from services.settings import Settings
from services.telemetry import ItemKind

_STATUS_OF_ALL = {"too_large": 413, "forbidden": 403}  # where every item was refused for the same
_Taken = TraceReceived | FeedbackReceived
_Decode = Callable[..., Sequence[_Taken | Refused]]
_Ignored = Callable[[bytes], dict[int, list[str]]]


def capture_routes(
    collector: Collector, settings: Settings, idempotency: Idempotency | None = None
) -> APIRouter:
    """Routes that take native traces and feedback.

    Without `idempotency` an `Idempotency-Key` is an event's id and nothing more.
    """
    router = APIRouter(tags=["capture"])
    taking = _Taking(collector, settings, idempotency)

    @router.post("/v1/captures", **describe.CAPTURES)
    async def captures(request: Request) -> Response:
        return await taking.take(request, "trace", decode_captures, ignored_in_captures)

    @router.post("/v1/feedback", **describe.FEEDBACK)
    async def feedback(request: Request) -> Response:
        return await taking.take(request, "feedback", decode_feedback, ignored_in_feedback)

    return router


class _Taking:
    """Takes one request's items, each judged on its own."""

    def __init__(
        self, collector: Collector, settings: Settings, idempotency: Idempotency | None
    ) -> None:
        self._collector = collector
        self._settings = settings
        self._idempotency = idempotency

    async def take(
        self, request: Request, kind: ItemKind, decode: _Decode, ignored_in: _Ignored
    ) -> Response:
        """Answer a request. Raises `Problem`."""
        _require_json(request)
        body = await read_body(request, max_bytes=self._settings.max_request_bytes)
        try:
            key = idempotency_key_of(request)
            items, ignored = await off_the_loop(
                len(body),
                lambda: (
                    decode(body, max_bytes=self._settings.max_trace_bytes, idempotency_key=key),
                    ignored_in(body),
                ),
            )
        except Malformed as error:
            raise Problem(400, "malformed", str(error)) from error
        items = _own(items, sender_of(request))
        taken = [item for item in items if not isinstance(item, Refused)]
        try:
            if key is not None and taken:
                await self._check(request, kind, taken[0], body)
            collected = await self._collector.collect(taken, traceparent=traceparent_of(request))
        except Unavailable as error:
            raise unavailable(error) from error
        return _answer(request, kind, items, collected, ignored)

    async def _check(self, request: Request, kind: ItemKind, item: _Taken, body: bytes) -> None:
        """Raise `Problem` when the request's key was used for something else; `Unavailable`."""
        if self._idempotency is None:
            return
        try:
            await self._idempotency.check(item.event_id, body)
        except Problem:
            count_items(request, kind, "conflict", 1)
            raise


def _own(items: Sequence[_Taken | Refused], sender: Sender) -> Sequence[_Taken | Refused]:
    """The items with those refused that are of a project which the sender may not name."""
    if sender.project is None:
        return items
    judged: list[_Taken | Refused] = []
    for item in items:
        why = None if isinstance(item, Refused) else forbidden_project(sender, item.project)
        judged.append(item if why is None else Refused("forbidden", why, item.trace_id))
    return judged


def _answer(
    request: Request,
    kind: ItemKind,
    items: Sequence[_Taken | Refused],
    collected: Sequence[Collected],
    ignored: dict[int, list[str]],
) -> Response:
    became = iter(collected)
    results = [
        _refused(index, item) if isinstance(item, Refused) else _taken(index, item, next(became))
        for index, item in enumerate(items)
    ]
    for index, names in ignored.items():
        results[index]["ignored"] = names
    accepted = sum(result["status"] == "accepted" for result in results)
    count_items(request, kind, "", accepted)
    for result in results:
        if result["status"] == "rejected":
            count_items(request, kind, result["error"]["code"], 1)
    answer = {"results": results, "accepted": accepted, "rejected": len(results) - accepted}
    if accepted or not results:
        return json_response(answer, 202)
    message = f"None was taken: {results[0]['error']['message']}"
    codes = {result["error"]["code"] for result in results}
    code = codes.pop() if len(codes) == 1 else "invalid"
    status = _STATUS_OF_ALL.get(code, 422)
    return json_response({"error": {"code": code, "message": message}, **answer}, status)


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
