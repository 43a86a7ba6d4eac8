"""What scorers say of traces, gathered for a person: by scorer, with examples."""

from collections.abc import Sequence
from typing import Any

import msgspec

from capture.events import FailingSignal, Fault
from capture.scorers import Examination, failure_fault, severity_of
from services.cli.output import full, one_line, print_json, print_table
from services.cli.problem import note

_EXAMPLES = 3  # of a scorer; --json has them all


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A trace, where it was found, and what the scorers said of it."""

    trace_id: str
    where: str
    signals: tuple[FailingSignal, ...]
    problems: tuple[str, ...]
    fault: Fault | None

    @classmethod
    def of(cls, trace_id: str, where: str, examined: Examination) -> "Scored":
        """What an examination says."""
        problems = tuple(f"{one.scorer}: {one.detail}" for one in examined.problems)
        fault = failure_fault(examined.signals) if examined.signals else None
        return cls(
            trace_id=trace_id,
            where=where,
            signals=examined.signals,
            problems=problems,
            fault=fault,
        )


def print_as_json(scored: Sequence[Scored], **more: Any) -> None:
    """Print every trace that fails or that a scorer could not judge, and counts."""
    told = [full(one) for one in scored if one.signals or one.problems]
    print_json({**more, "traces": told})


def print_by_scorer(scored: Sequence[Scored], *, would: str) -> None:
    """Print how many traces each scorer fails, with the first few and their reasons."""
    failing: dict[str, list[tuple[Scored, FailingSignal]]] = {}
    for one in scored:
        for signal in one.signals:
            failing.setdefault(signal.scorer, []).append((one, signal))
    rows = [
        [scorer, str(len({one.trace_id for one, _ in found})), *_example(one, signal)]
        for scorer, found in sorted(failing.items(), key=lambda item: -len(item[1]))
        for one, signal in found[:_EXAMPLES]
    ]
    if rows:
        columns = ["scorer", would, "severity", "fault", "trace", "reason"]
        print_table(columns, _once(rows), flexible="reason")
    problems = [problem for one in scored for problem in one.problems]
    if problems:
        note(f"{len(problems)} times a scorer could not say anything; the first few:")
        for problem in list(dict.fromkeys(problems))[:_EXAMPLES]:
            note(f"  {one_line(problem, 300)}")


def grades(scored: Sequence[Scored]) -> str:
    """How severe the failures are and whose, in a line."""
    severities: dict[str, int] = {}
    faults: dict[str, int] = {}
    for one in scored:
        if one.signals and one.fault is not None:
            severity = severity_of(one.signals)
            severities[severity] = severities.get(severity, 0) + 1
            faults[one.fault] = faults.get(one.fault, 0) + 1
    parts = [f"{count} {name}" for name, count in (*severities.items(), *faults.items())]
    return ", ".join(parts)


def _example(one: Scored, signal: FailingSignal) -> list[str]:
    return [
        signal.severity,
        signal.fault,
        one_line(one.trace_id, 40),
        one_line(signal.reason, 200),
    ]


def _once(rows: list[list[str]]) -> list[list[str]]:
    """The scorer and its count once, over its examples."""
    shown: list[list[str]] = []
    last = ""
    for row in rows:
        shown.append(row if row[0] != last else ["", "", *row[2:]])
        last = row[0]
    return shown
