"""The archive in chunks, verdicts with the traces, and feedback that waits for a span or a session.

Pieces that are there move into the chunk in which their trace began. They stay packed as they are; a
span in them is not found by its id: no feedback could name a span before.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_CHUNK_MS = 6 * 3_600_000
_SETTLE_MAX_MS = 3_600_000
_COUNTS = "project, trace_id, revision, due_ms, first_ms, last_ms, pieces, bytes"
_PIECE = "project, trace_id, event_id, schema, packing, body, received_ms"
_PLAIN, _LZ4, _ZSTD = 0, 1, 2
_A_TIME = 200  # bodies in memory


def upgrade() -> None:
    """Make the new tables and move what is there."""
    op.execute(sa.text("CREATE TABLE trace_0001 AS SELECT * FROM trace"))
    op.drop_table("trace")
    _make_trace()
    op.create_table(
        "trace_chunk",
        sa.Column("chunk", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("chunk", name="pk_trace_chunk"),
    )
    op.create_table(
        "trace_awaited",
        sa.Column("project", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("span", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "trace_id", name="pk_trace_awaited"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_trace_awaited_span", "trace_awaited", ["span"])
    connection = op.get_bind()
    numbers = connection.scalars(
        sa.text(f"SELECT DISTINCT first_ms / {_CHUNK_MS} FROM trace_0001")  # noqa: S608 - a number
    ).all()
    for number in numbers:
        _fill_chunk(connection, int(number))
    op.execute(
        sa.text(
            # which signals failed is not known any more; that some did must not be forgotten
            f"INSERT INTO trace ({_COUNTS}, chunk, state, until_ms, scored_ms, failing, truncated) "  # noqa: S608
            f"SELECT {_COUNTS}, first_ms / {_CHUNK_MS}, "
            "CASE WHEN failed THEN 'failed' WHEN due_ms IS NULL THEN 'passed' ELSE 'waiting' END, "
            f"first_ms + {_SETTLE_MAX_MS}, CASE WHEN failed OR due_ms IS NULL THEN last_ms END, "
            "CASE WHEN failed THEN '[]' END, false FROM trace_0001"
        )
    )
    op.drop_table("trace_0001")
    op.drop_table("trace_piece")


def downgrade() -> None:
    """Move everything back into one table. What only the new one says is lost."""
    connection = op.get_bind()
    op.execute(sa.text("CREATE TABLE trace_0002 AS SELECT * FROM trace"))
    op.drop_table("trace")
    _make_old_tables()
    op.execute(
        sa.text(
            f"INSERT INTO trace ({_COUNTS}, failed) "  # noqa: S608 - our own words
            f"SELECT {_COUNTS}, state = 'failed' FROM trace_0002"
        )
    )
    op.drop_table("trace_0002")
    for number in connection.scalars(sa.text("SELECT chunk FROM trace_chunk ORDER BY chunk")).all():
        op.execute(
            sa.text(
                f"INSERT INTO trace_piece ({_PIECE}) "  # noqa: S608 - our own words
                f"SELECT {_PIECE} FROM trace_piece_{int(number)} ORDER BY seq"
            )
        )
        for table in ("trace_piece", "trace_span"):
            op.drop_table(f"{table}_{int(number)}")
    _repack(connection)
    op.drop_table("trace_awaited")
    op.drop_table("trace_chunk")


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def _make_trace() -> None:
    op.create_table(
        "trace",
        sa.Column("project", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", Key, nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("scored_ms", sa.BigInteger(), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("why", Key, nullable=True),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("failing", sa.Text(), nullable=True),
        sa.Column("problems", sa.Text(), nullable=True),
        sa.Column("session_id", Key, nullable=True),
        sa.Column("drop_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "trace_id", name="pk_trace"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_trace_due", "trace", ["due_ms", "project", "trace_id"], **_where("due_ms IS NOT NULL")
    )
    op.create_index("ix_trace_drop", "trace", ["drop_ms"], **_where("drop_ms IS NOT NULL"))
    op.create_index(
        "ix_trace_session",
        "trace",
        ["project", "session_id", "first_ms"],
        **_where("session_id IS NOT NULL"),
    )


def _fill_chunk(connection: sa.Connection, number: int) -> None:
    """Make a chunk's tables as `services/store/chunks.py` does, and move its pieces there."""
    op.create_table(
        f"trace_piece_{number}",
        sa.Column("seq", Serial, primary_key=True),
        sa.Column("project", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("schema", Key, nullable=False),
        sa.Column("packing", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        f"trace_span_{number}",
        sa.Column("span", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("piece", sa.BigInteger(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    columns = ", ".join(f"p.{name}" for name in _PIECE.split(", "))
    connection.execute(
        sa.text(
            f"INSERT INTO trace_piece_{number} ({_PIECE}) SELECT {columns} FROM trace_piece p "  # noqa: S608
            "JOIN trace_0001 t ON t.project = p.project AND t.trace_id = p.trace_id "
            f"WHERE t.first_ms / {_CHUNK_MS} = {number} ORDER BY p.seq"
        )
    )
    op.create_index(
        f"uq_trace_piece_{number}",
        f"trace_piece_{number}",
        ["project", "trace_id", "event_id"],
        unique=True,
    )
    connection.execute(sa.text(f"INSERT INTO trace_chunk (chunk) VALUES ({number})"))  # noqa: S608


def _make_old_tables() -> None:
    op.create_table(
        "trace",
        sa.Column("project", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "trace_id", name="pk_trace"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_trace_due", "trace", ["due_ms", "project", "trace_id"], **_where("due_ms IS NOT NULL")
    )
    op.create_index("ix_trace_settled", "trace", ["last_ms"], **_where("due_ms IS NULL"))
    op.create_table(
        "trace_piece",
        sa.Column("seq", Serial, nullable=False),
        sa.Column("project", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("schema", Key, nullable=False),
        sa.Column("packing", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_trace_piece"),
        sa.UniqueConstraint(
            "project", "trace_id", "event_id", name="uq_trace_piece_project_trace_id_event_id"
        ),
    )


def _repack(connection: sa.Connection) -> None:
    """The version before reads LZ4 only."""
    find = sa.text("SELECT seq FROM trace_piece WHERE packing = :zstd ORDER BY seq")
    numbers = connection.scalars(find, {"zstd": _ZSTD}).all()
    for start in range(0, len(numbers), _A_TIME):
        _repack_some(connection, numbers[start : start + _A_TIME])


def _repack_some(connection: sa.Connection, numbers: Sequence[int]) -> None:
    import cramjam  # noqa: PLC0415 - only a downgrade needs them
    import zstandard  # noqa: PLC0415 - the same

    read = sa.text("SELECT seq, body FROM trace_piece WHERE seq IN :numbers").bindparams(
        sa.bindparam("numbers", expanding=True)
    )
    unpack = zstandard.ZstdDecompressor()
    rows = []
    for row in connection.execute(read, {"numbers": list(numbers)}).all():
        body = unpack.decompress(row.body)
        packed = bytes(cramjam.lz4.compress_block(body))
        smaller = len(packed) < len(body)
        packing, kept = (_LZ4, packed) if smaller else (_PLAIN, body)
        rows.append({"number": row.seq, "packing": packing, "body": kept})
    write = sa.text("UPDATE trace_piece SET packing = :packing, body = :body WHERE seq = :number")
    connection.execute(write, rows)
