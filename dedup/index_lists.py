"""Nearest neighbours among very many rows: inverted lists of 8-bit codes (faiss IVF with SQ8).

Rows that changed lately lie in an exact overlay, which every search sees first and which hides what
the lists still say of them. From time to time the overlay is folded into the lists.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from dedup.index_exact import ExactRows, Found, nearest_first

FAISS_VERSION = version("faiss-cpu")
"""Written beside saved lists: another version makes its own."""
PROBES = 192
"""Lists looked at for a query. Recall and time by number of probes are in `docs/benchmarks.md`."""
_FOLD_AT = 1024  # 1.5 MB to look through exactly at 384 dimensions, 0.05 ms; a fold is some 30 ms
_SPARE = 16  # asked for beyond k: places that hidden rows would take from others
_POINTS = 32  # k-means sees so many rows a list; faiss warns below 39, recall is the same
_ROUNDS = 6  # of k-means over groups
_LAST_ROUNDS = 3
_SEED = 1_234
_MARGIN = 0.05  # the codes' range goes so much beyond what the sample had, for rows to come
_THREADS = (
    1  # of OpenMP: on busy processors its threads wait for one another, some three times as long
)
_CHUNK = 32_768  # rows coded at once, 50 MB
_ROOM = 1.1  # lists are made so much larger than they are: the first additions copy nothing

FaissLists = Any
"""A `faiss.IndexIVFScalarQuantizer`: its annotations lack half of what it takes and gives."""
RowsOf = Callable[[int, int], np.ndarray]
"""Rows (stop - start, d), float32, from start up to stop."""


def _faiss() -> Any:
    """The library. Half a second and 30 MB, which only a project beyond the exact rows needs."""
    import faiss  # noqa: PLC0415

    return faiss


def list_count(rows: int) -> int:
    """The power of two nearest to 4 sqrt(rows), as faiss's guide to indexes advises for IVF."""
    return 1 << max(4, round(float(np.log2(4 * np.sqrt(max(1, rows))))))


