"""What spans say about themselves in events, as attributes.

Until 1.36 the GenAI conventions had an event for every message; OpenLLMetry's vector stores have one
for every document found. The same events come as log records, see `capture.otlp.logs`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from capture.conventions.shape import decoded

_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.system.instruction": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE = "gen_ai.choice"
_WHOLE = frozenset(  # their attributes are those that a span may have itself
    {
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
        "gen_ai.client.inference.operation.details",
    }
)
_FOUND = {"db.query.result": "db.query.result.", "db.search.result": "db.search.result."}

MESSAGE_EVENTS = frozenset({*_ROLES, _CHOICE, *_WHOLE})
"""Names of events that tell what a model was shown or answered."""


def from_events(events: Sequence[Mapping[str, Any]], span: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes for what events say, by the names that the conventions have for them.

    `span` has the attributes of the span itself: in a tool's span (Strands) the messages are what
    the tool was called with and what it returned.
    """
    shown: list[Any] = []
    answered: list[Any] = []
    documents: list[Any] = []
    found: dict[str, Any] = {}
    for event in events:
        name, attributes = event.get("name"), event.get("attributes") or {}
        if name in _ROLES:
            shown.append({"role": _ROLES[name], **_content(attributes)})
        elif name == _CHOICE:
            answered.append(_answer(_content(attributes)))
        elif name in _WHOLE:
            found.update(attributes)
        elif name in _FOUND:
            documents.append(_document(attributes, _FOUND[name]))
    if span.get("gen_ai.operation.name") == "execute_tool":
        return {**_of_tool(shown, answered), **found}
    if shown:
        found.setdefault("gen_ai.input.messages", shown)
    if answered:
        found.setdefault("gen_ai.output.messages", answered)
    if documents:
        found["gen_ai.retrieval.documents"] = documents
    return found


def _content(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A message's parts by name; Azure AI and Semantic Kernel have them as JSON in one attribute."""
    message = {name: decoded(value) for name, value in attributes.items()}
    content = message.pop("gen_ai.event.content", None)
    if isinstance(content, dict):
        return {**message, **content}
    return message if content is None else {**message, "content": content}


def _answer(said: dict[str, Any]) -> dict[str, Any]:
    message = said.get("message")
    if message is None:
        return {"role": "assistant", **said}
    reason = said.get("finish_reason")
    answer = message if isinstance(message, dict) else {"content": message}
    return {"role": "assistant", **({"finish_reason": reason} if reason else {}), **answer}


def _of_tool(shown: list[Any], answered: list[Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if shown and (arguments := shown[-1].get("content")) is not None:
        told["gen_ai.tool.call.arguments"] = arguments
    if answered and (result := answered[-1].get("content")) is not None:
        told["gen_ai.tool.call.result"] = result
    return told


def _document(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): decoded(value)
        for name, value in attributes.items()
        if name.startswith(prefix) and not name.endswith(".vector")
    }
