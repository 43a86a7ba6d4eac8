"""Names that reviewers give to patterns, and take away again."""

from sqlalchemy import Connection

from services.pattern_changes import MOST_NAME, NotPossible, PatternChange
from services.store import change_rows
from services.store.change_rows import Before, Signed
from services.store.changed_patterns import put, root_rows

_JOINERS = "\u200c\u200d"  # not seen themselves, and part of words of many languages


def name(
    connection: Connection, project: str, pattern_id: str, called: str | None, signed: Signed
) -> PatternChange:
    """Name a pattern; None: take its name away. Raises `NotPossible`."""
    (row,) = root_rows(connection, project, [pattern_id])
    new = None if called is None else _checked(called)
    if new == row.name:
        message = (
            f"Pattern {row.pattern_id} has {f'the name {new!r}' if new else 'no name'} already."
        )
        raise NotPossible(message)
    number = change_rows.next_change(connection, project)
    put(connection, project, row.pattern_id, {"name": new})
    detail = {"pattern": row.pattern_id, "name": new, "before": row.name}
    return change_rows.add_change(connection, project, number, "name", signed, detail, Before())


def unname(
    connection: Connection,
    project: str,
    change: PatternChange,
    before: Before,  # noqa: ARG001 - what was before, people may see
    undo_id: str,  # noqa: ARG001 - nothing is superseded by it
) -> list[str]:
    """Have a pattern be called as before. Returns it."""
    pattern_id: str = change.detail["pattern"]
    put(connection, project, pattern_id, {"name": change.detail["before"]})
    return [pattern_id]


def _checked(called: str) -> str:
    """The name in one line. Raises `NotPossible`."""
    new = " ".join(called.split())
    odd = next((one for one in new if not (one.isprintable() or one in _JOINERS)), None)
    if odd is not None:
        message = (
            f"A name has only characters that can be seen, and this one has {odd!a}. Leave it out."
        )
        raise NotPossible(message)
    if not new.strip(_JOINERS):
        message = "A name has at least one letter. To take a name away, clear it."
        raise NotPossible(message)
    if len(new) > MOST_NAME:
        message = f"A name has at most {MOST_NAME} characters, this one has {len(new)}."
        raise NotPossible(message)
    return new
