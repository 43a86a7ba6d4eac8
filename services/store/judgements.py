"""What judges answered, so that nobody is asked twice."""

from sqlalchemy import Connection, bindparam, delete, select

from services.store.database import Database
from services.store.tables import judgement
from services.store.upsert import absorbing

_add = absorbing(judgement)


class Judgements:
    """`services.judge.judge.Judgements`, and the deletion of old ones."""

    def __init__(self, database: Database) -> None:
        """Keep answers in `database`."""
        self._database = database

    async def find(self, project: str, question_id: str) -> str | None:
        """The answer, if there is one. Raises `Unavailable`."""
        wanted = select(judgement.c.answer).where(
            judgement.c.project == project, judgement.c.question_id == question_id
        )
        return await self._database.read(lambda connection: connection.scalar(wanted))

    async def keep(self, project: str, question_id: str, answer: str, *, now_ms: int) -> None:
        """Keep an answer; of one question the first. Raises `Unavailable`."""
        row = {
            "project": project,
            "question_id": question_id,
            "answer": answer,
            "answered_ms": now_ms,
        }
        await self._database.write(lambda connection: connection.execute(_add, row))

    async def expire(self, *, before_ms: int, limit: int) -> int:
        """Delete up to `limit` answers from before; how many there were. Raises `Unavailable`."""
        old = (
            select(judgement.c.project, judgement.c.question_id)
            .where(judgement.c.answered_ms < before_ms)
            .order_by(judgement.c.answered_ms)
            .limit(limit)
        )
        gone = delete(judgement).where(
            judgement.c.project == bindparam("of"), judgement.c.question_id == bindparam("old")
        )

        def work(connection: Connection) -> int:
            keys = [{"of": row.project, "old": row.question_id} for row in connection.execute(old)]
            if keys:
                connection.execute(gone, keys)
            return len(keys)

        return await self._database.write(work)