class CodedRows:
    """Trained lists of codes: a dimension takes a byte, a row 8 bytes more for its key."""

    def __init__(self, lists: FaissLists) -> None:
        """Take over trained lists."""
        self._lists = lists
        self.probe(PROBES)

    def probe(self, lists: int) -> None:
        """Look at so many lists for a query."""
        self._lists.nprobe = lists

    @classmethod
    def trained(cls, keys: np.ndarray, rows: RowsOf) -> "CodedRows":
        """Lists for these rows, made from them alone: the same rows give the same lists."""
        _faiss().omp_set_num_threads(_THREADS)
        count = len(keys)
        lists = _trained(count, rows)
        quantizer, places = lists.quantizer, np.empty(count, dtype=np.int64)
        for start in range(0, count, _CHUNK):
            stop = min(count, start + _CHUNK)
            places[start:stop] = quantizer.assign(rows(start, stop), 1)[:, 0]
        for number, size in enumerate(np.bincount(places, minlength=lists.nlist).tolist()):
            lists.invlists.resize(number, int(size * _ROOM))  # so that adding never copies a list
            lists.invlists.resize(number, 0)
        for start in range(0, count, _CHUNK):
            stop = min(count, start + _CHUNK)
            _add(lists, rows(start, stop), keys[start:stop], places[start:stop])
        return cls(lists)

    @classmethod
    def read(cls, reader: Callable[[int], bytes]) -> "CodedRows":
        """What `write` wrote, trusted: the caller has checked that it is whole."""
        callback: Any = _faiss()
        return cls(_faiss().read_index(callback.PyCallbackIOReader(reader, 1 << 20)))

    def write(self, writer: Callable[[bytes], object]) -> None:
        """Write the lists, piece by piece."""
        callback: Any = _faiss()
        _faiss().write_index(self._lists, callback.PyCallbackIOWriter(writer, 1 << 20))

    def __len__(self) -> int:
        """How many rows are coded."""
        return int(self._lists.ntotal)

    @property
    def dimension(self) -> int:
        """Of the rows."""
        return int(self._lists.d)

    @property
    def memory_bytes(self) -> int:
        """Codes, keys and the lists' centres, with the room that lists are made with."""
        rows = len(self) * _ROOM * (self._lists.code_size + 8)
        return int(rows) + int(self._lists.nlist) * self.dimension * 4

    @property
    def error_bound(self) -> float:
        """How far a distance to a coded row can be off while its row lies in the trained range.

        A code is at most half a step from its value in each dimension; by Cauchy-Schwarz the product
        with a unit vector is off by at most the norm of the half steps. Typical is a thirtieth of it.
        """
        trained = _faiss().vector_to_array(self._lists.sq.trained)
        widths = trained[self.dimension :]  # minima first, then maximum less minimum
        return float(np.linalg.norm(widths / 255 / 2))

    def search(self, wanted: np.ndarray, k: int) -> Found:
        """As `ExactRows.search`, unsorted among equals; distances are to the coded rows."""
        _faiss().omp_set_num_threads(_THREADS)
        similar, keys = self._lists.search(np.ascontiguousarray(wanted, dtype=np.float32), k)
        distances = (1.0 - similar).astype(np.float32)
        distances[keys < 0] = np.inf
        return distances, keys

    def replace(self, gone: np.ndarray, keys: np.ndarray, rows: np.ndarray) -> None:
        """Take rows out by key, and add rows (n, d) by keys (n,)."""
        if len(gone):
            self._lists.remove_ids(gone)
        if len(keys):
            self._lists.add_with_ids(np.ascontiguousarray(rows), np.ascontiguousarray(keys))

    def keys(self) -> np.ndarray:
        """All keys (n,), int64, list by list."""
        lists, sizes = self._lists.invlists, self._sizes()
        found = [
            _faiss().rev_swig_ptr(lists.get_ids(number), size).copy()
            for number, size in enumerate(sizes.tolist())
            if size
        ]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def rows(self) -> RowsOf:
        """The rows in the order of `keys`, decoded when they are asked for, of the lists as they are.

        Unit length again; what coding took away stays away.
        """
        lists, decode = self._lists.invlists, self._lists.sq.decode
        ends = np.cumsum(self._sizes())
        starts = ends - self._sizes()
        centres = self._lists.quantizer.reconstruct_n(0, self._lists.nlist)
        width = self.dimension

        def decoded(start: int, stop: int) -> np.ndarray:
            parts = []
            first = int(np.searchsorted(ends, start, side="right"))
            for number in range(first, int(np.searchsorted(starts, stop))):
                size = int(ends[number] - starts[number])
                if size:
                    codes = _faiss().rev_swig_ptr(lists.get_codes(number), size * width)
                    low = max(0, start - int(starts[number]))
                    part = codes.reshape(size, width)[low : stop - int(starts[number])]
                    parts.append(decode(part) + centres[number])
            rows = np.concatenate(parts)
            unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            return unit

        return decoded

    def _sizes(self) -> np.ndarray:
        lists = self._lists.invlists
        sizes = [lists.list_size(number) for number in range(self._lists.nlist)]
        return np.array(sizes, dtype=np.int64)


def _trained(count: int, rows: RowsOf) -> FaissLists:
    """Lists without rows, their centres and ranges learnt from an even sample of the rows."""
    number = list_count(count)
    sample = np.unique(np.linspace(0, count - 1, min(count, _POINTS * number)).astype(np.int64))
    learnt = np.concatenate(
        [
            rows(start, min(count, start + _CHUNK))[
                sample[(sample >= start) & (sample < start + _CHUNK)] - start
            ]
            for start in range(0, count, _CHUNK)
        ]
    )
    dimension = learnt.shape[1]
    quantizer: Any = _faiss().IndexFlatIP(dimension)
    quantizer.add(_centres(learnt, number))
    lists = _faiss().IndexIVFScalarQuantizer(
        quantizer,
        dimension,
        number,
        _faiss().ScalarQuantizer.QT_8bit,
        _faiss().METRIC_INNER_PRODUCT,
    )
    lists.sq.rangestat_arg = _MARGIN
    lists.train(learnt)  # the ranges of the codes; the centres are there already
    return lists


