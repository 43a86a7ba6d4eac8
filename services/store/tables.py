"""The store's tables, once, for both databases. `migrations/` makes them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
)

from promote.case import Case
from services.policy import Policy
from services.store.columns import Json, Key, UtcTime, Words
from services.store.held_tables import held_project, held_record
from services.store.metadata import metadata, only
from services.store.mode_tables import merge_proposal, mode, mode_refit, pattern_mode
from services.store.pattern_tables import (
    embedding,
    embedding_sum,
    geometry,
    occurrence,
    pair_label,
    pattern,
    pattern_centroid,
    pattern_change,
    pattern_change_centroid,
    pattern_fingerprint,
    pattern_medoid,
    rewritten_text,
    serving_space,
)

__all__ = [
    "api_key",
    "dead_letter_replay",
    "embedding",
    "embedding_sum",
    "eval_case",
    "geometry",
    "grade",
    "held_project",
    "held_record",
    "idempotency_key",
    "judgement",
    "merge_proposal",
    "metadata",
    "mode",
    "mode_refit",
    "occurrence",
    "pair_label",
    "pattern",
    "pattern_centroid",
    "pattern_change",
    "pattern_change_centroid",
    "pattern_fingerprint",
    "pattern_medoid",
    "pattern_mode",
    "policy_change",
    "project",
    "promotion",
    "rewritten_text",
    "secret",
    "serving_space",
    "stage_attempt",
    "trace",
    "trace_awaited",
    "trace_chunk",
    "trace_hand",
]

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
    Column("chunk", Integer, nullable=False),  # where all its pieces are: see `chunks.py`
    Column("revision", BigInteger, nullable=False),
    Column("state", Key, nullable=False),
    Column("due_ms", BigInteger),  # null: nothing to do, until something comes for it again
    Column("until_ms", BigInteger, nullable=False),  # from when on nothing is waited for any more
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("pieces", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # of all pieces; bounds what one claim loads
    # the verdict
    Column("scored_ms", BigInteger),
    Column("policy_version", Integer),
    Column("why", Key),
    Column("truncated", Boolean, nullable=False),
    Column("failing", Json(tuple[str, ...])),  # the failing signals that were emitted
    Column("problems", Json(tuple[str, ...])),
    Column("session_id", Key),
    Column("drop_ms", BigInteger),  # from when on it need not be kept, whatever the retention
    sqlite_with_rowid=False,
)


Index(
    "ix_trace_due",
    trace.c.due_ms,
    trace.c.project,
    trace.c.trace_id,
    **only("due_ms IS NOT NULL"),
)
Index("ix_trace_drop", trace.c.drop_ms, **only("drop_ms IS NOT NULL"))
Index(
    "ix_trace_session",
    trace.c.project,
    trace.c.session_id,
    trace.c.first_ms,
    **only("session_id IS NOT NULL"),
)

trace_chunk = Table(
    "trace_chunk",  # the tables of pieces and spans that are there: see `chunks.py`
    metadata,
    Column("chunk", Integer, primary_key=True, autoincrement=False),
)

trace_awaited = Table(
    "trace_awaited",  # feedback that names a span or a session which has not come yet
    metadata,
    Column("project", Key, primary_key=True),
    Column("trace_id", Key, primary_key=True),  # `span:<id>` or `session:<id>`
    Column("span", BigInteger),  # as the chunks' index of spans has it
    Index("ix_trace_awaited_span", "span"),
    sqlite_with_rowid=False,
)

trace_hand = (
    Table(  # PostgreSQL only: the row a worker locks while it has the trace in hand. A lock
        "trace_hand",  # on `trace` itself would make a late piece wait until the worker is done.
        metadata,
        Column("project", Key, primary_key=True),
        Column("trace_id", Key, primary_key=True),
        sqlite_with_rowid=False,
    )
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
    Column("superseded_by", Key),  # the change since which its pattern's other case counts
    UniqueConstraint("project", "from_event_id"),
    Index("ix_eval_case_id", "case_id"),
    Index("ix_eval_case_pattern", "project", "pattern_id"),
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

secret = Table(
    "secret",
    metadata,
    Column("name", Key, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

api_key = Table(
    "api_key",
    metadata,
    Column("key_id", Key, primary_key=True),  # the part of a key that may be shown
    Column(
        "digest", LargeBinary, nullable=False
    ),  # SHA-256 of the whole key, which is kept nowhere
    Column("project", Key),  # null: any
    Column("name", Words, nullable=False),
    Column("scopes", Json(list[str]), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("last_used_at", UtcTime),
    Column("change", BigInteger, nullable=False),  # grows with every creation and revocation
    UniqueConstraint("change"),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("event_id", Key, primary_key=True),  # derived from kind, project and key
    Column("digest", LargeBinary, nullable=False),  # of the first body that came with the key
    Column("first_ms", BigInteger, nullable=False),
    Index("ix_idempotency_key_first_ms", "first_ms"),
    sqlite_with_rowid=False,
)

judgement = Table(
    "judgement",
    metadata,
    Column("project", Key, primary_key=True),
    Column("question_id", Key, primary_key=True),  # derived from the model and all it was told
    Column("answer", Words, nullable=False),
    Column("answered_ms", BigInteger, nullable=False),
    Index("ix_judgement_answered_ms", "answered_ms"),
    sqlite_with_rowid=False,
)
