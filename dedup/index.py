"""Which patterns are nearest: an index of placed centroids, by guard.

Never a second truth: it is filled from the store, in the order of the store's sequence number, and
can be thrown away at any moment. It names candidates; `dedup.assign` decides by exact centroids.
"""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import BinaryIO, cast

import msgspec
import numpy as np

from dedup.index_exact import ExactRows
from dedup.index_lists import FAISS_VERSION, CodedRows, RowsOf
from dedup.index_overlay import ListedRows

EXACT_ROWS = 50_000
"""Up to so many rows a guard is looked through exactly; see `docs/benchmarks.md`."""
GROWTH = 4
"""Lists are trained again when there are so many times the rows they were trained for: the best
number of lists has doubled then. And when a quarter of the rows have gone or moved."""
FORMAT = 2


class Neighbour(msgspec.Struct, frozen=True):
    """A pattern and the cosine distance (0 to 2) from its placed centroid to what was asked for."""

    pattern_id: str
    distance: float


class Row(msgspec.Struct, frozen=True):
    """What the store says of a pattern: where its centroid lies, unit (d,) float32; None: it is gone."""

    seq: int
    pattern_id: str
    guard: str
    placed: np.ndarray | None


class NotAnIndex(ValueError):
    """What was read is no index that can be used; the message says why."""


class Training(msgspec.Struct, frozen=True):
    """Work to do for a guard that has grown. `run` takes seconds and may run on another thread."""

    guard: str
    keys: np.ndarray
    rows: RowsOf
    ranges: tuple[np.ndarray, np.ndarray] | None = None

    def run(self) -> CodedRows:
        """Train lists; the index may be searched and changed meanwhile."""
        return CodedRows.trained(self.keys, self.rows, self.ranges)


