"""The adaptive distance on a project's history: what would have been, before it is switched on."""

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np

from dedup.adaptive import Simulated, Step, simulate
from dedup.comparison import Comparison, Grouping, compared
from dedup.history import History
from dedup.policy import DedupPolicy
from services.knob import KnobReader


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """How the distance would have followed coverage, and the patterns that would be there today."""

    project: str
    distance: float
    wide: float
    steps: Sequence[Step]
    today: Grouping
    then: Grouping
    unchanged: int
    merging: int
    splitting: int
    moved_failures: int


async def simulated(reader: KnobReader, project: str, policy: DedupPolicy) -> Simulation | None:
    """Simulate `policy.adaptive` on the whole history, off the event loop; None without vectors.

    Raises `Unavailable`, ValueError when the policy is not adaptive.
    """
    if policy.adaptive is None:
        message = f"the policy of {project} is not adaptive"
        raise ValueError(message)
    recorded = await reader.history(project)
    if recorded is None or not len(recorded.history):
        return None
    arrivals = await reader.arrivals(project)
    found, changed = await asyncio.to_thread(_simulated, recorded.history, policy, arrivals)
    return Simulation(
        project=project,
        distance=policy.distance,
        wide=policy.adaptive.wide,
        steps=found.steps,
        today=changed.before,
        then=changed.after,
        unchanged=changed.unchanged,
        merging=len(changed.merging),
        splitting=len(changed.splitting),
        moved_failures=changed.moved_failures,
    )


def _simulated(
    history: History, policy: DedupPolicy, arrivals: Sequence[str]
) -> tuple[Simulated, Comparison]:
    row_of = {fingerprint: row for row, fingerprint in enumerate(history.fingerprints)}
    rows = np.array([row_of[one] for one in arrivals if one in row_of], dtype=np.int64)
    found = simulate(history, policy, rows)
    return found, compared(history.patterns, found.replayed.groups, history.occurrences)
