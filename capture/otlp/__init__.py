"""OTLP/HTTP: the bytes of an ExportTraceServiceRequest, JSON or protobuf, to pieces of traces."""

from capture.otlp.gather import Decoded, RejectedSpan
from capture.otlp.json_body import decode_json
from capture.otlp.project import project_name_problem
from capture.otlp.protobuf_body import decode_protobuf
from capture.otlp.wrong import Malformed, NotTraces

__all__ = [
    "Decoded",
    "Malformed",
    "NotTraces",
    "RejectedSpan",
    "decode_json",
    "decode_protobuf",
    "project_name_problem",
]
