"""How often a sender may ask: a token bucket for each, in one number.

The number is the moment at which the bucket would be full again (the generic cell rate algorithm,
ITU-T I.371): it needs no timer, no window whose edge doubles a burst, and no lock.
"""

import time
from collections.abc import Callable

import msgspec

_MOST_SENDERS = 100_000  # about 15 MB; only addresses can be so many, and most of them are idle
_SWEEP = 1000  # of the senders longest in the table, looked at when it is full


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one more request is taken, how many more would be, and seconds until the next is."""

    taken: bool
    remaining: int
    wait_seconds: float


class Buckets:
    """A bucket of `burst` requests for each sender, refilled with `per_second` of them."""

    def __init__(
        self, per_second: float, burst: int, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        """Every bucket is full. `elapsed` gives seconds that never go back."""
        self.per_second = per_second
        self.burst = burst
        self._interval = 1.0 / per_second
        self._depth = burst / per_second
        self._elapsed = elapsed
        self._full_at: dict[str, float] = {}

    def take(self, sender: str) -> Allowance:
        """Count a request of the sender."""
        now = self._elapsed()
        full_at = self._full_at.get(sender)
        if full_at is None:
            self._make_room(now)
            full_at = now
        elif full_at < now:
            full_at = now
        full_at += self._interval
        over = full_at - now - self._depth
        if over > 1e-9:  # noqa: PLR2004 - of a second: what floating point adds up wrongly
            return Allowance(taken=False, remaining=0, wait_seconds=over)
        self._full_at[sender] = full_at
        remaining = int((self._depth - (full_at - now)) / self._interval + 1e-6)
        return Allowance(taken=True, remaining=remaining, wait_seconds=0.0)

    def _make_room(self, now: float) -> None:
        """Forget idle senders when there are too many, else those that came first."""
        if len(self._full_at) < _MOST_SENDERS:
            return
        first = [sender for sender, _ in zip(self._full_at, range(_SWEEP), strict=False)]
        idle = [sender for sender in first if self._full_at[sender] <= now]
        for sender in idle or first[: _SWEEP // 10]:
            del self._full_at[sender]
