"""The OpenTelemetry side of the capture API: OTLP/HTTP traces and logs.

https://opentelemetry.io/docs/specs/otlp/#otlphttp: answers are in the request's content type, errors
are a google.rpc.Status, what was not taken is said in `partialSuccess`.
"""

from collections.abc import Sequence

import msgspec
from fastapi import APIRouter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import Request
from starlette.responses import Response

from capture.events import SpansReceived
from capture.malformed import Malformed
from capture.otlp import (
    Decoded,
    NotTraces,
    RejectedSpan,
    decode_json,
    decode_protobuf,
)
from services.collector import Collector
from services.errors import Unavailable
from services.http import describe
from services.http.body import off_the_loop, read_body
from services.http.counting import count_items
from services.http.media import JSON, PROTOBUF, media_type, traceparent_of
from services.http.otlp_logs import take_logs
from services.http.problem import Problem, unavailable
from services.http.project import meant_project
from services.http.rpc_status import rpc_status
from services.http.sender import Sender, forbidden_project, sender_of
from services.settings import Settings

OTLP_ALIASES = ("/api/public/otel", "/otel")
"""Where Langfuse's and LangSmith's clients put OTLP's paths."""
_SHOWN_REASONS = 5


def otlp_routes(collector: Collector, settings: Settings) -> APIRouter:
    """The routes that OpenTelemetry exporters post to."""
    router = APIRouter(tags=["capture"])

    async def traces(request: Request) -> Response:
        kind = media_type(request)
        if kind is None:
            raise _unsupported(request)
        try:
            rejected = await _export(request, kind, collector, settings)
        except Problem as problem:
            return rpc_status(problem, kind)
        return _success(rejected, kind)

    async def logs(request: Request) -> Response:
        kind = media_type(request)
        if kind is None:
            raise _unsupported(request)
        try:
            return await take_logs(request, kind, collector, settings)
        except Problem as problem:
            return rpc_status(problem, kind)

    router.post("/v1/traces", **describe.TRACES)(traces)
    router.post("/v1/logs", **describe.LOGS)(logs)
    for prefix in OTLP_ALIASES:
        router.post(f"{prefix}/v1/traces", include_in_schema=False)(traces)
        router.post(f"{prefix}/v1/logs", include_in_schema=False)(logs)
    return router


async def _export(
    request: Request, kind: str, collector: Collector, settings: Settings
) -> Sequence[RejectedSpan]:
    """Take a request's spans; what was not taken. Raises `Problem` when nothing was."""
    meant = meant_project(request)
    sender = sender_of(request)
    body = await read_body(request, max_bytes=settings.max_request_bytes)
    decoded = await off_the_loop(len(body), lambda: _decode(body, kind, meant, settings))
    pieces, forbidden = _own(decoded.pieces, sender)
    try:
        collected = await collector.collect(pieces, traceparent=traceparent_of(request))
    except Unavailable as error:
        raise unavailable(error) from error
    rejected = [*decoded.rejected, *forbidden]
    too_large: list[RejectedSpan] = []
    accepted = 0
    for piece, result in zip(pieces, collected, strict=True):
        if (why := result.refusal) is not None:
            too_large.extend(RejectedSpan(piece.trace_id, s.span_id, why) for s in piece.spans)
        else:
            accepted += len(piece.spans)
    count_items(request, "span", "", accepted)
    count_items(request, "span", "invalid", len(decoded.rejected))
    count_items(request, "span", "forbidden", len(forbidden))
    count_items(request, "span", "too_large", len(too_large))
    rejected.extend(too_large)
    if rejected and not accepted:
        message = f"None of the spans was taken. {_reasons(rejected)}"
        if len(forbidden) == len(rejected):
            raise Problem(403, "forbidden", message)
        raise Problem(400, "invalid", message)
    return rejected


def _own(
    pieces: Sequence[SpansReceived], sender: Sender
) -> tuple[Sequence[SpansReceived], Sequence[RejectedSpan]]:
    """The pieces of projects that the sender may name, and the spans of the others."""
    if sender.project is None:
        return pieces, ()
    own: list[SpansReceived] = []
    forbidden: list[RejectedSpan] = []
    for piece in pieces:
        why = forbidden_project(sender, piece.project)
        if why is None:
            own.append(piece)
        else:
            forbidden.extend(RejectedSpan(piece.trace_id, s.span_id, why) for s in piece.spans)
    return own, forbidden


def _decode(body: bytes, kind: str, project: str | None, settings: Settings) -> Decoded:
    decode = decode_protobuf if kind == PROTOBUF else decode_json
    try:
        return decode(body, header_project=project, max_bytes=settings.max_trace_bytes)
    except NotTraces as error:
        raise Problem(400, "wrong_signal", str(error)) from error
    except Malformed as error:
        raise Problem(400, "malformed", str(error)) from error


def _unsupported(request: Request) -> Problem:
    said = request.headers.get("content-type", "")[:80]
    message = f"Content-Type {said!r} is not read here; OTLP/HTTP is {PROTOBUF} or {JSON} in UTF-8"
    return Problem(
        415, "unsupported_media_type", message, headers={"accept-post": f"{PROTOBUF}, {JSON}"}
    )


def _success(rejected: Sequence[RejectedSpan], kind: str) -> Response:
    reasons = _reasons(rejected)
    if kind == PROTOBUF:
        answer = ExportTraceServiceResponse()
        if rejected:
            answer.partial_success.rejected_spans = len(rejected)
            answer.partial_success.error_message = reasons
        return Response(answer.SerializeToString(), media_type=PROTOBUF)
    said = {"rejectedSpans": str(len(rejected)), "errorMessage": reasons}  # int64 is text in JSON
    content = msgspec.json.encode({"partialSuccess": said} if rejected else {})
    return Response(content, media_type=JSON)


def _reasons(rejected: Sequence[RejectedSpan]) -> str:
    """Reasons for a person: the first few, each with its span."""
    shown = [f"span {r.span_id or '?'}: {r.reason}" for r in rejected[:_SHOWN_REASONS]]
    more = len(rejected) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
