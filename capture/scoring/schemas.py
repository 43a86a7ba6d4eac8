"""JSON Schemas: made ready once, and asked what in a value breaks them."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jsonschema
import msgspec
import referencing

from capture.scoring.schema_patterns import searches_unsafely, with_safe_patterns
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said
from capture.scoring.wording import shown
from capture.trace import Content, Trace

Checker = Callable[[Any], str | None]
"""What breaks the schema and where, or None."""

_TOOL = "tool:"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def checked_schema(schema: dict[str, Any]) -> None:
    """Raise `ValueError`, which says where, for a schema that is no valid one."""
    try:
        _draft_of(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        message = f"not a valid JSON Schema at {error.json_path}: {error.message}"
        raise ValueError(message) from error


def _draft_of(schema: dict[str, Any]) -> Any:
    """The draft that a schema names. Raises `ValueError` when what it names is no text."""
    if not isinstance(schema.get("$schema", ""), str):
        message = "not a valid JSON Schema at $.$schema: it is not text"
        raise ValueError(message)  # noqa: TRY004 - a policy that says so is not valid
    return jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)


def checker_of(schema: dict[str, Any]) -> Checker:
    """A schema, made ready.

    One that refers to another address, or whose patterns could hang, raises when asked: nothing is
    fetched, and all patterns are RE2's.
    """
    # An empty registry: a schema that refers to another address is a problem, never a download.
    validator = with_safe_patterns(_draft_of(schema))(schema, registry=referencing.Registry())
    unsafe = searches_unsafely(schema)

    def check(value: Any) -> str | None:
        if unsafe:
            message = "unevaluatedProperties together with patternProperties cannot be asked"
            raise ValueError(message)
        broken = jsonschema.exceptions.best_match(validator.iter_errors(value))
        return None if broken is None else f"at {broken.json_path}: {shown(broken.message)}"

    return check


def as_json(content: Content) -> Any:
    """Content as the JSON it is or holds as text. Raises `ValueError`: it is none."""
    if not isinstance(content, str):
        return content
    try:
        return msgspec.json.decode(content)
    except _UNREADABLE as error:
        message = "JSON that is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(str(message)) from error


class JsonSchemaScorer(LocalScorer, frozen=True, kw_only=True, tag="json_schema"):
    """Fails a trace whose output is not JSON, or not as this JSON Schema asks.

    With `target` `tool:NAME` the arguments of every call of that tool are asked instead.

    Raises:
        ValueError: the schema is not itself a valid schema; the message says where.
    """

    schema: dict[str, Any]
    target: Annotated[str, msgspec.Meta(pattern=r"^(output|tool:.{1,128})\Z")] = "output"

    def __post_init__(self) -> None:
        """Refuse a schema that could never be checked against."""
        checked_schema(self.schema)

    def rule(self) -> Rule:
        """Hold what is asked against the schema."""
        check = checker_of(self.schema)
        tool = self.target.removeprefix(_TOOL) if self.target.startswith(_TOOL) else None

        def of_output(trace: Trace) -> Sequence[Said]:
            return _findings("The output", trace.output, check)

        def of_tool(trace: Trace) -> Sequence[Said]:
            return [
                finding
                for step in trace.steps
                if step.type == "tool_call" and step.name == tool
                for finding in _findings(f"A call of {tool!r}", step.arguments, check)
            ][:1]

        return of_output if tool is None else of_tool


def _findings(what: str, content: Content, check: Checker) -> Sequence[Finding]:
    own = what == "The output"
    try:
        value = as_json(content)
    except ValueError as error:
        reason = f"{what} is not JSON: {error}."
        return (Finding(name="json_schema", value="not JSON", reason=reason, explained=own),)
    broken = check(value)
    if broken is None:
        return ()
    place = broken.partition(": ")[0].removeprefix("at ")
    reason = f"{what} breaks its JSON Schema {broken}."
    return (Finding(name="json_schema", value=place, reason=reason, explained=own),)
