"""A project's policy: everything it may decide, versioned and signed."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from capture.intake_policy import IntakePolicy
from capture.policy import ScoringPolicy
from capture.redaction.policy import RedactionPolicy
from dedup.policy import DedupPolicy
from promote.policy import PromotionPolicy

_FRESH_SECONDS = 2.0  # a change is in force everywhere within this; one query a project meanwhile


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one project, by stage. A project that never set any has the defaults."""

    intake: IntakePolicy = IntakePolicy()
    scoring: ScoringPolicy = ScoringPolicy()
    redaction: RedactionPolicy = RedactionPolicy()
    dedup: DedupPolicy = DedupPolicy()
    promotion: PromotionPolicy = PromotionPolicy()


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change: who, when, why, before and after. Versions count from 1; 0 is the defaults."""

    project: str
    version: int
    changed_by: str
    changed_at: datetime
    reason: str
    before: Policy
    after: Policy


class PolicyStore(Protocol):
    """Where policies are kept."""

    async def current(self, project: str) -> tuple[int, Policy]:
        """The version in force and the policy; (0, defaults) when none was set."""

    async def change(
        self, project: str, policy: Policy, *, by: str, reason: str, at: datetime, expected: int
    ) -> PolicyChange | None:
        """Put a new version in force after version `expected`; None when another came between."""

    async def history(self, project: str) -> list[PolicyChange]:
        """Every change, oldest first."""


class Policies:
    """The policies in force, read again every two seconds."""

    def __init__(self, store: PolicyStore, clock: Callable[[], float] = time.monotonic) -> None:
        """Read from `store`; `clock` gives seconds."""
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[float, int, Policy]] = {}

    async def of(self, project: str) -> Policy:
        """The project's policy, at most two seconds old. Raises `Unavailable`."""
        return (await self.versioned(project))[1]

    def forget(self, project: str) -> None:
        """Read the project's policy anew the next time, for what changed together with it is seen."""
        self._known.pop(project, None)

    async def versioned(self, project: str) -> tuple[int, Policy]:
        """The same, and its version; 0 is the defaults. Raises `Unavailable`."""
        now = self._clock()
        known = self._known.get(project)
        if known is not None and now - known[0] < _FRESH_SECONDS:
            return known[1:]
        version, policy = await self._store.current(project)
        self._known[project] = (now, version, policy)
        return version, policy
