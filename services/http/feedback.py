"""Feedback as the clients of Langfuse, Phoenix and LangSmith post it, on their paths, with their answers.

The project is the header's or the path's, else that of the sender's key, else `default`: none of these
shapes has one of its own.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from capture.events import FeedbackReceived
from capture.feedback.about import Item
from capture.feedback.langfuse import Outcome, decode_ingestion, decode_scores
from capture.feedback.langsmith import decode_langsmith
from capture.feedback.phoenix import Kind, decode_annotations
from capture.malformed import Malformed
from capture.otlp.project import DEFAULT_PROJECT
from services.collector import Collector
from services.errors import Unavailable
from services.http import describe_feedback
from services.http.body import off_the_loop, read_body
from services.http.counting import count_items
from services.http.media import traceparent_of
from services.http.problem import Problem, json_response, unavailable
from services.http.project import meant_project
from services.http.sender import forbidden_project, sender_of
from services.settings import Settings

T = TypeVar("T")

_PHOENIX_VERSION = "12.0.0"
"""The oldest Phoenix whose clients post all three kinds of annotations; newer ones ask for it."""
_NO_RUNS = (
    "Runs are not read here in LangSmith's own format: set LANGSMITH_OTEL_ENABLED=true, and its SDK "
    "sends them by OpenTelemetry to /otel/v1/traces"
)
_SHOWN_REASONS = 5


def feedback_routes(collector: Collector, settings: Settings) -> APIRouter:
    """Routes that other tools' clients post feedback to, and what they ask first."""
    router = APIRouter(tags=["feedback of other tools"])
    taking = _Taking(collector, settings)
    _add_langfuse(router, taking)
    _add_phoenix(router, taking)
    _add_langsmith(router, taking)
    return router


class _Taking:
    """What the shapes have in common: read, decode, publish."""

    def __init__(self, collector: Collector, settings: Settings) -> None:
        self._collector = collector
        self._settings = settings

    async def decoded(self, request: Request, decode: Callable[..., T]) -> T:
        """What `decode` makes of the body. Raises `Problem`."""
        project = meant_project(request) or DEFAULT_PROJECT
        if (why := forbidden_project(sender_of(request), project)) is not None:
            count_items(request, "feedback", "forbidden", 1)
            raise Problem(403, "forbidden", why)
        body = await read_body(request, max_bytes=self._settings.max_request_bytes)
        limit, now = self._settings.max_trace_bytes, datetime.now(UTC)
        try:
            return await off_the_loop(
                len(body), lambda: decode(body, project=project, max_bytes=limit, now=now)
            )
        except Malformed as error:
            count_items(request, "feedback", "invalid", 1)
            raise Problem(400, "malformed", str(error)) from error

    async def collect(
        self, request: Request, items: Sequence[Item]
    ) -> list[tuple[str | None, str]]:
        """For each item why it was not stored, or None, and its event's id. Raises `Problem`."""
        events: list[FeedbackReceived] = [event for item in items for event in item.events]
        try:
            collected = iter(
                await self._collector.collect(events, traceparent=traceparent_of(request))
            )
        except Unavailable as error:
            raise unavailable(error) from error
        results: list[tuple[str | None, str]] = []
        for item in items:
            own = [next(collected) for _ in item.events]
            why = next((result.refusal for result in own if result.refusal), item.refusal)
            results.append((why, own[0].event_id if own else ""))
        rejected = sum(why is not None for why, _ in results)
        count_items(request, "feedback", "invalid", rejected)
        count_items(request, "feedback", "", len(results) - rejected)
        return results


