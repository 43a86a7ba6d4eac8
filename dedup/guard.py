"""The guard: what two failures must have in common to be one pattern, whatever their distance."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator

import msgspec

from capture.events import Failure
from capture.trace import Step
from dedup.masks import masked_name

_TOOL_SIGNALS = frozenset({"unknown_tool", "tool_arguments", "repeated_call", "tool_error"})
"""What `capture.scoring.tool_calls` finds; the value of such a signal is the tool's name."""
_OWN_SOURCE = "scorer"  # a user's thumb may be called `tool_error` too, and names no tool

_NAME_CHARS = 64  # OpenAI's and Anthropic's bound on a tool's name
_TOOLS = 8  # named one by one; what is beyond tells by its hash
_HASH_DIGITS = 8


class ToolCall(msgspec.Struct):
    """One call of a tool: the step that made it, and the one that answered, where there is one."""

    name: str
    call: Step | None
    result: Step | None = None

    @property
    def failed(self) -> bool:
        """Whether the call or its answer is marked as an error."""
        return any(step is not None and bool(step.error) for step in (self.call, self.result))


def guard_of(failure: Failure) -> str:
    """Fault kind and the names of the tools that failed, `"model|find_order,refund"`.

    The names are sorted, masked of ids, and bounded: at most eight of 64 characters, the rest as
    their number and a hash of them.
    """
    names = sorted({masked_name(name) for name in failed_tools(failure) if name})
    shown = [_bounded(name) for name in names[:_TOOLS]]
    if rest := names[_TOOLS:]:
        shown.append(f"+{len(rest)}~{_hash(','.join(rest))}")
    return f"{failure.fault}|{','.join(shown)}"


def failed_tools(failure: Failure) -> list[str]:
    """Names of the tools that failed, as they are called, each once, in order of their steps.

    A tool failed when the last call of it in the trace ended in an error: either its `tool_call` or its
    `tool_result` step has one. An error that a later call of the same tool made good is no failure of
    the tool: agents cope. A tool that a `tool_call` scorer's failing signal names failed in any case.
    """
    last = {one.name: one for one in tool_calls(failure.trace.steps)}
    stepped = [name for name, one in last.items() if one.failed]
    return list(dict.fromkeys([*stepped, *_told(failure)]))


def tool_calls(steps: tuple[Step, ...]) -> list[ToolCall]:
    """The calls in the order they were made, each with its answer.

    An answer belongs to the call of its id; without one, to the earliest call of its name that waits
    for an answer, else to the latest of that name, or to the latest of all when it has no name either.
    An answer without a call counts as a call.
    """
    calls: list[ToolCall] = []
    by_id: dict[str, ToolCall] = {}
    waiting: defaultdict[str, deque[ToolCall]] = defaultdict(deque)
    latest: dict[str, ToolCall] = {}
    for step in steps:
        if step.type == "tool_call":
            made = ToolCall(step.name or "", step)
            calls.append(made)
            waiting[made.name].append(made)
            latest[made.name] = made
            if step.call_id is not None:
                by_id[step.call_id] = made
        elif step.type == "tool_result":
            asked = by_id.get(step.call_id) if step.call_id is not None else None
            if asked is None and step.name:
                asked = _first_waiting(waiting[step.name]) or latest.get(step.name)
            elif asked is None and calls:
                asked = calls[-1]
            if asked is None:
                calls.append(ToolCall(step.name or "", None, step))
            elif asked.result is None or step.error:
                asked.result = step
    return calls


def _first_waiting(calls: deque[ToolCall]) -> ToolCall | None:
    while calls and (calls[0].result is not None or calls[0].failed):
        calls.popleft()
    return calls[0] if calls else None


def _told(failure: Failure) -> Iterator[str]:
    for signal in failure.signals:
        if signal.name in _TOOL_SIGNALS and signal.source == _OWN_SOURCE:
            yield signal.value if isinstance(signal.value, str) else ""


def _bounded(name: str) -> str:
    if len(name) <= _NAME_CHARS:
        return name
    return f"{name[: _NAME_CHARS - _HASH_DIGITS - 1]}~{_hash(name)}"


def _hash(text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_HASH_DIGITS // 2)
    return digest.hexdigest()
