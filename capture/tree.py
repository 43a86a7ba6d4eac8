"""Spans as a tree, and what each of them says."""

from collections.abc import Sequence
from typing import Any

import msgspec

from capture import conventions
from capture.conventions.genai_events import from_events
from capture.conventions.reading import KnownSteps, Said
from capture.conventions.shape import Field, Kind
from capture.events import Span

EXCEPTION_EVENT = "exception"
_OK, _ERROR = 1, 2  # of OpenTelemetry's status codes


class Node(msgspec.Struct, eq=False):
    """A span in its tree. `said` includes what it said in events."""

    span: Span
    said: Said
    kind: Kind | None
    error: tuple[str, str] | None = None
    """The type and the message of the error this span ended in."""
    parent: "Node | None" = None
    children: list["Node"] = []
    depth: int = 0

    def first(self, field: Field) -> Any:
        """The most trusted value of a field, or None."""
        return self.said.first(field)

    def ended_in(self) -> tuple[str, str] | None:
        """The type and the message of the error this span ended in, or None.

        A span fails by its status. Where the status was left unset, an `exception` event, an
        `error.type` or a level of ERROR fails it too; a status of OK says it recovered.
        """
        span, sources = self.span, self.said.sources
        if span.status_code == _OK or (
            span.status_code != _ERROR
            and not span.events
            and "error" not in span.attributes
            and "error_type" not in sources
            and "error_level" not in sources
        ):
            return None
        exception = self._exception()
        kind = exception.get("exception.type") or self.first("error_type")
        failed = (
            self.span.status_code == _ERROR
            or self.first("error_level") == "ERROR"
            or self.said.attributes.get("error")
            in (True, "true")  # OpenTracing's, through its bridges
        )
        if not failed and not kind and not exception:
            return None
        said = (
            self.span.status_message,
            exception.get("exception.message"),
            self.first("error_message"),
            kind,
        )
        return str(kind or "error"), str(next((text for text in said if text), "no message"))

    def _exception(self) -> dict[str, Any]:
        """The attributes of the last exception that was recorded."""
        recorded = [e for e in self.span.events if e.get("name") == EXCEPTION_EVENT]
        return (recorded[-1].get("attributes") or {}) if recorded else {}


def trees(spans: Sequence[Span]) -> list[Node]:
    """The spans, in their given order, linked to their parents.

    A parent that is not there counts as none; a circle of parents is cut at its first span.
    """
    known: KnownSteps = {}
    nodes = [_node(span, known) for span in spans]
    by_id = {node.span.span_id: node for node in nodes}
    roots: list[Node] = []
    for node in nodes:
        parent = by_id.get(node.span.parent_span_id or "")
        (roots if parent is None else parent.children).append(node)
        node.parent = parent
    seen: set[int] = set()
    for root in roots:
        _descend(root, seen)
    for node in nodes:
        if id(node) not in seen:
            if node.parent is not None:
                node.parent.children.remove(node)
                node.parent = None
            _descend(node, seen)
    return nodes


def deepest(saying: Sequence[Node]) -> list[Node]:
    """Of spans that say something, those below which none says it: the others only repeat it."""
    above: set[int] = set()
    for node in saying:
        parent = node.parent
        while parent is not None and id(parent) not in above:
            above.add(id(parent))
            parent = parent.parent
    return [node for node in saying if id(node) not in above]


def _node(span: Span, known: KnownSteps) -> Node:
    attributes = span.attributes
    if span.events and (told := from_events(span.events, attributes)):
        attributes = {**told, **attributes}
    said = conventions.said(attributes, known)
    node = Node(span, said, said.kind)
    node.error = node.ended_in()
    return node


def _descend(root: Node, seen: set[int]) -> None:
    stack = [root]
    seen.add(id(root))
    while stack:
        node = stack.pop()
        for child in reversed(node.children):
            if id(child) not in seen:
                child.depth = node.depth + 1
                seen.add(id(child))
                stack.append(child)


def root_of(nodes: Sequence[Node]) -> Node:
    """The span that stands for the request: the first to start of those without a parent.

    What is only known by its log records stands for it when there is nothing else.
    """
    roots = [node for node in nodes if node.parent is None]
    return next((node for node in roots if not node.span.partial), roots[0])
