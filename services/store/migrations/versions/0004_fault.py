"""Whose failure a failure is, and what judges answered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns and the table. Of failures from before nobody knows whose they are."""
    for table in ("pattern", "occurrence"):
        op.add_column(table, sa.Column("fault", Key, nullable=False, server_default="unknown"))
    op.create_table(
        "judgement",
        sa.Column("project", Key, nullable=False),
        sa.Column("question_id", Key, nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "question_id", name="pk_judgement"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_judgement_answered_ms", "judgement", ["answered_ms"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("judgement")
    for table in ("occurrence", "pattern"):
        op.drop_column(table, "fault")
