"""Nearest neighbours by looking at every row: what a small guard, and what changed lately, takes.

Rows are unit vectors, keyed by whole numbers that the caller gives. 4 bytes a dimension and row.
"""

from collections.abc import Iterable, Iterator

import numpy as np

_FIRST_ROWS = 16  # most guards stay small: 24 kB at 384 dimensions
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
        """What the matrix and the keys take, room to grow included."""
        return (
            self._rows.nbytes + self._keys.nbytes + 100 * len(self._place)
        )  # a dict entry, an int

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
        step = max(1, _BLOCK // max(1, count))
        for start in range(0, len(wanted) if taken else 0, step):
            block = self._distances(wanted[start : start + step])
            chosen = (
                np.argpartition(block, taken - 1, axis=1)[:, :taken]
                if taken < count
                else np.broadcast_to(np.arange(count), block.shape)
            )
            near = np.take_along_axis(block, chosen, axis=1)
            distances[start : start + step, :taken] = near
            keys[start : start + step, :taken] = self._keys[chosen]
        return nearest_first(distances, keys)

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


def nearest_first(distances: np.ndarray, keys: np.ndarray) -> Found:
    """Sort both (n, k) along their rows by distance, then key; rounding below 0 becomes 0."""
    order = np.lexsort((keys, np.round(distances, _DECIMALS)), axis=1)
    near = np.take_along_axis(distances, order, axis=1)
    return np.maximum(near, 0.0), np.take_along_axis(keys, order, axis=1)
