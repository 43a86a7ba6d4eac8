"""Has patterns be represented as their project's policy says, after the policy or the space changed.

What new failures change is settled where they are decided. This is for all that was there before.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from dedup.policy import Representative
from services.errors import Unavailable
from services.pattern_store import PatternStore
from services.policy import PolicyStore

log = structlog.get_logger()

_ROUND_SECONDS = 10.0


class MedoidStore(Protocol):
    """Which text stands for a pattern."""

    async def settle(self, project: str, after: str) -> str | None:
        """Settle some of a project's patterns, under its dedup lock, in the order of their ids.

        By the policy "first": all at once. By "medoid": those of three texts or more that have none in
        the space that serves. Returns the id to go on after; None when none is left. Raises
        `Unavailable`.
        """


class Projects(Protocol):
    """Which projects there are."""

    async def projects(self) -> Sequence[str]:
        """Every project that sent anything. Raises `Unavailable`."""


async def settle(medoids: MedoidStore, project: str) -> None:
    """Settle a project, a step at a time, so that nobody waits long. Raises `Unavailable`."""
    after: str | None = ""
    while after is not None:
        after = await medoids.settle(project, after)


class Representatives:
    """Looks every few seconds for projects whose policy or space has changed."""

    def __init__(
        self,
        medoids: MedoidStore,
        policies: PolicyStore,
        patterns: PatternStore,
        projects: Projects,
    ) -> None:
        """Nothing is settled before the first round."""
        self._medoids = medoids
        self._policies = policies
        self._patterns = patterns
        self._projects = projects
        self._settled: dict[str, tuple[Representative, int]] = {}

    async def run(self) -> None:
        """A round now and then, until cancelled."""
        while True:
            try:
                await self.round()
            except Unavailable as error:
                log.warning("representatives_wait", why=str(error))
            except Exception:
                log.exception("representatives_failed")
            await asyncio.sleep(_ROUND_SECONDS)

    async def round(self) -> Sequence[str]:
        """Settle the projects that have changed; returns them. Raises `Unavailable`."""
        changed = []
        for project in await self._projects.projects():
            _, policy = await self._policies.current(project)
            ordinal = 0
            if policy.dedup.representative == "medoid":
                async with self._patterns.reading(project) as store:
                    serving = await store.serving()
                ordinal = 0 if serving is None else serving.ordinal
            now = policy.dedup.representative, ordinal
            if self._settled.get(project) == now:
                continue
            await settle(self._medoids, project)
            self._settled[project] = now
            changed.append(project)
        return changed
