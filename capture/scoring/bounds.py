"""Scorers that hold a number of the trace against a bound."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from capture.events import Severity
from capture.scoring.last_words import last_words
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said
from capture.scoring.wording import number, spoken
from capture.trace import SignalName, Trace

Milliseconds = Annotated[float, msgspec.Meta(gt=0)]
Dollars = Annotated[float, msgspec.Meta(ge=0)]
Tokens = Annotated[int, msgspec.Meta(gt=0)]

_OF_TOKENS = {"in": "read", "out": "wrote", "total": "read and wrote"}


class LatencyScorer(LocalScorer, frozen=True, kw_only=True, tag="latency"):
    """Fails a trace that took longer than `above_ms` milliseconds.

    By itself that is nobody's fault that we know of: a slow provider and an agent that goes in
    circles look the same.
    """

    above_ms: Milliseconds
    severity: Severity = "medium"

    def rule(self) -> Rule:
        """Compare `latency_ms`."""
        above = self.above_ms

        def rule(trace: Trace) -> Sequence[Said]:
            took = trace.latency_ms
            if took is None or took <= above:
                return ()
            reason = f"The answer took {number(took)} ms, above the bound of {number(above)} ms."
            return (Finding(name="latency", value=took, reason=reason, fault="unknown"),)

        return rule


class CostScorer(LocalScorer, frozen=True, kw_only=True, tag="cost"):
    """Fails a trace that cost more than `above_usd` US dollars."""

    above_usd: Dollars
    severity: Severity = "medium"

    def rule(self) -> Rule:
        """Compare `cost_usd`."""
        above = self.above_usd

        def rule(trace: Trace) -> Sequence[Said]:
            cost = trace.cost_usd
            if cost is None or cost <= above:
                return ()
            reason = f"The answer cost {_dollars(cost)}, above the bound of {_dollars(above)}."
            return (Finding(name="cost", value=cost, reason=reason, explained=False),)

        return rule


class TokensScorer(LocalScorer, frozen=True, kw_only=True, tag="tokens"):
    """Fails a trace whose model read (`in`), wrote (`out`) or both (`total`) more than `above`."""

    above: Tokens
    of: Literal["in", "out", "total"] = "total"
    severity: Severity = "medium"

    def rule(self) -> Rule:
        """Compare `tokens_in`, `tokens_out` or what is known of their sum."""
        above, of = self.above, self.of

        def rule(trace: Trace) -> Sequence[Said]:
            used = {
                "in": trace.tokens_in or 0,
                "out": trace.tokens_out or 0,
                "total": (trace.tokens_in or 0) + (trace.tokens_out or 0),
            }[of]
            if used <= above:
                return ()
            reason = f"The model {_OF_TOKENS[of]} {used} tokens, above the bound of {above}."
            return (Finding(name=f"tokens_{of}", value=used, reason=reason, explained=False),)

        return rule


class SignalScorer(LocalScorer, frozen=True, kw_only=True, tag="score"):
    """Fails a trace whose signal of this name is below `below` or above `above`.

    False is 0 and true is 1; a label is no number and is left alone.

    Raises:
        ValueError: neither bound is stated, or the two exclude each other.
    """

    signal: SignalName
    below: float | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        """Refuse a scorer that could never, or would always, fail."""
        if self.below is None and self.above is None:
            message = "say `below`, `above`, or both: without a bound it could never fail a trace"
            raise ValueError(message)
        if self.below is not None and self.above is not None and self.above < self.below:
            message = (
                f"`above` ({number(self.above)}) is smaller than `below` ({number(self.below)}): "
                "every number would fail"
            )
            raise ValueError(message)

    @property
    def label(self) -> str:
        """Its name, or the kind and the signal: a policy has one for each of several signals."""
        return self.name or f"score:{self.signal}"

    def rule(self) -> Rule:
        """Compare the last word of each source."""
        name = self.signal

        def rule(trace: Trace) -> Sequence[Said]:
            if not trace.signals:
                return ()
            return [
                Finding(name=name, value=said.value, reason=reason, source=said.source)
                for said in last_words(trace)
                if said.name == name
                and said.value is not None
                and not isinstance(said.value, str)
                and (crossed := self._crossed(float(said.value)))
                and (
                    reason := f"{name} is {spoken(said.value)}, {crossed} (said by {said.source})."
                )
            ]

        return rule

    def _crossed(self, value: float) -> str | None:
        if self.below is not None and value < self.below:
            return f"below the bound of {number(self.below)}"
        if self.above is not None and value > self.above:
            return f"above the bound of {number(self.above)}"
        return None


def _dollars(value: float) -> str:
    return f"${value:.4f}".rstrip("0").rstrip(".")
