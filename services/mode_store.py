"""What the modes' refit asks the store, and what people ask of modes. The port.

Patterns are roots throughout: a merged pattern is part of its root.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

ProposalState = Literal[
    "open",  # nobody has decided yet
    "accepted",  # the patterns were merged
    "rejected",  # they are not one; the same is never proposed again
]


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """A way of failing. `gone_refit`: the refit from which it is no more."""

    project: str
    mode_id: str
    name: str
    size: int
    born_refit: int
    gone_refit: int | None = None
    parents: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()


class PatternMode(msgspec.Struct, frozen=True):
    """Where a pattern lies: in a mode or in none, how far inside (0 to 1), how odd (0 to 1)."""

    pattern_id: str
    mode_id: str | None
    membership: float
    outlier: float


class ModeRefit(msgspec.Struct, frozen=True, kw_only=True):
    """A refit as it is remembered. `detail`: what became of the modes, and what it cost."""

    project: str
    number: int
    at: datetime
    patterns: int
    modes: int
    seconds: float
    space: str
    detail: dict[str, Any]


class MergeProposal(msgspec.Struct, frozen=True, kw_only=True):
    """Patterns that look like one, to be merged into the first.

    `evidence`: {"mode": id, "mode_name": name, "distance": the dedup distance then, "patterns":
    [{"pattern_id", "distance" to the first, "occurrences", "text"}]}.
    """

    project: str
    proposal_id: str
    patterns: tuple[str, ...]
    evidence: dict[str, Any]
    state: ProposalState = "open"
    refit: int
    decided_by: str | None = None
    decided_at: datetime | None = None


class Grown(msgspec.Struct, frozen=True):
    """How many patterns a project has, and its latest refit."""

    project: str
    patterns: int
    latest: ModeRefit | None


class Told(msgspec.Struct, frozen=True):
    """A pattern as names and proposals need it."""

    text: str
    occurrences: int


class Refitted(msgspec.Struct, frozen=True, kw_only=True):
    """All that one refit has found; kept whole or not at all."""

    refit: ModeRefit
    modes: Sequence[Mode]
    gone: Sequence[str]
    patterns: Sequence[PatternMode]
    proposals: Sequence[MergeProposal]


class ModeMember(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern of a mode."""

    pattern_id: str
    occurrences: int
    membership: float
    outlier: float
    text: str
    name: str | None = None
    """That a reviewer gave it."""


class ModeStore(Protocol):
    """Modes of all projects. Everything raises `Unavailable`."""

    async def grown(self) -> Sequence[Grown]:
        """Every project with patterns."""

    async def occurrences(self, project: str) -> Mapping[str, int]:
        """How often each pattern was seen."""

    async def memberships(self, project: str) -> Mapping[str, str]:
        """The mode of each pattern that has one now."""

    async def told(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, Told]:
        """Texts and counts of these patterns, as far as they are there."""

    async def refused(self, project: str) -> Sequence[tuple[str, ...]]:
        """The patterns of every proposal that was rejected."""

    async def keep(self, refitted: Refitted) -> bool:
        """Keep a refit. False, and nothing is kept, where its number is taken: another was quicker."""

    async def modes(self, project: str | None, *, gone: bool = False) -> Sequence[Mode]:
        """Modes, the largest first; of all projects without one. With `gone`, former ones too."""

    async def members(self, project: str, mode_id: str, *, limit: int) -> Sequence[ModeMember]:
        """A mode's patterns, the ones farthest inside first."""

    async def refits(self, project: str, *, limit: int) -> Sequence[ModeRefit]:
        """Refits, the latest first."""

    async def proposals(
        self, project: str | None, *, state: ProposalState | None, limit: int
    ) -> Sequence[MergeProposal]:
        """Proposals, those of the latest refit and the nearest patterns first."""

    async def proposal(self, proposal_id: str) -> Sequence[MergeProposal]:
        """The proposals whose ids start so."""

    async def decide(
        self, project: str, proposal_id: str, state: ProposalState, *, by: str, at: datetime
    ) -> bool:
        """Decide about a proposal. False where it is not open any more."""
