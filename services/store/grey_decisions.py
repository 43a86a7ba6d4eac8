"""Doubtful decisions: failures that were counted to the nearest pattern, and only just."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, true, update

from dedup.labels import Verdict
from services.labelling import GreyDecision, PairLabel
from services.store.change_labels import add_review, undone_splits
from services.store.database import Database
from services.store.labels import label_row, label_there, put_label
from services.store.pattern_tables import embedding, occurrence, pattern
from services.store.pattern_tables import pattern_medoid as medoid
from services.store.reader import starts_with
from services.store.rewritten import alike, written_now

_root = pattern.alias("root")
_first = occurrence.alias("first")
_medoid_text = embedding.alias("medoid_text")


class GreyDecisions:
    """`services.labelling.GreyDecisions`."""

    def __init__(self, database: Database) -> None:
        """Read and note decisions in `database`."""
        self._database = database

    async def undecided(
        self,
        project: str | None,
        *,
        limit: int,
        since: datetime | None = None,
        untouched: bool = False,
    ) -> Sequence[GreyDecision]:
        """Those nobody has decided yet, the nearest first. Raises `Unavailable`."""
        wanted = [occurrence.c.grey, occurrence.c.grey_decided.is_(None), _of(project)]
        if since is not None:
            wanted.append(occurrence.c.failed_at >= since)
        order = occurrence.c.distance, occurrence.c.project, occurrence.c.seq
        query = _query().where(*wanted).order_by(*order)
        if not untouched:
            return await self._rows(query.limit(limit))
        return await self._database.read(
            lambda connection: _untouched(connection, query, project, limit)
        )

    async def find(self, event_id: str, project: str | None = None) -> Sequence[GreyDecision]:
        """Doubtful decisions whose event id starts with this. Raises `Unavailable`."""
        wanted = [occurrence.c.grey, _of(project), starts_with(occurrence.c.event_id, event_id)]
        return await self._rows(_query().where(*wanted).order_by(occurrence.c.event_id).limit(50))

    async def close(
        self,
        decision: GreyDecision,
        label: PairLabel | None,
        verdict: Verdict,
        split: str | None = None,
    ) -> bool:
        """Note the verdict on every doubtful decision about this text. Raises `Unavailable`."""

        def work(connection: Connection) -> bool:
            if label is not None and split is not None:
                pair, there = (label.first, label.second), label_there(connection, label)
                had = None if there is None else label_row(there)
                if not add_review(connection, label.project, split, pair, had):
                    return False
            noted = connection.execute(
                update(occurrence)
                .where(
                    occurrence.c.project == decision.project,
                    occurrence.c.fingerprint.in_(
                        alike(connection, decision.project, [decision.fingerprint])
                    ),
                    occurrence.c.grey,
                    occurrence.c.grey_decided.is_(None),
                )
                .values(grey_decided=verdict)
            )
            if noted.rowcount and label is not None:
                put_label(connection, label)
            return bool(noted.rowcount)

        return await self._database.write(work, "dedup", project=decision.project)

    async def _rows(self, query: Select[Any]) -> list[GreyDecision]:
        return await self._database.read(
            lambda connection: _decisions(connection, connection.execute(query).all())
        )


def _query() -> Select[Any]:
    of_pattern = and_(
        pattern.c.project == occurrence.c.project, pattern.c.pattern_id == occurrence.c.pattern_id
    )
    its_root = and_(_root.c.project == pattern.c.project, _root.c.pattern_id == pattern.c.root)
    its_text = and_(
        embedding.c.project == occurrence.c.project,
        embedding.c.space == occurrence.c.space,
        embedding.c.fingerprint == occurrence.c.fingerprint,
    )
    representative = and_(
        _first.c.project == _root.c.project, _first.c.event_id == _root.c.event_id
    )
    its_medoid = and_(
        medoid.c.project == _root.c.project,
        medoid.c.pattern_id == _root.c.pattern_id,
    )
    medoid_text = and_(
        _medoid_text.c.project == medoid.c.project,
        _medoid_text.c.space == medoid.c.space,
        _medoid_text.c.fingerprint == medoid.c.fingerprint,
    )
    return (
        select(
            occurrence.c.project,
            occurrence.c.event_id,
            occurrence.c.trace_id,
            _root.c.pattern_id,
            occurrence.c.fingerprint,
            medoid.c.fingerprint.label("medoid"),
            _first.c.fingerprint.label("first"),
            occurrence.c.distance,
            occurrence.c.failed_at,
            func.coalesce(embedding.c.text, "").label("text"),
            _medoid_text.c.text.label("medoid_text"),
            _root.c.text.label("first_text"),
            _root.c.name.label("pattern_name"),
            occurrence.c.grey_decided.label("decided"),
        )
        .join(pattern, of_pattern)
        .join(_root, its_root)
        .outerjoin(embedding, its_text)
        .outerjoin(_first, representative)
        .outerjoin(medoid, its_medoid)
        .outerjoin(_medoid_text, medoid_text)
    )


def _untouched(
    connection: Connection, query: Select[Any], project: str | None, limit: int
) -> list[GreyDecision]:
    """The first ones about texts of which no split was undone."""
    undone = undone_splits(connection, project)
    asked = limit
    while True:
        rows = connection.execute(query.limit(asked)).all()
        every = _decisions(connection, rows)
        left = [one for one in every if (one.project, one.fingerprint) not in undone]
        if len(left) >= limit or len(rows) < asked:
            return left[:limit]
        asked *= 2


def _of(project: str | None) -> ColumnElement[bool]:
    return true() if project is None else occurrence.c.project == project


def _decisions(connection: Connection, rows: Sequence[Row[Any]]) -> list[GreyDecision]:
    """With fingerprints as texts are written now, by which their pairs are labelled."""
    named: dict[str, set[str]] = {}
    for row in rows:
        names = {row.fingerprint, row.medoid, row.first} - {None}
        named.setdefault(row.project, set()).update(names)
    now = {
        (project, old): new
        for project, names in named.items()
        for old, new in written_now(connection, project, sorted(names)).items()
    }
    return [_decision(row, now) for row in rows]


def _decision(row: Row[Any], now: Mapping[tuple[str, str], str]) -> GreyDecision:
    """Compared with the text that stands for its pattern; where that is its own, with the first."""
    told = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    own, medoid_, first = (
        now.get((row.project, one), one)
        for one in (told.pop("fingerprint"), told.pop("medoid"), told.pop("first"))
    )
    medoid_text, first_text = told.pop("medoid_text"), told.pop("first_text")
    in_the_middle = medoid_ is not None and medoid_text is not None and medoid_ != own
    return GreyDecision(
        fingerprint=own,
        pattern_fingerprint=medoid_ if in_the_middle else first,
        pattern_text=medoid_text if in_the_middle else first_text,
        **told,
    )
