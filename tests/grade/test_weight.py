import math
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.events import SEVERITIES, Severity
from dedup.events import Assigned
from grade.events import Graded
from grade.severity import severity_component
from grade.weight import grade

_distances = st.none() | st.floats(0, 2)


@settings(deadline=None)
@given(st.sampled_from(SEVERITIES), _distances)
def test_the_weight_is_the_product_of_components_between_0_and_1(
    make_assigned: Callable[..., Assigned], severity: Severity, distance: float | None
) -> None:
    graded = grade(make_assigned(severity, distance))
    assert set(graded.components) == {"severity", "novelty"}
    for value in (graded.weight, *graded.components.values()):
        assert 0.0 <= value <= 1.0
    assert graded.weight == pytest.approx(math.prod(graded.components.values()), abs=2e-6)
    assert graded.severity == severity


@settings(deadline=None)
@given(st.sampled_from(SEVERITIES), _distances)
def test_the_same_event_gets_the_same_grade_also_after_a_journey_over_the_wire(
    make_assigned: Callable[..., Assigned], severity: Severity, distance: float | None
) -> None:
    assigned = make_assigned(severity, distance)
    travelled = msgspec.json.decode(msgspec.json.encode(assigned), type=Assigned)
    assert grade(travelled) == grade(assigned)
    graded = Graded(assigned=assigned, grade=grade(assigned))
    assert msgspec.json.decode(msgspec.json.encode(graded), type=Graded) == graded


@settings(deadline=None)
@given(st.floats(0, 2), st.floats(0, 2))
def test_what_was_farther_from_everything_known_never_weighs_less(
    make_assigned: Callable[..., Assigned], one: float, two: float
) -> None:
    nearer, farther = sorted((one, two))
    assert (
        grade(make_assigned("high", nearer)).weight <= grade(make_assigned("high", farther)).weight
    )


def test_a_worse_severity_weighs_more() -> None:
    assert all(
        severity_component(milder) < severity_component(worse)
        for milder, worse in pairwise(SEVERITIES)
    )


def test_the_very_first_failure_is_as_novel_as_can_be(
    make_assigned: Callable[..., Assigned],
) -> None:
    assert grade(make_assigned("critical", None)).weight == 1.0


def test_an_exact_repetition_weighs_nothing(make_assigned: Callable[..., Assigned]) -> None:
    assert grade(make_assigned("critical", 0.0)).weight == 0.0


def test_a_graded_event_says_whose_it_is(make_assigned: Callable[..., Assigned]) -> None:
    """The loop routes by these, whatever is nested how deep."""
    assigned = make_assigned()
    graded = Graded(assigned=assigned, grade=grade(assigned))
    assert (graded.event_id, graded.project, graded.trace_id) == ("e1", "shop", "t1")
    assert graded.failure is assigned.failure
    assert graded.assignment is assigned.assignment
