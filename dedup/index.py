"""Nearest neighbour over one project's pattern representatives, exact."""

import msgspec
import numpy as np

_FIRST_ROWS = 64
_ROUNDING = 1e-6  # equal float32 vectors give products this far apart, by their place in the matrix


class Neighbour(msgspec.Struct, frozen=True):
    """A pattern and the cosine distance (0 to 2) from it to what was asked for."""

    pattern_id: str
    distance: float


class Index:
    """Unit vectors in one growing float32 matrix: 4 bytes a dimension and pattern.

    Never a second truth: it is filled from the store and can be thrown away at any moment.
    `seq` is the store's sequence number of the newest pattern in it, 0 when it is empty.
    """

    def __init__(self) -> None:
        """An empty index; the first vector decides the dimension."""
        self.seq = 0
        self._ids: list[str] = []
        self._rows: np.ndarray = np.empty((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        """How many patterns are in it."""
        return len(self._ids)

    def add(self, seq: int, pattern_id: str, vector: np.ndarray) -> None:
        """Add a pattern. `vector`: shape (d,), float32, unit length. `seq` must have risen.

        Raises:
            ValueError: the dimension differs, or `seq` is not above the index's.
        """
        if seq <= self.seq:
            message = f"pattern {pattern_id} has seq {seq}, the index is at {self.seq} already"
            raise ValueError(message)
        count = len(self._ids)
        if count == 0:
            self._rows = np.empty((_FIRST_ROWS, vector.shape[0]), dtype=np.float32)
        elif vector.shape != (self._rows.shape[1],):
            message = f"pattern {pattern_id} has shape {vector.shape}, not ({self._rows.shape[1]},)"
            raise ValueError(message)
        if count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[count] = vector
        self._ids.append(pattern_id)
        self.seq = seq

    def nearest(self, vector: np.ndarray) -> Neighbour | None:
        """The nearest pattern, the older one when two are equally near; None when empty."""
        if not self._ids:
            return None
        similarities = self._rows[: len(self._ids)] @ vector
        best = int((similarities >= similarities.max() - _ROUNDING).argmax())
        # rounding may put the cosine of two equal vectors a hair above 1
        return Neighbour(self._ids[best], max(0.0, 1.0 - float(similarities[best])))
