"""The modes' refit: when it is due, what it is made from, and what is kept of it.

Off the path of failures, in a process of its own at low priority: nothing waits for it.
"""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import structlog

from dedup.geometry import Geometry
from dedup.modes.names import TEXTS, name_of
from dedup.modes.proposals import Proposed, proposal_id
from services.errors import Unavailable
from services.mode_store import (
    Grown,
    MergeProposal,
    Mode,
    ModeRefit,
    ModeStore,
    PatternMode,
    Refitted,
    Told,
)
from services.modes_worker import Asked, Found, refit, terms
from services.pattern_store import NotPossible, PatternChanges, PatternStore, StoredCentroid
from services.policy import Policies
from services.worker import WorkerProcess, within

log = structlog.get_logger()

FEWEST = 20
"""Patterns below which there are no modes to speak of."""
GROWTH = 1.25
"""A refit is due when there are so many times the patterns that the last one had."""
_PAGE = 5_000  # centroids read at once, 8 MB
_SECONDS = 1_800.0  # 200 thousand patterns take half a minute
_NICENESS = 15
_SHOWN = 400  # characters of a text in evidence
_TELLING = 8  # texts that a model is shown to find a name


class NothingToRefit(Exception):
    """A project has too few patterns to have modes, or no geometry yet."""


class NameGiver(Protocol):
    """Finds better names than terms."""

    async def name(self, terms: Sequence[str], texts: Sequence[str]) -> str | None:
        """A short name for a mode; None where there is nobody to ask, or no answer."""


class _Rows(msgspec.Struct):
    ids: list[str]
    guards: list[str]
    space: str
    geometry: Geometry


