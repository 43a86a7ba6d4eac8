"""`/v1/captures` and `/v1/feedback`: an answer for each item, and never one for what is not stored."""

import json
from typing import Any

import httpx
import pytest

from services.settings import Settings

SMALL = {"trace_id": "t", "project": "p", "input": "q", "output": "a"}
THUMB = {"trace_id": "t", "project": "p", "name": "thumbs_up", "value": False}


async def test_every_item_has_its_own_answer(client: httpx.AsyncClient, publisher: Any) -> None:
    items = [SMALL, {"trace_id": "u"}, {**SMALL, "trace_id": "v"}]
    response = await client.post("/v1/captures", json={"traces": items})
    assert response.status_code == 202
    body = response.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    assert [(r["index"], r["status"], r["trace_id"]) for r in body["results"]] == [
        (0, "accepted", "t"),
        (1, "rejected", "u"),
        (2, "accepted", "v"),
    ]
    assert "missing required field `project`" in body["results"][1]["error"]["message"]
    assert [e.event_id for e in publisher.events] == [
        r["event_id"] for r in body["results"] if r["status"] == "accepted"
    ]


async def test_what_is_published_is_the_trace_under_its_key(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await client.post("/v1/captures", json=SMALL, headers={"traceparent": context})
    [message], [event] = publisher.messages, publisher.events
    assert (message.topic, message.key) == ("traces", b"p/t")
    assert dict(message.headers)["traceparent"] == context.encode()
    assert event.trace.output == "a"


@pytest.mark.parametrize(
    "context",
    [
        "",
        "nonsense",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
    ],
)
async def test_a_trace_context_that_is_none_is_left_behind(
    client: httpx.AsyncClient, publisher: Any, context: str
) -> None:
    await client.post("/v1/captures", json=SMALL, headers={"traceparent": context})
    assert "traceparent" not in dict(publisher.messages[0].headers)


async def test_nothing_taken_is_no_success(client: httpx.AsyncClient, publisher: Any) -> None:
    response = await client.post("/v1/captures", json={"traces": [{}, 5]})
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid"
    assert response.json()["rejected"] == 2
    assert publisher.messages == []


async def test_names_that_mean_nothing_are_told_and_do_no_harm(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    items = [SMALL, {**SMALL, "singals": [], "x": 1}, {"traceid": "u", "project": "p"}]
    results = (await client.post("/v1/captures", json={"traces": items})).json()["results"]
    assert [result.get("ignored") for result in results] == [None, ["singals", "x"], ["traceid"]]
    assert [result["status"] for result in results] == ["accepted", "accepted", "rejected"]
    response = await client.post("/v1/feedback", json={**THUMB, "coment": "slow"})
    assert response.json()["results"][0]["ignored"] == ["coment"]
    assert len(publisher.messages) == 3


async def test_an_empty_batch_loses_nothing(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/captures", json={"traces": []})
    assert response.status_code == 202
    assert response.json() == {"results": [], "accepted": 0, "rejected": 0}


async def test_a_trace_over_the_limit_is_refused_with_its_size(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    large = {**SMALL, "input": "x" * settings.max_trace_bytes}
    response = await client.post("/v1/captures", json={"traces": [large, SMALL]})
    error = response.json()["results"][0]["error"]
    assert error["code"] == "too_large"
    assert str(settings.max_trace_bytes) in error["message"]
    assert "EVALRATCHET_MAX_TRACE_BYTES" in error["message"]
    assert response.json()["accepted"] == 1


@pytest.mark.parametrize("path", ["/v1/captures", "/v1/feedback"])
async def test_a_stream_that_is_down_is_503_with_a_time_to_come_again(
    client: httpx.AsyncClient, publisher: Any, path: str
) -> None:
    publisher.down = "the disk is full"
    response = await client.post(path, json={**SMALL, **THUMB})
    assert response.status_code == 503
    assert 1 <= int(response.headers["retry-after"]) <= 5
    assert response.json()["error"]["code"] == "unavailable"
    assert "the disk is full" in response.json()["error"]["message"]
    publisher.down = None
    assert (await client.post(path, json={**SMALL, **THUMB})).status_code == 202


async def test_a_key_names_one_object_and_no_batch(client: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "order-7"}
    ids = set()
    for text in ("a", "b"):
        body = {**SMALL, "input": text}
        response = await client.post("/v1/captures", json=body, headers=headers)
        ids.add(response.json()["results"][0]["event_id"])
    assert len(ids) == 1
    response = await client.post("/v1/captures", json={"traces": [SMALL]}, headers=headers)
    assert response.status_code == 400
    assert "single object" in response.json()["error"]["message"]
    response = await client.post("/v1/captures", json=SMALL, headers={"idempotency-key": "k" * 256})
    assert response.status_code == 400


async def test_feedback_is_stored_as_a_signal_of_the_user(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await client.post(
        "/v1/feedback", json={"feedback": [THUMB, {**THUMB, "project": "a b"}]}
    )
    assert response.status_code == 202
    assert response.json()["accepted"] == 1
    [event] = publisher.events
    assert (event.signal.name, event.signal.value, event.signal.source) == (
        "thumbs_up",
        False,
        "user",
    )


async def test_every_example_of_the_page_works_as_it_stands(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    document = (await client.get("/openapi.json")).json()
    tried = 0
    for path in ("/v1/captures", "/v1/feedback", "/v1/traces"):
        body = document["paths"][path]["post"]["requestBody"]
        for example in body["content"]["application/json"]["examples"].values():
            response = await client.post(path, json=example["value"])
            assert response.is_success, response.text
            tried += 1
    assert tried == 6
    assert len(publisher.events) == 6


async def test_json_may_come_without_a_content_type(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/captures", content=json.dumps(SMALL))
    assert response.status_code == 202


async def test_what_is_posted_twice_is_the_same_event(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    for _ in range(2):
        await client.post("/v1/captures", json=SMALL)
    one, two = publisher.messages
    assert one == two
