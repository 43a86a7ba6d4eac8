"""What a handler says should happen to an event. The loop does it."""

from typing import Literal, Protocol

import msgspec

SkipReason = Literal[
    "archived",  # kept with its trace until the trace has settled
    "waiting",  # its root has not ended: looked at again when a piece comes, or at the age limit
    "passed",  # the trace did not fail
    "already_failed",  # the trace's failure was emitted before, and nothing new speaks against it
    "experiment",  # eval or gate traffic: evals never feed themselves
    "environment",  # of an environment that the project's policy leaves out
    "counted",  # an occurrence of a pattern that has its case
]

DeadLetterReason = Literal[
    "undecodable",  # the bytes are not the event their header claims
    "unknown_schema",  # a schema this version does not know
    "unexpected_schema",  # a schema this version knows, in a topic where it has no place
    "handler_error",  # the handler raised on this event alone
    "kills_process",  # the process died while handling it, again and again
    "too_large",  # what it became does not fit into the next topic
]


class Event(Protocol):
    """What every event can say of itself."""

    @property
    def event_id(self) -> str:
        """The same for the same thing, however often it is sent."""

    @property
    def project(self) -> str:
        """Whose it is."""

    @property
    def trace_id(self) -> str:
        """Which trace it is about."""


class Emit(msgspec.Struct, frozen=True):
    """Publish this event to the stage's output topic."""

    event: Event


class Skip(msgspec.Struct, frozen=True):
    """Nothing to publish, and why."""

    reason: SkipReason


class DeadLetter(msgspec.Struct, frozen=True):
    """Park the original bytes; `detail` says to a person what was wrong."""

    reason: DeadLetterReason
    detail: str


class Retry(msgspec.Struct, frozen=True):
    """Hand the same event over again after a while."""

    detail: str
    after_seconds: float


class Hold(msgspec.Struct, frozen=True):
    """Set the event aside, and what follows of its project, until that can be decided again.

    For what may take long and concerns one project alone: the others go on. What concerns all of
    them is `Unavailable`.
    """

    project: str
    detail: str


Outcome = Emit | Skip | DeadLetter | Retry | Hold
