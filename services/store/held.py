"""Records that a stage has set aside, and the projects that wait for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, delete, func, select, update

from services.store.database import Database
from services.store.held_tables import held_project, held_record
from services.store.upsert import absorbing, merging
from services.stream.holding import HeldProject
from services.stream.outcome import Hold
from services.stream.port import Headers, Record

_headers = msgspec.msgpack.Decoder(Headers)
_add_project = merging(held_project, why="excluded.why")
"""Not only where there is none yet: this has the row, so that nobody forgets it meanwhile."""
_add_record = absorbing(held_record)
_of_these = and_(
    held_project.c.consumer == bindparam("of_consumer"),
    held_project.c.project.in_(bindparam("projects", expanding=True)),
)
_locked = (
    select(held_project.c.project)
    .where(_of_these)
    .order_by(held_project.c.project)
    .with_for_update()
)
_counted = (
    update(held_project)
    .where(_of_these)
    .values(
        records=select(func.count())
        .select_from(held_record)
        .where(
            held_record.c.consumer == held_project.c.consumer,
            held_record.c.project == held_project.c.project,
        )
        .scalar_subquery()
    )
)
_due = (
    update(held_project)
    .where(
        held_project.c.consumer == bindparam("of_consumer"),
        held_project.c.project == bindparam("of_project"),
    )
    .values(due_ms=bindparam("again_ms"))
)
_forget = delete(held_record).where(
    held_record.c.consumer == bindparam("of_consumer"),
    held_record.c.topic == bindparam("of_topic"),
    held_record.c.partition == bindparam("of_partition"),
    held_record.c.offset == bindparam("of_offset"),
    held_record.c.timestamp_ms == bindparam("of_timestamp_ms"),
)


class HeldRecords:
    """`services.stream.holding.HeldRecords`."""

    def __init__(self, database: Database) -> None:
        """Keep records in `database`."""
        self._database = database

    async def projects(self, consumer: str) -> Mapping[str, HeldProject]:
        """Who waits. Raises `Unavailable`."""
        table = held_project
        asked = select(table).where(table.c.consumer == consumer).order_by(table.c.project)
        rows = await self._database.read(lambda connection: connection.execute(asked).all())
        return {
            row.project: HeldProject(
                records=row.records, since_ms=row.since_ms, due_ms=row.due_ms, why=row.why
            )
            for row in rows
        }

    async def hold(
        self, consumer: str, held: Sequence[tuple[Record, Hold]], *, now_ms: int, due_ms: int
    ) -> None:
        """Keep records, in this order, each once. Raises `Unavailable`."""
        whys = {outcome.project: outcome.detail for _, outcome in reversed(held)}
        projects = [
            {
                "consumer": consumer,
                "project": project,
                "records": 0,
                "since_ms": now_ms,
                "due_ms": due_ms,
                "why": why,
            }
            for project, why in sorted(whys.items())
        ]
        records = [_row(consumer, outcome.project, record) for record, outcome in held]

        def work(connection: Connection) -> None:
            connection.execute(_add_project, projects)
            connection.execute(_add_record, records)
            _count(connection, consumer, whys)

        if held:
            await self._database.write(work)

    async def claim(
        self, consumer: str, *, now_ms: int, until_ms: int, limit: int
    ) -> Sequence[str]:
        """Projects that are due, for the caller alone until `until_ms`. Raises `Unavailable`."""
        table = held_project
        due = (
            select(table.c.project)
            .where(table.c.consumer == consumer, table.c.due_ms <= now_ms)
            .order_by(table.c.due_ms, table.c.project)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

        def work(connection: Connection) -> list[str]:
            found = list(connection.scalars(due))
            if found:
                mine = update(table).where(table.c.consumer == consumer, table.c.project.in_(found))
                connection.execute(mine.values(due_ms=until_ms))
            return found

        return await self._database.write(work)

    async def oldest(
        self, consumer: str, projects: Sequence[str], *, limit: int
    ) -> Sequence[Record]:
        """The oldest records, equally many of each project. Raises `Unavailable`."""
        table = held_record
        share = max(1, limit // max(1, len(projects)))

        def work(connection: Connection) -> list[Record]:
            found: list[Record] = []
            for project in projects:
                asked = (
                    select(table)
                    .where(table.c.consumer == consumer, table.c.project == project)
                    .order_by(table.c.seq)
                    .limit(share)
                )
                found += [_record(row) for row in connection.execute(asked)]
            return found

        return await self._database.read(work)

    async def release(
        self, consumer: str, records: Sequence[Record], *, due_ms: Mapping[str, int]
    ) -> None:
        """Forget records that were decided, of these projects. Raises `Unavailable`."""
        table = held_project
        gone = [
            {
                "of_consumer": consumer,
                "of_topic": record.topic,
                "of_partition": record.partition,
                "of_offset": record.offset,
                "of_timestamp_ms": record.timestamp_ms,
            }
            for record in records
        ]
        again = [
            {"of_consumer": consumer, "of_project": project, "again_ms": due}
            for project, due in sorted(due_ms.items())
        ]
        empty = delete(table).where(
            table.c.consumer == consumer, table.c.project.in_(sorted(due_ms)), table.c.records == 0
        )

        def work(connection: Connection) -> None:
            _lock(connection, consumer, due_ms)
            if gone:
                connection.execute(_forget, gone)
            _count(connection, consumer, due_ms)
            connection.execute(_due, again)
            connection.execute(empty)

        if due_ms:
            await self._database.write(work)


def _lock(connection: Connection, consumer: str, projects: Iterable[str]) -> None:
    """Have these projects alone: what others set aside for them comes before or after, not between."""
    asked = {"of_consumer": consumer, "projects": sorted(projects)}
    connection.execute(_locked, asked).all()


def _count(connection: Connection, consumer: str, projects: Iterable[str]) -> None:
    connection.execute(_counted, {"of_consumer": consumer, "projects": sorted(projects)})


def _row(consumer: str, project: str, record: Record) -> dict[str, Any]:
    return {
        "consumer": consumer,
        "project": project,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key,
        "value": record.value,
        "headers": msgspec.msgpack.encode(record.headers),
        "timestamp_ms": record.timestamp_ms,
    }


def _record(row: Row[Any]) -> Record:
    return Record(
        row.topic,
        row.partition,
        row.offset,
        row.key,
        row.value,
        _headers.decode(row.headers),
        row.timestamp_ms,
    )
