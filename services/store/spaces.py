"""What `evalratchet dedup reembed` needs beside the patterns' store."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, select

from services.pattern_store import Rewritten
from services.store import rewritten
from services.store.database import Database
from services.store.medoids import shown_text
from services.store.pattern_tables import (
    embedding,
    occurrence,
    pattern,
    pattern_change,
)

_TRACES_OF_ONE = 3  # the latest failures of a text: the archive keeps one of them longest
_latest = (
    select(occurrence.c.seq, occurrence.c.trace_id)
    .where(
        occurrence.c.project == bindparam("in_project"),
        occurrence.c.fingerprint == bindparam("text_of"),
    )
    .order_by(occurrence.c.seq.desc())
    .limit(_TRACES_OF_ONE)
)


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
        return await self._database.read(
            lambda connection: {
                one: traces
                for one, names in rewritten.alike_each(connection, project, fingerprints).items()
                if (traces := _latest_traces(connection, project, names))
            }
        )

    async def written_before(
        self, project: str, space: str, before: str, fingerprints: Sequence[str]
    ) -> Mapping[str, tuple[str, str]]:
        """Fingerprint and text that a space has of texts of another way. Raises `Unavailable`."""
        return await self._database.read(
            lambda connection: rewritten.written_before(
                connection, project, space, before, fingerprints
            )
        )

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
        asked = select(
            table.c.pattern_id, shown_text(table).label("text"), table.c.occurrences
        ).where(table.c.project == project, table.c.pattern_id.in_(pattern_ids))
        rows = await self._database.read(lambda connection: connection.execute(asked).all())
        return {row.pattern_id: (row.text, row.occurrences) for row in rows}

    async def learn(self, project: str, told: Rewritten) -> None:
        """Have failures with these new fingerprints belong to the patterns of the former ones.

        Where there are such failures already, they stay where they are. Raises `Unavailable`.
        """
        if told.now:
            await self._database.write(
                lambda connection: rewritten.learn(connection, project, told),
                "dedup",
                project=project,
            )


def _latest_traces(connection: Connection, project: str, names: Sequence[str]) -> list[str]:
    """Name by name and in the order of the index: a text may have a million failures."""
    rows = [
        row
        for one in names
        for row in connection.execute(_latest, {"in_project": project, "text_of": one})
    ]
    latest = sorted(rows, key=lambda row: row.seq, reverse=True)[:_TRACES_OF_ONE]
    return [row.trace_id for row in latest]
