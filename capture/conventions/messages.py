"""Chat messages, in any of the shapes that providers and frameworks have for them, as steps.

Understood are OpenAI's chat and responses, Anthropic's, Gemini's, LangChain's and Vercel's messages,
the GenAI conventions' parts, and OpenInference's nested `message`.
"""

from collections.abc import Iterator
from typing import Any

from capture.conventions.shape import decoded
from capture.trace import Step, StepType, content_text

_ROLES: dict[str, StepType] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool_result",
    "function": "tool_result",
}
_SILENT_ROLES = frozenset({"system", "developer"})  # instructions, not something that happened
_CALLS = frozenset({"tool_call", "tool-call", "tool_use", "function_call", "functioncall"})
_RESULTS = frozenset(
    {
        "tool_call_response",
        "tool-result",
        "tool_result",
        "function_call_output",
        "function_response",
        "functionresponse",
    }
)
_WRAPPED_CALLS = ("function_call", "functionCall", "toolUse")  # Gemini, OpenAI; Amazon Bedrock
_WRAPPED_RESULTS = ("function_response", "functionResponse", "toolResult")
_WRAPPED_PARTS = frozenset({*_WRAPPED_CALLS, *_WRAPPED_RESULTS, "reasoningContent"})
_REASONING = frozenset({"reasoning", "thinking"})
_CALL_IDS = ("tool_call_id", "call_id", "toolCallId", "toolUseId", "tool_use_id", "id")
_WRAPPERS = (
    "messages",
    "contents",
    "choices",
    "candidates",
    "generations",  # LangChain's answer
    "all_messages",
    "output",
    "input",
    "message",
    "content",
)
_DEEPEST = 8  # wrappers within wrappers


def steps_of(value: Any, depth: int = 0) -> list[Step] | None:
    """The steps in messages, or None when there are no messages in the value."""
    value = decoded(value)
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        found = [steps_of(item, depth + 1) for item in value if isinstance(item, (dict, list))]
        recognised = [steps for steps in found if steps is not None]
        return [step for steps in recognised for step in steps] if recognised else None
    if not isinstance(value, dict):
        return None
    if _role(value) is not None or _is_part(value):
        return list(_message(value))
    return _wrapped(value, depth)


def _wrapped(value: dict[str, Any], depth: int) -> list[Step] | None:
    """The steps in an object that is no message itself: a request, a response, a choice of one."""
    for wrapper in _WRAPPERS:
        inner = decoded(value.get(wrapper))
        if isinstance(inner, (dict, list)) and (steps := steps_of(inner, depth + 1)) is not None:
            return steps
    if isinstance(value.get("prompt"), str):
        return [Step(type="user", content=value["prompt"])]
    kind, kwargs = value.get("id"), value.get("kwargs")  # LangChain's serialised message
    if isinstance(kwargs, dict) and isinstance(kind, list) and kind:
        role = str(kind[-1]).removesuffix("Chunk").removesuffix("Message").lower()
        return list(_message({"role": role, **kwargs}))
    return None


def text_of(content: Any, depth: int = 0) -> str | None:
    """The words in a message's content, or None when there are none.

    A part of a message gives its text; any other object is what a model was asked to answer with,
    and gives its JSON.
    """
    if isinstance(content, str):
        parts = decoded(content) if content[:1] == "[" else None
        typed = isinstance(parts, list) and any(_is_typed(part) for part in parts)
        return text_of(parts, depth + 1) if typed else content
    if depth > _DEEPEST:
        return None
    if isinstance(content, list):
        texts = [text_of(decoded(item), depth + 1) for item in content]
        return "\n".join(text for text in texts if text) or None
    if not isinstance(content, dict):
        return None
    if "type" in content or content.keys() <= {"text", "content", "role"}:
        return text_of(content.get("text", content.get("content")), depth + 1)
    return content_text(content)


def _role(message: dict[str, Any]) -> str | None:
    for key in ("role", "type"):
        role = message.get(key)
        if isinstance(role, str) and (role.lower() in _ROLES or role.lower() in _SILENT_ROLES):
            return role.lower()
    return None


def _is_part(value: dict[str, Any]) -> bool:
    """Whether this is a part that stands alone, as in OpenAI's responses."""
    kind = str(value.get("type")).lower()
    return kind in _CALLS or kind in _RESULTS or not _WRAPPED_PARTS.isdisjoint(value)


def _is_typed(part: Any) -> bool:
    """Whether an item of a message's content is a part of it, and not data that a tool returned."""
    part = decoded(part)
    return isinstance(part, dict) and (
        _is_part(part)
        or part.get("type") in ("text", "output_text", "input_text")
        or "message_content" in part
        or isinstance(part.get("function"), dict)
    )


def _message(message: dict[str, Any]) -> Iterator[Step]:
    role = _role(message)
    if role in _SILENT_ROLES:
        return
    kind = _ROLES.get(role or "", "assistant")
    content = next(
        (message[key] for key in ("parts", "contents", "content", "text") if message.get(key)), None
    )
    parts = _parts(content) if role is not None else [message]
    if kind == "tool_result" and not any(map(_is_typed, parts)):
        yield _returned(_content(content), message)
        return
    texts: list[str] = []
    others: list[Step] = []
    for part in parts:
        if (text := _plain_text(part)) is not None:
            texts.append(text)
        elif (step := _part(part, message)) is not None:
            others.append(step)
        elif text := text_of(_unwrapped(part)):
            texts.append(text)
    if texts:
        text = "\n".join(texts)
        said = Step(type=kind, content=text)
        yield _returned(text, message) if kind == "tool_result" else said
    yield from others
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call := decoded(call), dict):
            yield _call(call.get("tool_call", call))


