"""What the archive's tests are written in."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import pytest

from services.archive import ArchivedPiece, Claim, DueTrace, Naming, Settled, Verdict
from services.store.open import Store


class MakesPieces(Protocol):
    """Makes a piece."""

    def __call__(
        self,
        trace: str,
        event: str,
        body: bytes = b"{}",
        project: str = "shop",
        *,
        spans: tuple[str, ...] = (),
        names: Naming = "trace",
    ) -> ArchivedPiece: ...


@pytest.fixture(scope="session")
def piece() -> MakesPieces:
    """Makes a piece of a trace, of the project `shop`."""

    def make(
        trace: str,
        event: str,
        body: bytes = b"{}",
        project: str = "shop",
        *,
        spans: tuple[str, ...] = (),
        names: Naming = "trace",
    ) -> ArchivedPiece:
        return ArchivedPiece(project, trace, event, "trace/1", body, spans, names)

    return make


Due = Callable[..., Awaitable[list[DueTrace]]]


@pytest.fixture
def due(store: Store) -> Due:
    """What is due at a moment, without taking it."""

    async def look(now_ms: int = 1000, limit: int = 100) -> list[DueTrace]:
        claim = await store.archive.claim_due(now_ms=now_ms, limit=limit)
        traces = list(claim.traces)
        await claim.abandon()
        return traces

    return look


Settle = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def settle() -> Settle:
    """Settles a claim: `passed`, or what is said of a trace by its id."""

    async def give(claim: Claim, at: Settled = Settled(5, 6), **of: Verdict) -> None:  # noqa: B008 - frozen
        verdicts: Sequence[Verdict] = [
            of.get(trace.trace_id, Verdict(state="passed")) for trace in claim.traces
        ]
        await claim.settle(verdicts, at)

    return give
