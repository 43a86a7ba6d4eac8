"""Spans of one request, sorted into pieces of traces."""

from collections.abc import Iterable
from typing import Any

import msgspec

from capture.events import Span, SpansReceived
from capture.otlp.project import project_of

TRACE_ID_DIGITS = 32
SPAN_ID_DIGITS = 16
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


class RejectedSpan(msgspec.Struct, frozen=True):
    """A span that was not taken, and what to change about it. Ids are as they were sent."""

    trace_id: str
    span_id: str
    reason: str


class Decoded(msgspec.Struct, frozen=True):
    """A request's spans: one piece for each trace of each project, and the spans not taken."""

    pieces: tuple[SpansReceived, ...] = ()
    rejected: tuple[RejectedSpan, ...] = ()


class Received(msgspec.Struct, frozen=True):
    """A span of a resource, with its ids as lower-case hexadecimal digits."""

    resource: dict[str, Any]
    trace_id: str
    span: Span


def id_problem(what: str, value: str, digits: int) -> str | None:
    """What is wrong with a trace's or span's id, or None."""
    if len(value) == digits and _HEXADECIMAL.issuperset(value):
        return f"the {what} is all zeros" if not value.strip("0") else None
    if not value:
        return f"the {what} is missing"
    hint = "; this looks like base64, OTLP/JSON has ids in hexadecimal" if value[-1] == "=" else ""
    return f"the {what} must be {digits} hexadecimal digits, got {value[:64]!r}{hint}"


def gather(
    received: Iterable[Received | RejectedSpan], *, header_project: str | None, max_bytes: int
) -> Decoded:
    """Pieces in order of first arrival. A piece's JSON is at most `max_bytes` long.

    A trace whose spans do not fit into one piece becomes several; a span that does not fit alone
    is rejected.
    """
    rejected: list[RejectedSpan] = []
    groups: dict[tuple[str, str], tuple[dict[str, Any], list[Span]]] = {}
    projects: dict[int, tuple[dict[str, Any], str | ValueError]] = {}
    for item in received:
        if isinstance(item, RejectedSpan):
            rejected.append(item)
            continue
        if (
            id(item.resource) not in projects
        ):  # the resource is kept too, so that its id stays its own
            known = _project_or_error(item.resource, header_project)
            projects[id(item.resource)] = item.resource, known
        known = projects[id(item.resource)][1]
        if isinstance(known, ValueError):
            rejected.append(RejectedSpan(item.trace_id, item.span.span_id, str(known)))
            continue
        resource, spans = groups.setdefault((known, item.trace_id), ({}, []))
        for name, value in item.resource.items():
            resource.setdefault(name, value)
        spans.append(item.span)
    pieces: list[SpansReceived] = []
    for (project, trace_id), (resource, spans) in groups.items():
        taken, left = _pieces(project, trace_id, resource, spans, max_bytes)
        pieces.extend(taken)
        rejected.extend(left)
    return Decoded(tuple(pieces), tuple(rejected))


def _project_or_error(resource: dict[str, Any], header: str | None) -> str | ValueError:
    try:
        return project_of(resource, header)
    except ValueError as error:
        return error


def _pieces(
    project: str, trace_id: str, resource: dict[str, Any], spans: list[Span], max_bytes: int
) -> tuple[list[SpansReceived], list[RejectedSpan]]:
    whole = SpansReceived(
        event_id="", project=project, trace_id=trace_id, resource=resource, spans=tuple(spans)
    )
    size = len(msgspec.json.encode(whole))
    if size <= max_bytes:
        return [whole], []
    if len(spans) == 1:
        reason = f"the span has {size} bytes as JSON, the limit is {max_bytes}"
        return [], [RejectedSpan(trace_id, spans[0].span_id, reason)]
    middle = len(spans) // 2
    first = _pieces(project, trace_id, resource, spans[:middle], max_bytes)
    second = _pieces(project, trace_id, resource, spans[middle:], max_bytes)
    return first[0] + second[0], first[1] + second[1]
