"""Coverage of projects, as `status` and the API show it, and the distance that follows it."""

import time
from collections.abc import Callable, Sequence

import msgspec

from dedup.coverage import Coverage, Discovery, adaptive_distance, coverage, discovery
from dedup.policy import DedupPolicy
from services.knob import KnobReader, SeenPatterns
from services.policy import Policies, Policy, PolicyStore

_LOOK_AGAIN_SECONDS = 10.0  # coverage moves slowly: ten thousand failures move it by a percent


class ModeCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """Coverage of one way of failing."""

    mode_id: str
    name: str
    coverage: Coverage


class ProjectCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """Coverage of a project and of each of its modes, the least known first."""

    project: str
    coverage: Coverage
    modes: Sequence[ModeCoverage] = ()


class DiscoveredProject(ProjectCoverage, frozen=True, kw_only=True):
    """The same with the discovery curve."""

    discovery: Discovery


async def coverages(reader: KnobReader, project: str | None = None) -> list[ProjectCoverage]:
    """Coverage of one project or of each that has patterns. Raises `Unavailable`."""
    return [_of(one) for one in await reader.seen(project)]


async def discovered(reader: KnobReader, project: str) -> DiscoveredProject | None:
    """Coverage of a project with its discovery curve; None before its first failure.

    Raises `Unavailable`.
    """
    seen = next(iter(await reader.seen(project)), None)
    if seen is None:
        return None
    one = _of(seen)
    return DiscoveredProject(
        project=project,
        coverage=one.coverage,
        modes=one.modes,
        discovery=discovery((await reader.new_at(project)).tolist(), seen.seen),
    )


async def effective_distance(reader: KnobReader, project: str, policy: DedupPolicy) -> float:
    """The dedup distance as it is now, coverage looked at. Raises `Unavailable`."""
    if policy.adaptive is None:
        return policy.distance
    seen = next(iter(await reader.seen(project)), None)
    return adaptive_distance(policy, coverage({} if seen is None else seen.seen))


class AdaptivePolicies(Policies):
    """The policies in force, with the dedup distance where it follows coverage.

    Costs a project that is not adaptive nothing.
    """

    def __init__(
        self,
        store: PolicyStore,
        reader: KnobReader,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from `store` and `reader`; `clock` gives seconds."""
        super().__init__(store, clock)
        self._reader = reader
        self._now = clock
        self._looked: dict[str, tuple[float, DedupPolicy, float]] = {}

    async def versioned(self, project: str) -> tuple[int, Policy]:
        """The policy and its version; its distance is the one that holds now. Raises `Unavailable`."""
        version, policy = await super().versioned(project)
        if policy.dedup.adaptive is None:
            return version, policy
        distance = await self._distance(project, policy.dedup)
        dedup = msgspec.structs.replace(policy.dedup, distance=distance)
        return version, msgspec.structs.replace(policy, dedup=dedup)

    async def _distance(self, project: str, policy: DedupPolicy) -> float:
        looked = self._looked.get(project)
        now = self._now()
        if looked is not None and looked[1] == policy and now - looked[0] < _LOOK_AGAIN_SECONDS:
            return looked[2]
        distance = await effective_distance(self._reader, project, policy)
        self._looked[project] = (now, policy, distance)
        return distance


def _of(seen: SeenPatterns) -> ProjectCoverage:
    modes = [
        ModeCoverage(mode_id=mode_id, name=seen.modes.get(mode_id, ""), coverage=coverage(counts))
        for mode_id, counts in seen.by_mode.items()
    ]
    modes.sort(key=lambda one: (_share(one.coverage), one.mode_id))
    return ProjectCoverage(project=seen.project, coverage=coverage(seen.seen), modes=modes)


def _share(one: Coverage) -> float:
    return 1.0 if one.known_share is None else one.known_share
