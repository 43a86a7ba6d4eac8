"""Which space serves a project, and how its vectors are compared."""

from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, insert, select

from dedup.geometry import Geometry, is_young
from services.pattern_store import GeometryMove, Serving
from services.store.pattern_tables import geometry, serving_space


def serving(connection: Connection, project: str) -> Serving | None:
    """The space that serves a project."""
    newest = (
        select(serving_space)
        .where(serving_space.c.project == project)
        .order_by(serving_space.c.ordinal.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    return None if row is None else _serving(row)


def served(connection: Connection, project: str) -> list[Serving]:
    """Every space that served a project, the latest first."""
    every = (
        select(serving_space)
        .where(serving_space.c.project == project)
        .order_by(serving_space.c.ordinal.desc())
    )
    return [_serving(row) for row in connection.execute(every)]


def serve(connection: Connection, project: str, new: Serving) -> None:
    """Have a space serve from now on. Raises `ValueError` where `ordinal` is not the next one."""
    now = serving(connection, project)
    expected = 1 if now is None else now.ordinal + 1
    if new.ordinal != expected:
        message = f"the next serving space of {project} has ordinal {expected}, not {new.ordinal}"
        raise ValueError(message)
    row = {
        "project": project,
        "ordinal": new.ordinal,
        "space": new.space,
        "encoder": new.encoder,
        "text": new.text,
        "changed_by": new.by,
        "reason": new.reason,
        "changed_at": new.at,
    }
    connection.execute(insert(serving_space), row)


def geometry_of(connection: Connection, project: str, space: str) -> Geometry | None:
    """A space's geometry in force."""
    newest = (
        select(geometry)
        .where(geometry.c.project == project, geometry.c.space == space)
        .order_by(geometry.c.number.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    return None if row is None else as_geometry(row)


def moves(connection: Connection, project: str, space: str) -> list[GeometryMove]:
    """Every geometry a space had, the first one first."""
    every = (
        select(geometry)
        .where(geometry.c.project == project, geometry.c.space == space)
        .order_by(geometry.c.number)
    )
    return [
        GeometryMove(
            space=row.space,
            geometry=as_geometry(row),
            kind=row.kind,
            texts=row.texts,
            by=row.changed_by,
            reason=row.reason,
            at=row.changed_at,
            detail=row.detail,
        )
        for row in connection.execute(every)
    ]


def move(connection: Connection, project: str, new: GeometryMove) -> None:
    """Put a geometry in force."""
    metric = new.geometry.metric
    row = {
        "project": project,
        "space": new.space,
        "number": new.geometry.number,
        "centre": new.geometry.centre.astype("<f4").tobytes(),
        "metric": None if metric is None else metric.astype("<f4").tobytes(),
        "kind": new.kind,
        "texts": new.texts,
        "changed_by": new.by,
        "reason": new.reason,
        "changed_at": new.at,
        "detail": new.detail,
    }
    connection.execute(insert(geometry), row)


def _serving(row: Row[Any]) -> Serving:
    return Serving(
        ordinal=row.ordinal,
        space=row.space,
        encoder=row.encoder,
        text=row.text,
        by=row.changed_by,
        reason=row.reason,
        at=row.changed_at,
    )


def as_geometry(row: Row[Any]) -> Geometry:
    """The geometry that a row of the table tells: its number, centre, metric and texts."""
    centre = np.frombuffer(row.centre, "<f4").copy()
    metric = None
    if row.metric is not None:
        metric = np.frombuffer(row.metric, "<f4").reshape(len(centre), len(centre)).copy()
    return Geometry(row.number, centre, metric, is_young(row.texts))
