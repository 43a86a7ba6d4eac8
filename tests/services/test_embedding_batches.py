"""Gathering texts into batches. What embeds is a function here, so that its turns can be watched."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from services.embedding_batches import Gathering, Result
from services.errors import Unavailable


class Model:
    """Gives each text the vector of its length; waits before each batch while `open` is not set."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken: Exception | None = None

    async def embed(self, texts: list[str]) -> Sequence[Result]:
        self.batches.append(texts)
        await asyncio.sleep(0)  # the real one waits for another process
        await self.open.wait()
        if self.broken is not None:
            raise self.broken
        return ["no" if text == "bad" else vector_of(text) for text in texts]


def vector_of(text: str) -> np.ndarray:
    return np.array([len(text), 0, 0], dtype=np.float32)


async def until_batches(model: Model, count: int) -> None:
    while len(model.batches) < count:  # noqa: ASYNC110 - an event for each batch would say less
        await asyncio.sleep(0)


async def test_callers_of_the_same_moment_share_a_batch_sorted_by_length() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    answers = await asyncio.gather(
        gathering.embed(["ccc", "a"]), gathering.embed(["bb"]), gathering.embed(["dddd"])
    )
    assert model.batches == [["a", "bb", "ccc", "dddd"]]
    assert [[int(one[0]) for one in answer] for answer in answers] == [[3, 1], [2], [4]]


async def test_a_text_that_several_want_is_embedded_once() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    model.open.clear()
    first = asyncio.create_task(gathering.embed(["same", "same", "other"]))
    await until_batches(model, 1)
    second = asyncio.create_task(gathering.embed(["same"]))
    await asyncio.sleep(0)
    model.open.set()
    assert np.array_equal((await first)[0], (await second)[0])
    await gathering.embed(["same"])
    assert model.batches == [["same", "other"]]


async def test_one_who_comes_with_ten_thousand_texts_does_not_hold_up_the_others() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    flood = asyncio.create_task(gathering.embed([f"flood {n}" for n in range(10_000)]))
    await until_batches(model, 1)
    await gathering.embed(["a single one"])
    assert any("a single one" in batch for batch in model.batches[:3])
    assert len(await flood) == 10_000


async def test_batches_are_bounded_in_texts_and_in_characters() -> None:
    model = Model()
    await Gathering(model.embed).embed(
        [f"short {n}" for n in range(200)] + [f"{n}" + "x" * 30_000 for n in range(10)]
    )
    assert all(len(batch) <= 64 for batch in model.batches)
    assert all(sum(map(len, batch)) <= 64_000 for batch in model.batches if len(batch) > 1)


async def test_a_text_longer_than_a_batch_may_be_goes_alone() -> None:
    model = Model()
    (answer,) = await Gathering(model.embed).embed(["x" * 1_000_000])
    assert int(answer[0]) == 1_000_000


async def test_what_breaks_reaches_all_who_asked_and_is_tried_anew_by_the_next() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    model.broken = Unavailable("away")
    answers = await asyncio.gather(
        gathering.embed(["a"]), gathering.embed(["b"]), return_exceptions=True
    )
    assert [str(one) for one in answers] == ["away", "away"]
    model.broken = None
    assert len(await gathering.embed(["a"])) == 1


async def test_an_answer_in_words_is_not_remembered() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    for _ in range(2):
        assert await gathering.embed(["bad"]) == ["no"]
    assert model.batches == [["bad"], ["bad"]]


async def test_a_caller_that_gives_up_takes_nothing_from_another() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    model.open.clear()
    impatient = asyncio.create_task(gathering.embed(["same"]))
    patient = asyncio.create_task(gathering.embed(["same"]))
    await until_batches(model, 1)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    model.open.set()
    assert len(await patient) == 1


async def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.embedding_batches._REMEMBERED", 100)
    model = Model()
    gathering = Gathering(model.embed)
    await gathering.embed([f"text {n}" for n in range(1000)])
    assert len(gathering._remembered) == 100
    asked = len(model.batches)
    await gathering.embed(["text 999"])
    assert len(model.batches) == asked
    await gathering.embed(["text 0"])
    assert len(model.batches) == asked + 1


async def test_closing_answers_everybody() -> None:
    model = Model()
    gathering = Gathering(model.embed)
    model.open.clear()
    waiting = [asyncio.create_task(gathering.embed([f"{n}"])) for n in range(3)]
    await until_batches(model, 1)
    await gathering.close()
    for one in waiting:
        with pytest.raises(Unavailable, match="stopped"):
            await one
