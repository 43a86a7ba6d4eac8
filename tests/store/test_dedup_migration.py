"""Migration 0005 carries patterns over into centroids and embeddings, and folds them back."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import Connection, text

from capture.events import Failure
from capture.trace import Step, Trace
from dedup.encoders.hashing import HashingEncoder
from dedup.events import Assigned
from dedup.policy import TextPolicy
from services.deduper import Deduper
from services.encoders import Encoders
from services.index_files import IndexFiles
from services.indexes import Indexes
from services.policy import Policies
from services.reembedding import Reembedding, Target
from services.store.engines import open_database
from services.store.open import Store
from services.store.schema import downgrade, upgrade
from services.stream.outcome import Emit, Hold
from services.stream.port import Record

SPACE = "all-MiniLM-L6-v2@53aa51172d14/sentence-transformers/text-1"
OLDER = "hashing-512/1/text-1"
WHEN = "2026-03-01 12:00:00.000000"
VECTORS = {"a": [0.6, 0.8, 0.0], "b": [0.0, 0.6, 0.8], "old": [1.0, 0.0, 0.0]}


async def on(url: str, work: Callable[[Connection], Any]) -> Any:
    database, _ = open_database(url)
    try:
        return await database.write(work)
    finally:
        await database.close()


def insert(connection: Connection, table: str, **values: Any) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)  # noqa: S608 - ours


def when(connection: Connection) -> Any:
    if connection.dialect.name == "sqlite":
        return WHEN
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


def fill(connection: Connection) -> None:
    """What the version before kept: three patterns in two spaces, one with two occurrences."""
    at = when(connection)
    for seq, (name, space, fault, events) in enumerate(
        [("old", OLDER, "unknown", 1), ("a", SPACE, "model", 2), ("b", SPACE, "input", 1)], 1
    ):
        insert(
            connection,
            "pattern",
            project="shop",
            pattern_id=name,
            space=space,
            text=f"text of {name}",
            event_id=f"{name}1",
            trace_id=f"t-{name}1",
            occurrences=events,
            first_failed_at=at,
            last_failed_at=at,
            fault=fault,
        )
        insert(
            connection,
            "pattern_vector",
            project="shop",
            space=space,
            seq=1 if space == OLDER else seq - 1,
            pattern_id=name,
            vector=np.array(VECTORS[name], "<f4").tobytes(),
        )
        for number in range(1, events + 1):
            insert(
                connection,
                "pattern_fingerprint",
                project="shop",
                fingerprint=f"f-{name}{number}",
                pattern_id=name,
                distance=0.0,
            )
            insert(
                connection,
                "occurrence",
                project="shop",
                event_id=f"{name}{number}",
                trace_id=f"t-{name}{number}",
                pattern_id=name,
                decided_by="first" if number == 1 else "embedding",
                distance=0.0,
                fingerprint=f"f-{name}{number}",
                space=space,
                failed_at=at,
                fault=fault,
            )


@pytest.fixture
async def filled_url(empty_url: str) -> str:
    """A store of revision 0004 with patterns in it."""
    await upgrade(empty_url)
    await downgrade(empty_url, "0004")
    await on(empty_url, fill)
    return empty_url


async def test_patterns_are_carried_over(filled_url: str, open_at: Callable[[str], Store]) -> None:
    await upgrade(filled_url)
    store = open_at(filled_url)
    await store.start()
    async with store.patterns.locked("shop") as writer:
        found = await writer.centroids_after(SPACE, 0, limit=10)
        assert [(one.seq, one.pattern_id, one.guard, one.count) for one in found] == [
            (1, "a", "model|", 1),
            (2, "b", "input|", 1),
        ]
        guard, centroid = (await writer.centroids(OLDER, ["old", "nothing"]))["old"]
        assert (guard, centroid.count, centroid.total.tolist()) == ("unknown|", 1, VECTORS["old"])
        embedded = await writer.embedded(SPACE, ["f-a1", "f-a2", "f-b1", "f-old1"])
        assert set(embedded) == {"f-a1", "f-b1"}, "of the others only the fingerprint was kept"
        assert embedded["f-b1"] == pytest.approx(VECTORS["b"], abs=1e-3)
        total = await writer.sum(SPACE)
        assert total is not None
        assert (total.texts, total.total.tolist()) == (2, pytest.approx([0.6, 1.4, 0.8]))
        serving = await writer.serving()
        assert serving is not None
        assert (serving.ordinal, serving.space, serving.by) == (1, SPACE, "migration")
        assert serving.encoder == "all-MiniLM-L6-v2@53aa51172d14/sentence-transformers"
        parts = [(part.part, part.chars) for part in serving.text.parts]
        assert parts[:2] == [("turns", 700), ("signals", 200)]
        assert parts[2:] == [("error", 200), ("tool", 120), ("answer", 160)]
        assert await writer.geometry(SPACE) is None
        assert {
            name: one.pattern_id for name, one in (await writer.fingerprints(["f-a2"])).items()
        } == {"f-a2": "a"}
        assert not (await writer.decisions(["a2"]))["a2"].grey
    first, *_ = await store.embeddings.after("shop", SPACE, 0, limit=10)
    assert (first.text, first.guard, first.pattern_id) == ("text of a", "model|", "a")
    assert (await store.reader.totals("shop")).patterns == 3


async def test_going_back_keeps_every_occurrence_and_vector(filled_url: str) -> None:
    await upgrade(filled_url)
    await on(filled_url, change)
    await downgrade(filled_url, "0004")

    def look(connection: Connection) -> tuple[Any, ...]:
        vectors = connection.execute(
            text("SELECT space, seq, pattern_id, vector FROM pattern_vector ORDER BY space, seq")
        ).all()
        return (
            [(row.space, row.seq, row.pattern_id) for row in vectors],
            [np.frombuffer(row.vector, "<f4").tolist() for row in vectors],
            [
                tuple(row)
                for row in connection.execute(
                    text("SELECT pattern_id, occurrences FROM pattern ORDER BY pattern_id")
                )
            ],
            [
                tuple(row)
                for row in connection.execute(
                    text("SELECT event_id, pattern_id FROM occurrence ORDER BY event_id")
                )
            ],
            [
                tuple(row)
                for row in connection.execute(
                    text("SELECT fingerprint, pattern_id FROM pattern_fingerprint ORDER BY 1")
                )
            ],
            [
                tuple(row)
                for row in connection.execute(
                    text("SELECT case_id, pattern_id FROM eval_case ORDER BY case_id")
                )
            ],
        )

    places, vectors, patterns, occurrences, fingerprints, cases = await on(filled_url, look)
    assert places == [(SPACE, 1, "a"), (OLDER, 1, "old")]
    middle = np.array(VECTORS["a"]) + VECTORS["b"]
    assert vectors[0] == pytest.approx((middle / np.linalg.norm(middle)).tolist())
    assert patterns == [("a", 3), ("old", 1)]
    assert occurrences == [("a1", "a"), ("a2", "a"), ("b1", "a"), ("old1", "old")]
    assert fingerprints == [("f-a1", "a"), ("f-a2", "a"), ("f-b1", "a"), ("f-old1", "old")]
    assert cases == [("c-b", "a"), ("c-old", "old")]
    await upgrade(filled_url)


def add_case(
    connection: Connection, case_id: str, pattern_id: str, event: str, superseded: str | None
) -> None:
    insert(
        connection,
        "eval_case",
        project="shop",
        case_id=case_id,
        pattern_id=pattern_id,
        from_event_id=event,
        set="backlog",
        severity="high",
        weight=0.5,
        label="latency",
        occurrences=1,
        last_failed_at=when(connection),
        created_at=when(connection),
        body="{}",
        superseded_by=superseded,
    )


def change(connection: Connection) -> None:
    """Pattern b was merged into a, which has no case, and one that was superseded later."""
    add_case(connection, "c-b", "b", "b1", None)
    add_case(connection, "c-old", "old", "old1", "change")
    total = np.array(VECTORS["a"]) + VECTORS["b"]
    connection.execute(text("UPDATE pattern SET root = 'a' WHERE pattern_id = 'b'"))
    connection.execute(text("UPDATE pattern SET occurrences = 3 WHERE pattern_id = 'a'"))
    connection.execute(text("UPDATE pattern_centroid SET count = 0 WHERE pattern_id = 'b'"))
    connection.execute(
        text("UPDATE pattern_centroid SET count = 2, total = :total WHERE pattern_id = 'a'"),
        {"total": total.astype("<f4").tobytes()},
    )


async def test_an_empty_store_goes_up_and_down(empty_url: str) -> None:
    await upgrade(empty_url)
    await downgrade(empty_url, "0004")
    await upgrade(empty_url)


async def test_failures_that_were_set_aside_are_not_thrown_away(empty_url: str) -> None:
    """They are nowhere else: the version before has no place for them."""
    await upgrade(empty_url)
    store = Store(empty_url)
    try:
        record = Record("failures", 0, 1, b"key", b"{}", (), 1)
        hold = Hold("shop", "its encoder is gone")
        await store.held.hold("deduper", [(record, hold)], now_ms=1, due_ms=2)
        with pytest.raises(RuntimeError, match="set aside"):
            await downgrade(empty_url, "0004")
        await store.held.release("deduper", [record], due_ms={"shop": 3})
        await store.close()
        await downgrade(empty_url, "0004")
    finally:
        await store.close()


async def test_two_cases_that_a_split_left_on_one_pattern_are_kept_on_the_way_back(
    filled_url: str,
) -> None:
    """The version before allows one case for a pattern: the other one keeps its own place."""
    await upgrade(filled_url)

    def left(connection: Connection) -> None:
        for case_id, event, superseded in (
            ("c1", "a1", "x"),
            ("c2", "a2", None),
            ("c3", "b1", "x"),
        ):
            add_case(connection, case_id, "a", event, superseded)

    await on(filled_url, left)
    await downgrade(filled_url, "0004")

    def cases(connection: Connection) -> list[tuple[str, str]]:
        query = text("SELECT case_id, pattern_id FROM eval_case ORDER BY case_id")
        return [tuple(row) for row in connection.execute(query)]

    assert await on(filled_url, cases) == [("c1", "a/c1"), ("c2", "a"), ("c3", "a/c3")]
    await upgrade(filled_url)


class Hashing:
    """Embeds without a model, and without a worker."""

    encoder = HashingEncoder.identity

    def __init__(self) -> None:
        self.asked: list[str] = []

    def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray | str]:
        self.asked += texts
        return list(HashingEncoder().encode(texts))

    async def close(self) -> None:
        """Nothing to stop."""


class Archive:
    """Two failures of model a's pattern are archived: the tool failed that each is about."""

    async def of(self, project: str, trace_id: str) -> Failure | None:
        return failure(trace_id) if trace_id == "t-a1" else None


