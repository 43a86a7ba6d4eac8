"""`services.stream.loop.Attempts` and `services.reading.ReplayStore`."""

from collections.abc import Callable

from services.store.open import Store


async def test_attempts_survive_the_process_that_counted_them(
    another_store: Callable[[], Store],
) -> None:
    first = another_store()
    assert await first.attempts.begin("deduper", ["t/0/7", "t/1/3"]) == {"t/0/7": 1, "t/1/3": 1}
    await first.close()
    second = another_store()
    assert await second.attempts.begin("deduper", ["t/0/7"]) == {"t/0/7": 2}
    assert await second.attempts.begin("deduper", ["t/0/7", "t/1/3"]) == {"t/0/7": 3, "t/1/3": 2}


async def test_what_was_survived_is_forgotten(store: Store) -> None:
    await store.attempts.begin("deduper", ["a", "b"])
    await store.attempts.end("deduper", ["a", "never begun"])
    assert await store.attempts.begin("deduper", ["a", "b"]) == {"a": 1, "b": 2}


async def test_consumers_count_apart(store: Store) -> None:
    await store.attempts.begin("deduper", ["a"])
    assert await store.attempts.begin("grader", ["a"]) == {"a": 1}
    await store.attempts.end("grader", ["a"])
    assert await store.attempts.begin("deduper", ["a"]) == {"a": 2}


async def test_a_position_named_twice_counts_once(store: Store) -> None:
    assert await store.attempts.begin("deduper", ["a", "a"]) == {"a": 1}


async def test_nothing_begins_with_no_position(store: Store) -> None:
    assert await store.attempts.begin("deduper", []) == {}
    await store.attempts.end("deduper", [])


async def test_replays_are_remembered_once_and_by_topic(store: Store) -> None:
    assert await store.replays.replayed("failures.dlq") == frozenset()
    await store.replays.mark_replayed("failures.dlq", [(0, 1), (0, 1), (3, 2**40)])
    await store.replays.mark_replayed("failures.dlq", [(0, 1), (1, 0)])
    await store.replays.mark_replayed("failures.dlq", [])
    assert await store.replays.replayed("failures.dlq") == {(0, 1), (3, 2**40), (1, 0)}
    assert await store.replays.replayed("patterns.dlq") == frozenset()
