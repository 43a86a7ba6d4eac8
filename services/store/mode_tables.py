"""The tables of failure modes: what each refit found, and which merges it proposes."""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table

from services.store.columns import Json, Key, UtcTime, Words
from services.store.metadata import metadata

mode = Table(
    "mode",
    metadata,
    Column("project", Key, primary_key=True),
    Column("mode_id", Key, primary_key=True),
    Column("name", Words, nullable=False),
    Column("size", BigInteger, nullable=False),  # patterns
    Column("born_refit", Integer, nullable=False),
    Column("gone_refit", Integer),
    Column("parents", Json(list[str]), nullable=False),  # the modes it came from
    Column("terms", Json(list[str]), nullable=False),
)

pattern_mode = Table(
    "pattern_mode",
    metadata,
    Column("project", Key, primary_key=True),
    Column("pattern_id", Key, primary_key=True),
    Column("mode_id", Key),  # null: in none
    Column("membership", Double, nullable=False),
    Column("outlier", Double, nullable=False),
    Index("ix_pattern_mode_mode", "project", "mode_id"),
    sqlite_with_rowid=False,
)

mode_refit = Table(
    "mode_refit",
    metadata,
    Column("project", Key, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("refit_at", UtcTime, nullable=False),
    Column("patterns", BigInteger, nullable=False),
    Column("modes", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("space", Key, nullable=False),
    Column("detail", Json(dict[str, Any]), nullable=False),
)

merge_proposal = Table(
    "merge_proposal",
    metadata,
    Column("project", Key, primary_key=True),
    Column("proposal_id", Key, primary_key=True),
    Column("patterns", Json(list[str]), nullable=False),
    Column("evidence", Json(dict[str, Any]), nullable=False),
    Column("state", Key, nullable=False),  # "open", "accepted" or "rejected"
    Column("refit", Integer, nullable=False),
    Column("decided_by", Words),
    Column("decided_at", UtcTime),
    Index("ix_merge_proposal_state", "project", "state"),
)
