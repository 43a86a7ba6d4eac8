"""A project's grouping as a whole: what was decided, in order, with vectors."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, and_, case, func, select

from dedup.geometry import Geometry, is_young
from dedup.history import History, Move
from services.knob import REASSIGNED, Recorded, SeenPatterns
from services.store.database import Database
from services.store.mode_tables import mode, pattern_mode
from services.store.pattern_tables import (
    embedding,
    geometry,
    occurrence,
    pattern,
    pattern_change,
    pattern_fingerprint,
    serving_space,
)

_MANY = 500  # values of one IN: SQLite takes 32,766 variables, PostgreSQL plans best with fewer


class Knob:
    """`services.knob.KnobReader`."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def history(self, project: str, *, since: datetime | None = None) -> Recorded | None:
        """The project's texts with vectors; None while no space serves it. Raises `Unavailable`."""
        return await self._database.read(lambda connection: _recorded(connection, project, since))

    async def size(self, project: str) -> int:
        """How many texts `history` would have. Raises `Unavailable`."""

        def counted(connection: Connection) -> int:
            space = _space(connection, project)
            texts = select(func.count()).select_from(embedding).where(_in_space(project, space))
            return int(connection.execute(texts).scalar_one())

        return await self._database.read(counted)

    async def texts(
        self, project: str, space: str, fingerprints: Sequence[str]
    ) -> Mapping[str, str]:
        """The texts of these fingerprints. Raises `Unavailable`."""
        wanted = select(embedding.c.fingerprint, embedding.c.text).where(_in_space(project, space))
        rows = await self._of_many(wanted, embedding.c.fingerprint, fingerprints)
        return {row.fingerprint: row.text for row in rows}

    async def arrivals(self, project: str) -> Sequence[str]:
        """The fingerprint of every failure, in order. Raises `Unavailable`."""
        every = (
            select(occurrence.c.fingerprint)
            .where(occurrence.c.project == project)
            .order_by(occurrence.c.seq)
        )
        return await self._database.read(
            lambda connection: list(connection.execute(every).scalars())
        )

    async def events(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, str]:
        """One event id for each fingerprint of these patterns. Raises `Unavailable`."""
        one = (
            select(occurrence.c.fingerprint, func.min(occurrence.c.event_id).label("event_id"))
            .where(occurrence.c.project == project)
            .join(pattern, _its_pattern(occurrence))
            .group_by(occurrence.c.fingerprint)
        )
        rows = await self._of_many(one, pattern.c.root, pattern_ids)
        return {row.fingerprint: row.event_id for row in rows}

    async def seen(self, project: str | None = None) -> Sequence[SeenPatterns]:
        """How often patterns were seen, of one project or of each. Raises `Unavailable`."""
        return await self._database.read(lambda connection: _seen(connection, project))

    async def new_at(self, project: str) -> np.ndarray:
        """With which failure each pattern was first seen, (m,) int64. Raises `Unavailable`."""
        numbered = (
            select(
                pattern.c.root,
                func.row_number().over(order_by=occurrence.c.seq).label("number"),
            )
            .join(pattern, _its_pattern(occurrence))
            .where(occurrence.c.project == project)
            .subquery()
        )
        firsts = select(func.min(numbered.c.number)).group_by(numbered.c.root)
        rows = await self._database.read(
            lambda connection: connection.execute(firsts).scalars().all()
        )
        return np.sort(np.array(rows, dtype=np.int64))

    async def _of_many(
        self, query: Select[Any], column: Any, values: Sequence[str]
    ) -> list[Row[Any]]:
        def asked(connection: Connection) -> list[Row[Any]]:
            rows: list[Row[Any]] = []
            for start in range(0, len(values), _MANY):
                some = column.in_(values[start : start + _MANY])
                rows += connection.execute(query.where(some)).all()
            return rows

        return await self._database.read(asked)


def _space(connection: Connection, project: str) -> str | None:
    latest = (
        select(serving_space.c.space)
        .where(serving_space.c.project == project)
        .order_by(serving_space.c.ordinal.desc())
        .limit(1)
    )
    return connection.execute(latest).scalar()


def _in_space(project: str, space: str | None) -> Any:
    return and_(embedding.c.project == project, embedding.c.space == space)


def _its_pattern(table: Any) -> Any:
    return and_(pattern.c.project == table.c.project, pattern.c.pattern_id == table.c.pattern_id)


def _recorded(connection: Connection, project: str, since: datetime | None) -> Recorded | None:
    space = _space(connection, project)
    if space is None:
        return None
    moves = _moves(connection, project, space)
    rows = connection.execute(_texts(project, space, since)).all()
    with_vector = [row for row in rows if row.vector is not None]
    by_hand = _by_hand(connection, project)
    return Recorded(
        project=project,
        space=space,
        history=_history(with_vector, moves, by_hand),
        without_vector=len(rows) - len(with_vector),
        failures_without_vector=sum(row.occurrences for row in rows if row.vector is None),
        by_hand=len(by_hand & {row.root for row in with_vector}),
    )


