"""Failures about a few things in many wordings, and an encoder that needs no model."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from capture.events import Failure, Fault
from capture.trace import Trace
from dedup.encoders.hashing import HashingEncoder

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = (
    "parcel",
    "invoice",
    "refund",
    "voucher",
    "login",
    "seat",
    "flight",
    "order",
    "card",
    "bag",
)
TAILS = (
    "lost",
    "wrong",
    "late today",
    "never came",
    "broken again",
    "charged twice",
    "not found",
    "",
)


class Hashing:
    """Embeds without a model, and without a worker."""

    encoder = HashingEncoder.identity

    def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        return list(HashingEncoder().encode(texts))

    async def close(self) -> None:
        """Nothing to stop."""


def failures(count: int, project: str = "shop") -> list[Failure]:
    """Failures about ten things in many wordings, some of them word for word again."""
    rng = np.random.default_rng(5)
    faults: tuple[Fault, ...] = ("model", "model", "input")
    made = []
    for n in range(count):
        word, tail, other = WORDS[rng.integers(10)], TAILS[rng.integers(8)], WORDS[rng.integers(10)]
        text = f"my {word} {tail}" if rng.random() < 0.5 else f"the {word} and {other}, {tail}"
        trace = Trace(trace_id=f"t{n}", project=project, input=text)
        made.append(
            Failure(
                event_id=f"{project}-{n:04d}",
                trace=trace,
                signals=(),
                severity="high",
                fault=faults[n % 3],
                failed_at=START + timedelta(hours=n),
            )
        )
    return made
