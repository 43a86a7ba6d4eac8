"""Errors as OTLP's clients read them: a google.rpc.Status in the request's content type."""

import msgspec
from starlette.responses import Response

from services.http.media import JSON
from services.http.problem import Problem, ProblemCode, error_body

_INVALID_ARGUMENT = 3
_CODES: dict[ProblemCode, int] = {  # google.rpc.Code; what is not here is an argument's
    "conflict": 6,
    "forbidden": 7,
    "rate_limited": 8,
    "too_large": 8,
    "internal": 13,
    "unavailable": 14,
    "unauthorized": 16,
}


def rpc_status(problem: Problem, kind: str) -> Response:
    """A google.rpc.Status of content type `kind`; in JSON with our own shape of errors beside it."""
    code = _CODES.get(problem.code, _INVALID_ARGUMENT)
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
