"""What every scorer has: a name, a version, a severity, and the traces it is asked about."""

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from capture.events import Fault, Severity
from capture.scoring.globs import Glob
from capture.trace import Trace

ScorerName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}\Z", min_length=1)
]
"""1 to 64 letters, digits, `.`, `_`, `-` and `:`."""

ScorerVersion = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}\Z")]

Globs = tuple[Glob, ...]


class When(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Which traces a scorer is asked about: those that fit every condition that is stated.

    A list fits when one of its globs does; `metadata` fits when every key does. A trace that does
    not say what is asked fits nothing, not even `*`.
    """

    model: Globs = ()
    release: Globs = ()
    environment: Globs = ()
    metadata: dict[str, Glob] = {}


EVERY_TRACE = When()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer found wrong.

    Severity is the scorer's unless stated. `fault` is whose failure this is by itself. A finding
    about the answer, or somebody's word on it, is `explained` by the error the request ended in, and
    takes that error's fault; one about what the model did before is not.
    """

    name: str
    reason: str
    value: bool | float | str | None = None
    severity: Severity | None = None
    source: str = "scorer"
    fault: Fault = "model"
    explained: bool = True


class Trouble(msgspec.Struct, frozen=True):
    """Why a scorer, or a part of it, could not say anything about a trace."""

    detail: str


Said = Finding | Trouble
Rule = Callable[[Trace], Sequence[Said]]
"""Asks one scorer about a trace. What it raises is a trouble of that scorer."""


class BaseScorer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy states of any scorer."""

    name: ScorerName | None = None
    version: ScorerVersion = "1"
    severity: Severity = "high"
    when: When = EVERY_TRACE

    @property
    def kind(self) -> str:
        """The scorer's kind, as a policy's `type` says it."""
        return str(self.__struct_config__.tag)

    @property
    def label(self) -> str:
        """What the scorer is called in its policy: its name, or its kind."""
        return self.name or self.kind

    @property
    def versioned(self) -> str:
        """The name and the version, as a failing signal quotes them."""
        return f"{self.label}/{self.version}"


class LocalScorer(BaseScorer, frozen=True, kw_only=True):
    """A scorer that only thinks: it is asked here and now."""

    def rule(self) -> Rule:
        """Everything that can be prepared once for a version of the policy, done."""
        raise NotImplementedError


class RemoteScorer(BaseScorer, frozen=True, kw_only=True):
    """A scorer that another process or a model answers."""

    def sampled(self, trace_id: str) -> bool:  # noqa: ARG002 - some kinds draw by it
        """Whether this trace is among those it is asked about."""
        return True
