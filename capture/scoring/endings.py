"""Scorers of how a request ended: in an error, without an answer, or in the middle of one."""

from collections.abc import Sequence

from capture.events import Severity
from capture.fault import fault_of_error, fault_of_text
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said
from capture.scoring.wording import shown
from capture.trace import Content, Step, Trace, content_text

ERROR_TYPE = "error.type"
ERROR_MESSAGE = "error.message"
"""Metadata of a trace that ended in an error, as OpenTelemetry names them."""

FINISH_REASON = "finish_reason"
"""Metadata: why the last model call stopped, in the provider's word."""

INCOMPLETE = "evalratchet.truncated"
"""Metadata of a trace that was scored before all of it was there."""

_ERROR_KEYS = (ERROR_MESSAGE, ERROR_TYPE, "error")

CUT_SHORT = frozenset(
    {
        "length",  # OpenAI, Mistral, Azure, Vercel AI SDK, vLLM
        "max_tokens",  # Anthropic, Bedrock, Google, Cohere
        "max_output_tokens",  # OpenAI Responses: incomplete_details.reason
        "model_length",  # Mistral
        "model_context_window_exceeded",  # Anthropic
        "token_limit",
        "incomplete",  # OpenAI Responses: status
        "error_limit",  # Cohere
    }
)


class ErrorScorer(LocalScorer, frozen=True, kw_only=True, tag="error"):
    """Fails a trace that ended in an error and, where `step_severity` is set, one with a failed step.

    A failed step alone says little: a tool that answers "no seats left" did its work, and an agent
    that answers well after it did too. On the recorded airline sessions 7 of the 31 that resolved
    their task have one.
    """

    step_severity: Severity | None = None

    def rule(self) -> Rule:
        """Read the metadata, then the steps."""
        step_severity = self.step_severity

        def rule(trace: Trace) -> Sequence[Said]:
            said = request_error(trace)
            if said is not None:
                return (_of_request(trace, said),)
            if step_severity is None:
                return ()
            failed = [step for step in trace.steps if step.error]
            return (_of_steps(failed, step_severity),) if failed else ()

        return rule


class EmptyOutputScorer(LocalScorer, frozen=True, kw_only=True, tag="empty_output"):
    """Fails a trace whose answer is missing, blank, or empty JSON.

    A trace that holds no content anywhere says nothing about its answer: many instrumentations
    leave content out on purpose.
    """

    def rule(self) -> Rule:
        """Look at the output."""

        def rule(trace: Trace) -> Sequence[Said]:
            if not blank(trace.output) or not _has_content(trace):
                return ()
            found = "missing" if trace.output is None else "empty"
            return (Finding(name="empty_output", value=found, reason=f"The answer is {found}."),)

        return rule


class TruncatedScorer(LocalScorer, frozen=True, kw_only=True, tag="truncated"):
    """Fails a trace whose answer was cut at a limit of length.

    With `incomplete` also one that was scored before all of it had arrived: whether its answer was
    cut is then not known, and it is nobody's fault that we know of.
    """

    incomplete: bool = True
    severity: Severity = "medium"

    def rule(self) -> Rule:
        """Read the finish reason, then whether the trace is complete."""
        incomplete = self.incomplete

        def rule(trace: Trace) -> Sequence[Said]:
            stopped = trace.metadata.get(FINISH_REASON)
            if isinstance(stopped, str) and stopped.strip().lower() in CUT_SHORT:
                reason = f"The model's answer was cut at a limit: it stopped with {stopped!r}."
                return (Finding(name="truncated", value=stopped, reason=reason),)
            if incomplete and trace.metadata.get(INCOMPLETE) is True:
                reason = "The trace was not complete when it reached the age limit and was scored."
                finding = Finding(
                    name="truncated", value="incomplete", reason=reason, fault="unknown"
                )
                return (finding,)
            return ()

        return rule


def request_error(trace: Trace) -> object | None:
    """What the metadata says of the error that the request ended in; None when there was none."""
    metadata = trace.metadata
    if not metadata:
        return None
    return next((metadata[key] for key in _ERROR_KEYS if metadata.get(key)), None)


def blank(content: Content) -> bool:
    """Whether there is nothing in it: none, only space, or empty JSON."""
    return not content or (isinstance(content, str) and content.strip() in {"", "null", "{}", "[]"})


def _has_content(trace: Trace) -> bool:
    return not blank(trace.input) or any(step.content or step.arguments for step in trace.steps)


def _of_request(trace: Trace, said: object) -> Finding:
    kind = trace.metadata.get(ERROR_TYPE)
    text = shown(said if said is not True else "no message was given")
    named = f"{kind}: " if kind and kind != said else ""
    return Finding(
        name="error",
        value=str(kind or text),
        reason=f"The request ended in an error: {named}{text}",
        fault=fault_of_error(trace.metadata),
        explained=False,
    )


def _of_steps(failed: Sequence[Step], severity: Severity) -> Finding:
    last = failed[-1]
    what = f"{last.type} {last.name!r}" if last.name else last.type
    detail = last.error if isinstance(last.error, str) else content_text(last.content)
    others = f" ({len(failed)} steps failed in all)" if len(failed) > 1 else ""
    return Finding(
        name="error",
        value=shown(detail) or what,
        severity=severity,
        reason=f"The step {what} ended in an error{others}: {shown(detail) or 'no message'}",
        fault=fault_of_text(detail),
        explained=False,
    )
