"""What is asked of the store about a project's grouping as a whole: history, counts. The port.

What-if, calibration and labelling replay and compare; none of them decides about a failure.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np

from dedup.history import History

REASSIGNED = "dedup distance --reassign: "
"""How the reason of a merge or split begins that carries out a distance. It is no person's judgement
about these failures: a later replay does not keep to it, and it is no label."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A project's history in the space that serves it.

    without_vector: texts (and their failures) that have no vector in this space and are left out.
    by_hand: patterns of texts that a person put together or set apart; a replay keeps to that.
    """

    project: str
    space: str
    history: History
    without_vector: int = 0
    failures_without_vector: int = 0
    by_hand: int = 0


class SeenPatterns(msgspec.Struct, frozen=True, kw_only=True):
    """How often patterns were seen: by number of occurrences, how many patterns have it.

    by_mode: the same for each mode that the last refit found, by its id; patterns in no mode are in
    none of them. `modes` has their names.
    """

    project: str
    seen: Mapping[int, int]
    by_mode: Mapping[str, Mapping[int, int]] = {}
    modes: Mapping[str, str] = {}


class KnobReader(Protocol):
    """Questions about a whole project. Merged patterns count as one. Everything raises `Unavailable`."""

    async def history(self, project: str, *, since: datetime | None = None) -> Recorded | None:
        """The project's texts with vectors; None while no space serves it.

        With `since`, texts that failed first before it are fixed, and `asked` counts failures since.
        """

    async def size(self, project: str) -> int:
        """How many texts `history` would have."""

    async def texts(
        self, project: str, space: str, fingerprints: Sequence[str]
    ) -> Mapping[str, str]:
        """The texts of these fingerprints, as far as the space has them."""

    async def called(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, str]:
        """The names that reviewers gave to these patterns, as far as they have one."""

    async def arrivals(self, project: str) -> Sequence[str]:
        """The fingerprint of every failure, in the order they were decided."""

    async def events(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, str]:
        """One event id for each fingerprint of these patterns."""

    async def seen(self, project: str | None = None) -> Sequence[SeenPatterns]:
        """How often patterns were seen, of one project or of each."""

    async def new_at(self, project: str) -> np.ndarray:
        """For each pattern (m,) int64 the number of the failure, from 1, that it was first seen with."""
