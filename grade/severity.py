"""Severity as a component of the weight."""

from capture.events import Severity

_SHARE: dict[Severity, float] = {"low": 0.25, "medium": 0.5, "high": 0.75, "critical": 1.0}


def severity_component(severity: Severity) -> float:
    """0.25, 0.5, 0.75 or 1: four ordered words, evenly spaced, because nothing measured says else."""
    return _SHARE[severity]
