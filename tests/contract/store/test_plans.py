"""Statements that a large store must not answer by reading everything: by which index they go."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Select, func, insert, select, text

from services.store.changed_patterns import of_pattern
from services.store.open import Store
from services.store.pattern_tables import occurrence, pattern
from services.store.spaces import _latest

START = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
ROWS = 30_000


def fill(connection: Connection) -> None:
    """One project with as many failures as a database does not just read through."""
    patterns = [f"p{n:04d}" for n in range(ROWS // 3)]
    connection.execute(
        insert(pattern),
        [
            {
                "project": "shop",
                "pattern_id": one,
                "space": "s/text-1",
                "text": "",
                "event_id": "e",
                "trace_id": "t",
                "occurrences": 3,
                "first_failed_at": START,
                "last_failed_at": START,
                "root": patterns[0] if 0 < n < 20 else one,
            }
            for n, one in enumerate(patterns)
        ],
    )
    connection.execute(
        insert(occurrence),
        [
            {
                "project": "shop",
                "event_id": f"e{n}",
                "trace_id": f"t{n}",
                "pattern_id": patterns[n // 3],
                "decided_by": "embedding",
                "distance": 0.1,
                "fingerprint": f"f{n % 2_000}",
                "space": "s/text-1",
                "failed_at": START,
            }
            for n in range(ROWS)
        ],
    )
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE"))


def plan(connection: Connection, statement: Select[Any], **values: Any) -> str:
    """How the database would find the rows."""
    said = statement.params(**values)
    words = said.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.execute(text(f"{explain} {str(words).replace(':', chr(92) + ':')}"))
    return "\n".join(str(row[-1]) for row in rows)


@pytest.fixture
async def explain(store: Store) -> Any:
    await store._database.write(fill)

    async def explained(statement: Select[Any], **values: Any) -> str:
        return await store._database.read(lambda connection: plan(connection, statement, **values))

    return explained


async def test_the_latest_failures_of_a_text_are_the_end_of_an_index(explain: Any) -> None:
    found = await explain(_latest, in_project="shop", text_of="f7")
    assert "ix_occurrence_fingerprint" in found
    assert "sort" not in found.lower()
    assert "temp b-tree" not in found.lower()
    assert "seq scan" not in found.lower()


async def test_a_pattern_s_failures_are_found_by_their_pattern(explain: Any) -> None:
    """Also where many patterns were merged into it."""
    counted = select(func.count()).select_from(occurrence).where(of_pattern("shop", "p0000"))
    found = await explain(counted)
    assert "ix_occurrence_pattern" in found
    assert "ix_pattern_merged" in found
    assert "seq scan" not in found.lower()
    assert "scan occurrence" not in found.lower()
