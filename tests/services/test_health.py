from services.health import STUCK_SECONDS, Health, StageHealth


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_turns_is_running() -> None:
    clock = _Clock()
    health = Health(clock)
    health.expect("deduper")
    for _ in range(5):
        clock.now += STUCK_SECONDS
        health.touch("deduper")
    assert health.stages() == {"deduper": StageHealth("running")}
    assert health.live()


def test_a_loop_that_has_not_turned_for_too_long_is_stuck_until_it_turns_again() -> None:
    clock = _Clock()
    health = Health(clock)
    health.expect("deduper")
    health.expect("grader")
    clock.now = STUCK_SECONDS + 1
    health.touch("grader")
    assert health.stages()["deduper"].state == "stuck"
    assert f"{STUCK_SECONDS + 1:.0f} s ago" in health.stages()["deduper"].detail
    assert health.stages()["grader"].state == "running"
    assert not health.live()
    health.touch("deduper")
    assert health.live()


def test_a_loop_that_never_turned_at_all_is_noticed_too() -> None:
    """It counts from when it was started, not from its first turn."""
    clock = _Clock()
    health = Health(clock)
    health.expect("deduper")
    clock.now = STUCK_SECONDS + 1
    assert not health.live()


def test_a_loop_that_halted_itself_says_why_and_is_not_restarted() -> None:
    """Restarting would go on draining; a person has to look."""
    clock = _Clock()
    health = Health(clock)
    health.expect("deduper")
    health.halt("deduper", "51 of the latest 60 records are dead letters")
    clock.now = 10 * STUCK_SECONDS
    assert health.stages()["deduper"] == StageHealth(
        "halted", "51 of the latest 60 records are dead letters"
    )
    assert health.live()


def test_a_process_without_loops_is_live() -> None:
    assert Health().live()
    assert Health().stages() == {}
