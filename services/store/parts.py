"""The ids that mean a pattern: its own, and those of the patterns that were merged into it.

As a subquery, for statements: a pattern may be made of more patterns than one statement takes names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.selectable import CompoundSelect

from services.store.pattern_tables import pattern

NAMES_A_STATEMENT = 5_000
"""PostgreSQL and SQLite take 32,767 parameters; a name may come several times."""

T = TypeVar("T")

_merged = pattern.c.root != pattern.c.pattern_id


def parts_of(project: str, root: str) -> CompoundSelect[tuple[str]]:
    """The ids that mean this root, its own among them."""
    merged = select(pattern.c.pattern_id).where(
        pattern.c.project == project, pattern.c.root == root, _merged
    )
    return union_all(select(literal(root, pattern.c.pattern_id.type)), merged)


def in_steps(names: Sequence[T]) -> Iterator[Sequence[T]]:
    """Names as many at a time as a statement takes."""
    for start in range(0, len(names), NAMES_A_STATEMENT):
        yield names[start : start + NAMES_A_STATEMENT]


def rows_of(
    connection: Connection,
    names: Sequence[str],
    query: Callable[[Sequence[str]], Select[Any]],
) -> list[Row[Any]]:
    """The rows of a query about names, asked in steps."""
    return [row for some in in_steps(names) for row in connection.execute(query(some))]


def members_of(connection: Connection, project: str, roots: Sequence[str]) -> dict[str, list[str]]:
    """By root, itself first, every id that means it."""
    found: dict[str, list[str]] = {root: [root] for root in roots}
    rows = rows_of(
        connection,
        roots,
        lambda some: (
            select(pattern.c.pattern_id, pattern.c.root)
            .where(pattern.c.project == project, pattern.c.root.in_(some), _merged)
            .order_by(pattern.c.pattern_id)
        ),
    )
    for row in rows:
        found[row.root].append(row.pattern_id)
    return found


def is_part(column: ColumnElement[str], project: str, root: str) -> ColumnElement[bool]:
    """Whether a column of pattern ids names this root or a part of it."""
    return column.in_(parts_of(project, root))


def merged_into(table: Any, project: str, roots: Sequence[str]) -> ColumnElement[bool]:
    """What to join `pattern` by, for the rows of parts of these roots. Not of the roots themselves."""
    return and_(
        pattern.c.project == project,
        pattern.c.root.in_(roots),
        _merged,
        table.c.project == pattern.c.project,
        table.c.pattern_id == pattern.c.pattern_id,
    )


def merge_roots(connection: Connection, project: str, roots: Sequence[str], into: str) -> None:
    """Make these roots, and what is part of them, part of another one."""
    for some in in_steps(roots):
        own, theirs = pattern.c.pattern_id.in_(some), and_(pattern.c.root.in_(some), _merged)
        connection.execute(
            update(pattern).where(pattern.c.project == project, or_(own, theirs)).values(root=into)
        )


def put_roots(connection: Connection, project: str, members: Mapping[str, Sequence[str]]) -> None:
    """Have patterns be part of these roots again. `members`: by root."""
    for root, parts in members.items():
        for some in in_steps(parts):
            connection.execute(_put_root, {"in_project": project, "parts": some, "now": root})


_put_root = (
    update(pattern)
    .where(
        pattern.c.project == bindparam("in_project"),
        pattern.c.pattern_id.in_(bindparam("parts", expanding=True)),
    )
    .values(root=bindparam("now"))
)
