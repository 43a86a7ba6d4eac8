"""The middle of a pattern's distinct texts."""

import msgspec
import numpy as np


class Centroid(msgspec.Struct, frozen=True):
    """`total` (d,) float32: the sum of the raw vectors of `count` distinct texts."""

    total: np.ndarray
    count: int

    @property
    def mean(self) -> np.ndarray:
        """The mean vector (d,), float32, not of unit length."""
        return self.total / np.float32(max(1, self.count))

    def with_one(self, vector: np.ndarray) -> "Centroid":
        """The centroid with one more text's raw vector (d,)."""
        return Centroid(self.total + vector, self.count + 1)
