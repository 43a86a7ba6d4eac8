"""The OpenTelemetry side of the capture API: OTLP/HTTP on `/v1/traces`.

https://opentelemetry.io/docs/specs/otlp/#otlphttp: answers are in the request's content type, errors
are a google.rpc.Status, what was not taken is said in `partialSuccess`.
"""

from collections.abc import Sequence

import msgspec
from fastapi import APIRouter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import Request
from starlette.responses import Response

from capture.malformed import Malformed
from capture.otlp import (
    Decoded,
    NotTraces,
    RejectedSpan,
    decode_json,
    decode_protobuf,
    project_name_problem,
)
from services.collector import Collector
from services.errors import Unavailable
from services.http import describe
from services.http.body import off_the_loop, read_body
from services.http.media import JSON, PROTOBUF, media_type, traceparent_of
from services.http.problem import Problem, error_body, unavailable
from services.settings import Settings

PROJECT_HEADER = "x-evalratchet-project"
_SHOWN_REASONS = 5
_RPC_CODES = {"unavailable": 14, "too_large": 8}  # google.rpc.Code; the others are an argument's
_INVALID_ARGUMENT = 3


def otlp_routes(collector: Collector, settings: Settings) -> APIRouter:
    """The route that OpenTelemetry exporters post to."""
    router = APIRouter(tags=["capture"])

    @router.post("/v1/traces", **describe.TRACES)
    async def traces(request: Request) -> Response:
        kind = media_type(request)
        if kind is None:
            raise _unsupported(request)
        try:
            rejected = await _export(request, kind, collector, settings)
        except Problem as problem:
            return _failure(problem, kind)
        return _success(rejected, kind)

    return router


async def _export(
    request: Request, kind: str, collector: Collector, settings: Settings
) -> Sequence[RejectedSpan]:
    """Take a request's spans; what was not taken. Raises `Problem` when nothing was."""
    project = request.headers.get(PROJECT_HEADER)
    if project is not None and (wrong := project_name_problem(project)) is not None:
        raise Problem(400, "malformed", f"Header {PROJECT_HEADER}: {wrong}")
    body = await read_body(request, max_bytes=settings.max_request_bytes)
    decoded = await off_the_loop(len(body), lambda: _decode(body, kind, project, settings))
    try:
        collected = await collector.collect(decoded.pieces, traceparent=traceparent_of(request))
    except Unavailable as error:
        raise unavailable(error) from error
    rejected = list(decoded.rejected)
    for piece, result in zip(decoded.pieces, collected, strict=True):
        if (why := result.refusal) is not None:
            rejected.extend(RejectedSpan(piece.trace_id, s.span_id, why) for s in piece.spans)
    if rejected and all(result.refusal is not None for result in collected):
        message = f"None of the spans was taken. {_reasons(rejected)}"
        raise Problem(400, "invalid", message)
    return rejected


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


def _failure(problem: Problem, kind: str) -> Response:
    """A google.rpc.Status; in JSON with our own shape of errors beside it."""
    code = _RPC_CODES.get(problem.code, _INVALID_ARGUMENT)
    if kind == JSON:
        status = {"code": code, "message": problem.message, **error_body(problem)}
        content = msgspec.json.encode(status)
    else:
        text = problem.message.encode()
        content = b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text
    return Response(content, problem.status, media_type=kind, headers=problem.headers)


def _varint(number: int) -> bytes:
    """Protobuf's variable-length integer. Status is too small to ask for another package."""
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