def _texts(project: str, space: str, since: datetime | None) -> Select[Any]:
    """Every text that was decided about, in order, with its vector where the space has one."""
    asked: Any = func.count()
    first_asked: Any = func.min(occurrence.c.seq)
    if since is not None:
        recent = occurrence.c.failed_at >= since
        asked = func.count().filter(recent)
        first_asked = func.min(case((recent, occurrence.c.seq)))
    counted = (
        select(
            occurrence.c.fingerprint,
            func.min(occurrence.c.seq).label("first"),
            first_asked.label("first_asked"),
            func.count().label("occurrences"),
            asked.label("asked"),
        )
        .where(occurrence.c.project == project)
        .group_by(occurrence.c.fingerprint)
        .subquery()
    )
    of_text = and_(
        pattern_fingerprint.c.project == project,
        pattern_fingerprint.c.fingerprint == counted.c.fingerprint,
    )
    vector_of = and_(_in_space(project, space), embedding.c.fingerprint == counted.c.fingerprint)
    return (
        select(
            counted.c.fingerprint,
            counted.c.occurrences,
            counted.c.asked,
            (func.coalesce(counted.c.first_asked, -1) != counted.c.first).label("before"),
            pattern.c.pattern_id,
            pattern.c.root,
            embedding.c.guard,
            embedding.c.vector,
        )
        .select_from(counted)
        .join(pattern_fingerprint, of_text)
        .join(pattern, _its_pattern(pattern_fingerprint))
        .outerjoin(embedding, vector_of)
        .order_by(counted.c.first)
    )


def _moves(connection: Connection, project: str, space: str) -> list[Move]:
    rows = connection.execute(
        select(geometry.c.number, geometry.c.texts, geometry.c.centre, geometry.c.metric)
        .where(geometry.c.project == project, geometry.c.space == space)
        .order_by(geometry.c.number)
    )
    moves = []
    for row in rows:
        centre = np.frombuffer(row.centre, "<f4")
        metric = None
        if row.metric is not None:
            metric = np.frombuffer(row.metric, "<f4").reshape(len(centre), len(centre))
        young = is_young(row.texts)
        moves.append(Move(row.texts, Geometry(row.number, centre, metric, young)))
    return moves


def _by_hand(connection: Connection, project: str) -> set[str]:
    """Patterns that stand as a person made them, as they are called now."""
    changes = select(pattern_change.c.kind, pattern_change.c.detail).where(
        pattern_change.c.project == project,
        pattern_change.c.kind.in_(("merge", "split")),
        pattern_change.c.undone_by.is_(None),
        ~pattern_change.c.reason.startswith(REASSIGNED, autoescape=True),
    )
    touched = {
        str(detail[end])
        for kind, detail in connection.execute(changes)
        for end in (("into",) if kind == "merge" else ("from", "to"))
        if end in detail
    }
    if not touched:
        return set()
    roots = select(pattern.c.pattern_id, pattern.c.root).where(
        pattern.c.project == project, pattern.c.root != pattern.c.pattern_id
    )
    root_of = {row.pattern_id: row.root for row in connection.execute(roots)}
    return {root_of.get(pattern_id, pattern_id) for pattern_id in touched}


def _history(rows: Sequence[Row[Any]], moves: Sequence[Move], by_hand: set[str]) -> History:
    # by columns: asking a hundred thousand rows for each value by name takes as long as reading them
    columns = list(zip(*rows, strict=True)) or [()] * 8
    fingerprints, occurrences, asked, before, decided, roots, guards, halves = columns
    codes: dict[str, int] = {}
    for name in (*roots, *decided):
        codes.setdefault(name, len(codes))
    dimension = len(halves[0]) // 2 if halves else 1
    hand = np.array([root in by_hand for root in roots], dtype=bool)
    return History(
        fingerprints=fingerprints,
        guards=guards,
        patterns=np.array([codes[root] for root in roots], dtype=np.int64),
        decided=np.array([codes[name] for name in decided], dtype=np.int64),
        names=list(codes),
        occurrences=np.array(occurrences, dtype=np.int64),
        asked=np.array(asked, dtype=np.int64),
        fixed=np.array(before, dtype=bool) | hand,
        vectors=np.frombuffer(b"".join(halves), "<f2").astype(np.float32).reshape(-1, dimension),
        moves=moves,
    )


def _seen(connection: Connection, project: str | None) -> list[SeenPatterns]:
    roots = pattern.c.root == pattern.c.pattern_id
    wanted = roots if project is None else and_(roots, pattern.c.project == project)
    every = (
        select(pattern.c.project, pattern.c.occurrences, func.count().label("patterns"))
        .where(wanted)
        .group_by(pattern.c.project, pattern.c.occurrences)
    )
    in_mode = and_(
        pattern_mode.c.project == pattern.c.project,
        pattern_mode.c.pattern_id == pattern.c.pattern_id,
    )
    of_mode = and_(
        mode.c.project == pattern_mode.c.project, mode.c.mode_id == pattern_mode.c.mode_id
    )
    by_mode = (
        select(
            pattern.c.project,
            mode.c.mode_id,
            mode.c.name,
            pattern.c.occurrences,
            func.count().label("patterns"),
        )
        .join(pattern_mode, in_mode)
        .join(mode, of_mode)
        .where(wanted, mode.c.gone_refit.is_(None))
        .group_by(pattern.c.project, mode.c.mode_id, mode.c.name, pattern.c.occurrences)
    )
    seen: defaultdict[str, Counter[int]] = defaultdict(Counter)
    modes: defaultdict[str, dict[str, Counter[int]]] = defaultdict(dict)
    names: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(every):
        seen[row.project][row.occurrences] += row.patterns
    for row in connection.execute(by_mode):
        names[row.project][row.mode_id] = row.name
        modes[row.project].setdefault(row.mode_id, Counter())[row.occurrences] += row.patterns
    return [
        SeenPatterns(project=one, seen=seen[one], by_mode=modes[one], modes=names[one])
        for one in sorted(seen)
    ]
