"""The tables of patterns: what was decided, where patterns lie, and how people changed them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    false,
)

from dedup.policy import TextPolicy
from services.store.columns import Json, Key, Serial, UtcTime, Words
from services.store.metadata import metadata, only


def _of_pattern() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["project", "pattern_id"], ["pattern.project", "pattern.pattern_id"]
    )


pattern = Table(
    "pattern",
    metadata,
    Column("project", Key, primary_key=True),
    Column("pattern_id", Key, primary_key=True),
    Column("space", Key, nullable=False),
    Column("text", Words, nullable=False),
    Column("event_id", Key, nullable=False),  # of its representative
    Column("trace_id", Key, nullable=False),
    Column("occurrences", BigInteger, nullable=False),  # of a merged pattern: when it was merged
    Column("first_failed_at", UtcTime, nullable=False),
    Column("last_failed_at", UtcTime, nullable=False),
    Column("fault", Key, nullable=False, server_default="unknown"),  # its representative's
    Column("guard", Key, nullable=False, server_default="unknown|"),
    # the pattern it is part of, always one that is its own root; itself while it was not merged
    Column("root", Key, nullable=False, server_default=""),
    Column("name", Words),  # that a reviewer gave it
    Index("ix_pattern_id", "pattern_id"),
    Index("ix_pattern_frequent", "occurrences", "last_failed_at"),
    Index("ix_pattern_project_frequent", "project", "occurrences", "last_failed_at"),
    # merged ones alone: counting an occurrence writes no entry of it
    Index("ix_pattern_merged", "project", "root", **only("root <> pattern_id")),
)

pattern_centroid = (
    Table(  # apart from `pattern`, so that counting an occurrence never rewrites a vector
        "pattern_centroid",
        metadata,
        Column("project", Key, primary_key=True),
        Column("space", Key, primary_key=True),
        Column("pattern_id", Key, primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("guard", Key, nullable=False),
        Column("total", LargeBinary, nullable=False),  # float32, little-endian
        Column("count", BigInteger, nullable=False),  # distinct texts; 0: the pattern is gone
        UniqueConstraint("project", "space", "seq"),
        _of_pattern(),
    )
)

pattern_medoid = Table(
    "pattern_medoid",  # of roots whose policy asks for it: the text that stands for them
    metadata,
    Column("project", Key, primary_key=True),
    Column("pattern_id", Key, primary_key=True),
    Column("space", Key, nullable=False),  # whose embedding has the text
    Column("fingerprint", Key, nullable=False),
    Column("texts", BigInteger, nullable=False),  # of how many of its first ones it was chosen
    _of_pattern(),
    sqlite_with_rowid=False,
)

pattern_fingerprint = Table(
    "pattern_fingerprint",
    metadata,
    Column("project", Key, primary_key=True),
    Column("fingerprint", Key, primary_key=True),
    Column("pattern_id", Key, nullable=False),
    Column("distance", Double, nullable=False),
    _of_pattern(),
    Index("ix_pattern_fingerprint_pattern", "project", "pattern_id"),
    sqlite_with_rowid=False,
)

rewritten_text = Table(
    "rewritten_text",  # what a failure's fingerprint is where its text is written in another way
    metadata,
    Column("project", Key, primary_key=True),
    Column("text", Key, primary_key=True),  # the way: text version, as names of spaces end
    Column("fingerprint", Key, primary_key=True),
    Column("rewritten", Key, nullable=False),  # its fingerprint there
    Index("ix_rewritten_text_rewritten", "project", "text", "rewritten"),
    sqlite_with_rowid=False,
)

occurrence = Table(
    "occurrence",
    metadata,
    Column("seq", Serial, primary_key=True),  # order of decision
    Column("project", Key, nullable=False),
    Column("event_id", Key, nullable=False),
    Column("trace_id", Key, nullable=False),
    Column("pattern_id", Key, nullable=False),
    Column("decided_by", Key, nullable=False),
    Column("distance", Double, nullable=False),
    Column("nearest_distance", Double),
    Column("fingerprint", Key, nullable=False),
    Column("space", Key, nullable=False),
    Column("failed_at", UtcTime, nullable=False),
    Column("fault", Key, nullable=False, server_default="unknown"),
    Column("grey", Boolean, nullable=False, server_default=false()),  # doubtful when it was decided
    Column("grey_decided", Key),  # "same" or "different", once somebody said
    UniqueConstraint("project", "event_id"),
    _of_pattern(),
    Index("ix_occurrence_project", "project", "seq"),
    Index("ix_occurrence_pattern", "pattern_id", "project", "seq"),
    Index("ix_occurrence_fingerprint", "project", "fingerprint", "seq"),
    Index("ix_occurrence_grey", "project", "seq", **only("grey AND grey_decided IS NULL")),
)

embedding = Table(
    "embedding",  # every distinct text, once in each space
    metadata,
    Column("project", Key, primary_key=True),
    Column("space", Key, primary_key=True),
    Column("fingerprint", Key, primary_key=True),
    Column("text", Words, nullable=False),
    Column("guard", Key, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float16, little-endian
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("project", "space", "seq"),
)

embedding_sum = Table(
    "embedding_sum",
    metadata,
    Column("project", Key, primary_key=True),
    Column("space", Key, primary_key=True),
    Column("texts", BigInteger, nullable=False),
    Column("total", LargeBinary, nullable=False),  # float64, little-endian
    sqlite_with_rowid=False,
)

geometry = Table(
    "geometry",
    metadata,
    Column("project", Key, primary_key=True),
    Column("space", Key, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("centre", LargeBinary, nullable=False),  # float32, little-endian
    Column("metric", LargeBinary),  # float32, little-endian, row by row
    Column("kind", Key, nullable=False),  # "centre" or "metric": what this number changed
    Column("texts", BigInteger, nullable=False),  # how many the space had then
    Column("changed_by", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("detail", Json(dict[str, Any])),
)

serving_space = Table(
    "serving_space",
    metadata,
    Column("project", Key, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("space", Key, nullable=False),
    Column("encoder", Key, nullable=False),
    Column("text", Json(TextPolicy), nullable=False),
    Column("changed_by", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
)

pattern_change = Table(
    "pattern_change",
    metadata,
    Column("project", Key, primary_key=True),
    Column("change_id", Key, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Key, nullable=False),  # "merge", "split", "name" or "undo"
    Column("changed_by", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("detail", Json(dict[str, Any]), nullable=False),  # what people may see
    Column("before", Json(dict[str, Any]), nullable=False),  # what undoing needs
    Column("undone_by", Key),
    UniqueConstraint("project", "seq"),
)

pattern_change_centroid = Table(
    "pattern_change_centroid",  # where patterns lay before a change, and after it
    metadata,
    Column("project", Key, primary_key=True),
    Column("change_id", Key, primary_key=True),
    Column("space", Key, primary_key=True),
    Column("pattern_id", Key, primary_key=True),
    Column("total_before", LargeBinary, nullable=False),  # float32, little-endian
    Column("count_before", BigInteger, nullable=False),
    Column("total_after", LargeBinary, nullable=False),
    Column("count_after", BigInteger, nullable=False),
)

pair_label = Table(
    "pair_label",
    metadata,
    Column("project", Key, primary_key=True),
    Column("first", Key, primary_key=True),  # two fingerprints, in this order
    Column("second", Key, primary_key=True),
    Column("verdict", Key, nullable=False),  # "same" or "different"
    Column("source", Key, nullable=False),  # "label", "merge", "split" or "grey"
    Column("labelled_by", Words, nullable=False),
    Column("labelled_at", UtcTime, nullable=False),
    sqlite_with_rowid=False,
)
