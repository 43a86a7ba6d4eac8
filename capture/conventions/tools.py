"""The tools a model was offered, in any of the shapes that providers have for them, as one."""

from collections.abc import Iterable, Iterator
from typing import Any

from capture.conventions.shape import decoded

MOST_TOOLS = 200  # of one request; the largest agents offer about a hundred
_DEEPEST = 4  # wrappers within wrappers
_WRAPPERS = (
    "function",  # OpenAI's chat completions
    "tool",  # OpenInference's flattened list
    "json_schema",  # the same, the tool itself as JSON
    "toolSpec",  # Amazon Bedrock
)
_LISTS = (
    "tools",  # a request; Bedrock's toolConfig
    "toolConfig",
    "function_declarations",  # Gemini
    "functionDeclarations",
    "function_tools",  # Pydantic AI
    "output_tools",
)
_SCHEMAS = (
    "parameters",  # OpenAI, the GenAI conventions
    "input_schema",  # Anthropic
    "inputSchema",  # Vercel, Bedrock, MCP
    "parameters_json_schema",  # Pydantic AI
    "parametersJsonSchema",  # Gemini
)


def tools_of(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Every tool with a name once, the first telling that has its parameters' schema.

    Each has `name`, and `description` and `parameters` (a JSON Schema) where they were told.
    """
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        for tool in _tools(value, 0):
            known = found.get(tool["name"])
            if known is None and len(found) >= MOST_TOOLS:
                continue
            if known is None or ("parameters" in tool and "parameters" not in known):
                found[tool["name"]] = tool
    return list(found.values())


def _tools(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    value = decoded(value)
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _tools(item, depth + 1)
    elif isinstance(value, dict):
        inner = next((w for w in map(decoded, map(value.get, _WRAPPERS)) if _is_object(w)), None)
        listed = [items for items in map(value.get, _LISTS) if isinstance(items, (list, dict))]
        if inner is not None:
            yield from _tools(inner, depth + 1)
        elif listed:
            for items in listed:
                yield from _tools(items, depth + 1)
        elif isinstance(name := value.get("name"), str) and name:
            yield _tool(name, value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _tool(name: str, told: dict[str, Any]) -> dict[str, Any]:
    tool: dict[str, Any] = {"name": name[:256]}
    if isinstance(description := told.get("description"), str) and description:
        tool["description"] = description
    for key in _SCHEMAS:
        schema = decoded(told.get(key))
        if isinstance(schema, dict):
            inner = schema.get("json", schema.get("jsonSchema"))  # Bedrock's; Vercel's
            tool["parameters"] = inner if isinstance(inner, dict) else schema
            break
    return tool
