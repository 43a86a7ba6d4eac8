"""Scorer of regular expressions, by re2: no pattern can hang."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
import re2

from capture.events import Severity
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said
from capture.scoring.wording import shown
from capture.trace import Trace, content_text

_WHERE = {"output": "The output", "input": "The input", "tools": "What tools were told or answered"}


class RegexScorer(LocalScorer, frozen=True, kw_only=True, tag="regex"):
    """Fails a trace whose text has what it must not have, or has not what it must have.

    `on` says where: the output, the input, or what tools were called with and answered. `must` is
    `match` or `not_match`. The syntax is RE2's: no look-around and no references back, and a time in
    proportion to the text. Where there is no text at all nothing is said.

    Raises:
        ValueError: the pattern is none; the message says why.
    """

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    on: Literal["output", "input", "tools"] = "output"
    must: Literal["match", "not_match"] = "not_match"
    ignore_case: bool = False
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        """Refuse a pattern that re2 does not take."""
        self._compiled()

    def rule(self) -> Rule:
        """Search."""
        compiled = self._compiled()
        must = self.must == "match"

        def rule(trace: Trace) -> Sequence[Said]:
            texts = [text for text in _texts(trace, self.on) if text]
            if not texts:
                return ()
            found = next((hit for text in texts if (hit := compiled.search(text))), None)
            if (found is not None) is must:
                return ()
            return (self._finding(None if found is None else str(found.group())),)

        return rule

    def _finding(self, found: str | None) -> Finding:
        where = _WHERE[self.on]
        if found is None:
            reason = f"{where} does not have what must be there: {shown(self.pattern)}"
        else:
            reason = f"{where} has what must not be there: {shown(found)!r} ({shown(self.pattern)})"
        value = "not found" if found is None else shown(found)
        return Finding(name=self.name or "regex", value=value, reason=reason)

    def _compiled(self) -> Any:
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = not self.ignore_case
        try:
            return re2.compile(self.pattern, options)
        except re2.error as error:
            why = error.args[0] if error.args else error
            told = why.decode() if isinstance(why, bytes) else why
            message = f"`pattern` is not a regular expression that RE2 takes: {told}"
            raise ValueError(message) from error


def _texts(trace: Trace, on: str) -> Iterator[str]:
    if on == "output":
        yield content_text(trace.output)
    elif on == "input":
        yield content_text(trace.input)
    else:
        for step in trace.steps:
            if step.type in {"tool_call", "tool_result"}:
                yield content_text(step.arguments)
                yield content_text(step.content)
                if isinstance(step.error, str):
                    yield step.error