def failure(trace_id: str, text: str = "where is my parcel") -> Failure:
    steps = [Step(type="tool_result", name="find_order", error="timeout", content="")]
    trace = Trace(trace_id=trace_id, project="shop", input=text, steps=steps)
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    return Failure(
        event_id=f"e-{trace_id}",
        trace=trace,
        signals=(),
        severity="high",
        fault="model",
        failed_at=moment,
    )


async def test_what_another_version_embedded_is_not_compared_until_it_is_written_anew(
    filled_url: str, open_at: Callable[[str], Store], tmp_path: Path
) -> None:
    """Its failures wait, alone, and the message has the command; then they find their patterns."""
    await upgrade(filled_url)
    store = open_at(filled_url)
    embedder = Hashing()

    def none(encoder: str) -> Hashing:
        raise ValueError(encoder)

    deduper = Deduper(
        store.patterns,
        Encoders(embedder, none),
        Indexes(IndexFiles(tmp_path / "indexes")),
        Policies(store.policies),
        clock=lambda: datetime.now(UTC),
    )
    other = msgspec.structs.replace(failure("t9"), event_id="of another")
    trace = msgspec.structs.replace(other.trace, project="bank")
    batch = [failure("t8"), msgspec.structs.replace(other, trace=trace)]
    held, decided = await deduper.handle(batch)
    assert isinstance(held, Hold)
    assert held.project == "shop"
    assert "evalratchet dedup reembed --project shop --switch" in held.detail
    assert isinstance(decided, Emit)
    assert await store.spaces.texts("shop", SPACE) == 2

    async with store.patterns.reading("shop") as reader:
        serving = await reader.serving()
    assert serving is not None
    work = Reembedding(
        store.patterns,
        store.embeddings,
        store.spaces,
        Archive(),
        embedder,
        clock=lambda: datetime.now(UTC),
    )
    target = Target(embedder.encoder, TextPolicy())
    prepared, _ = await work.switch("shop", serving, target, by="ann", reason="")
    assert (prepared.texts, prepared.from_archive) == (2, 1)

    same = failure("t10"), failure("t11", "please, where is my parcel")
    outcomes = await deduper.handle([failure("t8"), *same])
    events = [one.event for one in outcomes if isinstance(one, Emit)]
    found = [one.assignment for one in events if isinstance(one, Assigned)]
    assert [one.pattern_id for one in found] == ["a", "a", "a"]
    assert {one.embedding_space for one in found} == {target.space}
    guards = await on(
        filled_url,
        lambda connection: connection.execute(
            text("SELECT pattern_id, guard FROM pattern WHERE project = 'shop' ORDER BY 1")
        ).all(),
    )
    assert [tuple(row) for row in guards] == [
        ("a", "model|find_order"),
        ("b", "input|"),
        ("old", "unknown|"),
    ]
