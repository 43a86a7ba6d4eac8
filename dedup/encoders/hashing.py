"""An encoder without weights, for tests and for machines too small for a model."""

import zlib
from collections.abc import Sequence

import numpy as np

from dedup.encoders.identity import HASHING_BACKEND, HASHING_MODEL, Identity

_DIMENSION = 256


class HashingEncoder:
    """Character n-grams hashed into 256 dimensions: no meaning beyond spelling.

    Signed feature hashing as in Weinberger et al., "Feature Hashing for Large Scale Multitask
    Learning" (2009).
    """

    identity = str(Identity(HASHING_MODEL, "1", HASHING_BACKEND))
    concurrent = False

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (len(texts), 256), float32, unit rows; an empty text points along the first axis."""
        rows = np.zeros((len(texts), _DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            padded = f" {text.casefold()} ".encode("utf-8", "replace")
            for size in (3, 4, 5):
                for start in range(len(padded) - size + 1):
                    code = zlib.crc32(padded[start : start + size])
                    row[(code >> 1) % _DIMENSION] += 1.0 if code & 1 else -1.0
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows[norms[:, 0] == 0, 0] = 1.0
        norms[norms == 0] = 1.0
        unit: np.ndarray = rows / norms
        return unit
