"""What the model's client promises, against a real server that misbehaves."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tenacity import RetryCallState

from services.judge import client as client_module
from services.judge.client import ModelClient, ModelRefused, ModelUnavailable

QUESTION = [{"role": "user", "content": "well?"}]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are noted and not waited for."""
    asked_for: list[float] = []
    real = client_module._pause

    def pause(state: RetryCallState) -> float:
        asked_for.append(real(state))
        return 0.0

    monkeypatch.setattr(client_module, "_pause", pause)
    return asked_for


async def test_a_question_is_asked_as_chat_completions_ask(server: Any, client: Any) -> None:
    server.says("an answer")
    assert await client.ask(QUESTION) == "an answer"
    (asked,) = server.asked
    assert asked == {
        "path": "/v1/chat/completions",
        "model": "small",
        "messages": QUESTION,
        "temperature": 0,
        "response_format": {"type": "json_object"},
    }
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    await client.ask(QUESTION, model="large")
    assert server.asked[1]["model"] == "large"


async def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    server: Any, client: Any, quick: list[float]
) -> None:
    server.replies = []
    server.answers(429, retry_after="7")
    server.answers(503)
    server.answers(200, b'{"choices": [{"message": {"content": "yes"}}]}')
    assert await client.ask(QUESTION) == "yes"
    assert len(server.asked) == 3
    assert quick[0] == 7
    assert 0 < quick[1] < 3


async def test_a_date_in_retry_after_is_a_number_of_seconds(
    server: Any, client: Any, quick: list[float]
) -> None:
    server.replies = []
    server.answers(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=15)))
    server.answers(200, b'{"choices": [{"message": {"content": "yes"}}]}')
    await client.ask(QUESTION)
    assert 10 < quick[0] <= 15


async def test_a_connection_that_breaks_is_tried_again(server: Any, client: Any) -> None:
    server.drop = 2
    assert "pass" in await client.ask(QUESTION)
    assert len(server.asked) == 3


async def test_a_model_that_is_down_is_given_up_and_then_left_alone(
    server: Any, client: Any
) -> None:
    server.replies = []
    server.answers(500, b"boom")
    with pytest.raises(ModelUnavailable, match="answered 500: boom"):
        await client.ask(QUESTION)
    assert len(server.asked) == 4
    with pytest.raises(ModelUnavailable, match="not asked for another"):
        await client.ask(QUESTION)
    assert len(server.asked) == 4, "a thousand traces do not each wait for it"
    client._clock = lambda: 1e12
    server.says("back again")
    assert await client.ask(QUESTION) == "back again"


async def test_a_long_retry_after_is_not_waited_for_but_kept(server: Any, client: Any) -> None:
    server.replies = []
    server.answers(429, retry_after="120")
    with pytest.raises(ModelUnavailable) as given_up:
        await client.ask(QUESTION)
    assert len(server.asked) == 1
    assert given_up.value.rest_seconds == 120


async def test_what_waits_behind_a_model_that_is_down_gives_up_at_once(
    server: Any, client: Any
) -> None:
    server.replies = []
    server.answers(503)
    client._places = asyncio.Semaphore(1)
    answers = await asyncio.gather(
        *(client.ask(QUESTION) for _ in range(20)), return_exceptions=True
    )
    assert all(isinstance(one, ModelUnavailable) for one in answers)
    assert len(server.asked) == 4


async def test_an_answer_that_does_not_come_is_not_waited_for(server: Any) -> None:
    server.hold.clear()
    client = ModelClient(server.url, model="m", api_key=None, timeout_seconds=0.05, concurrency=2)
    with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.05 s"):
        await client.ask(QUESTION)
    assert "Authorization" not in server.headers[0]
    await client.close()


async def test_no_more_questions_are_asked_at_once_than_allowed(server: Any, client: Any) -> None:
    server.hold.clear()
    asking = [asyncio.create_task(client.ask(QUESTION)) for _ in range(12)]
    while server.at_once < 4:  # noqa: ASYNC110 - another thread counts
        await asyncio.sleep(0)
    server.hold.set()
    await asyncio.gather(*asking)
    assert server.most_at_once == 4


async def test_a_parameter_that_the_model_does_not_take_is_left_out(
    server: Any, client: Any
) -> None:
    server.replies = []
    server.answers(400, b'{"error": {"message": "Unsupported value: temperature"}}')
    server.answers(400, b'{"error": {"message": "unknown field response_format"}}')
    server.answers(200, b'{"choices": [{"message": {"content": "yes"}}]}')
    assert await client.ask(QUESTION) == "yes"
    assert await client.ask(QUESTION) == "yes"
    assert set(server.asked[-1]) == {"path", "model", "messages"}
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error": "no such key"}', "refused with 401"),
        (404, b"", "refused with 404: no body"),
        (200, b"<html>", "did not answer as chat completions do"),
        (200, b'{"choices": []}', "without a choice"),
        (200, b'{"choices": [{"message": {"refusal": "no"}}]}', "refused to judge: no"),
        (200, b'{"choices": [{"message": {"content": ""}}]}', "gave no text"),
        (200, b"x" * ((1 << 20) + 1), "larger than"),
        (200, b"[" * 100_000, "did not answer as"),
    ],
)
async def test_an_answer_that_is_none_is_refused_and_not_asked_again(
    server: Any, client: Any, status: int, body: bytes, said: str
) -> None:
    server.replies = []
    server.answers(status, body)
    with pytest.raises(ModelRefused, match=said) as refused:
        await client.ask(QUESTION)
    assert len(server.asked) == 1
    assert "sk-secret" not in str(refused.value)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    client = ModelClient(
        "http://127.0.0.1:1/v1", model="m", api_key=None, timeout_seconds=5, concurrency=1
    )
    with pytest.raises(ModelUnavailable, match="cannot be reached: ConnectError"):
        await client.ask(QUESTION)
    await client.close()
    await client.close()


async def test_a_question_does_not_wait_for_ever_behind_slow_ones(
    server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that stands still for too long is taken for stuck."""
    monkeypatch.setattr(client_module, "_QUEUE_SECONDS", 0.05)
    client._places = asyncio.Semaphore(1)
    server.hold.clear()
    first = asyncio.create_task(client.ask(QUESTION))
    while not server.asked:  # noqa: ASYNC110 - another thread counts
        await asyncio.sleep(0)
    with pytest.raises(ModelUnavailable, match="too slow"):
        await client.ask(QUESTION)
    server.hold.set()
    assert await first
    assert await client.ask(QUESTION), "nobody rests because of it"
