"""Labelled failures that grouping is measured on, and the scores. The data is not in the repository."""

import csv
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from capture.events import FailingSignal, Failure
from capture.trace import Trace, content_text

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class Labelled(msgspec.Struct, frozen=True):
    """Failures and the group each truly belongs to."""

    name: str
    failures: list[Failure]
    groups: list[str]

    def sample(self, name: str, chosen: Sequence[int]) -> "Labelled":
        """Some of them, by number."""
        return Labelled(name, [self.failures[n] for n in chosen], [self.groups[n] for n in chosen])


class Scores(msgspec.Struct, frozen=True):
    """How well groups were found.

    f1, precision, recall: over pairs of failures that are put together. coverage: the share of true
    groups that are the majority of some pattern. bloat: patterns per true group.
    """

    f1: float
    precision: float
    recall: float
    coverage: float
    bloat: float


def scores(found: Sequence[Hashable], truth: Sequence[str]) -> Scores:
    """Compare patterns with true groups."""
    both = _pairs(zip(found, truth, strict=True))
    precision, recall = both / max(1, _pairs(found)), both / max(1, _pairs(truth))
    members: dict[Hashable, Counter[str]] = {}
    for pattern, group in zip(found, truth, strict=True):
        members.setdefault(pattern, Counter())[group] += 1
    groups = len(set(truth))
    own = {counts.most_common(1)[0][0] for counts in members.values()}
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    return Scores(f1, precision, recall, len(own) / groups, len(members) / groups)


def _pairs(labels: Iterable[Hashable]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(labels).values())


def sentences(data: Path) -> Labelled:
    """One-line queries of a bank's customers, labelled by intent."""
    with (data / "dedup/banking.csv").open() as file:
        table = list(csv.DictReader(file))
    traces = [Trace(trace_id=str(n), project="p", input=r["text"]) for n, r in enumerate(table)]
    return Labelled("banking", [_failure(t) for t in traces], [row["group"] for row in table])


def sessions(
    data: Path, name: str, part: Literal["first message", "user turns", "failure text"]
) -> Labelled:
    """Recorded traces, labelled by the goal or question behind them; of `airline` the failing ones."""
    with (data / f"traces/{name}.groups.csv").open() as file:
        groups = {row["trace_id"]: row["group"] for row in csv.DictReader(file)}
    lines = (data / f"traces/{name}.jsonl").read_bytes().splitlines()
    traces = [msgspec.json.decode(line, type=Trace) for line in lines]
    if name == "airline":
        traces = [one for one in traces if one.signals[0].value == 0]
    written = [_PARTS[part](msgspec.structs.replace(one, project="p")) for one in traces]
    return Labelled(
        f"{name}, {part}", [_failure(t) for t in written], [groups[t.trace_id] for t in traces]
    )


def held_out(banking: Labelled) -> list[Labelled]:
    """Projects that are smaller, narrower or less even than the whole file, drawn from it."""
    rng = random.Random(5)
    names = rng.sample(sorted(set(banking.groups)), len(set(banking.groups)))
    of = {name: [n for n, group in enumerate(banking.groups) if group == name] for name in names}
    half = len(names) // 2
    uneven = [n for rank, name in enumerate(names, 1) for n in _first(of[name], rank)]
    everything = range(len(banking.failures))
    eight = [n for name in names[:8] for n in of[name]]
    return [
        banking.sample("half of the intents", [n for name in names[:half] for n in of[name]]),
        banking.sample("the other half", [n for name in names[half:] for n in of[name]]),
        banking.sample("1,000 of all", rng.sample(everything, min(1000, len(everything)))),
        banking.sample("200 of all", rng.sample(everything, min(200, len(everything)))),
        banking.sample("200 of 8 intents", rng.sample(eight, min(200, len(eight)))),
        banking.sample("uneven sizes", uneven),
    ]


def _first(rows: Sequence[int], rank: int) -> Sequence[int]:
    return rows[: max(1, int(len(rows) / rank**0.9))]


def _failure(trace: Trace) -> Failure:
    """The trace as a failure, for the signals it came with: as the real scorers would tell of them."""
    failing = [
        FailingSignal(
            name=one.name,
            scorer=f"{one.name}/1",
            severity="high",
            reason=f"{one.name} is {one.value:g}, below the bound of 1 (said by {one.source}).",
            source=one.source,
        )
        for one in trace.signals
        if isinstance(one.value, (int, float))
    ]
    return Failure(
        event_id=trace.trace_id,
        trace=trace,
        signals=tuple(failing),
        severity="high",
        failed_at=WHEN,
    )


def _turns(trace: Trace) -> list[str]:
    return [content_text(s.content) for s in trace.steps if s.type == "user"] or [
        content_text(trace.input)
    ]


_PARTS: dict[str, Callable[[Trace], Trace]] = {
    "first message": lambda t: msgspec.structs.replace(
        t, input=_turns(t)[0], steps=(), output=None, metadata={}
    ),
    "user turns": lambda t: msgspec.structs.replace(
        t, input=" ".join(_turns(t)), steps=(), output=None, metadata={}
    ),
    "failure text": lambda t: t,
}
