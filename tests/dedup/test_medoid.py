"""Which text lies in the middle of a pattern, and when it is looked for."""

import numpy as np
import pytest

from dedup.geometry import Geometry, first_geometry
from dedup.medoid import due, medoid

FLAT = first_geometry(2)


def rows(*values: tuple[float, float]) -> np.ndarray:
    """Unit vectors."""
    made = np.array(values, dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_the_text_in_the_middle_stands_for_the_others() -> None:
    assert medoid(rows((1, 0), (0, 1), (1, 1)), FLAT) == 2
    assert medoid(rows((1, 1), (1, 0), (0, 1)), FLAT) == 0


def test_of_equally_near_ones_the_first_does() -> None:
    assert medoid(rows((1, 0), (0, 1)), FLAT) == 0
    assert medoid(rows((0, 1), (1, 0)), FLAT) == 0
    assert medoid(rows((3, 4), (3, 4), (3, 4)), FLAT) == 0


def test_it_is_the_middle_as_new_failures_are_compared_not_as_vectors_came() -> None:
    """Seen from a centre, other texts are near each other."""
    vectors = rows((10, 1), (10, 2), (10, 9))
    seen = Geometry(1, rows((10, 4))[0])
    by_hand = seen.placed(vectors) @ seen.placed(vectors.mean(axis=0)[np.newaxis])[0]
    assert medoid(vectors, seen) == int(np.argmax(by_hand)) == 0
    assert medoid(vectors, FLAT) == 1


@pytest.mark.parametrize(
    ("before", "after", "of"),
    [
        (0, 1, None),
        (1, 2, None),
        (2, 3, 3),
        (3, 5, None),
        (5, 6, 6),
        (0, 7, 6),
        (2, 30, 24),
        (6, 11, None),
        (12, 12, None),
        (47, 48, 48),
    ],
)
def test_it_is_chosen_anew_at_each_doubling_of_the_texts(
    before: int, after: int, of: int | None
) -> None:
    assert due(before, after) == of


def test_it_does_not_matter_how_many_texts_come_at_once() -> None:
    """What was chosen last is of the same first texts, whatever the steps."""
    for total in range(1, 200):
        one_by_one = [of for count in range(total) if (of := due(count, count + 1)) is not None]
        assert (one_by_one or [None])[-1] == due(0, total)
