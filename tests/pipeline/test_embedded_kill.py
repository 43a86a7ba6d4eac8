"""The embedded process is killed again and again; nothing that it acknowledged may be lost."""

import random
import time

import pytest

KILLS = 20
ACKNOWLEDGED = 2000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_kills_lose_nothing_and_count_nothing_twice(
    embedded, start_service, start_sender, asking, counted_once, wait_until_listening
):
    """Acknowledged is durable, and at-least-once transport has an exactly-once effect."""
    rng = random.Random()  # the moments are random on purpose; the promise holds at every one
    url = f"http://{embedded['EVALRATCHET_LISTEN']}"
    service = start_service("up", environment=embedded)
    wait_until_listening(url)
    sender = start_sender(url)
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.1, 1.5))
        service.kill()
        service.start()
        wait_until_listening(url)
    sender.wait_for(ACKNOWLEDGED)
    sender.finish()
    asked = asking(embedded)
    asked.wait_until_all_is_in()
    counted_once(asked, sender, "faults")
    assert service.terminate() == 0, service.log()


@pytest.mark.slow
def test_a_second_process_on_the_same_folder_is_refused(
    embedded, start_service, asking, wait_until_listening
):
    """Two workers on one embedded stream would each take half: the second is told who the first is."""
    start_service("up", environment=embedded)
    wait_until_listening(f"http://{embedded['EVALRATCHET_LISTEN']}")
    second = asking(embedded).run("up")
    assert second.returncode != 0
    assert "running already" in second.stderr
