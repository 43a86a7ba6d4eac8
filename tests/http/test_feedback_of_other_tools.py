"""Feedback in the shapes of Langfuse, Phoenix and LangSmith: read as they mean it, answered as they do."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.collector import Collector
from services.http import problem
from services.http.feedback import feedback_routes
from services.http.project_path import ProjectInPath
from services.http.sender import Sender, put_sender
from services.redaction import Unredacted

TRACE = "4f28115818e38c9ca783053b39f38095"
UUID = "4f281158-18e3-8c9c-a783-053b39f38095"


async def post(client: httpx.AsyncClient, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(path, content=content, headers=headers)


def score(**fields: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "name": "stars", "value": 2, **fields}


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "type": "score-create",
        "timestamp": f"2025-11-05T09:31:0{number}Z",
        "body": score(id="thumb"),
        **fields,
    }


async def test_one_langfuse_score_is_answered_with_its_id(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, "/api/public/scores", score(id="mine"))
    assert (response.status_code, response.json()) == (200, {"id": "mine"})
    response = await post(client, "/api/public/scores", score())
    assert response.json()["id"] == publisher.events[1].event_id


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"value": 0, "dataType": "BOOLEAN"}, {"value": False}),
        ({"value": "rude", "dataType": "CATEGORICAL"}, {"value": "rude"}),
        (
            {"value": "It was late.", "dataType": "TEXT", "comment": "again"},
            {"value": None, "comment": "It was late.\nagain"},
        ),
        (
            {"value": "Two days.", "dataType": "CORRECTION"},
            {"value": None, "correction": "Two days."},
        ),
        ({"comment": "hm", "metadata": {"by": "r"}}, {"comment": "hm", "metadata": {"by": "r"}}),
        ({"source": "ANNOTATION"}, {"source": "annotator"}),
    ],
)
async def test_what_a_langfuse_score_says_is_kept(
    fields: dict[str, Any], told: dict[str, Any], client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, "/api/public/scores", score(**fields))
    assert response.status_code == 200, response.text
    signal = publisher.events[0].signal
    assert {name: getattr(signal, name) for name in told} == told


@pytest.mark.parametrize(
    ("about", "meant"),
    [
        ({"traceId": TRACE}, TRACE),
        ({"traceId": TRACE, "observationId": "aa"}, TRACE),
        ({"observationId": "aa"}, "span:aa"),
        ({"sessionId": "s-1"}, "session:s-1"),
    ],
)
async def test_a_langfuse_score_is_about_a_trace_an_observation_or_a_session(
    about: dict[str, str], meant: str, client: httpx.AsyncClient, publisher: Any
) -> None:
    await post(client, "/api/public/scores", {"name": "stars", "value": 2, **about})
    assert publisher.events[0].trace_id == meant


async def test_a_list_of_langfuse_scores_is_accepted_or_said_in_parts(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, "/api/public/scores", [score(), score(name="tone")])
    assert (response.status_code, response.json()) == (202, {"message": "Accepted"})
    response = await post(client, "/api/public/scores", [score(traceId=None), score()])
    assert response.status_code == 207
    said = response.json()
    assert (said["accepted"], said["rejected"]) == (1, 1)
    assert "what it is about" in said["errors"][0]["message"]
    assert len(publisher.events) == 3


async def test_langfuse_ingestion_takes_scores_and_tells_other_events_where_to_go(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    batch = [
        event(1),
        event(2, type="trace-create", body={"id": TRACE}),
        event(3, type="sdk-log", body={"log": "x"}),
        {"type": "score-create"},
    ]
    response = await post(client, "/api/public/ingestion", {"batch": batch, "metadata": {}})
    assert response.status_code == 207
    said = response.json()
    assert said["successes"] == [{"id": "e1", "status": 201}, {"id": "e3", "status": 201}]
    assert [(error["id"], error["status"]) for error in said["errors"]] == [("e2", 400), ("", 400)]
    assert "OpenTelemetry" in said["errors"][0]["message"]
    assert len(publisher.events) == 1


async def test_up_down_and_up_again_are_three_events_and_a_retry_is_none(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    """Langfuse's events have ids of their own."""
    thumbs = [event(n, body=score(value=value)) for n, value in ((1, 1), (2, 0), (3, 1))]
    for sent in (*thumbs, thumbs[2]):
        await post(client, "/api/public/ingestion", {"batch": [sent]})
    first, second, third, again = (event.event_id for event in publisher.events)
    assert len({first, second, third}) == 3
    assert third == again


