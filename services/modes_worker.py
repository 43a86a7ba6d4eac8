"""What the modes' own process does: numbers and words only, no store and no network.

Rows come in a file, not through a pipe: a pipe would have each of them three times in memory.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from dedup.index_codes import faiss as load_search
from dedup.modes.graph import neighbour_graph
from dedup.modes.lineage import Lineage, lineage
from dedup.modes.proposals import Proposed, proposals


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to cluster.

    rows: a .npy file of placed centroids (n, d) float32, in order of the ids.
    distance: the dedup distance. stretch: that of the geometry they were placed by.
    """

    project: str
    refit: int
    rows: Path
    pattern_ids: Sequence[str]
    guards: Sequence[str]
    occurrences: Sequence[int]
    before: Mapping[str, str]
    refused: Sequence[tuple[str, ...]]
    distance: float
    stretch: float = 1.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and what it cost. `labels`, `membership`, `outlier`: (n,) by row."""

    labels: np.ndarray
    membership: np.ndarray
    outlier: np.ndarray
    lineage: Lineage
    proposed: Sequence[Proposed]
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def refit(asked: Asked) -> Found:
    """Cluster, match with the modes before, and look for patterns that are one."""
    # hdbscan and scikit-learn are 150 MB: only the process that clusters has them
    from dedup.modes.clusters import clusters  # noqa: PLC0415

    load_search()  # as above: what is measured begins after libraries are loaded
    began, busy = time.perf_counter(), time.process_time()
    graph = neighbour_graph(partial(_read, asked.rows), len(asked.pattern_ids))
    found = clusters(graph)
    labels = found.labels
    matched = lineage(
        asked.pattern_ids, labels.tolist(), asked.before, project=asked.project, refit=asked.refit
    )
    numbers: dict[str, int] = {}
    guards = np.array([numbers.setdefault(guard, len(numbers)) for guard in asked.guards])
    proposed = proposals(
        np.load(asked.rows, mmap_mode="r"),
        graph,
        labels,
        guards,
        np.asarray(asked.occurrences),
        asked.distance / asked.stretch,
        _refusing(asked),
    )
    return Found(
        labels=labels,
        membership=found.membership,
        outlier=found.outlier,
        lineage=matched,
        proposed=proposed,
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - busy,
        peak_bytes=_peak_bytes(),
    )


def terms(documents: Sequence[Sequence[str]]) -> list[list[str]]:
    """The telling terms of each mode, given some of its texts."""
    from dedup.modes.terms import telling_terms  # noqa: PLC0415 - as above

    return telling_terms(documents)


def _read(path: Path, start: int, stop: int) -> np.ndarray:
    """Rows of a .npy file. What is mapped counts as memory, so nothing stays mapped."""
    return np.array(np.load(path, mmap_mode="r")[start:stop])


def _refusing(asked: Asked) -> Callable[[int, int], bool]:
    """Whether somebody has said of two rows that they are not one."""
    rejected = {
        frozenset((one, other))
        for patterns in asked.refused
        for one in patterns
        for other in patterns
        if one != other
    }
    ids = asked.pattern_ids
    return lambda one, other: bool(rejected) and frozenset((ids[one], ids[other])) in rejected


def _peak_bytes() -> int:
    """The most memory that this process has had; where the system does not say, what it counts.

    On Linux not `ru_maxrss`: that begins with what the parent had when it forked.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return told if sys.platform == "darwin" else told * 1024
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024
