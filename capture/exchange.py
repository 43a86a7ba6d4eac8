"""What a request asked and what it was answered, out of whatever form its spans have it in."""

from collections.abc import Iterator, Sequence
from typing import Any

from capture.conventions.messages import steps_of, text_of
from capture.conventions.reading import Source
from capture.trace import Content, Step
from capture.tree import Node

_QUESTION_KEYS = ("input", "question", "query", "prompt", "text", "user_input", "new_message")
_NUMBERS = {int, float}
_LONGEST_VECTOR_SHOWN = 32  # numbers; a longer list of them is an embedding and no answer


Told = Iterator[tuple[list[Step] | None, Source]]


def shown_to_model(node: Node) -> Told:
    """Where a span may have the messages a model was shown, best first."""
    return node.said.told("input_messages", "input")


def said_by_model(node: Node) -> Told:
    """Where a span may have what a model answered, best first."""
    return node.said.told("output_messages", "output")


def question_of(root: Node, nodes: Sequence[Node]) -> Content:
    """What was asked: the root's input if it is a question, else the first user turn a model got.

    Failing both, the root's input as it is, or anybody's.
    """
    if (asked := asked_of(root, root.said.told("input"))) is not None:
        return asked
    for node in nodes:
        if node.kind not in ("llm", "agent") and node is not root:
            continue
        if (asked := asked_of(node, shown_to_model(node))) is not None:
            return asked
    inputs = (value for node in (root, *nodes) for value in node.said.values("input"))
    return content_of(next(inputs, None))


def answer_of(root: Node, nodes: Sequence[Node]) -> Content:
    """What was answered: the root's output, else the last thing a model said, else a tool's result.

    Of messages it is the text of the last; any other JSON is kept whole.
    """
    for steps, source in said_by_model(root):
        if steps is None:
            return _answered(root.said.value(source))
        if (said := _last_text(steps, "assistant")) is not None:
            return said
    for kinds in (("llm",), ("agent", "chain", None), ("tool", "retrieval", "embedding")):
        for node in reversed(nodes):
            if node.kind not in kinds:
                continue
            for steps, source in said_by_model(node):
                if steps is None:
                    found = _answered(node.said.value(source))
                else:
                    found = _last_text(steps, "assistant")
                if found is not None:
                    return found
    return None


def asked_of(node: Node, told: Told) -> str | None:
    """The first question in words."""
    for steps, source in told:
        asked = _last_text(steps, "user") if steps else question_in(node.said.value(source))
        if asked is not None:
            return asked
    return None


def question_in(value: Any, depth: int = 0) -> str | None:
    """A question in words, or None when the value is not plainly one."""
    if isinstance(value, str):
        return value or None
    steps = steps_of(value)
    if steps is not None:
        return _last_text(steps, "user")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value) or None
    if not isinstance(value, dict) or depth > 1:
        return None
    arguments = value.get("args")
    alone = isinstance(arguments, list) and len(arguments) == 1 and not value.get("kwargs")
    candidates = [arguments[0]] if alone and arguments else []
    candidates.extend(value[key] for key in _QUESTION_KEYS if value.get(key))
    asked = (question_in(candidate, depth + 1) for candidate in candidates)
    return next((question for question in asked if question is not None), None)


def _last_text(steps: Sequence[Step] | None, kind: str) -> str | None:
    texts = (text_of(step.content) for step in reversed(steps or ()) if step.type == kind)
    return next((text for text in texts if text), None)


def _answered(value: Any) -> Content:
    """An answer; what is in words is often wrapped for being a function's output."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("output"), str):
        return content_of(value["output"])
    return content_of(value)


def content_of(value: Any) -> Content:
    """Any JSON as content. An embedding is said to be one: its numbers tell nobody anything."""
    if isinstance(value, list):
        vector = value[0] if len(value) == 1 and isinstance(value[0], list) else value
        if len(vector) > _LONGEST_VECTOR_SHOWN and {type(number) for number in vector} <= _NUMBERS:
            return f"an embedding of {len(vector)} numbers"
    if value is None or isinstance(value, (str, dict, list)):
        return value
    return str(value)
