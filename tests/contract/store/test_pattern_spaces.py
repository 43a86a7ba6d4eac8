"""`services.pattern_store`: serving spaces, geometries, embeddings and their sum."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import numpy as np
import pytest
from recording import SPACE, candidate, first, joins, keep

from dedup.geometry import Geometry
from dedup.policy import TextPart, TextPolicy
from services.pattern_store import Embedded, GeometryMove, Kept, Serving, Sum
from services.store.open import Store

At = Callable[[float], datetime]


def serving(at: At, ordinal: int, space: str) -> Serving:
    return Serving(
        ordinal=ordinal,
        space=space,
        encoder=space.partition("/")[0],
        text=TextPolicy(parts=(TextPart(part="error", chars=ordinal),)),
        by="ada",
        reason="a better model",
        at=at(ordinal),
    )


async def test_the_space_that_serves_is_the_last_one_that_was_said_to(store: Store, at: At) -> None:
    async with store.patterns.locked("shop") as writer:
        assert await writer.serving() is None
        assert await writer.served() == []
        await writer.serve(serving(at, 1, "first/text-1"))
    async with store.patterns.locked("shop") as writer:
        await writer.serve(serving(at, 2, "second/text-1"))
        with pytest.raises(ValueError, match="has ordinal 3, not 2"):
            await writer.serve(serving(at, 2, "third/text-1"))
    async with store.patterns.reading("shop") as reader:
        assert await reader.serving() == serving(at, 2, "second/text-1")
        assert [one.space for one in await reader.served()] == ["second/text-1", "first/text-1"]
    async with store.patterns.reading("bank") as reader:
        assert await reader.serving() is None


async def test_two_switches_at_once_are_one(
    store: Store, another_store: Callable[[], Store], at: At
) -> None:
    """Each looks before the other writes; the lock and the ordinal let one of them through."""
    other = another_store()
    async with store.patterns.locked("shop") as writer:
        await writer.serve(serving(at, 1, "mine/text-1"))

    async def late() -> None:
        async with other.patterns.locked("shop") as writer:
            await writer.serve(serving(at, 1, "theirs/text-1"))

    with pytest.raises(ValueError, match="ordinal 2"):
        await late()
    async with store.patterns.reading("shop") as reader:
        assert await reader.serving() == serving(at, 1, "mine/text-1")


async def test_the_centre_moves_with_a_step_and_every_move_is_kept(store: Store, at: At) -> None:
    centre = np.array([0.1, 0.2], dtype=np.float32)
    total = Sum(32, np.array([3.2, 6.4]))
    async with store.patterns.locked("shop") as writer:
        assert await writer.geometry(SPACE) is None
        assert await writer.sum(SPACE) is None
        await writer.keep(Kept(space=SPACE, decided=[], sum=total, geometry=Geometry(1, centre)))
        metric = np.array([[2, 0.5], [0.5, 1]], dtype=np.float32)
        fitted = GeometryMove(
            space=SPACE,
            geometry=Geometry(2, centre, metric),
            kind="metric",
            texts=40,
            by="ada",
            reason="a hundred labels",
            at=at(9),
            detail={"f1": 0.5},
        )
        await writer.move(fitted)
    async with store.patterns.reading("shop") as reader:
        found = await reader.geometry(SPACE)
        assert found is not None
        assert found.number == 2
        assert found.centre.tolist() == centre.tolist()
        assert found.metric is not None
        assert found.metric.tolist() == metric.tolist()
        assert found.metric.dtype == np.float32
        kept = await reader.sum(SPACE)
        assert kept is not None
        assert (kept.texts, kept.total.tolist()) == (32, [3.2, 6.4])
        moved, last = await reader.moves(SPACE)
        assert (moved.kind, moved.by, moved.texts, moved.detail) == ("centre", "dedup", 32, None)
        assert moved.reason == "the centre of the first 32 distinct texts"
        assert moved.geometry.metric is None
        assert (last.kind, last.by, last.at, last.detail) == ("metric", "ada", at(9), {"f1": 0.5})
        assert await reader.geometry("other") is None
        assert await reader.moves("other") == []


async def test_a_sum_is_replaced_by_the_next_one(store: Store) -> None:
    for texts in (1, 2):
        async with store.patterns.locked("shop") as writer:
            new = Sum(texts, np.full(3, texts / 3))
            await writer.keep(Kept(space=SPACE, decided=[], sum=new))
    async with store.patterns.reading("shop") as reader:
        found = await reader.sum(SPACE)
    assert found is not None
    assert (found.texts, found.total.tolist()) == (2, [2 / 3] * 3)


async def test_a_text_is_embedded_once_in_each_space(store: Store, at: At) -> None:
    vector = np.array([0.6, 0.8], dtype=np.float32)
    await keep(store, first(candidate(at, "a", guard="model|refund"), vector.tolist()))
    again = Embedded("a", "another text", -vector, "model|")
    new = Embedded("b", "text b", -vector, "input|")
    async with store.patterns.locked("shop") as writer:
        await writer.keep(Kept(space=SPACE, decided=[], embedded=[again, new, new]))
        await writer.keep(Kept(space="other", decided=[], embedded=[again]))
        found = await writer.embedded(SPACE, ["a", "b", "unknown"])
    assert set(found) == {"a", "b"}
    assert found["a"] == pytest.approx(vector, abs=1e-3)
    assert found["a"].dtype == np.float32
    rows = await store.embeddings.after("shop", SPACE, 0, limit=9)
    assert [(row.seq, row.fingerprint, row.text, row.guard, row.pattern_id) for row in rows] == [
        (1, "a", "text a", "model|refund", "p-a"),
        (2, "b", "text b", "input|", None),
    ]
    assert [row.seq for row in await store.embeddings.after("shop", SPACE, 1, limit=9)] == [2]
    assert len(await store.embeddings.after("shop", SPACE, 0, limit=1)) == 1
    (other,) = await store.embeddings.after("shop", "other", 0, limit=9)
    assert other.vector == pytest.approx(-vector, abs=1e-3)
    assert await store.embeddings.after("bank", SPACE, 0, limit=9) == []


async def test_embeddings_name_the_pattern_as_it_is_called_now(store: Store, at: At) -> None:
    await keep(store, first(candidate(at, "a")), first(candidate(at, "b")))
    await keep(store, joins(candidate(at, "c"), "p-b", vector=(0, 1)))
    await store.changes.merge("shop", "p-a", ["p-b"], by="ada", reason="one", at=at(9))
    rows = await store.embeddings.after("shop", SPACE, 0, limit=9)
    assert [row.pattern_id for row in rows] == ["p-a", "p-a", "p-a"]


async def test_a_serving_space_is_kept_with_its_whole_text_policy(store: Store, at: At) -> None:
    """Also the parts that are as the defaults are today: those may change."""
    whole = msgspec.structs.replace(serving(at, 1, "s/text-1"), text=TextPolicy())
    async with store.patterns.locked("shop") as writer:
        await writer.serve(whole)
        assert await writer.serving() == whole
