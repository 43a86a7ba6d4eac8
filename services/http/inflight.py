"""The bytes of all bodies in hand, so that many large requests at once cannot fill the memory."""

from starlette.requests import Request
from starlette.types import Scope

from services.http.problem import busy

_IN_SCOPE = "evalratchet.hold"  # of the ASGI scope, where the guard leaves it


class Budget:
    """How many bytes all requests together may hold. Nobody waits for it: so nobody waits for ever."""

    def __init__(self, max_bytes: int) -> None:
        """Nothing is held."""
        self.max_bytes = max_bytes
        self.held = 0


class Hold:
    """What one request holds, until it is answered."""

    __slots__ = ("_budget", "bytes", "grace_seconds", "min_bytes_per_second")

    def __init__(self, budget: Budget, *, grace_seconds: float, min_bytes_per_second: int) -> None:
        """Hold nothing. The body has `grace_seconds`, and a second for each `min_bytes_per_second`."""
        self._budget = budget
        self.bytes = 0
        self.grace_seconds = grace_seconds
        self.min_bytes_per_second = min_bytes_per_second

    def grow(self, size: int) -> None:
        """Hold so many bytes more. Raises `Problem`, 503, when all requests hold too many."""
        budget = self._budget
        if budget.held + size > budget.max_bytes:
            why = (
                f"requests in hand have {budget.held} bytes of at most {budget.max_bytes} "
                "(EVALRATCHET_MAX_INFLIGHT_BYTES)"
            )
            raise busy(why)
        budget.held += size
        self.bytes += size

    def release(self) -> None:
        """Hold nothing any more."""
        self._budget.held -= self.bytes
        self.bytes = 0


def put_hold(scope: Scope, hold: Hold) -> None:
    """Leave a request's hold where `hold_of` finds it."""
    scope[_IN_SCOPE] = hold


def hold_of(request: Request) -> Hold:
    """The hold of a request that came through the guard; without a guard, one that allows anything."""
    hold: Hold | None = request.scope.get(_IN_SCOPE)
    if hold is None:
        hold = Hold(Budget(1 << 62), grace_seconds=60.0, min_bytes_per_second=1)
    return hold
