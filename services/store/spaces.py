"""What `evalratchet dedup reembed` needs beside the patterns' store."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from dedup.assign import KnownFingerprint
from services.store import pattern_rows
from services.store.change_cases import members_of
from services.store.database import Database
from services.store.pattern_tables import (
    embedding,
    occurrence,
    pattern,
    pattern_change,
    pattern_fingerprint,
)
from services.store.upsert import absorbing

_add_fingerprint = absorbing(pattern_fingerprint)
_learn_again = (
    update(pattern_fingerprint)
    .where(
        pattern_fingerprint.c.project == bindparam("in_project"),
        pattern_fingerprint.c.fingerprint == bindparam("learnt"),
    )
    .values(pattern_id=bindparam("now"), distance=bindparam("far"))
)
_TRACES_OF_ONE = 3  # the latest failures of a text: the archive keeps one of them longest


class SpaceRecords:
    """`services.reembedding.SpaceRecords`."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def texts(self, project: str, space: str) -> int:
        """How many texts the space has. Raises `Unavailable`."""
        table = embedding
        asked = (
            select(func.count())
            .select_from(table)
            .where(table.c.project == project, table.c.space == space)
        )
        found: int = await self._database.read(
            lambda connection: connection.execute(asked).scalar_one()
        )
        return found

    async def traces_of(
        self, project: str, fingerprints: Sequence[str]
    ) -> Mapping[str, Sequence[str]]:
        """The latest traces that failed with these texts, the latest first. Raises `Unavailable`."""
        table = occurrence
        place = func.row_number().over(
            partition_by=table.c.fingerprint, order_by=table.c.seq.desc()
        )
        ranked = (
            select(table.c.fingerprint, table.c.trace_id, place.label("place"))
            .where(table.c.project == project, table.c.fingerprint.in_(fingerprints))
            .subquery()
        )
        asked = (
            select(ranked.c.fingerprint, ranked.c.trace_id)
            .where(ranked.c.place <= _TRACES_OF_ONE)
            .order_by(ranked.c.fingerprint, ranked.c.place)
        )
        rows = await self._database.read(lambda connection: connection.execute(asked).all())
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row.fingerprint, []).append(row.trace_id)
        return found

    async def changes(self, project: str) -> int:
        """How many merges, splits and undos there were. Raises `Unavailable`."""
        table = pattern_change
        asked = select(func.count()).select_from(table).where(table.c.project == project)
        found: int = await self._database.read(
            lambda connection: connection.execute(asked).scalar_one()
        )
        return found

    async def described(
        self, project: str, pattern_ids: Sequence[str]
    ) -> Mapping[str, tuple[str, int]]:
        """The representative's text and the occurrences of these patterns. Raises `Unavailable`."""
        table = pattern
        asked = select(table.c.pattern_id, table.c.text, table.c.occurrences).where(
            table.c.project == project, table.c.pattern_id.in_(pattern_ids)
        )
        rows = await self._database.read(lambda connection: connection.execute(asked).all())
        return {row.pattern_id: (row.text, row.occurrences) for row in rows}

    async def learn(self, project: str, known: Mapping[str, KnownFingerprint]) -> None:
        """Have failures with these fingerprints belong to these patterns.

        Where there are such failures already, they stay where they are. Raises `Unavailable`.
        """
        rows = [
            {
                "project": project,
                "fingerprint": fingerprint,
                "pattern_id": one.pattern_id,
                "distance": one.distance,
            }
            for fingerprint, one in sorted(known.items())
        ]

        def work(connection: Connection) -> None:
            stale = _stale(connection, project, known)
            connection.execute(_add_fingerprint, rows)
            if stale:
                now = [
                    {
                        "in_project": project,
                        "learnt": fingerprint,
                        "now": known[fingerprint].pattern_id,
                        "far": known[fingerprint].distance,
                    }
                    for fingerprint in stale
                ]
                connection.execute(_learn_again, now)

        if rows:
            await self._database.write(work, "dedup", project=project)


def _stale(
    connection: Connection, project: str, known: Mapping[str, KnownFingerprint]
) -> list[str]:
    """What was learnt by an earlier run and has not failed since: its pattern was split meanwhile."""
    there = pattern_rows.fingerprints(connection, project, sorted(known))
    other = {
        key: one.pattern_id for key, one in there.items() if one.pattern_id != known[key].pattern_id
    }
    if not other:
        return []
    members = members_of(connection, project, sorted(set(other.values())))
    parts = sorted({part for ids in members.values() for part in ids})
    failed = connection.scalars(
        select(occurrence.c.fingerprint)
        .where(
            occurrence.c.project == project,
            occurrence.c.pattern_id.in_(parts),
            occurrence.c.fingerprint.in_(sorted(other)),
        )
        .distinct()
    )
    return sorted(other.keys() - set(failed))
