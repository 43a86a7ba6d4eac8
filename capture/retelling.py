"""The steps of a request, told from its spans in the order of time."""

import re
from collections.abc import Iterator, Sequence

from capture.conventions.documents import documents_of
from capture.conventions.messages import identifier, returned_by_tool, text_of
from capture.conventions.shape import Field
from capture.exchange import Told, asked_of, content_of, said_by_model, shown_to_model
from capture.story import Story
from capture.trace import Content, Step, StepType
from capture.tree import Node, deepest

_PHASE = re.compile(r"\.(start|success|finish|error)(-\d+)?$")  # BeeAI: one tool call, three spans
_STREAMED = 8  # messages in one answer: no model is asked for that many choices


def retell(nodes: Sequence[Node], asked: Content, answered: Content) -> list[Step]:
    """Steps in order. Where no span tells of a turn, the question and the answer are the turns."""
    story = Story()
    models = {id(node) for node in deepest([node for node in nodes if node.kind == "llm"])}
    failed = {id(node) for node in deepest([node for node in nodes if node.error is not None])}
    calls: dict[int, Step] = {}
    for node, begins in _moments(nodes):
        if node.kind == "tool":
            _tell_tool(story, node, calls, begins=begins)
            continue
        if node.kind in ("llm", "agent"):
            _tell_model(story, node, begins=begins, alone=id(node) in models)
        elif node.kind == "retrieval" and not begins:
            story.happened(_retrieval(node))
        if not begins and id(node) in failed and node.kind != "retrieval":
            story.happened(_error_step(node))
    steps = story.steps
    if asked is not None:
        # Often only a model call repeats the question, after what was retrieved for it.
        place = next((n for n, step in enumerate(steps) if step.type == "user"), None)
        if place is None:
            steps.insert(0, Step(type="user", content=asked))
        elif steps[place].content == asked:
            steps.insert(0, steps.pop(place))
    if answered is not None and not any(step.type == "assistant" for step in steps):
        steps.append(Step(type="assistant", content=answered))
    return steps


def _moments(nodes: Sequence[Node]) -> Iterator[tuple[Node, bool]]:
    """Every span's begin (True) and end (False), in order of time.

    At one and the same time parents begin before their children and end after them.
    """
    moments: list[tuple[int, int, int, int, Node]] = []
    for order, node in enumerate(nodes):
        start = node.span.start_ns
        moments.append((start, 0, node.depth, order, node))
        moments.append((max(node.span.end_ns, start), 1, -node.depth, order, node))
    moments.sort()  # no two are equal up to their nodes, which are never compared
    for _, phase, _, _, node in moments:
        yield node, phase == 0


def _tell_model(story: Story, node: Node, *, begins: bool, alone: bool) -> None:
    """A model call; `alone` says that no model call below it tells the same."""
    if begins:
        if node.kind == "llm":
            story.history(_shown(node, story))
        return
    said = _first_steps(said_by_model(node))
    if said is None:
        content = content_of(node.first("output")) if alone else None
        said = [Step(type="assistant", content=content)] if content is not None else []
    if alone:
        story.answer(_joined(said))
    else:
        story.history(_first_steps(node.said.told("input_messages")) or ())
        story.history(said)


def _shown(node: Node, story: Story) -> list[Step]:
    """What a model was shown. Plain words are the question, unless somebody asked already."""
    shown = _first_steps(shown_to_model(node))
    if shown is not None or any(step.type == "user" for step in story.steps):
        return shown or []
    asked = asked_of(node, shown_to_model(node))
    return [Step(type="user", content=asked)] if asked else []


def _joined(said: list[Step]) -> list[Step]:
    """An answer; one that was recorded as it was streamed, a message for each token, as one."""
    texts = [step.content for step in said if step.type == "assistant"]
    if len(texts) < _STREAMED or len(texts) != len(said):
        return said
    return [Step(type="assistant", content="".join(text_of(text) or "" for text in texts))]


def _first_steps(told: Told) -> list[Step] | None:
    return next((steps for steps, _ in told if steps), None)


def _tell_tool(story: Story, node: Node, calls: dict[int, Step], *, begins: bool) -> None:
    named = identifier(node.first("tool_name"))
    name = named or _PHASE.sub("", node.span.name) or None
    if begins:
        arguments = _first_content(node, "arguments", "input")
        if arguments is None:
            arguments = _of_messages(node, "input_messages", "tool_call")
        if named is None and _PHASE.search(node.span.name):
            last = next((s for s in reversed(story.steps) if s.type == "tool_call"), None)
            if arguments is None or (last and (last.name, last.arguments) == (name, arguments)):
                return
        call_id = identifier(node.first("call_id"))
        call = Step(type="tool_call", name=name, call_id=call_id, arguments=arguments)
        calls[id(node)] = story.tool_called(call)
        return
    result, error = returned_by_tool(_first_content(node, "result", "output")), node.error
    if result is None:
        result = _of_messages(node, "output_messages", "tool_result")
    if result is None and error is None:
        return
    call_id = calls[id(node)].call_id if id(node) in calls else None
    story.tool_returned(
        Step(
            type="tool_result",
            name=name,
            call_id=call_id,
            content=result,
            error=error[1] if error else None,
            latency_ms=_latency_ms(node),
        )
    )


def _of_messages(node: Node, field: Field, kind: StepType) -> Content:
    """What a tool's span says in messages (Strands): a call's arguments, or a result."""
    for steps, _ in node.said.told(field):
        for step in steps or ():
            if step.type == kind:
                return step.arguments if kind == "tool_call" else step.content
    return None


def _retrieval(node: Node) -> Step:
    found = documents_of(node.first("documents"))
    if found is None:
        found = documents_of(_first_content(node, "result", "output", "output_messages"))
    content = _first_content(node, "result", "output") if found is None else found
    error = node.error
    return Step(
        type="retrieval",
        name=node.span.name or None,
        arguments=_first_content(node, "arguments", "input"),
        content=content,
        error=error[1] if error else None,
        latency_ms=_latency_ms(node),
    )


def _error_step(node: Node) -> Step:
    """The error of a span that is no tool: said by the model, or returned by whatever was called."""
    error = node.error
    kind: StepType = "assistant" if node.kind in ("llm", "agent") else "tool_result"
    return Step(type=kind, name=node.span.name or None, error=error[1] if error else None)


def _first_content(node: Node, *fields: Field) -> Content:
    value = next((v for field in fields if (v := node.first(field)) is not None), None)
    return value if value is None or isinstance(value, (str, dict, list)) else str(value)


def _latency_ms(node: Node) -> float | None:
    start, end = node.span.start_ns, node.span.end_ns
    return (end - start) / 1e6 if end >= start > 0 else None