class Modes:
    """Refits the modes of projects."""

    def __init__(
        self,
        store: ModeStore,
        patterns: PatternStore,
        changes: PatternChanges,
        policies: Policies,
        *,
        clock: Callable[[], datetime],
        names: NameGiver | None = None,
    ) -> None:
        """No process is started before the first refit."""
        self._store = store
        self._patterns = patterns
        self._changes = changes
        self._policies = policies
        self._clock = clock
        self._names = names
        self._process = WorkerProcess(niceness=_NICENESS)

    async def refit_due(self, pause: timedelta) -> list[ModeRefit]:
        """Refit every project that has grown, if its last refit is `pause` ago. Raises `Unavailable`."""
        done = []
        for grown in await self._store.grown():
            if is_due(grown, now=self._clock(), pause=pause):
                try:
                    refitted = await self.refit(grown.project)
                except NothingToRefit:
                    continue
                log.info(
                    "modes_refitted",
                    project=refitted.project,
                    patterns=refitted.patterns,
                    modes=refitted.modes,
                    seconds=refitted.seconds,
                )
                done.append(refitted)
        return done

    async def refit(self, project: str) -> ModeRefit:
        """Refit one project now.

        Raises:
            NothingToRefit: it has too few patterns.
            Unavailable: the store, or the process, which was killed; somebody else's refit was quicker.
        """
        latest = await self._store.refits(project, limit=1)
        number = latest[0].number + 1 if latest else 1
        policy = (await self._policies.of(project)).dedup
        occurrences = await self._store.occurrences(project)
        with tempfile.TemporaryDirectory(prefix="evalratchet-modes-") as folder:
            path = Path(folder) / "rows.npy"
            rows = await self._written(project, path, len(occurrences))
            asked = Asked(
                project=project,
                refit=number,
                rows=path,
                pattern_ids=rows.ids,
                guards=rows.guards,
                occurrences=[occurrences.get(one, 0) for one in rows.ids],
                before=await self._store.memberships(project),
                refused=await self._store.refused(project),
                distance=policy.distance,
                stretch=rows.geometry.stretch,
            )
            found = await self._run(asked)
        refitted = await self._told(asked, found, rows.space, await self._named(asked, found))
        if not await self._store.keep(refitted):
            message = f"another process refitted the modes of {project} meanwhile"
            raise Unavailable(message)
        if policy.merge_proposals == "carry_out":
            await carry_out(self._store, self._changes, refitted.proposals, at=self._clock())
        return refitted.refit

    def kill(self) -> bool:
        """Kill the process, if there is one; a refit that runs is `Unavailable`."""
        return self._process.kill() is not None

    async def close(self) -> None:
        """Stop the process at once."""
        await self._process.close()

    async def _run(self, asked: Asked) -> Found:
        try:
            return await within(self._process.submit(refit, asked), _SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            self._process.kill()
            message = "the modes' process died or took too long; is there enough memory?"
            raise Unavailable(message) from error

    async def _written(self, project: str, path: Path, about: int) -> _Rows:
        """Write the project's placed centroids to a file, page by page."""
        async with self._patterns.reading(project) as store:
            serving = await store.serving()
            geometry = None if serving is None else await store.geometry(serving.space)
            if serving is None or geometry is None or about < FEWEST:
                message = (
                    f"{project} has {about} patterns; from {FEWEST} on modes can be told apart"
                )
                raise NothingToRefit(message)
            rows, seq = _Rows([], [], serving.space, geometry), 0
            raw = path.with_suffix(".raw")
            with raw.open("wb") as file:
                while page := await store.centroids_after(serving.space, seq, limit=_PAGE):
                    seq = page[-1].seq
                    there = [one for one in page if one.count > 0]
                    rows.ids.extend(one.pattern_id for one in there)
                    rows.guards.extend(one.guard for one in there)
                    if there:
                        await asyncio.to_thread(file.write, _placed(there, geometry).data)
        if len(rows.ids) < FEWEST:
            message = f"{project} has {len(rows.ids)} patterns in the space that serves it"
            raise NothingToRefit(message)
        # an id may have come twice, where it changed between two pages: the later row holds
        await asyncio.to_thread(_tidied, raw, path, rows)
        return rows

    async def _named(self, asked: Asked, found: Found) -> list[tuple[str, list[str]]]:
        """Name and terms of each mode; a name from a model stays while the terms stay."""
        samples = _samples(found)
        wanted = [asked.pattern_ids[row] for rows in samples for row in rows]
        told = await self._store.told(asked.project, wanted)
        texts = [
            [told[asked.pattern_ids[row]].text for row in rows if asked.pattern_ids[row] in told]
            for rows in samples
        ]
        telling = await within(self._process.submit(terms, texts), _SECONDS)
        known = {one.mode_id: one for one in await self._store.modes(asked.project)}
        named = []
        for mode_id, words, documents in zip(found.lineage.ids, telling, texts, strict=True):
            name = name_of(words)
            before = known.get(mode_id)
            if before is not None and list(before.terms) == words:
                name = before.name
            elif self._names is not None:
                name = await self._names.name(words, documents[:_TELLING]) or name
            named.append((name, words))
        return named

    async def _told(
        self, asked: Asked, found: Found, space: str, named: Sequence[tuple[str, list[str]]]
    ) -> Refitted:
        """All that is kept of a refit."""
        ids, number = found.lineage.ids, asked.refit
        sizes = np.bincount(found.labels[found.labels >= 0], minlength=len(ids)).tolist()
        row_ids = asked.pattern_ids
        shown = sorted({row_ids[row] for group in found.proposed for row in group.rows})
        told = await self._store.told(asked.project, shown)
        return Refitted(
            refit=ModeRefit(
                project=asked.project,
                number=number,
                at=self._clock(),
                patterns=len(row_ids),
                modes=len(ids),
                seconds=round(found.seconds, 3),
                space=space,
                detail=_detail(found),
            ),
            modes=[
                Mode(
                    project=asked.project,
                    mode_id=mode_id,
                    name=name,
                    size=size,
                    born_refit=number,
                    parents=tuple(found.lineage.parents.get(mode_id, ())),
                    terms=tuple(words),
                )
                for mode_id, size, (name, words) in zip(ids, sizes, named, strict=True)
            ],
            gone=list(found.lineage.gone),
            patterns=[
                PatternMode(pattern_id, None if label < 0 else ids[label], membership, outlier)
                for pattern_id, label, membership, outlier in zip(
                    row_ids,
                    found.labels.tolist(),
                    found.membership.tolist(),
                    found.outlier.tolist(),
                    strict=True,
                )
            ],
            proposals=[_proposal(asked, found, group, named, told) for group in found.proposed],
        )


def is_due(grown: Grown, *, now: datetime, pause: timedelta) -> bool:
    """Whether a project has grown by a quarter since its last refit, and that was long enough ago."""
    if grown.patterns < FEWEST:
        return False
    if grown.latest is None:
        return True
    return grown.patterns >= GROWTH * grown.latest.patterns and now - grown.latest.at >= pause


async def carry_out(
    store: ModeStore, changes: PatternChanges, proposals: Sequence[MergeProposal], *, at: datetime
) -> int:
    """Merge what was proposed, as "modes"; how many were. What cannot be merged stays open."""
    done = 0
    for one in proposals:
        reason = f"proposal {one.proposal_id}: nearer than the dedup distance, in one mode"
        try:
            await changes.merge(
                one.project, one.patterns[0], one.patterns[1:], by="modes", reason=reason, at=at
            )
        except NotPossible as error:
            log.warning("proposal_not_carried_out", proposal=one.proposal_id, why=str(error))
            continue
        await store.decide(one.project, one.proposal_id, "accepted", by="modes", at=at)
        done += 1
    return done


def _placed(stored: Sequence[StoredCentroid], geometry: Geometry) -> np.ndarray:
    totals = np.frombuffer(b"".join(one.total for one in stored), "<f4").reshape(len(stored), -1)
    counts = np.array([one.count for one in stored], dtype=np.float32)
    return np.ascontiguousarray(geometry.placed(totals / counts[:, None]), dtype=np.float32)


def _tidied(raw: Path, path: Path, rows: _Rows) -> None:
    """Write the rows in order of their patterns' ids, each once, as .npy."""
    width = rows.geometry.centre.shape[0]
    written = np.memmap(raw, dtype=np.float32, mode="r").reshape(-1, width)
    last = {pattern_id: row for row, pattern_id in enumerate(rows.ids)}
    order = [last[pattern_id] for pattern_id in sorted(last)]
    sorted_rows = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float32, shape=(len(order), width)
    )
    for start in range(0, len(order), _PAGE):
        sorted_rows[start : start + _PAGE] = written[order[start : start + _PAGE]]
    sorted_rows.flush()
    rows.ids = [rows.ids[row] for row in order]
    rows.guards = [rows.guards[row] for row in order]
    raw.unlink()


