"""What people said about pairs of failure texts, and calibrations that came of it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select

from dedup.labels import in_order
from services.labelling import Calibrated, PairLabel
from services.pattern_store import GeometryMove
from services.store.database import Database
from services.store.geometries import geometry_of, move, serving
from services.store.pattern_tables import embedding, pair_label
from services.store.rewritten import written_now
from services.store.tables import policy_change
from services.store.upsert import merging

_put = merging(
    pair_label,
    verdict="excluded.verdict",
    source="excluded.source",
    labelled_by="excluded.labelled_by",
    labelled_at="excluded.labelled_at",
)


class Labels:
    """`services.labelling.PairLabels`."""

    def __init__(self, database: Database) -> None:
        """Keep answers in `database`."""
        self._database = database

    async def every(self, project: str) -> Sequence[PairLabel]:
        """All answers of a project, the earliest first, about texts as they are written now.

        Of answers about texts that have become the same pair the latest; none about one text. Raises
        `Unavailable`.
        """
        order = pair_label.c.labelled_at, pair_label.c.first, pair_label.c.second
        query = select(pair_label).where(pair_label.c.project == project).order_by(*order)

        def read(connection: Connection) -> list[PairLabel]:
            labels = [_label(row) for row in connection.execute(query)]
            return _as_written_now(connection, project, labels)

        return await self._database.read(read)

    async def keep(self, label: PairLabel) -> PairLabel | None:
        """Keep an answer in the place of an earlier one. Raises `Unavailable`."""
        return await self._database.write(lambda connection: put_label(connection, label))

    async def take_back(self, label: PairLabel, before: PairLabel | None) -> bool:
        """Have things be as before this answer, unless somebody answered since. Raises `Unavailable`."""

        def work(connection: Connection) -> bool:
            if label_there(connection, label) != label:
                return False
            if before is not None:
                put_label(connection, before)
            else:
                connection.execute(delete(pair_label).where(_pair(label)))
            return True

        return await self._database.write(work, "dedup", project=label.project)


def _as_written_now(
    connection: Connection, project: str, labels: Sequence[PairLabel]
) -> list[PairLabel]:
    named = sorted({name for one in labels for name in (one.first, one.second)})
    now = written_now(connection, project, named)
    if not now:
        return list(labels)
    latest: dict[tuple[str, str], PairLabel] = {}
    for one in labels:
        first, second = in_order(now.get(one.first, one.first), now.get(one.second, one.second))
        if first != second:
            latest.pop((first, second), None)
            latest[first, second] = msgspec.structs.replace(one, first=first, second=second)
    return list(latest.values())


def put_label(connection: Connection, label: PairLabel) -> PairLabel | None:
    """Keep an answer in the place of an earlier one, which is returned."""
    before = label_there(connection, label)
    connection.execute(_put, label_row(label))
    return before


def label_row(label: PairLabel) -> dict[str, Any]:
    """An answer as it is kept."""
    return {
        "project": label.project,
        "first": label.first,
        "second": label.second,
        "verdict": label.verdict,
        "source": label.source,
        "labelled_by": label.by,
        "labelled_at": label.at,
    }


class Calibrations:
    """`services.labelling.Calibrations`."""

    def __init__(self, database: Database) -> None:
        """Change policies and geometries in `database`."""
        self._database = database

    async def apply(self, change: Calibrated) -> bool:
        """Change policy and geometry in one step, under the dedup lock. Raises `Unavailable`."""
        return await self._database.write(
            lambda connection: _applied(connection, change), "dedup", project=change.project
        )


def _applied(connection: Connection, change: Calibrated) -> bool:
    of_project = policy_change.c.project == change.project
    newest = select(func.max(policy_change.c.version)).where(of_project)
    if (connection.scalar(newest) or 0) != change.version:
        return False
    served = serving(connection, change.project)
    if served is None or served.space != change.space:
        return False
    if change.geometry is not None:
        now = geometry_of(connection, change.project, change.space)
        if change.geometry.number != (0 if now is None else now.number) + 1:
            return False
        move(connection, change.project, _as_move(connection, change))
    last = select(policy_change.c.after).where(
        of_project, policy_change.c.version == change.version
    )
    before = connection.scalar(last)
    row = {
        "project": change.project,
        "version": change.version + 1,
        "changed_by": change.by,
        "changed_at": change.at,
        "reason": change.reason,
        "before": type(change.policy)() if before is None else before,
        "after": change.policy,
    }
    connection.execute(insert(policy_change), row)
    return True


def _as_move(connection: Connection, change: Calibrated) -> GeometryMove:
    if change.geometry is None:
        message = "a calibration without a geometry moves none"
        raise ValueError(message)
    texts = select(func.count()).where(
        embedding.c.project == change.project, embedding.c.space == change.space
    )
    return GeometryMove(
        space=change.space,
        geometry=change.geometry,
        kind="metric",
        texts=int(connection.scalar(texts) or 0),
        by=change.by,
        reason=change.reason,
        at=change.at,
        detail=change.detail,
    )


def _pair(label: PairLabel) -> Any:
    return (
        (pair_label.c.project == label.project)
        & (pair_label.c.first == label.first)
        & (pair_label.c.second == label.second)
    )


def label_there(connection: Connection, label: PairLabel) -> PairLabel | None:
    """What is kept about the pair of this answer."""
    row = connection.execute(select(pair_label).where(_pair(label))).first()
    return None if row is None else _label(row)


def _label(row: Row[Any]) -> PairLabel:
    return PairLabel(
        project=row.project,
        first=row.first,
        second=row.second,
        verdict=row.verdict,
        source=row.source,
        by=row.labelled_by,
        at=row.labelled_at,
    )