class Index:
    """Placed centroids of one project and embedding space.

    `seq` is the store's sequence number of the newest change in it, 0 when there is none; `geometry`
    the number of the geometry that its rows were placed with. Not for two threads at once.
    """

    def __init__(self, dimension: int, geometry: int = 0) -> None:
        """An empty index of rows (dimension,)."""
        self.dimension = dimension
        self.seq = 0
        self.geometry = geometry
        self._ids: list[str] = []  # pattern ids by key
        self._keys: dict[str, int] = {}
        self._free: list[int] = []
        self._guard_names: list[str] = []
        self._guard_numbers: dict[str, int] = {}
        self._guards = array("i")  # by key: the place of its guard's name, -1 where it is free
        self._shelves: dict[str, ExactRows | ListedRows] = {}
        self._since: dict[str, set[int]] = {}  # keys that changed since a guard's training began

    def __len__(self) -> int:
        """How many patterns are in it."""
        return len(self._keys)

    def __contains__(self, pattern_id: str) -> bool:
        """Whether a pattern is in it."""
        return pattern_id in self._keys

    @property
    def memory_bytes(self) -> int:
        """About what it takes: rows or codes, and 190 bytes a pattern for its id and its key."""
        return sum(shelf.memory_bytes for shelf in self._shelves.values()) + 190 * len(self._ids)

    def put(self, seq: int, pattern_id: str, guard: str, placed: np.ndarray) -> None:
        """Insert a pattern, or move it. `placed` (d,), float32, unit. Raises ValueError; see `put_many`."""
        self.put_many([Row(seq, pattern_id, guard, placed)])

    def drop(self, seq: int, pattern_id: str) -> None:
        """Take a pattern out, if it is there. Raises ValueError; see `put_many`."""
        self.put_many([Row(seq, pattern_id, "", None)])

    def put_many(self, rows: Sequence[Row]) -> None:
        """Take changes in, in order of their `seq`.

        Raises:
            ValueError: a `seq` is not above the one before, or the shape is not (dimension,).
        """
        self._check(rows)
        last = {row.pattern_id: row for row in rows}  # of several changes of one, the last
        coming: defaultdict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
        for row in last.values():
            if row.placed is None:
                self._remove(row.pattern_id)
            else:
                coming[row.guard].append((self._key_in(row.pattern_id, row.guard), row.placed))
        for guard, new in coming.items():
            shelf = self._shelves.get(guard)
            if shelf is None:
                shelf = self._shelves[guard] = ExactRows(self.dimension)
            keys = np.array([key for key, _ in new], dtype=np.int64)
            shelf.put_all(keys, np.stack([placed for _, placed in new]))
            self._note(guard, keys.tolist())
        if rows:
            self.seq = rows[-1].seq

    def search(self, placed: np.ndarray, guards: Sequence[str], k: int) -> list[list[Neighbour]]:
        """For each row of `placed` (n, d) the k nearest patterns of its guard, nearest first.

        Fewer where there are fewer. Distances are exact up to float32's rounding, or good to
        `error_bound` for a guard of more than EXACT_ROWS patterns.
        """
        asked: defaultdict[str, list[int]] = defaultdict(list)
        for number, guard in enumerate(guards):
            asked[guard].append(number)
        found: list[list[Neighbour]] = [[] for _ in guards]
        for guard, numbers in asked.items():
            shelf = self._shelves.get(guard)
            if shelf is None:
                continue
            distances, keys = shelf.search(np.asarray(placed[numbers], dtype=np.float32), k)
            for number, near, their in zip(numbers, distances.tolist(), keys.tolist(), strict=True):
                found[number] = [
                    Neighbour(self._ids[key], distance)
                    for key, distance in zip(their, near, strict=True)
                    if key >= 0
                ]
        return found

    @property
    def error_bound(self) -> float:
        """The most that a reported distance may be off; 0 while every guard is exact."""
        listed = [one for one in self._shelves.values() if isinstance(one, ListedRows)]
        return max((shelf.coded.error_bound for shelf in listed), default=0.0)

    def overdue(self) -> list[str]:
        """The guards that have grown so much that lists should be trained for them."""
        return [
            guard
            for guard, shelf in self._shelves.items()
            if guard not in self._since and _has_outgrown(shelf)
        ]

    def train(self) -> None:
        """Train whatever is overdue, here and now; seconds."""
        for guard in self.overdue():
            self.end_training(guard, self.begin_training(guard).run())

    def begin_training(self, guard: str) -> Training:
        """What to run, on any thread, for a guard that is overdue. `end_training` must follow."""
        shelf = self._shelves[guard]
        self._since[guard] = set()
        if isinstance(shelf, ListedRows):
            shelf.fold()
            shelf.held = True
            coded = shelf.coded
            return Training(guard, coded.keys(), coded.rows(), coded.ranges)
        keys, rows = shelf.keys.copy(), shelf.rows.copy()
        return Training(guard, keys, lambda start, stop: rows[start:stop])

    def end_training(self, guard: str, coded: CodedRows | None) -> None:
        """Have the guard searched by new lists. None: it failed, and all stays as it was."""
        changed, shelf = self._since.pop(guard), self._shelves[guard]
        if isinstance(shelf, ListedRows):
            shelf.held = False
            if coded is not None:
                shelf.replace_coded(coded)
        elif coded is not None:
            listed = self._shelves[guard] = ListedRows(coded)
            for key in sorted(changed):
                if key in shelf:
                    listed.put(key, shelf.row(key))
                else:
                    listed.drop(key)

    def _check(self, rows: Sequence[Row]) -> None:
        seq = self.seq
        for row in rows:
            if row.seq <= seq:
                message = (
                    f"pattern {row.pattern_id} has seq {row.seq}, the index is at {seq} already"
                )
                raise ValueError(message)
            seq = row.seq
            if row.placed is not None and row.placed.shape != (self.dimension,):
                message = f"pattern {row.pattern_id} has shape {row.placed.shape}, not ({self.dimension},)"
                raise ValueError(message)

    def _key_in(self, pattern_id: str, guard: str) -> int:
        key = self._keys.get(pattern_id)
        if key is not None and self._guard_names[self._guards[key]] != guard:
            self._remove(pattern_id)
            key = None
        if key is not None:
            return key
        number = self._guard_number(guard)
        if self._free:
            key = self._free.pop()
            self._ids[key], self._guards[key] = pattern_id, number
        else:
            key = len(self._ids)
            self._ids.append(pattern_id)
            self._guards.append(number)
        self._keys[pattern_id] = key
        return key

    def _guard_number(self, guard: str) -> int:
        number = self._guard_numbers.get(guard)
        if number is None:
            number = self._guard_numbers[guard] = len(self._guard_names)
            self._guard_names.append(guard)
        return number

    def _remove(self, pattern_id: str) -> None:
        key = self._keys.pop(pattern_id, None)
        if key is None:
            return
        guard = self._guard_names[self._guards[key]]
        self._shelves[guard].drop(key)
        self._note(guard, [key])
        self._ids[key], self._guards[key] = "", -1
        self._free.append(key)

    def _note(self, guard: str, keys: Sequence[int]) -> None:
        if guard in self._since:
            self._since[guard].update(keys)

    def write(self, file: BinaryIO) -> None:
        """Write all of it. Must not be called while lists are trained."""
        head = _Head(
            dimension=self.dimension,
            seq=self.seq,
            geometry=self.geometry,
            ids=self._ids,
            guard_names=self._guard_names,
            guards=self._guards.tobytes(),
            exact={g: len(s) for g, s in self._shelves.items() if isinstance(s, ExactRows)},
            listed=[g for g, s in self._shelves.items() if isinstance(s, ListedRows)],
        )
        encoded = msgspec.msgpack.encode(head)
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for guard in head.exact:
            _write_rows(file, cast("ExactRows", self._shelves[guard]))
        for guard in head.listed:
            shelf = cast("ListedRows", self._shelves[guard])
            shelf.fold()
            file.write(shelf.trained_at.to_bytes(8, "little"))
            shelf.coded.write(file)

    @classmethod
    def read(cls, file: BinaryIO) -> "Index":
        """What `write` wrote, trusted: the caller has checked that it is whole.

        Raises:
            NotAnIndex: another version of this code or of faiss wrote it.
        """
        try:
            head = msgspec.msgpack.decode(
                file.read(int.from_bytes(file.read(8), "little")), type=_Head
            )
        except msgspec.DecodeError as error:
            message = f"its head cannot be read: {error}"
            raise NotAnIndex(message) from error
        if (head.format, head.faiss) != (FORMAT, FAISS_VERSION):
            message = f"format {head.format} of faiss {head.faiss}, not {FORMAT} of {FAISS_VERSION}"
            raise NotAnIndex(message)
        index = cls(head.dimension, head.geometry)
        index.seq, index._ids, index._guard_names = head.seq, head.ids, head.guard_names
        index._take_ids(head.guards)
        for guard, count in head.exact.items():
            index._shelves[guard] = _read_rows(file, count, head.dimension)
        for guard in head.listed:
            trained_at = int.from_bytes(file.read(8), "little")
            index._shelves[guard] = ListedRows(CodedRows.read(file), trained_at)
        return index

    def _take_ids(self, guards: bytes) -> None:
        self._guards.frombytes(guards)
        self._guard_numbers = {guard: number for number, guard in enumerate(self._guard_names)}
        free = np.flatnonzero(np.frombuffer(guards, dtype=np.intc) < 0).tolist()
        self._keys = dict(zip(self._ids, range(len(self._ids)), strict=True))
        if free:
            del self._keys[""]
        self._free = free


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    faiss: str = FAISS_VERSION
    dimension: int
    seq: int
    geometry: int
    ids: list[str]
    guard_names: list[str]
    guards: bytes
    exact: dict[str, int]
    listed: list[str]


def _write_rows(file: BinaryIO, shelf: ExactRows) -> None:
    file.write(shelf.keys.data)
    file.write(np.ascontiguousarray(shelf.rows).data)


def _read_rows(file: BinaryIO, count: int, dimension: int) -> ExactRows:
    keys = np.frombuffer(file.read(8 * count), dtype=np.int64)
    rows = np.frombuffer(file.read(4 * count * dimension), dtype=np.float32)
    shelf = ExactRows(dimension)
    shelf.put_all(keys, rows.reshape(count, dimension))
    return shelf


def _has_outgrown(shelf: ExactRows | ListedRows) -> bool:
    if isinstance(shelf, ListedRows):
        return shelf.coded.overdue or len(shelf.coded) >= GROWTH * shelf.trained_at
    return len(shelf) > EXACT_ROWS