def _plain_text(part: Any) -> str | None:
    """The text of a part that is plainly one, as most are; None says nothing."""
    if isinstance(part, dict) and part.get("type") == "text":
        text = part.get("content") or part.get("text")
        return text if isinstance(text, str) and text[:1] != "[" else None
    return None


def _returned(content: Any, message: dict[str, Any]) -> Step:
    """What a message of the tool's says as a whole."""
    return Step(
        type="tool_result",
        name=_name(message.get("name")),
        call_id=identifier(message.get("tool_call_id", message.get("id"))),
        content=content,
    )


def _parts(content: Any) -> list[Any]:
    """What a content consists of. Text that happens to be JSON stays the text that was said."""
    if isinstance(content, str) and content[:1] == "[":
        found = decoded(content)
        content = found if isinstance(found, list) and any(map(_is_typed, found)) else content
    if isinstance(content, dict) and isinstance(content.get("parts"), list):
        return list(content["parts"])
    return content if isinstance(content, list) else [content]


def _part(part: Any, message: dict[str, Any]) -> Step | None:
    """A part that is more than text: a call, a result, a thought. None for text."""
    part = _unwrapped(part)
    if not isinstance(part, dict):
        return None
    name = str(part.get("type")).lower()
    # The form of the GenAI conventions, and Anthropic's, is told by its type alone.
    whole = name in _CALLS and "name" in part
    if not whole and (step := _wrapped_part(part, message)) is not None:
        return step
    if name in _CALLS or isinstance(part.get("function"), dict):
        return _call(part)
    if name in _RESULTS:
        return _result(part, message)
    if name in _REASONING:
        return Step(type="reasoning", content=text_of(part) or text_of(part.get("thinking")))
    return None


def _wrapped_part(part: dict[str, Any], message: dict[str, Any]) -> Step | None:
    """A part whose kind is the name of what is in it (Gemini, Amazon Bedrock)."""
    for key in _WRAPPED_CALLS:
        if isinstance(call := part.get(key), dict):
            return _call(call)
    for key in _WRAPPED_RESULTS:
        if isinstance(result := part.get(key), dict):
            return _result(result, message)
    if isinstance(thought := part.get("reasoningContent"), dict):
        return Step(type="reasoning", content=text_of(thought.get("reasoningText")))
    return None


def _unwrapped(part: Any) -> Any:
    if isinstance(part, str) and not _is_typed(part):
        return part
    part = decoded(part)
    return part.get("message_content", part) if isinstance(part, dict) else part  # OpenInference


def _call(call: Any) -> Step:
    call = call if isinstance(call, dict) else {}
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    keys = ("arguments", "args", "input", "parameters")
    arguments = next((inner[key] for key in keys if inner.get(key) is not None), None)
    return Step(
        type="tool_call",
        name=_name(inner.get("name", inner.get("toolName"))),
        call_id=identifier(next((call[k] for k in _CALL_IDS if call.get(k)), None)),
        arguments=_content(arguments),
    )


def _result(part: dict[str, Any], message: dict[str, Any]) -> Step:
    ids = (part.get(key) for key in _CALL_IDS)
    call_id = next((one for one in ids if one), message.get("tool_call_id"))
    keys = ("response", "result", "output", "content")
    result = next((part[key] for key in keys if part.get(key) is not None), None)
    failed = part.get("is_error") or part.get("isError") or part.get("status") == "error"
    return Step(
        type="tool_result",
        name=_name(part.get("name", part.get("toolName", message.get("name")))),
        call_id=identifier(call_id),
        content=_content(result),
        error=True if failed is True else None,
    )


def returned_by_tool(value: Any) -> Any:
    """What a tool returned, out of LangChain's message around it."""
    value = decoded(value)
    if not isinstance(value, dict):
        return value
    for wrapper in ("output", "data", "kwargs"):
        inner = value.get(wrapper)
        if isinstance(inner, dict) and inner.get("type") == "tool" and "content" in inner:
            return _content(inner["content"])
    is_message = value.get("type") == "tool" and "tool_call_id" in value and "content" in value
    return _content(value["content"]) if is_message else value


def identifier(value: Any) -> str | None:
    """An id as text; of several, the last, which is the most specific."""
    if value is None or (isinstance(value, str) and value[:1].isalnum()):
        return value and value[:256]
    value = decoded(value)
    if isinstance(value, list):
        value = value[-1] if value else None
    return str(value)[:256] if isinstance(value, (str, int)) and value != "" else None


def _name(value: Any) -> str | None:
    return value[:256] if isinstance(value, str) and value else None


def _content(value: Any) -> Any:
    """A value as a step's content: JSON in text decoded, a bare number as its text."""
    value = decoded(value)
    return value if value is None or isinstance(value, (str, dict, list)) else str(value)
