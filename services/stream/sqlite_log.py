"""The SQL of the embedded stream: topics, records, and where each group stands.

A record's row id is its topic's number and its offset in one integer, so that appending and
reading in order need no index beside the table. A topic's offsets have no gaps.
"""

import sqlite3
import time
from collections.abc import Sequence

import msgspec

from services.stream.port import Headers, Lag, Message, Record, TopicSettings

_VERSION = 1
_OFFSET_BITS = 40  # 10^12 records a topic, 8 million topics
_FETCH_BYTES = 32 << 20  # at most about this much of a fetch is in memory, one record at least
_SWEEP_ROWS = 200  # about 3 ms of the write lock
_COLUMNS = "id, key, value, headers, timestamp_ms"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topic (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    next_offset INTEGER NOT NULL DEFAULT 0,
    retention_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY, -- topic id << 40 | offset
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    headers BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS position (
    topic TEXT NOT NULL,
    reader TEXT NOT NULL, -- the group
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, reader)
) WITHOUT ROWID;
"""

_headers_out = msgspec.msgpack.Encoder()
_headers_in = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


def migrate(db: sqlite3.Connection) -> None:
    """Make the tables. Raises `sqlite3.DatabaseError` for a file of a newer version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        message = f"it was written by a newer evalratchet (format {version}, this one reads 1)"
        raise sqlite3.DatabaseError(message)
    if version == _VERSION:
        return
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version={_VERSION}")


def append(db: sqlite3.Connection, messages: Sequence[Message], retention_ms: int) -> None:
    """Append each message to its topic; a topic that is not there yet is made."""
    by_topic: dict[str, list[Message]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message)
    now = time.time_ns() // 1_000_000
    for name, batch in by_topic.items():
        topic = _topic(db, name)
        if topic is None:
            create(db, name, retention_ms)
            topic = _topic(db, name) or (0, 0)
        number, offset = topic
        first = (number << _OFFSET_BITS) + offset
        db.executemany(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
            [
                (first + i, m.key, m.value, _headers_out.encode(m.headers), now)
                for i, m in enumerate(batch)
            ],
        )
        db.execute("UPDATE topic SET next_offset = ? WHERE id = ?", (offset + len(batch), number))


def create(db: sqlite3.Connection, name: str, retention_ms: int) -> None:
    """A new, empty topic."""
    db.execute("INSERT INTO topic (name, retention_ms) VALUES (?, ?)", (name, retention_ms))


def apply(db: sqlite3.Connection, wanted: TopicSettings) -> str:
    """Make a topic as it should be; return what was done. There is always one partition."""
    row = db.execute("SELECT retention_ms FROM topic WHERE name = ?", (wanted.name,)).fetchone()
    if row is None:
        create(db, wanted.name, wanted.retention_ms)
        return "created"
    if row[0] == wanted.retention_ms:
        return "as it should be"
    db.execute(
        "UPDATE topic SET retention_ms = ? WHERE name = ?", (wanted.retention_ms, wanted.name)
    )
    return f"changed: retention.ms {row[0]} -> {wanted.retention_ms}"


def join(db: sqlite3.Connection, topic: str, group: str) -> None:
    """Make a group known, so that nothing it has not read is ever deleted."""
    db.execute("INSERT OR IGNORE INTO position VALUES (?, ?, 0)", (topic, group))


def position(db: sqlite3.Connection, topic: str, group: str) -> int:
    """The offset a group goes on from."""
    row = db.execute(
        "SELECT next_offset FROM position WHERE topic = ? AND reader = ?", (topic, group)
    ).fetchone()
    return row[0] if row else 0


def commit(db: sqlite3.Connection, topic: str, group: str, next_offset: int) -> None:
    """Move a group forward. Never back: a slower worker of the group may commit late."""
    db.execute(
        "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET next_offset = max(next_offset, excluded.next_offset)",
        (topic, group, next_offset),
    )


def read(db: sqlite3.Connection, topic: str, offset: int, limit: int) -> list[Record]:
    """Records from an offset on, in order."""
    found = _topic(db, topic)
    if found is None:
        return []
    base = found[0] << _OFFSET_BITS
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM record WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",  # noqa: S608 - a constant
        (base + offset, base + found[1], limit),
    )
    records, size = [], 0
    for row in rows:
        records.append(_record(topic, row))
        size += len(row[2])
        if size > _FETCH_BYTES:
            break
    return records


def newest(db: sqlite3.Connection, topic: str, limit: int) -> list[Record]:
    """The newest records, oldest first; all that were asked for, however large they are."""
    _, end = _topic(db, topic) or (0, 0)
    records: list[Record] = []
    offset = max(0, end - limit)
    while page := read(db, topic, offset, end - offset):
        records += page
        offset = page[-1].offset + 1
    return records


def lag(db: sqlite3.Connection, topic: str, group: str) -> Lag:
    """Where a group stands."""
    found = _topic(db, topic)
    if found is None:
        return Lag(0, 0)
    number, end = found
    base = number << _OFFSET_BITS
    row = db.execute(
        "SELECT id, timestamp_ms FROM record WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
        (base + position(db, topic, group), base + end),
    ).fetchone()
    return Lag(end, base + end - row[0], row[1]) if row else Lag(end, 0)


def sweep(db: sqlite3.Connection, now_ms: int) -> bool:
    """Delete a few records that are old and that every known group has read.

    Returns whether there may be more of them.
    """
    more = False
    for name, number, retention_ms in db.execute(
        "SELECT name, id, retention_ms FROM topic"
    ).fetchall():
        base = number << _OFFSET_BITS
        (read_by_all,) = db.execute(
            "SELECT coalesce(min(next_offset), (SELECT next_offset FROM topic WHERE id = ?))"
            " FROM position WHERE topic = ?",
            (number, name),
        ).fetchone()
        rows = db.execute(
            "SELECT id, timestamp_ms FROM record WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (base, base + read_by_all, _SWEEP_ROWS),
        ).fetchall()
        # Only from the front: a clock that was set back must not leave gaps.
        young = next((r[0] for r in rows if r[1] >= now_ms - retention_ms), None)
        end = young if young is not None else (rows[-1][0] + 1 if rows else base)
        db.execute("DELETE FROM record WHERE id >= ? AND id < ?", (base, end))
        more = more or (young is None and len(rows) == _SWEEP_ROWS)
    return more


def changes(db: sqlite3.Connection) -> int:
    """A number that differs once any other connection, of whatever process, has committed."""
    row = db.execute("PRAGMA data_version").fetchone()
    return int(row[0])


def _topic(db: sqlite3.Connection, name: str) -> tuple[int, int] | None:
    """A topic's number and its next offset."""
    row = db.execute("SELECT id, next_offset FROM topic WHERE name = ?", (name,)).fetchone()
    return (row[0], row[1]) if row else None


def _record(topic: str, row: tuple[int, bytes, bytes, bytes, int]) -> Record:
    number, key, value, packed, timestamp_ms = row
    headers: Headers = _headers_in.decode(packed)
    offset = number & ((1 << _OFFSET_BITS) - 1)
    return Record(topic, 0, offset, key, value, headers, timestamp_ms)
