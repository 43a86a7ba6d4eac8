"""A trace in pieces, through a real process that is killed between them."""

import json
import time

import httpx
import pytest

TRACE, ROOT, CHILD = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "00f067aa0ba902b8"
SERVICE = {"attributes": [{"key": "service.name", "value": {"stringValue": "faults"}}]}


def span(span_id: str, **fields: object) -> dict[str, object]:
    """An OTLP request of one span."""
    told = {
        "traceId": TRACE,
        "spanId": span_id,
        "name": "answer",
        "startTimeUnixNano": "1780000000000000000",
        "endTimeUnixNano": "1780000001000000000",
        **fields,
    }
    return {"resourceSpans": [{"resource": SERVICE, "scopeSpans": [{"spans": [told]}]}]}


@pytest.mark.slow
def test_a_trace_waits_for_its_root_over_a_kill_and_is_scored_once_with_what_came_before(
    embedded, start_service, asking, wait_until_listening
):
    """The child and a thumb on it come first, the process dies, then the root comes: one failure."""
    url = f"http://{embedded['EVALRATCHET_LISTEN']}"
    service = start_service("up", environment=embedded)
    wait_until_listening(url)
    thumb = {
        "data": [
            {
                "span_id": CHILD,
                "name": "thumbs",
                "annotator_kind": "HUMAN",
                "result": {"label": "thumbs-down", "score": 0},
            }
        ]
    }
    headers = {"X-Evalratchet-Project": "faults"}
    answer = httpx.post(f"{url}/v1/span_annotations", json=thumb, headers=headers)
    assert answer.is_success, answer.text
    child = httpx.post(f"{url}/v1/traces", json=span(CHILD, parentSpanId=ROOT))
    assert child.is_success, child.text
    asked = asking(embedded)
    shown = _shown(asked, lambda row: row["piece_count"] == 2)
    assert shown["state"] == "waiting"
    service.kill()
    service.start()
    wait_until_listening(url)
    assert asked.json("traces", "show", CHILD)["state"] == "waiting"
    assert asked.json("cases", "list") == []
    assert httpx.post(f"{url}/v1/traces", json=span(ROOT)).is_success
    shown = _shown(asked, lambda row: row["state"] == "failed")
    assert shown["failing"] == ["thumbs (feedback)"]
    assert shown["truncated"] is False
    asked.wait_until_all_is_in()
    (case,) = asked.json("cases", "list")
    assert case["occurrences"] == 1
    assert service.terminate() == 0, service.log()


def _shown(asked, is_so):
    """The trace, once it is so."""
    deadline = time.monotonic() + 60
    while True:
        done = asked.run("traces", "show", TRACE, "--json")
        if done.returncode == 0 and is_so(row := json.loads(done.stdout)):
            return row
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(0.1)
