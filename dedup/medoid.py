"""The failure text that lies in the middle of its pattern, to stand for it where the policy says so."""

import numpy as np

from dedup.centroid import Centroid
from dedup.geometry import Geometry

FEWEST = 3
"""Distinct texts from which on there is a middle: two are as far from their mean as each other."""
SAMPLE = 512
"""Texts that are looked at: those with the lowest fingerprints, which are hashes, so that it is a
random sample and always the same. More would be more to read under the lock (400 kB for 512 texts of
384 dimensions), for a text that is hardly nearer to the middle."""
_DECIMALS = 6  # of a distance, as `assign` has it: equal ones must compare as equal


def due(before: int, after: int) -> int | None:
    """Of how many texts the medoid is to be chosen as a pattern grows from so many to so many.

    That is of the first 3, 6, 12, 24 and so on: often while it may still be an odd one, and at a cost for
    each text that does not grow with the pattern. None: it stays.
    """
    texts = FEWEST
    while texts * 2 <= after:
        texts *= 2
    return texts if before < texts <= after else None


def medoid(vectors: np.ndarray, geometry: Geometry) -> int:
    """The row of the text nearest to the centroid of all of them; of equally near ones the first.

    vectors: raw, (n, d) float32, n at least 1, in the order in which the texts came. The distance is
    that which decides about new failures: cosine, of placed vectors.
    """
    total = vectors.sum(axis=0, dtype=np.float64).astype(np.float32)
    mean = Centroid(total, len(vectors)).mean
    places = geometry.placed(vectors).astype(np.float64)
    middle = geometry.placed(mean[np.newaxis])[0].astype(np.float64)
    return int(np.argmin(np.round(1.0 - places @ middle, _DECIMALS)))
