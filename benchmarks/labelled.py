"""Labelled failures that grouping is measured on, and the scores. The data is not in the repository."""

import csv
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from capture.events import FailingSignal, Failure
from capture.trace import Trace, content_text
from dedup.encoders.port import Encoder

_BOTH = ("response1", "response2")
_SAYS, _LONGEST = 60, 4000  # characters: a verdict of one word says nothing about what it is on
Part = Literal["first message", "user turns", "failure text"]
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


class Embedded(msgspec.Struct):
    """Vectors of texts, each embedded once."""

    encoder: Encoder
    by_text: dict[str, np.ndarray] = {}

    def add(self, texts: Sequence[str]) -> None:
        """Embed those that are new."""
        new = list(dict.fromkeys(text for text in texts if text not in self.by_text))
        for start in range(0, len(new), 256):
            part = new[start : start + 256]
            self.by_text.update(zip(part, self.encoder.encode(part), strict=True))

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Their vectors (n, d), float32."""
        self.add(texts)
        return np.stack([self.by_text[text] for text in texts]).astype(np.float32)


def shuffled(count: int, seed: int) -> list[int]:
    """An order of arrival, the same each time."""
    return random.Random(seed).sample(range(count), count)


def line(name: str, of: Sequence[Scores], more: str = "") -> str:
    """One row: means over orders, and the standard deviation of F1."""
    f1, precision, recall, coverage, bloat = np.mean(
        [msgspec.structs.astuple(o) for o in of], axis=0
    )
    spread = f"{np.std([one.f1 for one in of]):.3f}" if len(of) > 1 else "-"
    return (
        f"{name:68} {f1:6.3f} {spread:>6} {precision:6.3f} {recall:6.3f} {coverage:6.3f} "
        f"{bloat:6.1f}{more}"
    )


HEADING = f"{'':68} {'F1':>6} {'sd':>6} {'prec.':>6} {'recall':>6} {'cover.':>6} {'bloat':>6}"


def sentences(data: Path) -> Labelled:
    """One-line queries of a bank's customers, labelled by intent."""
    with (data / "dedup/banking.csv").open() as file:
        table = list(csv.DictReader(file))
    traces = [Trace(trace_id=str(n), project="p", input=r["text"]) for n, r in enumerate(table)]
    return Labelled("banking", [_failure(t) for t in traces], [row["group"] for row in table])


def sessions(data: Path, name: str, part: Part) -> Labelled:
    """Recorded traces, labelled by the goal or question behind them; of `airline` the failing ones."""
    with (data / f"traces/{name}.groups.csv").open() as file:
        groups = {row["trace_id"]: row["group"] for row in csv.DictReader(file)}
    lines = (data / f"traces/{name}.jsonl").read_bytes().splitlines()
    traces = [msgspec.json.decode(line, type=Trace) for line in lines]
    if name == "airline":
        traces = [one for one in traces if one.signals[0].value == 0]
    written = [PARTS[part](msgspec.structs.replace(one, project="p")) for one in traces]
    return Labelled(
        f"{name}, {part}", [_failure(t) for t in written], [groups[t.trace_id] for t in traces]
    )


def judged(data: Path) -> list[Labelled]:
    """What judges wrote, labelled by what it was written about, and answers labelled by their question."""
    pairs = [msgspec.json.decode(one) for one in (data / "judge/pandalm.jsonl").open()]
    asked = [f"{one['instruction']} {one['input']}" for one in pairs]
    answers = [(f"{q} {one[key]}", q) for q, one in zip(asked, pairs, strict=True) for key in _BOTH]
    reasons = [(one["judge_gpt35_reason"], q) for q, one in zip(asked, pairs, strict=True)]
    told = [msgspec.json.decode(one) for one in (data / "judge/recorded_verdicts.jsonl").open()]
    verdicts = [(one[key], one["item_id"]) for one in told for key in ("text12", "text21")]
    items = sorted({item for text, item in verdicts if len(text or "") > _SAYS})[:40]
    return [
        _written("answers to 170 questions", answers),
        _written("a judge's reasons, 170 questions", reasons),
        _written("judges' verdicts on 40 answers", [one for one in verdicts if one[1] in items]),
    ]


def _written(name: str, told: Iterable[tuple[str, str]]) -> Labelled:
    """Texts alone, each once, and the group of each."""
    distinct = {text[:_LONGEST]: group for text, group in told if len(text or "") > _SAYS}
    traces = [Trace(trace_id=str(n), project="p", input=text) for n, text in enumerate(distinct)]
    return Labelled(name, [_failure(one) for one in traces], list(distinct.values()))


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


PARTS: dict[Part, Callable[[Trace], Trace]] = {
    "first message": lambda t: msgspec.structs.replace(
        t, input=_turns(t)[0], steps=(), output=None, metadata={}
    ),
    "user turns": lambda t: msgspec.structs.replace(
        t, input=" ".join(_turns(t)), steps=(), output=None, metadata={}
    ),
    "failure text": lambda t: t,
}
