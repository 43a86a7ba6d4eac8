"""A project's grouping as a whole: what was decided, in order, with vectors."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Connection, Row, Select, and_, case, cast, func, select

from dedup.by_hand import ByHand
from dedup.history import History, Move
from services.knob import Recorded, SeenPatterns
from services.store.by_hand import said_of
from services.store.database import Database
from services.store.geometries import as_geometry
from services.store.mode_tables import mode, pattern_mode
from services.store.pattern_tables import (
    embedding,
    geometry,
    occurrence,
    pattern,
    pattern_fingerprint,
    serving_space,
)
from services.store.rewritten import Now, as_now, text_now

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

    async def called(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, str]:
        """The names of these patterns, as far as they have one. Raises `Unavailable`."""
        named = select(pattern.c.pattern_id, pattern.c.name).where(
            pattern.c.project == project, pattern.c.name.is_not(None)
        )
        rows = await self._of_many(named, pattern.c.pattern_id, pattern_ids)
        return {row.pattern_id: row.name for row in rows}

    async def arrivals(self, project: str) -> Sequence[str]:
        """The fingerprint of every failure, in order. Raises `Unavailable`."""

        def arrived(connection: Connection) -> list[str]:
            now = _now(connection, project)
            every = (
                select(now.fingerprint)
                .select_from(occurrence.outerjoin(now.table, now.on))
                .where(occurrence.c.project == project)
                .order_by(occurrence.c.seq)
            )
            return list(connection.execute(every).scalars())

        return await self._database.read(arrived)

    async def events(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, str]:
        """One event id for each fingerprint of these patterns. Raises `Unavailable`.

        Of a failure of the pattern that the text belongs to: one of another may be written the same now.
        """
        now = await self._database.read(lambda connection: _now(connection, project))
        home = pattern.alias()
        of_text = and_(
            pattern_fingerprint.c.project == project,
            pattern_fingerprint.c.fingerprint == now.fingerprint,
        )
        of_home = and_(
            home.c.project == project, home.c.pattern_id == pattern_fingerprint.c.pattern_id
        )
        one = (
            select(
                now.fingerprint.label("fingerprint"),
                func.min(occurrence.c.event_id).label("event_id"),
            )
            .select_from(occurrence.outerjoin(now.table, now.on))
            .join(pattern, _its_pattern(occurrence))
            .join(pattern_fingerprint, of_text)
            .join(home, of_home)
            .where(occurrence.c.project == project, home.c.root == pattern.c.root)
            .group_by(now.fingerprint)
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


def _now(connection: Connection, project: str) -> Now:
    return as_now(project, occurrence.c.fingerprint, text_now(connection, project))


def _in_space(project: str, space: str | None) -> Any:
    return and_(embedding.c.project == project, embedding.c.space == space)


def _its_pattern(table: Any) -> Any:
    return and_(pattern.c.project == table.c.project, pattern.c.pattern_id == table.c.pattern_id)


def _recorded(connection: Connection, project: str, since: datetime | None) -> Recorded | None:
    space = _space(connection, project)
    if space is None:
        return None
    moves = _moves(connection, project, space)
    rows = connection.execute(_texts(_now(connection, project), project, space, since)).all()
    with_vector = [row for row in rows if row.vector is not None]
    said = said_of(connection, project, with_vector)
    history = _history(with_vector, moves, said)
    return Recorded(
        project=project,
        space=space,
        history=history,
        without_vector=len(rows) - len(with_vector),
        failures_without_vector=sum(row.occurrences for row in rows if row.vector is None),
        by_hand=0 if said is None else len(np.unique(history.patterns[said.concerned])),
    )


def _texts(now: Now, project: str, space: str, since: datetime | None) -> Select[Any]:
    """Every text that was decided about, in order, with its vector where the space has one.

    As it is written now: what failed before the project's text policy changed is told by its text today.
    """
    asked: Any = func.count()
    first_asked: Any = func.min(occurrence.c.seq)
    if since is not None:
        recent = occurrence.c.failed_at >= since
        asked = func.count().filter(recent)
        first_asked = func.min(case((recent, occurrence.c.seq)))
    by_text = (
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
    # texts, not occurrences, are looked up: there are fewer of them
    now = as_now(project, by_text.c.fingerprint, now.text)
    counted = (
        select(
            now.fingerprint.label("fingerprint"),
            func.min(by_text.c.first).label("first"),
            func.min(by_text.c.first_asked).label("first_asked"),
            cast(func.sum(by_text.c.occurrences), BigInteger).label("occurrences"),
            cast(func.sum(by_text.c.asked), BigInteger).label("asked"),
        )
        .select_from(by_text.outerjoin(now.table, now.on))
        .group_by(now.fingerprint)
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
            counted.c.first,
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
    return [Move(row.texts, as_geometry(row)) for row in rows]


def _history(rows: Sequence[Row[Any]], moves: Sequence[Move], said: ByHand | None) -> History:
    # by columns: asking a hundred thousand rows for each value by name takes as long as reading them
    columns = list(zip(*rows, strict=True)) or [()] * 9
    fingerprints, occurrences, asked, before, decided, roots, guards, halves, _ = columns
    codes: dict[str, int] = {}
    for name in (*roots, *decided):
        codes.setdefault(name, len(codes))
    dimension = len(halves[0]) // 2 if halves else 1
    return History(
        fingerprints=fingerprints,
        guards=guards,
        patterns=np.array([codes[root] for root in roots], dtype=np.int64),
        decided=np.array([codes[name] for name in decided], dtype=np.int64),
        names=list(codes),
        occurrences=np.array(occurrences, dtype=np.int64),
        asked=np.array(asked, dtype=np.int64),
        fixed=np.array(before, dtype=bool),
        vectors=np.frombuffer(b"".join(halves), "<f2").astype(np.float32).reshape(-1, dimension),
        moves=moves,
        by_hand=said,
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
