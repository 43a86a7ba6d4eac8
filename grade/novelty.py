"""Novelty: how far a failure was from everything known when it came."""

from dedup.events import Assignment

_FAR = 1.0  # a cosine distance of 1 is unrelated text; what is farther is not more novel


def novelty_component(assignment: Assignment) -> float:
    """The distance to the nearest pattern known before, cut at 1; 1 when there was none.

    A duplicate is as novel as it is far from its pattern: rewordings weigh little.
    """
    if assignment.nearest_distance is None:
        return 1.0
    return min(assignment.nearest_distance, _FAR) / _FAR
