"""Scorer of how a model called its tools."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from capture.events import Severity
from capture.fault import fault_of_text
from capture.scoring.schemas import Checker, as_json, checked_schema, checker_of
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said, Trouble
from capture.scoring.wording import shown
from capture.trace import Step, Trace, content_text

TOOLS = "tools"
"""Metadata: the tools that the model was offered, a list of `{"name", "parameters"}`."""

Check = Severity | bool
"""False: not asked; true: asked, with the scorer's own severity; or the severity."""

_KEPT_CHECKERS = 512  # schemas of tools made ready; an application has a few dozen


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that the model may call. `parameters` is the JSON Schema of its arguments.

    Raises:
        ValueError: the schema is not itself a valid schema.
    """

    name: str
    parameters: dict[str, Any] | None = None
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse a schema that could never be checked against."""
        if self.parameters is not None:
            checked_schema(self.parameters)


class ToolCallScorer(LocalScorer, frozen=True, kw_only=True, tag="tool_call"):
    """Fails a trace whose model called a tool wrongly.

    - `arguments`: they are not JSON, or break the tool's schema;
    - `unknown_tool`: the tool is none of those that were offered;
    - `repeated`: the same call with the same arguments, and the same answer where one is known, was
      made `repeats` times: an agent that goes in circles. Other answers make it a polling;
    - `tool_error`: the tool answered with an error.

    The tools are those in the trace's metadata (`tools`), over those stated here. Where neither knows
    any, the first two cannot be asked.
    """

    arguments: Check = True
    unknown_tool: Check = True
    repeated: Check = "medium"
    tool_error: Check = False
    repeats: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 3
    tools: tuple[Tool, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a scorer that asks nothing."""
        if not (self.arguments or self.unknown_tool or self.repeated or self.tool_error):
            message = (
                "every check is off: set `arguments`, `unknown_tool`, `repeated` or `tool_error`"
            )
            raise ValueError(message)

    def rule(self) -> Rule:
        """Look through the steps."""
        stated = {tool.name: tool.parameters for tool in self.tools}

        def rule(trace: Trace) -> Sequence[Said]:
            if not any(step.type in {"tool_call", "tool_result"} for step in trace.steps):
                return ()
            return list(self._asked(trace, stated))

        return rule

    def _asked(self, trace: Trace, stated: Mapping[str, dict[str, Any] | None]) -> Iterator[Said]:
        calls = [step for step in trace.steps if step.type == "tool_call"]
        if self.arguments or self.unknown_tool:
            yield from self._against_schemas(calls, {**stated, **_offered(trace)})
        if self.repeated:
            yield from self._circles(calls, trace)
        if self.tool_error:
            yield from self._errors(trace)

    def _against_schemas(
        self, calls: Sequence[Step], tools: Mapping[str, dict[str, Any] | None]
    ) -> Iterator[Said]:
        if not tools:
            return
        for step in calls:
            if step.name is None:
                continue
            if step.name not in tools:
                if self.unknown_tool:
                    yield self._found(
                        self.unknown_tool,
                        "unknown_tool",
                        step.name,
                        f"The model called {step.name!r}, which is none of the tools it was offered: "
                        f"{shown(', '.join(sorted(tools)))}.",
                    )
                continue
            parameters = tools[step.name]
            if self.arguments and parameters is not None and (broken := _broken(step, parameters)):
                if isinstance(broken, Trouble):
                    yield broken
                    continue
                reason = f"The arguments of a call of {step.name!r} {broken}"
                yield self._found(self.arguments, "tool_arguments", step.name, reason)

    def _circles(self, calls: Sequence[Step], trace: Trace) -> Iterator[Said]:
        if len(calls) < self.repeats:
            return
        answers = _answers(trace)
        seen: dict[tuple[str, str, str], int] = {}
        for place, step in enumerate(calls):
            key = (step.name or "", content_text(step.arguments), answers.get(place, ""))
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == self.repeats:
                reason = (
                    f"The model called {step.name!r} {self.repeats} times with the same arguments "
                    f"and learnt nothing new: {shown(content_text(step.arguments)) or 'none'}."
                )
                yield self._found(self.repeated, "repeated_call", step.name or "", reason)

    def _errors(self, trace: Trace) -> Iterator[Said]:
        failed = [s for s in trace.steps if s.type in {"tool_call", "tool_result"} and s.error]
        if not failed:
            return
        last = failed[-1]
        text = last.error if isinstance(last.error, str) else content_text(last.content)
        others = f" ({len(failed)} tool errors in all)" if len(failed) > 1 else ""
        fault = fault_of_text(text)
        yield Finding(
            name="tool_error",
            value=last.name,
            reason=f"The tool {last.name!r} ended in an error{others}: {shown(text) or 'no message'}",
            severity=_severity(self.tool_error),
            fault="model" if fault == "unknown" else fault,
            explained=False,
        )

    def _found(self, check: Check, name: str, value: str, reason: str) -> Finding:
        return Finding(
            name=name, value=value, reason=reason, severity=_severity(check), explained=False
        )


def _severity(check: Check) -> Severity | None:
    return None if isinstance(check, bool) else check


def _offered(trace: Trace) -> dict[str, dict[str, Any] | None]:
    """The tools in the metadata, by name; what is no tool there is left out."""
    listed = trace.metadata.get(TOOLS)
    if not isinstance(listed, list):
        return {}
    return {
        tool["name"]: parameters if isinstance(parameters, dict) else None
        for tool in listed
        if isinstance(tool, dict) and isinstance(tool.get("name"), str)
        for parameters in [tool.get("parameters")]
    }


def _broken(step: Step, parameters: dict[str, Any]) -> str | Trouble | None:
    try:
        value = as_json({} if step.arguments is None or step.arguments == "" else step.arguments)
    except ValueError as error:
        return f"are not JSON: {error}."
    try:
        check = _checker(msgspec.json.encode(parameters))
        broken = check(value)
    except Exception as error:  # noqa: BLE001 - a foreign schema may be anything
        return Trouble(f"the schema of the tool {step.name!r} cannot be used: {shown(error)}")
    return None if broken is None else f"do not fit its schema {broken}."


@lru_cache(maxsize=_KEPT_CHECKERS)
def _checker(parameters: bytes) -> Checker:
    """The checker of a schema in JSON. A trace brings the same schemas as the one before it."""
    schema = msgspec.json.decode(parameters)
    checked_schema(schema)
    return checker_of(schema)


def _answers(trace: Trace) -> dict[int, str]:
    """What each call was answered, by its place among the calls: by its id, else what follows it."""
    by_id: dict[str, int] = {}
    answers: dict[int, str] = {}
    place = -1
    for step in trace.steps:
        if step.type == "tool_call":
            place += 1
            if step.call_id is not None:
                by_id[step.call_id] = place
        elif step.type == "tool_result" and place >= 0:
            of = by_id.get(step.call_id, place) if step.call_id is not None else place
            error = step.error if isinstance(step.error, str) else ""
            answers[of] = content_text(step.content) + error
    return answers
