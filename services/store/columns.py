"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import TEXT, BigInteger, DateTime, Dialect, Integer, Text, TypeDecorator

Key = Text().with_variant(TEXT(collation="C"), "postgresql")
"""Identifies a row. Compared byte by byte on both databases, so that equal order, equal prefixes
and an index that serves them do not depend on the cluster's locale."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number the database draws; SQLite draws only for a column that is an INTEGER PRIMARY KEY."""


class Words(TypeDecorator[str]):
    """Text for people. What UTF-8 or PostgreSQL cannot hold (NUL, half a surrogate pair) is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """The text as both databases take it."""
        if value is None:
            return None
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


class UtcTime(TypeDecorator[datetime]):
    """A moment, to the microsecond; always aware and in UTC on this side."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC; SQLite's column has no zone to keep."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"{value.isoformat()} does not say in which time zone it is"
            raise ValueError(message)
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The moment, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A value of one msgspec type as JSON text: readable with `psql`, exact when read back."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        """Keep values of `kind`, anything msgspec can decode to."""
        super().__init__()
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """JSON, in which no character is one that PostgreSQL refuses: NUL is always escaped."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """The value. Raises `msgspec.ValidationError` when the column holds something else."""
        return None if value is None else self._decoder.decode(value)
