"""Whose failure an error is: the model's, the infrastructure's, the input's, or nobody knows.

Recognised, in this order, from the type of the exception, from the text, and from the status code.
The text comes before the status, because one status means several things: 400 is a malformed
request, a prompt that is too long, and a prompt that a filter refused; 429 from a client that counts
tokens is a quota.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import re2

from capture.error_names import FAULT_OF_CODE, FAULT_OF_TYPE
from capture.error_texts import INFRASTRUCTURE_TEXTS, INPUT_TEXTS, MODEL_TEXTS
from capture.events import Fault

_TEXT_CHARS = 4000  # of an error's text: what went wrong stands at its beginning, a stack below
_TYPE_KEYS = ("error.type", "exception.type", "gen_ai.error.type")
_TEXT_KEYS = ("error.message", "exception.message", "error")
_STATUS_KEYS = (
    "http.response.status_code",
    "http.status_code",
    "error.status_code",
    "status_code",
    "error.code",
    "rpc.grpc.status_code",
)
_GRPC: dict[int, Fault] = {
    1: "infrastructure",  # CANCELLED
    4: "infrastructure",  # DEADLINE_EXCEEDED
    7: "infrastructure",  # PERMISSION_DENIED
    8: "infrastructure",  # RESOURCE_EXHAUSTED
    14: "infrastructure",  # UNAVAILABLE
    16: "infrastructure",  # UNAUTHENTICATED
}
_HTTP: dict[int, Fault] = {
    401: "infrastructure",  # a key that expired is not the model's mistake
    402: "infrastructure",  # out of credit
    403: "infrastructure",
    408: "infrastructure",
    413: "input",  # larger than the provider takes
    425: "infrastructure",
    429: "infrastructure",
    499: "infrastructure",  # the client closed the request
}
_SERVER_ERRORS = range(500, 600)  # 529, Anthropic's "overloaded", among them


def _alternatives(texts: Iterable[str]) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True
    return re2.compile("|".join(f"(?:{text})" for text in texts), options)


_TEXTS: tuple[tuple[Fault, Any], ...] = (
    ("input", _alternatives(INPUT_TEXTS)),
    ("model", _alternatives(MODEL_TEXTS)),
    ("infrastructure", _alternatives(INFRASTRUCTURE_TEXTS)),
)
_STATUS_IN_TEXT: Any = re2.compile(
    r"(?i)(?:error code|status[ _]?code|http(?:/\d(?:\.\d)?)?(?: status| error)?|status|response|code)"
    r"[\"']?\s*[:=]?\s*[\"']?\(?([45]\d\d)\b"
)
_STATUS_FIRST: Any = re2.compile(
    r"^\s*(?:\w+(?:Error|Exception)?:\s*)?([45]\d\d)\s+(?:\{|[A-Z][a-z]+)"
)


def fault_of_error(metadata: Mapping[str, Any]) -> Fault:
    """Whose failure the error is that a trace's metadata tells of."""
    kinds = [str(metadata[key]) for key in _TYPE_KEYS if metadata.get(key)]
    texts = [str(metadata[key]) for key in _TEXT_KEYS if metadata.get(key)]
    statuses = [(key, metadata[key]) for key in _STATUS_KEYS if metadata.get(key) is not None]
    return (
        _first(_of_text(kind + ": " + text) for kind in kinds[:1] for text in texts)
        or _first(map(_of_type, kinds))
        or _first(map(_of_text, texts))
        or _first(_of_status(key, value) for key, value in statuses)
        or _first(map(_of_type_in_text, texts))
        or _first(map(_of_status_in_text, [*kinds, *texts]))
        or "unknown"
    )


def fault_of_text(text: str) -> Fault:
    """The same for an error of which only a text is there."""
    return (
        _of_text(text)
        or (_of_type(text) if " " not in text else None)
        or _of_type_in_text(text)
        or _of_status_in_text(text)
        or "unknown"
    )


def _first(faults: Iterable[Fault | None]) -> Fault | None:
    return next((fault for fault in faults if fault is not None), None)


def _of_type(name: str) -> Fault | None:
    """By the last part of a dotted class name, or by an error code in its place."""
    last = name.strip().rpartition(".")[2].rpartition("::")[2].strip()
    return FAULT_OF_TYPE.get(last.lower()) or FAULT_OF_CODE.get(last.lower())


def _of_type_in_text(text: str) -> Fault | None:
    """By the class that a text begins with, as a traceback's last line or a repr has it.

    A single word is none: an application says "Unavailable: no seats left" too.
    """
    beginning = text.lstrip()[:200]
    for separator in (":", "("):
        name, found, _ = beginning.partition(separator)
        is_class = "." in name or sum(map(str.isupper, name)) > 1
        if found and is_class and (fault := _of_type(name)) is not None:
            return fault
    return None


def _of_text(text: str) -> Fault | None:
    said = text[:_TEXT_CHARS]
    return next((fault for fault, pattern in _TEXTS if pattern.search(said)), None)


def _of_status(key: str, value: Any) -> Fault | None:
    try:
        status = int(value)
    except (TypeError, ValueError):
        return FAULT_OF_CODE.get(str(value).strip().lower())
    return _GRPC.get(status) if "grpc" in key else _of_http(status)


def _of_status_in_text(text: str) -> Fault | None:
    said = text[:_TEXT_CHARS]
    found = _STATUS_IN_TEXT.search(said) or _STATUS_FIRST.search(said)
    if found is None and said.strip().isdigit():
        return _of_http(int(said.strip()[:4]))  # OpenTelemetry's error.type of an HTTP client
    return _of_http(int(found.group(1))) if found else None


def _of_http(status: int) -> Fault | None:
    return _HTTP.get(status) or ("infrastructure" if status in _SERVER_ERRORS else None)