def _add_langfuse(router: APIRouter, taking: _Taking) -> None:
    @router.post("/api/public/scores", **describe_feedback.SCORES)
    async def scores(request: Request) -> Response:
        items, many = await taking.decoded(request, decode_scores)
        results = await taking.collect(request, items)
        if not many:
            why, event_id = results[0]
            if why is not None:
                raise Problem(400, "invalid", f"The score was not taken: {why}")
            return json_response({"id": items[0].id or event_id})
        reasons = [why for why, _ in results if why is not None]
        if not reasons:
            return json_response({"message": "Accepted"}, 202)
        counts = {"accepted": len(results) - len(reasons), "rejected": len(reasons)}
        return json_response({**counts, "errors": [{"message": why} for why in reasons]}, 207)

    @router.post("/api/public/ingestion", **describe_feedback.INGESTION)
    async def ingestion(request: Request) -> Response:
        outcomes: Sequence[Outcome] = await taking.decoded(request, decode_ingestion)
        items = [outcome.item for outcome in outcomes]
        successes: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for item, (why, _) in zip(items, await taking.collect(request, items), strict=True):
            told = {"id": item.id or ""}
            if why is None:
                successes.append({**told, "status": 201})
            else:
                errors.append({**told, "status": 400, "message": why, "error": "InvalidRequest"})
        return json_response({"successes": successes, "errors": errors}, 207)


def _add_phoenix(router: APIRouter, taking: _Taking) -> None:
    async def annotate(request: Request, kind: Kind) -> Response:
        items: Sequence[Item] = await taking.decoded(
            request, lambda body, **bounds: decode_annotations(body, kind, **bounds)
        )
        reasons = [(n, item.refusal) for n, item in enumerate(items) if item.refusal is not None]
        if not reasons:
            results = await taking.collect(request, items)
            reasons = [(n, why) for n, (why, _) in enumerate(results) if why is not None]
        else:
            count_items(request, "feedback", "invalid", len(items))
        if reasons:
            shown = "; ".join(f"data[{place}]: {why}" for place, why in reasons[:_SHOWN_REASONS])
            message = f"{len(reasons)} of {len(items)} annotations cannot be taken. {shown}"
            raise Problem(422, "invalid", message)
        return json_response({"data": [{"id": event_id} for _, event_id in results]})

    @router.post("/v1/span_annotations", **describe_feedback.annotations("span"))
    async def spans(request: Request) -> Response:
        return await annotate(request, "span")

    @router.post("/v1/trace_annotations", **describe_feedback.annotations("trace"))
    async def traces(request: Request) -> Response:
        return await annotate(request, "trace")

    @router.post("/v1/session_annotations", **describe_feedback.annotations("session"))
    async def sessions(request: Request) -> Response:
        return await annotate(request, "session")

    @router.get("/arize_phoenix_version", include_in_schema=False)
    async def version() -> Response:
        return PlainTextResponse(_PHOENIX_VERSION)


def _add_langsmith(router: APIRouter, taking: _Taking) -> None:
    async def feedback(request: Request) -> Response:
        item = await taking.decoded(request, decode_langsmith)
        why, event_id = (await taking.collect(request, [item]))[0]
        if why is not None:
            raise Problem(413, "too_large", why)
        event = item.events[0]
        said = event.signal
        answer = {
            "id": item.id or event_id,
            "key": said.name,
            "score": None if isinstance(said.value, str) else said.value,
            "value": said.value if isinstance(said.value, str) else said.label,
            "comment": said.comment,
            "correction": said.correction,
            "created_at": said.at,
            "modified_at": said.at,
        }
        return json_response(answer)

    async def runs(_: Request) -> Response:
        raise Problem(400, "wrong_signal", _NO_RUNS)

    async def info() -> Response:
        return json_response({"batch_ingest_config": {"use_multipart_endpoint": False}})

    router.post("/feedback", **describe_feedback.LANGSMITH)(feedback)
    router.post("/api/v1/feedback", include_in_schema=False)(feedback)
    for prefix in ("", "/api/v1"):
        for path in ("/runs", "/runs/batch", "/runs/multipart"):
            router.post(f"{prefix}{path}", include_in_schema=False)(runs)
        router.get(f"{prefix}/info", include_in_schema=False)(info)
