"""OTLP/HTTP logs on `/v1/logs`: GenAI events are taken, other logs are said to be none of ours.

A request of ordinary logs is answered with success and `partialSuccess`: the exporter learns that and
why nothing was kept, and neither fails nor sends it again.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from starlette.requests import Request
from starlette.responses import Response

from capture.malformed import Malformed
from capture.otlp import DecodedLogs, decode_logs_json, decode_logs_protobuf
from services.collector import Collector
from services.errors import Unavailable
from services.http.body import off_the_loop, read_body
from services.http.counting import count_items
from services.http.media import JSON, PROTOBUF, traceparent_of
from services.http.problem import Problem, unavailable
from services.http.project import meant_project
from services.http.sender import forbidden_project, sender_of
from services.settings import Settings

_SHOWN_REASONS = 5
_decoders: dict[str, Callable[..., DecodedLogs]] = {
    JSON: decode_logs_json,
    PROTOBUF: decode_logs_protobuf,
}


async def take_logs(
    request: Request, kind: str, collector: Collector, settings: Settings
) -> Response:
    """Take a request's GenAI events and answer it. `kind` is its content type. Raises `Problem`."""
    meant = meant_project(request)
    body = await read_body(request, max_bytes=settings.max_request_bytes)
    try:
        decoded = await off_the_loop(
            len(body),
            lambda: _decoders[kind](body, header_project=meant, max_bytes=settings.max_trace_bytes),
        )
    except Malformed as error:
        raise Problem(400, "malformed", str(error)) from error
    rejected = Counter(decoded.rejected)
    count_items(request, "log_record", "invalid", rejected.total())
    sender, pieces = sender_of(request), []
    for piece in decoded.pieces:
        if (why := forbidden_project(sender, piece.project)) is None:
            pieces.append(piece)
        else:
            rejected[why] += 1
            count_items(request, "log_record", "forbidden", 1)
    try:
        collected = await collector.collect(pieces, traceparent=traceparent_of(request))
    except Unavailable as error:
        raise unavailable(error) from error
    too_large = [result.refusal for result in collected if result.refusal is not None]
    rejected.update(too_large)
    count_items(request, "log_record", "too_large", len(too_large))
    count_items(request, "log_record", "", len(collected) - len(too_large))
    return _answer(rejected, kind)


def _answer(rejected: Mapping[str, int], kind: str) -> Response:
    count = sum(rejected.values())
    shown = list(rejected.items())[:_SHOWN_REASONS]
    reasons = "; ".join(f"{number} not taken: {reason}" for reason, number in shown)
    if kind == JSON:
        said = {"rejectedLogRecords": str(count), "errorMessage": reasons}  # int64: text in JSON
        return Response(
            msgspec.json.encode({"partialSuccess": said} if count else {}), media_type=JSON
        )
    answer = ExportLogsServiceResponse()
    if count:
        answer.partial_success.rejected_log_records = count
        answer.partial_success.error_message = reasons
    return Response(answer.SerializeToString(), media_type=PROTOBUF)