def _centres(rows: np.ndarray, number: int) -> np.ndarray:
    """Unit centres (number, d) of rows (n, d): k-means into groups, within each, then over all.

    Begun with good centres, few rounds over all do: each costs what eighty within groups do.
    """
    groups = _means(rows, max(1, round(float(np.sqrt(number)))))
    nearest: Any = _faiss().IndexFlatIP(rows.shape[1])
    nearest.add(groups)
    places = nearest.search(rows, 1)[1][:, 0]
    sizes = np.bincount(places, minlength=len(groups))
    ends = np.round(np.cumsum(sizes) * (number / len(rows))).astype(np.int64)
    found = [
        _means(rows[places == group], int(share))
        for group, share in enumerate(np.diff(ends, prepend=0))
        if share
    ]
    return _means(rows, number, begin=np.concatenate(found))


def _means(rows: np.ndarray, number: int, begin: np.ndarray | None = None) -> np.ndarray:
    means = _faiss().Kmeans(
        rows.shape[1],
        number,
        niter=_ROUNDS if begin is None else _LAST_ROUNDS,
        seed=_SEED,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=1 << 20,
    )
    means.train(np.ascontiguousarray(rows), init_centroids=begin)
    return np.asarray(means.centroids, dtype=np.float32)


def _add(lists: FaissLists, rows: np.ndarray, keys: np.ndarray, places: np.ndarray) -> None:
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    keys, places = np.ascontiguousarray(keys), np.ascontiguousarray(places)
    # pointers keep nothing alive: the names above do
    lists.add_core(
        len(rows), _faiss().swig_ptr(rows), _faiss().swig_ptr(keys), _faiss().swig_ptr(places)
    )


class ListedRows:
    """Coded rows under an exact overlay of what changed since they were coded."""

    def __init__(self, coded: CodedRows, trained_at: int | None = None) -> None:
        """Nothing has changed yet. `trained_at`: of how many rows the lists were learnt."""
        self.coded = coded
        self.trained_at = len(coded) if trained_at is None else trained_at
        self.overlay = ExactRows(coded.dimension)
        self.gone: set[int] = set()
        self.held = False  # while new lists are trained from these, they stay as they are
        self._hidden: np.ndarray | None = np.empty(0, dtype=np.int64)

    @property
    def memory_bytes(self) -> int:
        """Lists and overlay."""
        return self.coded.memory_bytes + self.overlay.memory_bytes

    def put(self, key: int, row: np.ndarray) -> None:
        """Insert a row (d,), or move the one with this key."""
        self.overlay.put(key, row)
        self._changed()

    def put_all(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """Insert or move rows (n, d) by keys (n,) that differ from one another."""
        self.overlay.put_all(keys, rows)
        self._changed()

    def drop(self, key: int) -> None:
        """Take a row out."""
        if key in self.overlay:
            self.overlay.drop(key)
        self.gone.add(key)
        self._changed()

    def replace_coded(self, coded: CodedRows) -> None:
        """Have lists newly trained from these. What changed meanwhile is in the overlay."""
        self.coded, self.trained_at, self.held = coded, len(coded), False
        self._changed()

    def search(self, wanted: np.ndarray, k: int) -> Found:
        """As `ExactRows.search`; distances to coded rows are good to `coded.error_bound`."""
        distances, keys = self.coded.search(wanted, k + _SPARE)
        hidden = self._hidden_keys()
        if len(hidden):
            places = np.minimum(np.searchsorted(hidden, keys), len(hidden) - 1)
            covered = hidden[places] == keys
            distances[covered], keys[covered] = np.inf, -1
        if len(self.overlay):
            lately, their_keys = self.overlay.search(wanted, min(k, len(self.overlay)))
            distances = np.concatenate([distances, lately], axis=1)
            keys = np.concatenate([keys, their_keys], axis=1)
        distances, keys = nearest_first(distances, keys)
        return distances[:, :k], keys[:, :k]

    def fold(self) -> None:
        """Write the overlay into the lists. They take milliseconds to look through for what goes."""
        self.coded.replace(self._hidden_keys(), self.overlay.keys, self.overlay.rows)
        self.overlay = ExactRows(self.coded.dimension)
        self.gone.clear()
        self._hidden = np.empty(0, dtype=np.int64)

    def _changed(self) -> None:
        self._hidden = None
        if len(self.overlay) + len(self.gone) >= _FOLD_AT and not self.held:
            self.fold()

    def _hidden_keys(self) -> np.ndarray:
        if self._hidden is None:
            keys = [*self.overlay, *self.gone]
            self._hidden = np.unique(np.array(keys, dtype=np.int64))
        return self._hidden
