"""OTLP/HTTP: the bytes of an ExportTraceServiceRequest, JSON or protobuf, to pieces of traces."""

from capture.otlp.gather import Decoded, RejectedSpan
from capture.otlp.json_body import decode_json
from capture.otlp.other_signals import NotTraces
from capture.otlp.project import project_name_problem
from capture.otlp.protobuf_body import decode_protobuf

__all__ = [
    "Decoded",
    "NotTraces",
    "RejectedSpan",
    "decode_json",
    "decode_protobuf",
    "project_name_problem",
]
