from services.http import rate
from services.http.rate import Buckets


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_taken_and_then_as_many_as_the_rate_allows() -> None:
    clock = Clock()
    buckets = Buckets(10, 5, clock)
    taken = [buckets.take("a") for _ in range(7)]
    assert [one.taken for one in taken] == [True] * 5 + [False] * 2
    assert [one.remaining for one in taken] == [4, 3, 2, 1, 0, 0, 0]
    assert abs(taken[5].wait_seconds - 0.1) < 1e-9
    clock.now += 0.1
    assert buckets.take("a").taken
    assert not buckets.take("a").taken
    clock.now += 100
    assert [buckets.take("a").taken for _ in range(6)] == [True] * 5 + [False]


def test_over_a_long_time_exactly_the_rate_is_taken_however_often_is_asked() -> None:
    clock = Clock()
    buckets = Buckets(100, 10, clock)
    taken = 0
    for _ in range(50_000):
        clock.now += 0.0002  # 5,000 a second, for ten seconds
        taken += buckets.take("a").taken
    assert abs(taken - (10 * 100 + 10)) <= 1


def test_nobody_spends_what_is_anothers() -> None:
    buckets = Buckets(1, 1, Clock())
    assert buckets.take("a").taken
    assert not buckets.take("a").taken
    assert buckets.take("b").taken


def test_a_flood_of_senders_is_not_remembered_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(rate, "_MOST_SENDERS", 100)
    monkeypatch.setattr(rate, "_SWEEP", 20)
    clock = Clock()
    buckets = Buckets(1, 2, clock)
    for number in range(10_000):
        buckets.take(f"sender {number}")
        assert len(buckets._full_at) <= 100
    clock.now += 1000
    buckets.take("one more")
    assert len(buckets._full_at) <= 81, "those whose buckets are full are forgotten first"
