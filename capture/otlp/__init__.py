"""OTLP/HTTP: the bytes of a request with spans or log records, JSON or protobuf, to pieces of traces."""

from capture.otlp.gather import Decoded, RejectedSpan
from capture.otlp.json_body import decode_json
from capture.otlp.logs import DecodedLogs
from capture.otlp.logs_json import decode_logs_json
from capture.otlp.logs_protobuf import decode_logs_protobuf
from capture.otlp.other_signals import NotTraces
from capture.otlp.project import project_name_problem
from capture.otlp.protobuf_body import decode_protobuf

__all__ = [
    "Decoded",
    "DecodedLogs",
    "NotTraces",
    "RejectedSpan",
    "decode_json",
    "decode_logs_json",
    "decode_logs_protobuf",
    "decode_protobuf",
    "project_name_problem",
]
