"""The indexes of one process: kept in memory, filled from the store, saved from time to time.

Never a second truth: an index only ever takes over what the store has committed, so that whatever is
thrown away, here or on the disk, comes back by itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import numpy as np
import structlog

from dedup.geometry import Geometry
from dedup.index import Index, Row
from dedup.index_lists import CodedRows
from services.pattern_store import StoredCentroid

log = structlog.get_logger()

_PAGE = 5_000  # centroids read at once, 8 MB
_SMALL = 256  # so many are taken in on the event loop, in a millisecond or two
_SAVE_AFTER = 2_000  # changes, but at least a fiftieth of the index: a start catches up the rest
_SAVE_SHARE = 50
_PROOF = 1_000  # of its latest changes a file must have what the store has: 1.5 MB, once a start
_MOST_BYTES = 4 << 30  # of all indexes together; those not used for longest go first
_WEIGH_AFTER = 1_000  # changes of an index, 2 MB: adding up a thousand guards takes a millisecond


class Centroids(Protocol):
    """What an index is filled from."""

    async def centroids_after(
        self, space: str, seq: int, *, limit: int
    ) -> Sequence[StoredCentroid]:
        """Centroids that changed after `seq`, the earliest first. Raises `Unavailable`."""


class Files(Protocol):
    """Where indexes wait for the next start."""

    def load(self, project: str, space: str) -> Index | None:
        """The index as it was saved, if there is one that can be used."""

    def save(self, project: str, space: str, index: Index) -> None:
        """Save an index. Raises OSError."""

    def remove(self, project: str, space: str) -> None:
        """Have no saved index any more, if there is one. Raises OSError."""


class _Kept:
    """An index, and the training that goes on beside it.

    One that was read from a file is `unproven` until the store has shown that it is its own.
    """

    def __init__(self, index: Index, *, unproven: bool = False) -> None:
        self.index = index
        self.unproven = unproven
        self.saved_seq = index.seq
        self.memory_bytes = index.memory_bytes
        self._weighed_seq = index.seq
        self.lock = asyncio.Lock()
        self._training: tuple[str, asyncio.Future[CodedRows]] | None = None

    @property
    def in_training(self) -> bool:
        return self._training is not None

    def begin_again(self, geometry: Geometry) -> None:
        """With an empty index. What is being trained for the former one is nobody's business."""
        self.index = Index(_width(geometry), geometry.number)
        self.saved_seq = self._weighed_seq = 0
        self._training = None

    def weigh(self) -> bool:
        """Add up the index's memory, if much has changed since that was done; whether it was."""
        changed = self.index.seq - self._weighed_seq
        due = changed >= min(_WEIGH_AFTER, max(1, len(self.index) // 4))
        if due:
            self.memory_bytes, self._weighed_seq = self.index.memory_bytes, self.index.seq
        return due

    def train_if_due(self) -> None:
        """Begin to train lists for a guard that has grown, on another thread; seconds."""
        if self._training is None and (overdue := self.index.overdue()):
            training = self.index.begin_training(overdue[0])
            trained = asyncio.ensure_future(asyncio.to_thread(training.run))
            self._training = training.guard, trained

    def take_trained(self) -> None:
        """Search by the new lists once they are there. Called where nothing else uses the index."""
        if self._training is None or not self._training[1].done():
            return
        (guard, trained), self._training = self._training, None
        failed = trained.cancelled() or trained.exception()
        if failed:
            log.warning("index_not_trained", guard=guard, why=repr(failed))
        self.index.end_training(guard, None if failed else trained.result())


class Indexes:
    """All indexes of one process, by project and space."""

    def __init__(self, files: Files | None) -> None:
        """Without `files` they are filled from the store after every start."""
        self._files = files
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._loading = asyncio.Lock()
        self._saving: tuple[tuple[str, str], asyncio.Task[None]] | None = None

    @property
    def patterns(self) -> int:
        """How many patterns there are in all of them."""
        return sum(len(kept.index) for kept in self._kept.values())

    @property
    def memory_bytes(self) -> int:
        """About what they take together."""
        return sum(kept.index.memory_bytes for kept in self._kept.values())

    @asynccontextmanager
    async def using(
        self, project: str, space: str, geometry: Geometry, store: Centroids
    ) -> AsyncIterator[Index]:
        """The index, caught up with `store` and placed in this geometry; nobody else has it meanwhile.

        Under the project's lock it is exact; before it, this does most of the work. Raises
        `Unavailable` when the store does.
        """
        kept = await self._of(project, space)
        async with kept.lock:
            kept.take_trained()
            index = kept.index
            if (index.geometry, index.dimension) != (geometry.number, _width(geometry)):
                kept.begin_again(geometry)
            elif kept.unproven and not await _was_at(index, store, space):
                log.warning("index_not_used", project=project, space=space, why="of another store")
                kept.begin_again(geometry)
            kept.unproven = False
            await _catch_up(project, space, kept, store, geometry)
            if kept.weigh():
                self._make_room(kept)
            yield kept.index
            kept.train_if_due()
        self._save_later((project, space), kept)

    def holds(self, project: str, space: str, geometry: Geometry) -> bool:
        """Whether the index is in memory, and of this geometry: little is left to catch up with."""
        kept = self._kept.get((project, space))
        return kept is not None and not kept.unproven and kept.index.geometry == geometry.number

    async def written(self, project: str, space: str) -> None:
        """Return once the index is not being written to its file.

        To be waited for before a lock of the store is taken: who has one must not wait for a disk.
        """
        if self._saving is not None and self._saving[0] == (project, space):
            await asyncio.wait([self._saving[1]])

    async def close(self) -> None:
        """Save what has changed."""
        if self._saving is not None:
            await self._saving[1]
        for place, kept in list(self._kept.items()):
            if kept.index.seq != kept.saved_seq:
                await self._save(place, kept)

    def forget(self, project: str, space: str) -> None:
        """Let go of an index that is not needed any more; its file stays."""
        self._kept.pop((project, space), None)

    async def discard(self, project: str, space: str) -> None:
        """Let go of an index that nobody will need again, its file included."""
        await self.written(project, space)
        self.forget(project, space)
        if self._files is None:
            return
        try:
            await asyncio.to_thread(self._files.remove, project, space)
        except OSError as error:  # it takes room on the disk, and is in nobody's way
            log.warning("index_not_removed", project=project, space=space, why=str(error))

    async def _of(self, project: str, space: str) -> _Kept:
        async with self._loading:
            kept = self._kept.get((project, space))
            if kept is None:
                loaded = None
                if self._files is not None:
                    loaded = await asyncio.to_thread(self._files.load, project, space)
                kept = _Kept(Index(0)) if loaded is None else _Kept(loaded, unproven=True)
                self._kept[project, space] = kept
                self._make_room(kept)
            self._kept.move_to_end((project, space))
            return kept

    def _save_later(self, place: tuple[str, str], kept: _Kept) -> None:
        changes = kept.index.seq - kept.saved_seq
        due = changes >= max(_SAVE_AFTER, len(kept.index) // _SAVE_SHARE)
        if due and not kept.in_training and (self._saving is None or self._saving[1].done()):
            self._saving = place, asyncio.create_task(self._save(place, kept))

    async def _save(self, place: tuple[str, str], kept: _Kept) -> None:
        """Write one index on another thread; whoever wants it meanwhile waits a second or less."""
        async with kept.lock:
            kept.take_trained()
            if self._files is None or kept.in_training:
                return  # lists that are being trained from stay as they are; the next time will do
            kept.saved_seq = kept.index.seq
            try:
                await _to_the_end(self._files.save, *place, kept.index)
            except (OSError, RuntimeError, MemoryError) as error:
                # a full disk, of which faiss says so in its own way: the store has everything
                why = str(error) or repr(error)
                log.warning("index_not_saved", project=place[0], space=place[1], why=why)

    def _make_room(self, needed: _Kept) -> None:
        for place, kept in list(self._kept.items()):
            if sum(one.memory_bytes for one in self._kept.values()) <= _MOST_BYTES:
                return
            if kept is not needed and not kept.lock.locked():
                del self._kept[place]


async def _catch_up(
    project: str, space: str, kept: _Kept, store: Centroids, geometry: Geometry
) -> None:
    index, empty, began = kept.index, kept.index.seq == 0, time.monotonic()
    while stored := await store.centroids_after(space, index.seq, limit=_PAGE):
        if len(stored) <= _SMALL:
            take_over(index, stored, geometry)
        else:
            await _to_the_end(take_over, index, stored, geometry)
        if len(stored) < _PAGE:
            break
        if not kept.in_training:
            # many at once: lists now, or they would lie in full in memory until the last has come
            await _to_the_end(index.train)
    if empty and len(index) > _SMALL:
        took = round(time.monotonic() - began, 3)
        log.info("index_filled", project=project, space=space, patterns=len(index), seconds=took)


def take_over(index: Index, stored: Sequence[StoredCentroid], geometry: Geometry) -> None:
    """Bring an index up by rows of the store, in their order."""
    there = [one for one in stored if one.count > 0]
    places: dict[int, np.ndarray] = {}
    if there:
        totals = np.frombuffer(b"".join(one.total for one in there), "<f4")
        counts = np.array([one.count for one in there], dtype=np.float32)
        placed = geometry.placed(totals.reshape(len(there), -1) / counts[:, None])
        places = {one.seq: place for one, place in zip(there, placed, strict=True)}
    index.put_many([Row(one.seq, one.pattern_id, one.guard, places.get(one.seq)) for one in stored])


async def _was_at(index: Index, store: Centroids, space: str) -> bool:
    """Whether the store has been where the index says it was: a file may be of another one's past.

    What has not changed since then must be in the index, and what is gone must not. Asked of its
    latest changes: a store that was restored is like the file up to its backup.
    """
    if not index.seq:
        return True
    since = max(0, index.seq - _PROOF)
    latest = await store.centroids_after(space, since, limit=_PROOF + 1)
    if not latest or latest[-1].seq < index.seq:
        return False  # the store has not come so far
    unchanged = (one for one in latest if one.seq <= index.seq)
    return all((one.pattern_id in index) == (one.count > 0) for one in unchanged)


async def _to_the_end(work: Callable[..., None], *arguments: object) -> None:
    """Work on another thread, which a cancelled caller waits for too: nobody else has the index."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


def _width(geometry: Geometry) -> int:
    return int(geometry.centre.shape[0])
