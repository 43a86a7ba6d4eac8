"""Embeddings, centroids, geometries, serving spaces, merges and splits, labels and failure modes.

What is there is carried over: a pattern's vector becomes its centroid of one text, and an embedding;
the space of a project's latest decision becomes the one that serves it. Downgrading folds merged
patterns into those they are part of for good, since the version before cannot redirect them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")
Moment = sa.DateTime(timezone=True)

_A_TIME = 500  # vectors in memory
_TEXT_POLICY = (
    '{"parts":[{"part":"turns","chars":700},{"part":"signals","chars":200},'
    '{"part":"error","chars":200},{"part":"tool","chars":120},{"part":"answer","chars":160}]}'
)


def upgrade() -> None:
    """Make the new tables and columns, and fill them from what is there."""
    _add_columns()
    _make_spaces()
    _make_changes()
    _make_modes()
    _make_held()
    op.execute("UPDATE pattern SET root = pattern_id, guard = fault || '|'")
    merged = sa.text("root <> pattern_id")
    op.create_index(
        "ix_pattern_merged",
        "pattern",
        ["project", "root"],
        postgresql_where=merged,
        sqlite_where=merged,
    )
    op.execute(
        "INSERT INTO pattern_centroid (project, space, pattern_id, seq, guard, total, count) "
        "SELECT v.project, v.space, v.pattern_id, v.seq, p.guard, v.vector, 1 FROM pattern_vector v "
        "JOIN pattern p ON p.project = v.project AND p.pattern_id = v.pattern_id"
    )
    connection = op.get_bind()
    _fill_embeddings(connection)
    _fill_serving(connection)
    op.drop_table("pattern_vector")


def downgrade() -> None:
    """Take them away. What only the new tables say is lost; no occurrence and no case is.

    Raises:
        RuntimeError: records wait that were set aside. They are nowhere else.
    """
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM held_record")):
        message = (
            "Failures wait in this store that were set aside, and the version before has no place "
            "for them. `evalratchet status` says of which project and why: let them be decided first."
        )
        raise RuntimeError(message)
    op.create_table(
        "pattern_vector",
        sa.Column("project", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        _of_pattern("fk_pattern_vector_pattern"),
        sa.PrimaryKeyConstraint("project", "space", "seq", name="pk_pattern_vector"),
    )
    _fill_vectors(op.get_bind())
    for table in (
        "held_record",
        "held_project",
        "merge_proposal",
        "mode_refit",
        "pattern_mode",
        "mode",
        "pair_label",
        "pattern_change_centroid",
        "pattern_change",
        "serving_space",
        "geometry",
        "embedding_sum",
        "embedding",
        "rewritten_text",
        "pattern_medoid",
        "pattern_centroid",
    ):
        op.drop_table(table)
    _fold_merged()
    op.drop_index("ix_pattern_merged", "pattern")
    op.drop_index("ix_pattern_fingerprint_pattern", "pattern_fingerprint")
    op.drop_index("ix_occurrence_grey", "occurrence")
    op.drop_index("ix_occurrence_fingerprint", "occurrence")
    op.drop_index("ix_eval_case_pattern", "eval_case")
    with op.batch_alter_table("eval_case") as eval_case:
        eval_case.drop_column("superseded_by")
        eval_case.create_unique_constraint(
            "uq_eval_case_project_pattern_id", ["project", "pattern_id"]
        )
    for table, columns in (
        ("occurrence", ("grey_decided", "grey")),
        ("pattern", ("name", "root", "guard")),
    ):
        for column in columns:
            op.drop_column(table, column)


def _of_pattern(name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project", "pattern_id"], ["pattern.project", "pattern.pattern_id"], name=name
    )


def _add_columns() -> None:
    op.add_column("pattern", sa.Column("guard", Key, nullable=False, server_default="unknown|"))
    op.add_column("pattern", sa.Column("root", Key, nullable=False, server_default=""))
    op.add_column("pattern", sa.Column("name", sa.Text(), nullable=True))
    grey: sa.Column[bool] = sa.Column(
        "grey", sa.Boolean(), nullable=False, server_default=sa.text("false")
    )
    op.add_column("occurrence", grey)
    op.add_column("occurrence", sa.Column("grey_decided", Key, nullable=True))
    # a pattern that others were merged into has their cases too; which one counts is for the code
    with op.batch_alter_table("eval_case") as eval_case:
        eval_case.drop_constraint("uq_eval_case_project_pattern_id", type_="unique")
        eval_case.add_column(sa.Column("superseded_by", Key, nullable=True))
    op.create_index("ix_eval_case_pattern", "eval_case", ["project", "pattern_id"])
    op.create_index(
        "ix_pattern_fingerprint_pattern", "pattern_fingerprint", ["project", "pattern_id"]
    )
    op.create_index("ix_occurrence_fingerprint", "occurrence", ["project", "fingerprint", "seq"])
    undecided = sa.text("grey AND grey_decided IS NULL")
    op.create_index(
        "ix_occurrence_grey",
        "occurrence",
        ["project", "seq"],
        postgresql_where=undecided,
        sqlite_where=undecided,
    )


def _make_spaces() -> None:
    """What an embedding space holds of a project."""
    op.create_table(
        "pattern_centroid",
        sa.Column("project", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("guard", Key, nullable=False),
        sa.Column("total", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        _of_pattern("fk_pattern_centroid_pattern"),
        sa.PrimaryKeyConstraint("project", "space", "pattern_id", name="pk_pattern_centroid"),
        sa.UniqueConstraint(
            "project", "space", "seq", name="uq_pattern_centroid_project_space_seq"
        ),
    )
    op.create_table(
        "pattern_medoid",
        sa.Column("project", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("fingerprint", Key, nullable=False),
        sa.Column("texts", sa.BigInteger(), nullable=False),
        _of_pattern("fk_pattern_medoid_pattern"),
        sa.PrimaryKeyConstraint("project", "pattern_id", name="pk_pattern_medoid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "embedding",
        sa.Column("project", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("fingerprint", Key, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("guard", Key, nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "space", "fingerprint", name="pk_embedding"),
        sa.UniqueConstraint("project", "space", "seq", name="uq_embedding_project_space_seq"),
    )
    op.create_table(
        "rewritten_text",
        sa.Column("project", Key, nullable=False),
        sa.Column("text", Key, nullable=False),
        sa.Column("fingerprint", Key, nullable=False),
        sa.Column("rewritten", Key, nullable=False),
        sa.PrimaryKeyConstraint("project", "text", "fingerprint", name="pk_rewritten_text"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_rewritten_text_rewritten", "rewritten_text", ["project", "text", "rewritten"]
    )
    op.create_table(
        "embedding_sum",
        sa.Column("project", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("texts", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("project", "space", name="pk_embedding_sum"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "geometry",
        sa.Column("project", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("centre", sa.LargeBinary(), nullable=False),
        sa.Column("metric", sa.LargeBinary(), nullable=True),
        sa.Column("kind", Key, nullable=False),
        sa.Column("texts", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project", "space", "number", name="pk_geometry"),
    )
    op.create_table(
        "serving_space",
        sa.Column("project", Key, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("encoder", Key, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("project", "ordinal", name="pk_serving_space"),
    )


def _make_changes() -> None:
    """What people changed, and what they said about pairs."""
    op.create_table(
        "pattern_change",
        sa.Column("project", Key, nullable=False),
        sa.Column("change_id", Key, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", Key, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("undone_by", Key, nullable=True),
        sa.PrimaryKeyConstraint("project", "change_id", name="pk_pattern_change"),
        sa.UniqueConstraint("project", "seq", name="uq_pattern_change_project_seq"),
    )
    op.create_table(
        "pattern_change_centroid",
        sa.Column("project", Key, nullable=False),
        sa.Column("change_id", Key, nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("total_before", sa.LargeBinary(), nullable=False),
        sa.Column("count_before", sa.BigInteger(), nullable=False),
        sa.Column("total_after", sa.LargeBinary(), nullable=False),
        sa.Column("count_after", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "project", "change_id", "space", "pattern_id", name="pk_pattern_change_centroid"
        ),
    )
    op.create_table(
        "pair_label",
        sa.Column("project", Key, nullable=False),
        sa.Column("first", Key, nullable=False),
        sa.Column("second", Key, nullable=False),
        sa.Column("verdict", Key, nullable=False),
        sa.Column("source", Key, nullable=False),
        sa.Column("labelled_by", sa.Text(), nullable=False),
        sa.Column("labelled_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("project", "first", "second", name="pk_pair_label"),
        sqlite_with_rowid=False,
    )


def _make_modes() -> None:
    """What the refits of modes found."""
    op.create_table(
        "mode",
        sa.Column("project", Key, nullable=False),
        sa.Column("mode_id", Key, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("born_refit", sa.Integer(), nullable=False),
        sa.Column("gone_refit", sa.Integer(), nullable=True),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "mode_id", name="pk_mode"),
    )
    op.create_table(
        "pattern_mode",
        sa.Column("project", Key, nullable=False),
        sa.Column("pattern_id", Key, nullable=False),
        sa.Column("mode_id", Key, nullable=True),
        sa.Column("membership", sa.Double(), nullable=False),
        sa.Column("outlier", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("project", "pattern_id", name="pk_pattern_mode"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pattern_mode_mode", "pattern_mode", ["project", "mode_id"])
    op.create_table(
        "mode_refit",
        sa.Column("project", Key, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("refit_at", Moment, nullable=False),
        sa.Column("patterns", sa.BigInteger(), nullable=False),
        sa.Column("modes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("space", Key, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "number", name="pk_mode_refit"),
    )
    op.create_table(
        "merge_proposal",
        sa.Column("project", Key, nullable=False),
        sa.Column("proposal_id", Key, nullable=False),
        sa.Column("patterns", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("state", Key, nullable=False),
        sa.Column("refit", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("project", "proposal_id", name="pk_merge_proposal"),
    )
    op.create_index("ix_merge_proposal_state", "merge_proposal", ["project", "state"])


def _make_held() -> None:
    op.create_table(
        "held_project",
        sa.Column("consumer", Key, nullable=False),
        sa.Column("project", Key, nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "project", name="pk_held_project"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "held_record",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("consumer", Key, nullable=False),
        sa.Column("project", Key, nullable=False),
        sa.Column("topic", Key, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_held_record"),
        sa.UniqueConstraint(
            "consumer",
            "topic",
            "partition",
            "offset",
            "timestamp_ms",
            name="uq_held_record_consumer_topic_partition_offset_timestamp_ms",
        ),
    )
    op.create_index("ix_held_record_project", "held_record", ["consumer", "project", "seq"])


def _fill_embeddings(connection: sa.Connection) -> None:
    """Of the texts from before only the representatives' are known, and their vectors."""
    import numpy as np  # noqa: PLC0415 - only where there is something to convert

    add = sa.text(
        "INSERT INTO embedding (project, space, fingerprint, text, guard, vector, seq) "
        "VALUES (:project, :space, :fingerprint, :text, :guard, :vector, :seq) ON CONFLICT DO NOTHING"
    )
    for place in _places(connection, "pattern_vector"):
        texts, total = 0, np.zeros(0)
        for rows in _in_parts(connection, _REPRESENTATIVES, place):
            vectors = np.stack([np.frombuffer(row.vector, "<f4") for row in rows])
            total = vectors.sum(axis=0, dtype="<f8") + (total if texts else 0)
            halves = vectors.astype("<f2")
            connection.execute(
                add,
                [
                    place
                    | {
                        "fingerprint": row.fingerprint,
                        "text": row.text,
                        "guard": row.guard,
                        "vector": half.tobytes(),
                        "seq": row.seq,
                    }
                    for row, half in zip(rows, halves, strict=True)
                ],
            )
            texts += len(rows)
        if texts:
            connection.execute(
                sa.text(
                    "INSERT INTO embedding_sum (project, space, texts, total) "
                    "VALUES (:project, :space, :texts, :total)"
                ),
                place | {"texts": texts, "total": total.astype("<f8").tobytes()},
            )


