"""The store's tables, once, for both databases. `migrations/` makes them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from promote.case import Case
from services.policy import Policy
from services.store.columns import Json, Key, Serial, UtcTime, Words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

project = Table(
    "project",
    metadata,
    Column("project", Key, primary_key=True),
    Column("first_ms", BigInteger, nullable=False),
)

trace = Table(
    "trace",
    metadata,
    Column("project", Key, primary_key=True),
    Column("trace_id", Key, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("due_ms", BigInteger),  # null: settled, until something comes for it again
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("pieces", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # of all pieces; bounds what one claim loads
    sqlite_with_rowid=False,
)
_due = text("due_ms IS NOT NULL")
_settled = text("due_ms IS NULL")
Index(
    "ix_trace_due",
    trace.c.due_ms,
    trace.c.project,
    trace.c.trace_id,
    postgresql_where=_due,
    sqlite_where=_due,
)
Index("ix_trace_settled", trace.c.last_ms, postgresql_where=_settled, sqlite_where=_settled)

trace_hand = (
    Table(  # PostgreSQL only: the row a worker locks while it has the trace in hand. A lock
        "trace_hand",  # on `trace` itself would make a late piece wait until the worker is done.
        metadata,
        Column("project", Key, primary_key=True),
        Column("trace_id", Key, primary_key=True),
        sqlite_with_rowid=False,
    )
)

trace_piece = Table(
    "trace_piece",
    metadata,
    Column("seq", Serial, primary_key=True),  # order of arrival
    Column("project", Key, nullable=False),
    Column("trace_id", Key, nullable=False),
    Column("event_id", Key, nullable=False),
    Column("schema", Key, nullable=False),
    Column("packing", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    UniqueConstraint("project", "trace_id", "event_id"),
)

pattern = Table(
    "pattern",
    metadata,
    Column("project", Key, primary_key=True),
    Column("pattern_id", Key, primary_key=True),
    Column("space", Key, nullable=False),
    Column("text", Words, nullable=False),
    Column("event_id", Key, nullable=False),
    Column("trace_id", Key, nullable=False),
    Column("occurrences", BigInteger, nullable=False),
    Column("first_failed_at", UtcTime, nullable=False),
    Column("last_failed_at", UtcTime, nullable=False),
    Index("ix_pattern_id", "pattern_id"),
    Index("ix_pattern_frequent", "occurrences", "last_failed_at"),
    Index("ix_pattern_project_frequent", "project", "occurrences", "last_failed_at"),
)

pattern_vector = (
    Table(  # apart from `pattern`, so that counting an occurrence never rewrites a vector
        "pattern_vector",
        metadata,
        Column("project", Key, primary_key=True),
        Column("space", Key, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("pattern_id", Key, nullable=False),
        Column("vector", LargeBinary, nullable=False),  # float32, little-endian
        ForeignKeyConstraint(["project", "pattern_id"], ["pattern.project", "pattern.pattern_id"]),
    )
)

pattern_fingerprint = Table(
    "pattern_fingerprint",
    metadata,
    Column("project", Key, primary_key=True),
    Column("fingerprint", Key, primary_key=True),
    Column("pattern_id", Key, nullable=False),
    Column("distance", Double, nullable=False),
    ForeignKeyConstraint(["project", "pattern_id"], ["pattern.project", "pattern.pattern_id"]),
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
    UniqueConstraint("project", "event_id"),
    ForeignKeyConstraint(["project", "pattern_id"], ["pattern.project", "pattern.pattern_id"]),
    Index("ix_occurrence_project", "project", "seq"),
    Index("ix_occurrence_pattern", "pattern_id", "project", "seq"),
)

grade = Table(
    "grade",
    metadata,
    Column("project", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("pattern_id", Key, nullable=False),
    Column("severity", Key, nullable=False),
    Column("weight", Double, nullable=False),
    Column("components", Json(dict[str, float]), nullable=False),
    sqlite_with_rowid=False,
)

promotion = Table(
    "promotion",
    metadata,
    Column("project", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("trace_id", Key, nullable=False),
    Column("pattern_id", Key, nullable=False),
    Column("failed_at", UtcTime, nullable=False),
    Index("ix_promotion_pattern", "project", "pattern_id"),
    sqlite_with_rowid=False,
)

eval_case = Table(
    "eval_case",
    metadata,
    Column("project", Key, primary_key=True),
    Column("case_id", Key, primary_key=True),
    Column("pattern_id", Key, nullable=False),
    Column("from_event_id", Key, nullable=False),
    Column("set", Key, nullable=False),
    Column("severity", Key, nullable=False),
    Column("weight", Double, nullable=False),
    Column("label", Words, nullable=False),
    Column("occurrences", BigInteger, nullable=False),
    Column("last_failed_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("body", Json(Case), nullable=False),
    UniqueConstraint("project", "pattern_id"),
    UniqueConstraint("project", "from_event_id"),
    Index("ix_eval_case_id", "case_id"),
    Index("ix_eval_case_heavy", "weight", "created_at"),
    Index("ix_eval_case_set_heavy", "set", "weight", "created_at"),
    Index("ix_eval_case_project_heavy", "project", "weight", "created_at"),
    Index("ix_eval_case_project_set_heavy", "project", "set", "weight", "created_at"),
)

policy_change = Table(
    "policy_change",
    metadata,
    Column("project", Key, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("changed_by", Words, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("reason", Words, nullable=False),
    Column("before", Json(Policy), nullable=False),
    Column("after", Json(Policy), nullable=False),
)

stage_attempt = Table(
    "stage_attempt",
    metadata,
    Column("consumer", Key, primary_key=True),
    Column("position", Key, primary_key=True),
    Column("attempts", Integer, nullable=False),
    sqlite_with_rowid=False,
)

dead_letter_replay = Table(
    "dead_letter_replay",
    metadata,
    Column("topic", Key, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
