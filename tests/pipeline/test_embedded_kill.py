"""The embedded process is killed again and again; nothing that it acknowledged may be lost."""

import random
import time

import httpx
import pytest

KILLS = 20
ACKNOWLEDGED = 2000


@pytest.mark.slow
@pytest.mark.timeout(900)
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
    asked.wait_until_all_is_in(300)
    counted_once(asked, sender, "faults")
    assert service.terminate() == 0, service.log()


@pytest.mark.slow
def test_a_stage_that_halts_stays_halted_and_the_others_go_on(
    embedded, start_service, asking, wait_until_listening, tmp_path
):
    """Ending would have a supervisor start it again and again; capture goes on taking traces."""
    environment = {**embedded, "EVALRATCHET_EMBEDDING_MODEL": str(tmp_path / "nowhere")}
    url = f"http://{embedded['EVALRATCHET_LISTEN']}"
    service = start_service("up", environment=environment)
    wait_until_listening(url)
    deadline = time.monotonic() + 60
    while "halted" not in httpx.get(f"{url}/healthz").text:
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.2)
    answer = httpx.get(f"{url}/healthz")
    assert answer.is_success
    assert "cannot be loaded" in answer.text
    trace = {"project": "p", "trace_id": "t", "signals": [{"name": "task_resolved", "value": 0}]}
    assert httpx.post(f"{url}/v1/captures", json=trace).is_success
    assert service.terminate() == 1
    service = start_service("up", environment=embedded)
    asking(embedded).wait_until_all_is_in()
    assert len(asking(embedded).members("p")) == 1


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
