"""Attributes and values of OTLP/protobuf, as plain JSON."""

import base64
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from capture.otlp.json_values import finite_or_word


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """By name. Most values are texts: asking for the text first spares asking for the kind."""
    plain: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        plain[pair.key] = value.string_value or plain_value(value)
    return plain


def plain_value(value: AnyValue) -> Any:
    """An AnyValue as plain JSON, bytes in base64. upb itself refuses more than 100 levels."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value":
        return finite_or_word(value.double_value)
    return getattr(value, kind)