async def test_up_down_and_up_again_are_told_apart_natively_by_their_time(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    thumb = {"project": "p", "trace_id": "t", "name": "thumbs"}
    for second, value in ((1, True), (2, False), (3, True), (3, True)):
        sent = {**thumb, "value": value, "at": f"2025-11-05T09:31:0{second}Z"}
        assert (await client.post("/v1/feedback", json=sent)).status_code == 202
    first, second_, third, again = (event.event_id for event in publisher.events)
    assert len({first, second_, third}) == 3
    assert third == again


@pytest.mark.parametrize(
    ("kind", "named", "meant"),
    [
        ("span", "EEE19B7EC3C1B174", "span:eee19b7ec3c1b174"),
        ("trace", TRACE, TRACE),
        ("session", "s-1", "session:s-1"),
    ],
)
async def test_phoenix_annotations_are_answered_with_ids(
    kind: str, named: str, meant: str, client: httpx.AsyncClient, publisher: Any
) -> None:
    annotation = {
        f"{kind}_id": named,
        "name": "helpfulness",
        "annotator_kind": "HUMAN",
        "result": {"label": "unhelpful", "score": 0.0, "explanation": "late"},
        "identifier": "r-1",
    }
    response = await post(client, f"/v1/{kind}_annotations?sync=true", {"data": [annotation]})
    assert response.status_code == 200, response.text
    (received,) = publisher.events
    assert response.json() == {"data": [{"id": received.event_id}]}
    assert received.trace_id == meant
    said = received.signal
    assert (said.value, said.label, said.comment) == (0.0, "unhelpful", "late")
    assert (said.source, said.id) == ("human", "r-1")


async def test_of_phoenix_annotations_all_are_stored_or_none(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    good = {
        "span_id": "aa",
        "name": "n",
        "annotator_kind": "CODE",
        "result": {"score": 1},
    }
    bad = [{**good, "span_id": ""}, {**good, "result": {}}, {"name": "n"}, {**good, "name": " "}]
    response = await post(client, "/v1/span_annotations", {"data": [good, *bad]})
    assert response.status_code == 422
    message = response.json()["error"]["message"]
    assert message.startswith("4 of 5 annotations cannot be taken")
    assert "data[1]: it has no span_id" in message
    assert publisher.events == []


async def test_langsmith_feedback_is_kept_under_each_id_its_trace_may_have(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    sent = {
        "id": "0199b8a0-7c11-7000-8000-0a7d6e5c4b3a",
        "key": "user_score",
        "score": 0,
        "value": "down",
        "comment": "late",
        "correction": {"answer": "Two days."},
        "trace_id": UUID,
        "feedback_source": {"type": "app", "metadata": {"by": "r"}},
        "created_at": "2025-11-05T09:31:00+01:00",
    }
    for path in ("/feedback", "/api/v1/feedback"):
        response = await post(client, path, sent)
        assert response.status_code == 200, response.text
        assert response.json()["id"] == sent["id"]
    plain, written = publisher.events[:2]
    assert (plain.trace_id, written.trace_id) == (TRACE, UUID)
    said = plain.signal
    assert (said.value, said.label, said.comment) == (0, "down", "late")
    assert (said.correction, said.source) == ({"answer": "Two days."}, "user")
    assert said.at.isoformat() == "2025-11-05T08:31:00+00:00"


@pytest.mark.parametrize(
    ("about", "meant"),
    [
        ({"trace_id": "plain"}, ["plain"]),
        ({"run_id": UUID, "trace_id": UUID}, [TRACE, UUID]),
        ({"run_id": UUID}, [TRACE, UUID, f"span:{TRACE[:16]}"]),
    ],
)
async def test_langsmith_runs_and_traces_are_meant(
    about: dict[str, str], meant: list[str], client: httpx.AsyncClient, publisher: Any
) -> None:
    await post(client, "/feedback", {"key": "k", "score": True, **about})
    assert [event.trace_id for event in publisher.events] == meant


async def test_langsmith_runs_in_their_own_format_are_told_how_to_come(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/runs", "/runs/batch", "/api/v1/runs/multipart"):
        response = await post(client, path, {})
        assert response.status_code == 400
        assert "LANGSMITH_OTEL_ENABLED" in response.json()["error"]["message"]
    assert (await client.get("/info")).status_code == 200


async def test_the_project_is_the_headers_else_the_paths_else_default(
    client: httpx.AsyncClient, publisher: Any
) -> None:
    header = {"x-evalratchet-project": "mine"}
    for path, headers in (
        ("/api/public/scores", {}),
        ("/projects/support/api/public/scores", {}),
        ("/projects/support/api/public/scores", header),
    ):
        assert (await post(client, path, score(), **headers)).status_code == 200
    assert [event.project for event in publisher.events] == ["default", "support", "mine"]
    response = await post(client, "/projects/a%20b/api/public/scores", score())
    assert response.status_code == 400
    assert "The address" in response.json()["error"]["message"]


async def test_a_key_of_a_project_is_that_project_and_no_other(
    publisher: Any, settings: Any
) -> None:
    """The guard leaves the sender in the scope; here the test does."""
    collector = Collector(publisher, Unredacted(), topic="traces", max_message_bytes=40_000)
    routes = FastAPI()
    problem.install(routes)
    routes.include_router(feedback_routes(collector, settings))

    async def with_key(scope: Any, receive: Any, send: Any) -> None:
        put_sender(scope, Sender(project="support"))
        await routes(scope, receive, send)

    transport = httpx.ASGITransport(ProjectInPath(with_key))
    async with httpx.AsyncClient(transport=transport, base_url="http://capture") as client:
        for path in ("/api/public/scores", "/v1/trace_annotations", "/feedback"):
            response = await post(client, f"/projects/other{path}", {})
            assert response.status_code == 403, path
        assert (await post(client, "/api/public/scores", score())).status_code == 200
    assert [event.project for event in publisher.events] == ["support"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/public/scores", b"{"),
        ("/api/public/scores", b""),
        ("/api/public/scores", b"3"),
        ("/api/public/scores", {"name": "n"}),
        ("/api/public/scores", {"name": "", "value": 1, "traceId": TRACE}),
        ("/api/public/scores", {"name": "n", "value": [1], "traceId": TRACE}),
        ("/api/public/scores", {"name": "n", "value": 1, "traceId": "a\nb"}),
        ("/api/public/scores", {"name": "n", "value": 1, "traceId": "x" * 200}),
        ("/api/public/scores", {"name": "n", "value": 1, "datasetRunId": "d"}),
        ("/api/public/scores", b'{"name":"n","value":1,"metadata":' + b"[" * 99 + b"]" * 99 + b"}"),
        ("/api/public/ingestion", {"batch": 3}),
        ("/api/public/ingestion", b"[]"),
        ("/v1/span_annotations", b'{"data": {}}'),
        ("/feedback", {"key": "k", "score": 1}),
        ("/feedback", {"key": "k", "trace_id": UUID}),
        ("/feedback", {"key": "k" * 200, "score": 1, "trace_id": UUID}),
        ("/feedback", b"\xff"),
        ("/feedback", {"key": "k", "comment": "x" * 30_000, "trace_id": UUID}),
    ],
)
async def test_what_cannot_be_taken_is_a_clear_400(
    path: str, body: Any, client: httpx.AsyncClient, publisher: Any
) -> None:
    response = await post(client, path, body)
    assert response.status_code == 400, response.text
    assert len(response.json()["error"]["message"]) > 20
    assert publisher.events == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/public/scores", score()),
        ("/api/public/ingestion", {"batch": [event(1)]}),
        (
            "/v1/trace_annotations",
            {
                "data": [
                    {
                        "trace_id": TRACE,
                        "name": "n",
                        "annotator_kind": "LLM",
                        "result": {"score": 1},
                    }
                ]
            },
        ),
        ("/feedback", {"key": "k", "score": 1, "trace_id": UUID}),
    ],
)
async def test_a_stream_that_is_away_is_503_for_every_shape(
    path: str, body: Any, client: httpx.AsyncClient, publisher: Any
) -> None:
    publisher.down = "no broker answers"
    response = await post(client, path, body)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
