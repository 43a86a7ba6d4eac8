"""Counting what clients sent, from wherever a route finds out what became of it."""

from starlette.requests import Request
from starlette.types import Scope

from services.telemetry import ItemKind, ItemReason, Metrics

_IN_SCOPE = "evalratchet.metrics"  # of the ASGI scope, where the guard leaves them


def put_metrics(scope: Scope, metrics: Metrics) -> None:
    """Leave the process's metrics where `count_items` finds them."""
    scope[_IN_SCOPE] = metrics


def count_items(request: Request, kind: ItemKind, reason: ItemReason, number: int) -> None:
    """Count items of a request as accepted (no reason) or rejected."""
    metrics: Metrics | None = request.scope.get(_IN_SCOPE)
    if metrics is not None:
        metrics.count_items(kind, reason, number)
