"""Nearest neighbours among very many rows: two looks, the first at lists of coarse codes.

The first look is faiss's IVF with product quantisation of 4 bits for every four dimensions, sixteen
times smaller than a code of a byte a dimension, and looked up in registers ("fast scan"; André, Kermarrec,
Le Scouarnec 2017). Its best are compared by codes of a byte a dimension (SQ8), which are kept here, by place.

Rows that go leave their place behind: faiss would look through every list for them, and what it packs into
a place that was left is wrong (1.15). With enough such places, lists are made anew.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, BinaryIO

import msgspec
import numpy as np

from dedup.index_centres import centres
from dedup.index_codes import faiss
from dedup.index_exact import Found

FAISS_VERSION = version("faiss-cpu")
"""Written beside saved lists: another version makes its own."""
COMPARED = 256
"""Rows compared by their finer codes."""
_LEFT = 0.25  # of the rows so many places left behind: lists are due to be made anew
_POINTS = 64  # k-means sees so many rows a list
_QUANTISER_ROWS = 4_096  # seen by the coarse codes' own k-means, of 16 centres each
_QUANTISER_ROUNDS = 10
_ONE_BY_ONE = 10  # faiss's way without tables for several queries at once: a fifth faster
_STEPS = 255  # of a code of a byte
_MARGIN = 0.05  # the codes' range goes so much beyond what there is, for rows to come
_CHUNK = 32_768  # rows coded at once, 50 MB
_BLOCK = 128  # queries whose best are compared at once: up to 25 MB of rows
_ROOM = 1.25  # codes are copied to a larger place when there are so many times as many
_LISTED_ROOM = 1.4  # faiss's lists grow by doubling

FaissLists = Any
"""A `faiss.IndexIVFPQFastScan`: its annotations lack half of what it takes and gives."""
RowsOf = Callable[[int, int], np.ndarray]
"""Rows (stop - start, d), float32, from start up to stop."""


def list_count(rows: int) -> int:
    """About the root of the rows: with fewer lists more rows are looked at, with more, more lists."""
    return 1 << max(3, round(float(np.log2(np.sqrt(max(1, rows))))))


def probes(lists: int) -> int:
    """How many lists are looked at for a query; recall by number is in `docs/benchmarks.md`."""
    return max(8, round(12 * float(lists**0.4)))


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    lists_bytes: int
    count: int
    width: int
    low: bytes
    step: bytes
    error: float


class CodedRows:
    """Rows in trained lists, each with a code of a byte a dimension.

    A row's place is its number in the codes and in faiss's lists; one that was left has the key -1.
    """

    def __init__(self, lists: FaissLists, low: np.ndarray, step: np.ndarray) -> None:
        """Take over trained lists without rows. A code c means `low + c * step`, both (d,) float32."""
        self._lists = lists
        self._low, self._step = low, step
        self._codes = np.empty((0, len(low)), dtype=np.uint8)
        self._keys = np.empty(0, dtype=np.int64)
        self._used = 0  # places
        self._left = 0  # of these, places without a row
        self.error_bound = 0.0
        """The most that a distance to a row can be off: by Cauchy-Schwarz, the largest rounding's norm."""
        self._lists.implem = _ONE_BY_ONE
        self.probe(probes(lists.nlist))

    def probe(self, lists: int) -> None:
        """Look at so many lists for a query."""
        self._lists.nprobe = min(lists, self._lists.nlist)

    @property
    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """What codes mean: their low ends and their steps, both (d,) float32."""
        return self._low, self._step

    @property
    def overdue(self) -> bool:
        """Whether so many rows have gone or moved that lists should be made anew."""
        return self._left > _LEFT * max(1, len(self))

    @classmethod
    def trained(
        cls, keys: np.ndarray, rows: RowsOf, ranges: tuple[np.ndarray, np.ndarray] | None = None
    ) -> "CodedRows":
        """Lists for these rows, made from them alone: the same rows give the same lists.

        `ranges`: those of the codes that rows were decoded from, which coding them again then repeats.
        """
        faiss().omp_set_num_threads(1)  # of busy processors, threads wait for one another
        count = len(keys)
        lists, learnt = _trained(count, rows)
        coded = cls(lists, *(ranges or learnt))
        coded._make_room(count)
        for start in range(0, count, _CHUNK):
            stop = min(count, start + _CHUNK)
            coded._add(keys[start:stop], rows(start, stop))
        return coded

    @classmethod
    def read(cls, file: BinaryIO) -> "CodedRows":
        """What `write` wrote, trusted: the caller has checked that it is whole."""
        head = msgspec.msgpack.decode(_exactly(file, _length(file)), type=_Head)
        lists = faiss().deserialize_index(
            np.frombuffer(_exactly(file, head.lists_bytes), dtype=np.uint8)
        )
        coded = cls(lists, np.frombuffer(head.low, "<f4"), np.frombuffer(head.step, "<f4"))
        coded._make_room(head.count)
        coded._keys[: head.count] = np.frombuffer(_exactly(file, 8 * head.count), "<i8")
        for start in range(0, head.count, _CHUNK):
            stop = min(head.count, start + _CHUNK)
            part = np.frombuffer(_exactly(file, (stop - start) * head.width), dtype=np.uint8)
            coded._codes[start:stop] = part.reshape(-1, head.width)
        coded._used, coded.error_bound = head.count, head.error
        coded._left = int((coded._keys[: head.count] < 0).sum())
        return coded

    def write(self, file: BinaryIO) -> None:
        """Write lists, keys and codes."""
        lists = faiss().serialize_index(self._lists)
        head = msgspec.msgpack.encode(
            _Head(
                lists_bytes=len(lists),
                count=self._used,
                width=self.dimension,
                low=self._low.astype("<f4").tobytes(),
                step=self._step.astype("<f4").tobytes(),
                error=self.error_bound,
            )
        )
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        file.write(lists.data)
        file.write(self._keys[: self._used].astype("<i8").data)
        file.write(self._codes[: self._used].data)

    def __len__(self) -> int:
        """How many rows are coded."""
        return self._used - self._left

    @property
    def dimension(self) -> int:
        """Of the rows."""
        return len(self._low)

    @property
    def memory_bytes(self) -> int:
        """Both kinds of codes, keys and the lists' centres, of places that were left as well."""
        listed = self._used * _LISTED_ROOM * (self._lists.code_size + 8)
        coded = self._used * (self.dimension + 8)
        return int(listed) + coded + int(self._lists.nlist) * self.dimension * 4

    def search(self, wanted: np.ndarray, k: int, compared: int = COMPARED) -> Found:
        """As `ExactRows.search`, unsorted; distances are to the codes, good to `error_bound`."""
        faiss().omp_set_num_threads(1)
        wanted = np.ascontiguousarray(wanted, dtype=np.float32)
        looked_at = self._lists.search(wanted, max(compared, k))[1]
        distances = np.empty((len(wanted), k), dtype=np.float32)
        keys = np.empty((len(wanted), k), dtype=np.int64)
        for start in range(0, len(wanted), _BLOCK):
            stop = start + _BLOCK
            places = looked_at[start:stop]
            far = self._distances(wanted[start:stop], places)
            chosen = np.argpartition(far, k - 1, axis=1)[:, :k]
            distances[start:stop] = np.take_along_axis(far, chosen, axis=1)
            keys[start:stop] = self._keys[np.take_along_axis(places, chosen, axis=1)]
        keys[np.isinf(distances)] = -1
        return distances, keys

    def _distances(self, wanted: np.ndarray, places: np.ndarray) -> np.ndarray:
        codes = self._codes[places].astype(np.float32)
        scaled = wanted * self._step
        similar = np.matmul(codes, scaled[:, :, None])[:, :, 0] + (wanted @ self._low)[:, None]
        distances: np.ndarray = np.subtract(1.0, similar, dtype=np.float32)
        distances[(places < 0) | (self._keys[places] < 0)] = np.inf
        return distances

    def replace(self, gone: np.ndarray, keys: np.ndarray, rows: np.ndarray) -> None:
        """Take rows out by key, and add rows (n, d) by keys (n,)."""
        if len(gone):
            places = np.flatnonzero(np.isin(self._keys[: self._used], gone))
            self._keys[places] = -1
            self._left += len(places)
        if len(keys):
            self._make_room(self._used + len(keys))
            self._add(keys, rows)

    def _add(self, keys: np.ndarray, rows: np.ndarray) -> None:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        codes = np.clip(np.rint((rows - self._low) / self._step), 0, _STEPS)
        off = rows - (codes * self._step + self._low)
        self.error_bound = max(self.error_bound, float(np.linalg.norm(off, axis=1).max()))
        places = np.arange(self._used, self._used + len(keys))
        self._codes[places], self._keys[places] = codes.astype(np.uint8), keys
        self._used += len(keys)
        self._lists.add_with_ids(rows, places)

    def keys(self) -> np.ndarray:
        """All keys (n,), int64, by place."""
        found: np.ndarray = self._keys[self._places()]
        return found

    def rows(self) -> RowsOf:
        """The rows in the order of `keys`, decoded when they are asked for, of the codes as they are."""
        places, codes, low, step = self._places(), self._codes, self._low, self._step

        def decoded(start: int, stop: int) -> np.ndarray:
            rows: np.ndarray = codes[places[start:stop]] * step + low
            return rows

        return decoded

    def _places(self) -> np.ndarray:
        return np.flatnonzero(self._keys[: self._used] >= 0)

    def _make_room(self, count: int) -> None:
        if count > len(self._keys):
            room = int(count * _ROOM)  # what is not written to takes no memory
            codes = np.empty((room, self.dimension), dtype=np.uint8)
            codes[: self._used] = self._codes[: self._used]
            keys = np.empty(room, dtype=np.int64)
            keys[: self._used] = self._keys[: self._used]
            self._codes, self._keys = codes, keys


