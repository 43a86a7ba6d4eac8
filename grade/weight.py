"""The weight of a failure: a product of named components, each 0 to 1."""

import math

from dedup.events import Assigned
from grade.events import Grade
from grade.novelty import novelty_component
from grade.severity import severity_component


def grade(assigned: Assigned) -> Grade:
    """The grade of an assigned failure. The same event always gets the same grade."""
    severity = assigned.failure.severity
    assignment = assigned.assignment
    components = {
        "severity": severity_component(severity),
        "novelty": novelty_component(assignment),
    }
    return Grade(
        severity=severity,
        weight=round(math.prod(components.values()), 6),
        components={name: round(value, 6) for name, value in components.items()},
    )
