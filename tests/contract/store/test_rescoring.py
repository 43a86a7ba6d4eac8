"""Paging through the traces that may be scored again."""

from services.archive import ArchivedPiece, Settled, Verdict
from services.store.open import Store


async def scored(store: Store, ids: str, *, at_ms: int, project: str = "shop") -> None:
    """Traces that came at a time and were scored: capitals failed."""
    pieces = [ArchivedPiece(project, one, f"e-{one}", "trace/1", b"{}") for one in ids]
    await store.archive.add(pieces, now_ms=at_ms, due_ms=at_ms)
    claim = await store.archive.claim_due(now_ms=at_ms, limit=100)
    verdicts = [
        Verdict(state="failed" if one.trace_id.isupper() else "passed") for one in claim.traces
    ]
    await claim.settle(verdicts, Settled(now_ms=at_ms, due_ms=at_ms))


async def test_pages_are_in_order_and_complete(store: Store) -> None:
    await scored(store, "bDaCe", at_ms=100)
    await scored(store, "z", at_ms=100, project="bank")
    found = []
    after = ""
    while page := await store.rescoring.page("shop", since_ms=0, after=after, limit=2):
        found.extend(page)
        after = page[-1][0]
    assert found == [("C", True), ("D", True), ("a", False), ("b", False), ("e", False)]


async def test_only_what_got_something_since_and_was_scored(store: Store) -> None:
    await scored(store, "a", at_ms=100)
    await scored(store, "b", at_ms=200)
    waiting = ArchivedPiece("shop", "w", "e-w", "trace/1", b"{}")
    await store.archive.add([waiting], now_ms=300, due_ms=10_000)
    page = await store.rescoring.page("shop", since_ms=150, after="", limit=10)
    assert page == [("b", False)]


async def test_one_trace_is_found_by_its_id(store: Store) -> None:
    await scored(store, "A", at_ms=100)
    assert await store.rescoring.one("shop", "A") == [("A", True)]
    assert await store.rescoring.one("shop", "B") == []
    assert await store.rescoring.one("bank", "A") == []
