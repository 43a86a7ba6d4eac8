"""Nearest neighbours by looking at every row: what a small guard, and what changed lately, takes.

Rows are unit vectors, keyed by whole numbers that the caller gives. 4 bytes a dimension and row; from
some thousand rows on a byte more, since reading all of them is what takes the time.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from dedup.index_codes import RowCodes

_FIRST_ROWS = 1  # most guards have one pattern, and there may be thousands of them
_CODED_FROM = 2_000  # rows, 3 MB: beyond, codes are looked at first; below, that gains nothing
_COMPARED = 64  # rows compared exactly after a look at the codes
_FEW = 16  # queries at once; for more, one product of matrices is as fast as codes
_OBJECT_BYTES = 1_000  # what a guard of no rows takes: objects, an empty dictionary
_DECIMALS = 6  # equal float32 rows give products so far apart, by their place in the matrix
_BLOCK = 1 << 22  # similarities computed at once, 16 MB

Found = tuple[np.ndarray, np.ndarray]
"""Distances (n, k) float32, rising along a row, and their keys (n, k) int64; inf and -1 fill up."""


class ExactRows:
    """Unit rows (n, d), float32, in one growing matrix."""

    def __init__(self, dimension: int) -> None:
        """No rows yet."""
        self._rows = np.empty((_FIRST_ROWS, dimension), dtype=np.float32)
        self._keys = np.empty(_FIRST_ROWS, dtype=np.int64)
        self._place: dict[int, int] = {}
        self._codes: RowCodes | None = None

    def __len__(self) -> int:
        """How many rows are in it."""
        return len(self._place)

    def __contains__(self, key: int) -> bool:
        """Whether there is a row with this key."""
        return key in self._place

    def __iter__(self) -> Iterator[int]:
        """The keys."""
        return iter(self._place)

    @property
    def keys(self) -> np.ndarray:
        """Keys (n,), int64, in the order of `rows`. A view: not to be kept."""
        return self._keys[: len(self._place)]

    @property
    def rows(self) -> np.ndarray:
        """Rows (n, d), float32. A view: not to be kept."""
        return self._rows[: len(self._place)]

    @property
    def memory_bytes(self) -> int:
        """What rows, codes and keys take, room to grow included."""
        codes = 0 if self._codes is None else self._codes.memory_bytes
        entries = 100 * len(self._place)  # of the dictionary, and a number
        return _OBJECT_BYTES + self._rows.nbytes + codes + self._keys.nbytes + entries

    def row(self, key: int) -> np.ndarray:
        """The row (d,) with this key. A view: not to be kept."""
        found: np.ndarray = self._rows[self._place[key]]
        return found

    def put(self, key: int, row: np.ndarray) -> None:
        """Insert a row (d,), or move the one with this key."""
        place = self._place.get(key)
        if place is None:
            place = len(self._place)
            self._room_for(place + 1)
            self._place[key], self._keys[place] = place, key
        self._rows[place] = row
        if self._codes is not None:
            self._codes.put(place, self._rows[place])

    def put_all(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """Insert or move rows (n, d) by keys (n,) that differ from one another."""
        self._room_for(len(self._place) + len(keys))
        for key, row in zip(keys.tolist(), rows, strict=True):
            self.put(key, row)

    def drop(self, key: int) -> None:
        """Take a row out; the last one takes its place. Raises KeyError where there is none."""
        place, last = self._place.pop(key), len(self._place)
        if place != last:
            moved = int(self._keys[last])
            self._rows[place], self._keys[place] = self._rows[last], moved
            self._place[moved] = place
        if self._codes is not None:
            self._codes.drop(place)

    def drop_all(self, keys: Iterable[int]) -> None:
        """Take out the rows with these keys, as far as there are any."""
        for key in keys:
            if key in self._place:
                self.drop(key)

    def search(self, wanted: np.ndarray, k: int) -> Found:
        """The k nearest rows of each of `wanted` (n, d), unit rows. Of equal ones the lower key."""
        count = len(self._place)
        taken = min(k, count)
        distances = np.full((len(wanted), k), np.inf, dtype=np.float32)
        keys = np.full((len(wanted), k), -1, dtype=np.int64)
        if taken and count >= _CODED_FROM and len(wanted) <= _FEW:
            for number, vector in enumerate(wanted):
                distances[number, :taken], keys[number, :taken] = self._by_codes(vector, taken)
            return nearest_first(distances, keys)
        step = max(1, _BLOCK // max(1, count))
        for start in range(0, len(wanted) if taken else 0, step):
            near, chosen = _smallest(self._distances(wanted[start : start + step]), taken)
            distances[start : start + step, :taken] = near
            keys[start : start + step, :taken] = self._keys[chosen]
        return nearest_first(distances, keys)

    def _by_codes(self, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of one (d,): a look at all codes, the best compared exactly.

        Where the codes leave it open whether others are as near, all rows are looked at.
        """
        if self._codes is None or self._codes.stale:
            self._codes = RowCodes(self.rows, len(self._keys))
        places, bound = self._codes.near(wanted, max(_COMPARED, 4 * k))
        similar = self._rows[places] @ wanted
        if np.partition(similar, len(similar) - k)[len(similar) - k] <= bound:
            places, similar = np.arange(len(self._place)), self.rows @ wanted
        near, chosen = _smallest((1.0 - similar)[None], k)
        return near[0], self._keys[places[chosen[0]]]

    def _distances(self, wanted: np.ndarray) -> np.ndarray:
        # a product of matrix and vector needs no copy of the rows in blocks
        similar = (self.rows @ wanted[0])[None] if len(wanted) == 1 else wanted @ self.rows.T
        distances: np.ndarray = np.subtract(1.0, similar, out=similar)
        return distances

    def _room_for(self, count: int) -> None:
        if count > len(self._keys):
            room = max(count, 2 * len(self._keys))
            self._rows, rows = np.empty((room, self._rows.shape[1]), np.float32), self.rows
            self._rows[: len(rows)] = rows
            self._keys, keys = np.empty(room, dtype=np.int64), self.keys
            self._keys[: len(keys)] = keys
            self._codes = None  # made anew, with room, by the next search


def _smallest(distances: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest of each row of (n, m), in any order, and where they are."""
    count = distances.shape[1]
    chosen = (
        np.argpartition(distances, k - 1, axis=1)[:, :k]
        if k < count
        else np.broadcast_to(np.arange(count), distances.shape)
    )
    return np.take_along_axis(distances, chosen, axis=1), chosen


def nearest_first(distances: np.ndarray, keys: np.ndarray) -> Found:
    """Sort both (n, k) along their rows by distance, then key; rounding below 0 becomes 0."""
    order = np.lexsort((keys, np.round(distances, _DECIMALS)), axis=1)
    near = np.take_along_axis(distances, order, axis=1)
    return np.maximum(near, 0.0), np.take_along_axis(keys, order, axis=1)
