"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table."""
    _archive()
    _patterns()
    _occurrences()
    _grades()
    _cases()
    _the_rest()


def downgrade() -> None:
    """Drop every table, those that point to others first."""
    for table in (
        "dead_letter_replay",
        "stage_attempt",
        "policy_change",
        "eval_case",
        "promotion",
        "grade",
        "occurrence",
        "pattern_fingerprint",
        "pattern_vector",
        "pattern",
        "trace_piece",
        "trace_hand",
        "trace",
        "project",
    ):
        op.drop_table(table)


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def _archive() -> None:
    """What came, as it came, and what is due."""
    op.create_table(
        "project",
        sa.Column("project", Key, nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", name="pk_project"),
    )
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
        "ix_trace_due",
        "trace",
        ["due_ms", "project", "trace_id"],
        unique=False,
        **_where("due_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_trace_settled", "trace", ["last_ms"], unique=False, **_where("due_ms IS NULL")
    )
    op.create_table(
        "trace_hand",
        sa.Column("project", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.PrimaryKeyConstraint("project", "trace_id", name="pk_trace_hand"),
        sqlite_with_rowid=False,
    )
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


def _patterns() -> None:
    """Which failures are the same failure."""
    op.create_table(
        "pattern",
        sa.Column("project", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("occurrences", sa.BigInteger(), nullable=False),
        sa.Column("first_failed_at", Moment, nullable=False),
        sa.Column("last_failed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("project", "pattern_id", name="pk_pattern"),
    )
    op.create_index(
        "ix_pattern_frequent", "pattern", ["occurrences", "last_failed_at"], unique=False
    )
    op.create_index("ix_pattern_id", "pattern", ["pattern_id"], unique=False)
    op.create_index(
        "ix_pattern_project_frequent",
        "pattern",
        ["project", "occurrences", "last_failed_at"],
        unique=False,
    )
    op.create_table(
        "pattern_vector",
        sa.Column("project", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "pattern_id"],
            ["pattern.project", "pattern.pattern_id"],
            name="fk_pattern_vector_pattern",
        ),
        sa.PrimaryKeyConstraint("project", "space", "seq", name="pk_pattern_vector"),
    )
    op.create_table(
        "pattern_fingerprint",
        sa.Column("project", Key, nullable=False),
        sa.Column("fingerprint", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("distance", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "pattern_id"],
            ["pattern.project", "pattern.pattern_id"],
            name="fk_pattern_fingerprint_pattern",
        ),
        sa.PrimaryKeyConstraint("project", "fingerprint", name="pk_pattern_fingerprint"),
        sqlite_with_rowid=False,
    )


def _occurrences() -> None:
    """Every failure, once."""
    op.create_table(
        "occurrence",
        sa.Column("seq", Serial, nullable=False),
        sa.Column("project", Key, nullable=False),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("decided_by", Key, nullable=False),
        sa.Column("distance", sa.Double(), nullable=False),
        sa.Column("nearest_distance", sa.Double(), nullable=True),
        sa.Column("fingerprint", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("failed_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "pattern_id"],
            ["pattern.project", "pattern.pattern_id"],
            name="fk_occurrence_pattern",
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_occurrence"),
        sa.UniqueConstraint("project", "event_id", name="uq_occurrence_project_event_id"),
    )
    op.create_index(
        "ix_occurrence_pattern", "occurrence", ["pattern_id", "project", "seq"], unique=False
    )
    op.create_index("ix_occurrence_project", "occurrence", ["project", "seq"], unique=False)


def _grades() -> None:
    """What failures weigh, and which of them were promoted."""
    op.create_table(
        "grade",
        sa.Column("project", Key, nullable=False),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("severity", Key, nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("components", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "event_id", name="pk_grade"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "promotion",
        sa.Column("project", Key, nullable=False),
        sa.Column("event_id", Key, nullable=False),
        sa.Column("trace_id", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("failed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("project", "event_id", name="pk_promotion"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_promotion_pattern", "promotion", ["project", "pattern_id"], unique=False)


def _cases() -> None:
    """The eval cases."""
    op.create_table(
        "eval_case",
        sa.Column("project", Key, nullable=False),
        sa.Column("case_id", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("from_event_id", Key, nullable=False),
        sa.Column("set", Key, nullable=False),
        sa.Column("severity", Key, nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("occurrences", sa.BigInteger(), nullable=False),
        sa.Column("last_failed_at", Moment, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "case_id", name="pk_eval_case"),
        sa.UniqueConstraint("project", "from_event_id", name="uq_eval_case_project_from_event_id"),
        sa.UniqueConstraint("project", "pattern_id", name="uq_eval_case_project_pattern_id"),
    )
    op.create_index("ix_eval_case_heavy", "eval_case", ["weight", "created_at"], unique=False)
    op.create_index("ix_eval_case_id", "eval_case", ["case_id"], unique=False)
    op.create_index(
        "ix_eval_case_project_heavy", "eval_case", ["project", "weight", "created_at"], unique=False
    )
    op.create_index(
        "ix_eval_case_project_set_heavy",
        "eval_case",
        ["project", "set", "weight", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_eval_case_set_heavy", "eval_case", ["set", "weight", "created_at"], unique=False
    )


def _the_rest() -> None:
    """Policies, and what the loops remember."""
    op.create_table(
        "policy_change",
        sa.Column("project", Key, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "version", name="pk_policy_change"),
    )
    op.create_table(
        "stage_attempt",
        sa.Column("consumer", Key, nullable=False),
        sa.Column("position", Key, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "position", name="pk_stage_attempt"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dead_letter_replay",
        sa.Column("topic", Key, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", name="pk_dead_letter_replay"),
        sqlite_with_rowid=False,
    )