_REPRESENTATIVES = (
    "SELECT v.seq, v.vector, p.text, p.guard, o.fingerprint FROM pattern_vector v "
    "JOIN pattern p ON p.project = v.project AND p.pattern_id = v.pattern_id "
    "JOIN occurrence o ON o.project = p.project AND o.event_id = p.event_id "
    "WHERE v.project = :project AND v.space = :space AND v.seq > :after ORDER BY v.seq LIMIT :parts"
)
_CENTROIDS = (
    "SELECT seq, pattern_id, total FROM pattern_centroid "
    "WHERE project = :project AND space = :space AND seq > :after AND count > 0 "
    "ORDER BY seq LIMIT :parts"
)


def _places(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    rows = connection.execute(sa.text(f"SELECT DISTINCT project, space FROM {table}"))  # noqa: S608 - ours
    return [{"project": row.project, "space": row.space} for row in rows]


def _in_parts(
    connection: sa.Connection, query: str, place: dict[str, Any]
) -> Iterator[list[sa.Row[Any]]]:
    after = 0
    while True:
        rows = connection.execute(sa.text(query), place | {"after": after, "parts": _A_TIME}).all()
        if not rows:
            return
        after = rows[-1].seq
        yield list(rows)


def _fill_serving(connection: sa.Connection) -> None:
    """The space of the latest decision serves."""
    serving = sa.table(
        "serving_space",
        *(sa.column(name) for name in ("project", "ordinal", "space", "encoder", "text")),
        *(sa.column(name) for name in ("changed_by", "reason")),
        sa.column("changed_at", Moment),
    )
    latest = sa.text(
        "SELECT project, space FROM occurrence WHERE seq IN "
        "(SELECT max(seq) FROM occurrence GROUP BY project)"
    )
    now = datetime.now(UTC)
    if connection.dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    rows = [
        {
            "project": row.project,
            "ordinal": 1,
            "space": row.space,
            "encoder": row.space.rpartition("/text-")[0] or row.space,
            "text": _TEXT_POLICY,
            "changed_by": "migration",
            "reason": "it served when embedding spaces were introduced",
            "changed_at": now,
        }
        for row in connection.execute(latest)
    ]
    if rows:
        connection.execute(serving.insert(), rows)


def _fill_vectors(connection: sa.Connection) -> None:
    """The version before compares with one unit vector: the centroid's direction."""
    import numpy as np  # noqa: PLC0415 - only where there is something to convert

    add = sa.text(
        "INSERT INTO pattern_vector (project, space, seq, pattern_id, vector) "
        "VALUES (:project, :space, :seq, :pattern_id, :vector)"
    )
    for place in _places(connection, "pattern_centroid"):
        seq = 0
        for rows in _in_parts(connection, _CENTROIDS, place):
            totals = np.stack([np.frombuffer(row.total, "<f4") for row in rows])
            lengths = np.linalg.norm(totals, axis=1, keepdims=True)
            units = (totals / np.where(lengths > 0, lengths, 1)).astype("<f4")
            vectors = []
            for row, unit in zip(rows, units, strict=True):
                seq += 1  # from 1 and without gaps, as the version before numbers them
                vectors.append(
                    place | {"seq": seq, "pattern_id": row.pattern_id, "vector": unit.tobytes()}
                )
            connection.execute(add, vectors)


def _fold_merged() -> None:
    """Everything of a merged pattern goes to the one it is part of; then it can go."""
    root = (
        "(SELECT root FROM pattern p WHERE p.project = {0}.project "
        "AND p.pattern_id = {0}.pattern_id)"
    )
    merged = (
        "EXISTS (SELECT 1 FROM pattern p WHERE p.project = {0}.project "
        "AND p.pattern_id = {0}.pattern_id AND p.root <> p.pattern_id)"
    )
    for table in ("occurrence", "pattern_fingerprint", "promotion", "grade"):
        op.execute(f"UPDATE {table} SET pattern_id = {root} WHERE {merged}".format(table))  # noqa: S608 - ours
    # of several cases of one pattern the one that counts takes its place; the others keep their own
    # name, as a pattern may have one case only: no reviewer's work is dropped
    op.execute(
        f"UPDATE eval_case SET pattern_id = {root} "  # noqa: S608 - ours
        f"WHERE superseded_by IS NULL AND {merged} AND NOT EXISTS "
        "(SELECT 1 FROM eval_case other JOIN pattern p ON p.project = eval_case.project "
        "AND p.pattern_id = eval_case.pattern_id "
        "WHERE other.project = p.project AND other.pattern_id = p.root)".format("eval_case")
    )
    op.execute("DELETE FROM pattern WHERE root <> pattern_id")
    # a split that was undone, or whose case moved, leaves two cases of one pattern itself
    rank = "(CASE WHEN {0}.superseded_by IS NULL THEN 0 ELSE 1 END, {0}.created_at, {0}.case_id)"
    op.execute(
        "UPDATE eval_case SET pattern_id = pattern_id || '/' || case_id "  # noqa: S608 - ours
        "WHERE EXISTS (SELECT 1 FROM eval_case other WHERE other.project = eval_case.project "
        "AND other.pattern_id = eval_case.pattern_id "
        f"AND {rank.format('other')} < {rank.format('eval_case')})"
    )
