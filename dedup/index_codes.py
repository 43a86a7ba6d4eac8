"""A first look at every row of a guard, by codes of a byte a dimension (faiss, without lists).

Rows are rounded to whole numbers; sums of their products are exact, and how far a rounded row is from the
row itself is known. So it can be told for certain whether what was left out could have been nearer.
"""

from typing import Any

import numpy as np

_MOST = 127  # a code's largest number; the smallest is -128
_SPREAD = 1.25  # codes reach so much beyond the largest number there is, for rows to come
_COARSER = 1.5  # rows to come that fit so much worse are a reason to begin again


def faiss() -> Any:
    """The library. Half a second and 30 MB, which only a guard of thousands of patterns needs."""
    import faiss  # noqa: PLC0415

    return faiss


class RowCodes:
    """Codes of unit rows, by place: a byte a dimension."""

    def __init__(self, rows: np.ndarray, room: int) -> None:
        """Of rows (n, d), at least one; there may be up to `room`."""
        count, width = rows.shape
        self._scale = _MOST / (_SPREAD * max(1e-6, float(np.abs(rows).max())))
        self._scanned = faiss().IndexScalarQuantizer(
            width, faiss().ScalarQuantizer.QT_8bit_direct_signed, faiss().METRIC_INNER_PRODUCT
        )
        self._scanned.codes.resize(room * width)
        self._codes = (
            faiss().rev_swig_ptr(self._scanned.codes.data(), room * width).reshape(room, width)
        )
        self._scanned.ntotal = count
        numbers = self._numbers(rows)
        self._codes[:count] = (numbers + (_MOST + 1)).astype(np.uint8)
        self._error = self._began_with = self._farthest(rows, numbers)

    @property
    def memory_bytes(self) -> int:
        """What the codes take, room to grow included."""
        return int(self._codes.nbytes)

    @property
    def stale(self) -> bool:
        """Whether rows have come that the codes fit much worse than those they were made for."""
        return self._error > _COARSER * self._began_with

    def put(self, place: int, row: np.ndarray) -> None:
        """Insert a row (d,) at the end, or put it in place of another one."""
        numbers = self._numbers(row)
        self._codes[place] = (numbers + (_MOST + 1)).astype(np.uint8)
        self._scanned.ntotal = max(self._scanned.ntotal, place + 1)
        self._error = max(self._error, self._farthest(row[None], numbers[None]))

    def drop(self, place: int) -> None:
        """Take a row out; the last one takes its place."""
        last = self._scanned.ntotal - 1
        self._codes[place] = self._codes[last]
        self._scanned.ntotal = last

    def near(self, wanted: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        """The places of the k rows that are nearest to a unit vector (d,) by their codes, and a bound.

        No other row is more similar (by cosine) than the bound.
        """
        faiss().omp_set_num_threads(1)
        numbers = self._numbers(wanted)
        similar, places = self._scanned.search(numbers[None], k)
        # Cauchy-Schwarz, of the query's rounding and of the rows'
        rounded = numbers / self._scale
        off = float(np.linalg.norm(wanted - rounded) + np.linalg.norm(rounded) * self._error)
        return places[0], float(similar[0, -1]) / self._scale**2 + off

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        numbers: np.ndarray = np.clip(np.rint(rows * np.float32(self._scale)), -_MOST - 1, _MOST)
        return numbers.astype(np.float32)

    def _farthest(self, rows: np.ndarray, numbers: np.ndarray) -> float:
        return float(np.linalg.norm(rows - numbers / np.float32(self._scale), axis=1).max())