def _samples(found: Found) -> list[list[int]]:
    """For each mode the rows farthest inside, as many as are read for its name."""
    order = np.lexsort((np.arange(len(found.labels)), -found.membership, found.labels))
    samples: defaultdict[int, list[int]] = defaultdict(list)
    for row, label in zip(order.tolist(), found.labels[order].tolist(), strict=True):
        if label >= 0 and len(samples[label]) < TEXTS:
            samples[label].append(row)
    return [samples[label] for label in range(len(found.lineage.ids))]


def _detail(found: Found) -> dict[str, object]:
    return {
        "kept": found.lineage.kept,
        "born": {one: list(parents) for one, parents in found.lineage.parents.items()},
        "absorbed": {one: list(ended) for one, ended in found.lineage.absorbed.items()},
        "gone": list(found.lineage.gone),
        "in_no_mode": int((found.labels < 0).sum()),
        "proposals": len(found.proposed),
        "peak_bytes": found.peak_bytes,
    }


def _proposal(
    asked: Asked,
    found: Found,
    group: Proposed,
    named: Sequence[tuple[str, list[str]]],
    known: Mapping[str, Told],
) -> MergeProposal:
    label = int(found.labels[group.rows[0]])
    ids = [asked.pattern_ids[row] for row in group.rows]
    distances = [0.0, *(apart * asked.stretch for apart in group.distances)]
    patterns = [
        {
            "pattern_id": pattern_id,
            "distance": round(distance, 4),
            "occurrences": known[pattern_id].occurrences if pattern_id in known else 0,
            "text": known[pattern_id].text[:_SHOWN] if pattern_id in known else "",
        }
        for pattern_id, distance in zip(ids, distances, strict=True)
    ]
    return MergeProposal(
        project=asked.project,
        proposal_id=proposal_id(asked.project, ids),
        patterns=tuple(ids),
        evidence={
            "mode": found.lineage.ids[label],
            "mode_name": named[label][0],
            "distance": asked.distance,
            "patterns": patterns,
        },
        refit=asked.refit,
    )
