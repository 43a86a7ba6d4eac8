"""The tables that hold pieces: one pair for each six hours of arrival, made when needed, dropped whole.

Deleting rows costs as much as writing them; dropping a table does not. All pieces of a trace are in
the chunk that was current when its first piece came (`trace.chunk`), so that reading one looks into
one table, and dropping a chunk takes whole traces.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    select,
    text,
)

from services.store.columns import Key, Serial
from services.store.tables import trace_chunk
from services.store.upsert import absorbing

CHUNK_MS = 6 * 3_600_000
"""Length of a chunk. A trace may outlive the retention by this much; a week is 29 chunks."""

_KEPT = 64  # descriptions of chunks in memory; a week is 29

_register = absorbing(trace_chunk)


class Chunk(NamedTuple):
    """The tables of one chunk.

    `spans` finds the piece a span is in: 8 bytes of the span's id, and the piece's number.
    """

    number: int
    pieces: Table
    spans: Table

    @property
    def end_ms(self) -> int:
        """When it stopped being the current one, in ms since the epoch."""
        return (self.number + 1) * CHUNK_MS


def number_at(now_ms: int) -> int:
    """The chunk that is current at a moment."""
    return now_ms // CHUNK_MS


@lru_cache(maxsize=_KEPT)
def chunk(number: int) -> Chunk:
    """The tables of a chunk, whether or not they are there."""
    metadata = MetaData()
    pieces = Table(
        f"trace_piece_{number}",
        metadata,
        Column("seq", Serial, primary_key=True),  # order of arrival
        Column("project", Key, nullable=False),
        Column("trace_id", Key, nullable=False),
        Column("event_id", Key, nullable=False),
        Column("schema", Key, nullable=False),
        Column("packing", SmallInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("received_ms", BigInteger, nullable=False),
        # a number is never given twice, even when its piece was deleted: `spans` keeps pointing to it
        sqlite_autoincrement=True,
    )
    Index(
        f"uq_trace_piece_{number}",
        pieces.c.project,
        pieces.c.trace_id,
        pieces.c.event_id,
        unique=True,
    )
    spans = Table(
        f"trace_span_{number}",
        metadata,
        Column("span", BigInteger, primary_key=True, autoincrement=False),
        Column("piece", BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    return Chunk(number, pieces, spans)


def make(connection: Connection, number: int) -> None:
    """Make a chunk's tables unless they are there. Under the lock `chunks`."""
    one = chunk(number)
    one.pieces.metadata.create_all(connection, checkfirst=True)
    connection.execute(_register, {"chunk": number})


def drop(connection: Connection, number: int) -> None:
    """Drop a chunk. Under the lock `chunks`."""
    one = chunk(number)
    one.pieces.metadata.drop_all(connection, checkfirst=True)
    connection.execute(trace_chunk.delete().where(trace_chunk.c.chunk == number))


def there(connection: Connection) -> Sequence[Chunk]:
    """The chunks that are there, the newest first."""
    numbers = connection.scalars(select(trace_chunk.c.chunk).order_by(trace_chunk.c.chunk.desc()))
    return [chunk(number) for number in numbers]


def size(connection: Connection) -> int:
    """Bytes on disk. On SQLite of the whole file in use, of which the archive is nearly all."""
    if connection.dialect.name == "sqlite":
        pages, free, page = (
            int(connection.scalar(text(f"PRAGMA {name}")) or 0)
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page
    names = ["trace", "trace_hand"]
    for one in there(connection):
        names += [one.pieces.name, one.spans.name]
    sizes = text(
        "SELECT sum(pg_total_relation_size(to_regclass(name))) FROM unnest(CAST(:names AS text[])) AS name"
    )
    return int(connection.scalar(sizes, {"names": names}) or 0)
