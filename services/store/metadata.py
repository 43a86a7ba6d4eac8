"""Where all tables are registered, and how their constraints are named."""

from typing import Any

from sqlalchemy import MetaData, text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def only(condition: str) -> dict[str, Any]:
    """An index over the rows that fulfil a condition, in SQL that both databases read."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}
