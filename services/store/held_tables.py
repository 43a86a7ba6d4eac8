"""The tables of what a stage has set aside; see `services/stream/holding.py`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, UniqueConstraint

from services.store.columns import Key, Serial, Words
from services.store.metadata import metadata

held_project = Table(
    "held_project",
    metadata,
    Column("consumer", Key, primary_key=True),
    Column("project", Key, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),  # not tried again before
    Column("why", Words, nullable=False),
    sqlite_with_rowid=False,
)

held_record = Table(
    "held_record",
    metadata,
    Column("seq", Serial, primary_key=True),  # order of being set aside
    Column("consumer", Key, nullable=False),
    Column("project", Key, nullable=False),
    Column("topic", Key, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", LargeBinary, nullable=False),  # pairs of name and bytes, as MessagePack
    Column("timestamp_ms", BigInteger, nullable=False),
    # with its time: a topic that was made anew, or another stream, has the same places again
    UniqueConstraint("consumer", "topic", "partition", "offset", "timestamp_ms"),
    Index("ix_held_record_project", "consumer", "project", "seq"),
)