def _trained(count: int, rows: RowsOf) -> tuple[FaissLists, tuple[np.ndarray, np.ndarray]]:
    """Lists without rows, and the codes' ranges, learnt from an even sample of the rows."""
    number = list_count(count)
    learnt, low, high = _sample(rows, count, max(_POINTS * number, _QUANTISER_ROWS))
    width = learnt.shape[1]
    quantizer: Any = faiss().IndexFlatIP(width)
    quantizer.add(centres(learnt[:: max(1, len(learnt) // (_POINTS * number))], number))
    parts = width // next(size for size in (4, 3, 2, 1) if width % size == 0)
    lists = faiss().IndexIVFPQFastScan(
        quantizer, width, number, parts, 4, faiss().METRIC_INNER_PRODUCT
    )
    lists.referenced_objects = [quantizer]
    lists.pq.cp.min_points_per_centroid, lists.pq.cp.niter = 1, _QUANTISER_ROUNDS
    lists.train(np.ascontiguousarray(learnt[:: max(1, len(learnt) // _QUANTISER_ROWS)]))
    wider = _MARGIN * (high - low)
    step = np.maximum((high - low + 2 * wider) / _STEPS, np.float32(1e-6))
    return lists, ((low - wider).astype(np.float32), step.astype(np.float32))


def _sample(rows: RowsOf, count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An even sample of the rows, and the least and the largest of all rows in each dimension."""
    wanted = np.unique(np.linspace(0, count - 1, min(count, size)).astype(np.int64))
    parts, low, high = [], np.float32(np.inf), np.float32(-np.inf)
    for start in range(0, count, _CHUNK):
        here = wanted[(wanted >= start) & (wanted < start + _CHUNK)] - start
        part = rows(start, min(count, start + _CHUNK))
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        parts.append(part[here])
    return np.concatenate(parts), np.asarray(low), np.asarray(high)


def _length(file: BinaryIO) -> int:
    return int.from_bytes(file.read(8), "little")


def _exactly(file: BinaryIO, size: int) -> bytes:
    return file.read(size)
