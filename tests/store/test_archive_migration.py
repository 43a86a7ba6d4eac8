"""Migration 0002 moves an archive into chunks, and back."""

from collections.abc import Callable
from typing import Any

import cramjam
from sqlalchemy import Connection, text

from services.archive import ArchivedPiece, Settled, Verdict
from services.store.chunks import CHUNK_MS
from services.store.engines import open_database
from services.store.open import Store
from services.store.schema import downgrade, upgrade

BODY = b'{"trace": "' + b"the parcel never came " * 50 + b'"}'
OLD_TRACES = [
    ("failed", True, None, 10, 2),
    ("passed", False, None, CHUNK_MS + 10, 1),
    ("due", False, 77, 2 * CHUNK_MS, 1),
]


async def on(url: str, work: Callable[[Connection], Any]) -> Any:
    database, _ = open_database(url)
    try:
        return await database.write(work)
    finally:
        await database.close()


def fill(connection: Connection) -> None:
    """What the version before kept."""
    for name, failed, due_ms, first_ms, pieces in OLD_TRACES:
        connection.execute(
            text(
                "INSERT INTO trace (project, trace_id, revision, failed, due_ms, first_ms, last_ms,"
                " pieces, bytes) VALUES ('shop', :name, :pieces, :failed, :due, :first, :first,"
                " :pieces, 100)"
            ),
            {"name": name, "failed": failed, "due": due_ms, "first": first_ms, "pieces": pieces},
        )
        hand = text("INSERT INTO trace_hand (project, trace_id) VALUES ('shop', :name)")
        connection.execute(hand, {"name": name})
        for number in range(pieces):
            packed = number == 0
            connection.execute(
                text(
                    "INSERT INTO trace_piece (project, trace_id, event_id, schema, packing, body,"
                    " received_ms) VALUES ('shop', :name, :event, 'trace/1', :packing, :body, 10)"
                ),
                {
                    "name": name,
                    "event": f"e{number}",
                    "packing": int(packed),
                    "body": bytes(cramjam.lz4.compress_block(BODY)) if packed else b"plain",
                },
            )


def pieces(connection: Connection) -> list[tuple[str, str, bytes]]:
    """What the version before would read."""
    rows = connection.execute(text("SELECT * FROM trace_piece ORDER BY seq"))
    return [
        (
            row.trace_id,
            row.event_id,
            bytes(cramjam.lz4.decompress_block(row.body)) if row.packing == 1 else row.body,
        )
        for row in rows
    ]


async def test_an_archive_is_carried_over_and_back_again(
    empty_url: str, open_at: Callable[[str], Store]
) -> None:
    await upgrade(empty_url)
    await downgrade(empty_url, "0001")
    await on(empty_url, fill)
    await upgrade(empty_url)
    store = open_at(empty_url)
    await store.start()
    found = {
        name: (await store.traces.find(name, project="shop"))[0]
        for name in ("failed", "passed", "due")
    }
    assert {name: row.state for name, row in found.items()} == {
        "failed": "failed",
        "passed": "passed",
        "due": "waiting",
    }
    assert [one.body for one in await store.traces.pieces_of("shop", "failed")] == [BODY, b"plain"]
    assert (await store.traces.size()).chunks == 3
    claim = await store.archive.claim_due(now_ms=CHUNK_MS * 3, limit=10)
    assert [(t.trace_id, t.scored, t.pieces[0].body) for t in claim.traces] == [
        ("due", False, BODY)
    ]
    await claim.settle([Verdict(state="failed", failing=("x",))], Settled(1, 2))
    # a late piece joins one that was carried over; another begins a new trace
    late = [ArchivedPiece("shop", name, "late", "trace/1", BODY) for name in ("passed", "new")]
    await store.archive.add(late, now_ms=CHUNK_MS * 3, due_ms=CHUNK_MS * 3 + 5)
    assert len(await store.traces.pieces_of("shop", "passed")) == 2
    # what failed before stays so, whatever is found of it now, and is never dropped as a good one
    await store.archive.rescore("shop", "failed", due_ms=1)
    claim = await store.archive.claim_due(now_ms=2, limit=10)
    await claim.settle([Verdict(state="passed", drop_ms=1)], Settled(3, 4))
    (row,) = await store.traces.find("failed", project="shop")
    assert (row.state, row.drop_ms) == ("failed", None)
    await store.close()

    await downgrade(empty_url, "0001")
    assert await on(empty_url, pieces) == [
        ("failed", "e0", BODY),
        ("failed", "e1", b"plain"),
        ("passed", "e0", BODY),
        ("passed", "late", BODY),
        ("due", "e0", BODY),
        ("new", "late", BODY),
    ]
    kept = text("SELECT trace_id, failed, due_ms FROM trace ORDER BY first_ms")
    rows = await on(empty_url, lambda c: [tuple(row) for row in c.execute(kept)])
    assert [(name, bool(failed), due) for name, failed, due in rows] == [
        ("failed", True, None),
        ("passed", False, CHUNK_MS * 3 + 5),
        ("due", True, None),
        ("new", False, CHUNK_MS * 3 + 5),
    ]
