"""Coded rows under an exact overlay of what changed lately.

Every search sees the overlay first, and it hides what the lists still say of its rows. From time to
time it is folded into the lists.
"""

import numpy as np

from dedup.index_exact import ExactRows, Found, nearest_first
from dedup.index_lists import CodedRows

_FOLD_AT = 1024  # 1.5 MB to look through exactly at 384 dimensions, 0.05 ms; a fold is some 30 ms
_SPARE = 16  # asked for beyond k: places that hidden rows would take from others


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
