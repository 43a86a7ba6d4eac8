"""Carrying a distance out on what is stored: patterns merged and split until they are as replayed.

Every step is an ordinary merge or split, so that it is audited, redirects, and can be undone.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from dedup.history import History
from services.knob import REASSIGNED, KnobReader
from services.pattern_store import PatternChange, PatternChanges

_MOST_AT_ONCE = 5_000  # texts a split: it takes so many names, and the project's lock meanwhile


class SplitStep(msgspec.Struct, frozen=True):
    """Texts (rows) that leave a pattern together, and the replayed group they go to."""

    pattern_id: str
    rows: Sequence[int]
    group: int


class Plan(msgspec.Struct, frozen=True):
    """What has to be done: first every split, then for each group the patterns that become one.

    merges: by group, the patterns of today that go into it whole or with what splits left of them.
    """

    splits: Sequence[SplitStep]
    merges: Mapping[int, Sequence[str]]

    @property
    def empty(self) -> bool:
        """Whether everything is as replayed already."""
        return not self.splits and not self.merges


def planned(history: History, groups: np.ndarray) -> Plan:
    """How to come from the patterns of today to these groups. groups: (n,) int64.

    A pattern keeps its id for the group that has most of its failures; the rest leave it.
    """
    rows: defaultdict[int, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (code, group) in enumerate(zip(history.patterns, groups, strict=True)):
        rows[int(code)][int(group)].append(row)
    splits: list[SplitStep] = []
    merges: defaultdict[int, list[str]] = defaultdict(list)
    parts: defaultdict[int, int] = defaultdict(int)
    for code, by_group in rows.items():
        name = history.names[code]
        stays = max(
            by_group, key=lambda g: (int(history.occurrences[by_group[g]].sum()), -by_group[g][0])
        )
        merges[stays].append(name)
        for group, leaving in by_group.items():
            parts[group] += 1
            if group != stays:
                splits.append(SplitStep(name, leaving, group))
    several = {group: ids for group, ids in merges.items() if parts[group] > 1}
    return Plan(splits, several)


async def carry_out(  # noqa: PLR0913 - what is done, to what, and signed by whom
    plan: Plan,
    history: History,
    *,
    project: str,
    reader: KnobReader,
    changes: PatternChanges,
    by: str,
    reason: str,
    at: datetime,
    on_step: Callable[[], None] = lambda: None,
) -> list[PatternChange]:
    """Do it, step by step; each is whole. Raises `NotPossible`, `Unavailable`: what was done stays."""
    said = f"{REASSIGNED}{reason}"
    done: list[PatternChange] = []
    pieces: defaultdict[int, list[str]] = defaultdict(list)
    events = await reader.events(project, sorted({step.pattern_id for step in plan.splits}))
    for step in plan.splits:
        leaving = [events[history.fingerprints[row]] for row in step.rows]
        for start in range(0, len(leaving), _MOST_AT_ONCE):
            some = leaving[start : start + _MOST_AT_ONCE]
            change = await changes.split(project, step.pattern_id, some, by=by, reason=said, at=at)
            pieces[step.group].append(str(change.detail["to"]))
            done.append(change)
        on_step()
    for group in dict.fromkeys((*plan.merges, *pieces)):
        into, *others = [*plan.merges.get(group, ()), *pieces[group]]
        if others:
            done.append(await changes.merge(project, into, others, by=by, reason=said, at=at))
            on_step()
    return done
