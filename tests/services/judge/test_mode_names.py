"""Names of modes by the configured model, asked over HTTP."""

from typing import Any

import pytest

from services.mode_names import ModelNames


async def test_a_mode_gets_the_name_the_model_says(server: Any, client: Any) -> None:
    server.says('Here you are: {"name": " refund  never came "}')
    names = ModelNames(client)
    assert await names.name(["refund", "late"], ["where is my refund?"]) == "refund never came"
    (asked,) = server.asked
    assert "where is my refund?" in asked["messages"][1]["content"]
    assert "refund" in asked["messages"][1]["content"]


@pytest.mark.parametrize(
    "answer", ["no JSON", "{}", '{"name": ""}', '{"name": 7}', '{"name": "' + "x" * 200 + '"}']
)
async def test_an_answer_that_is_no_name_leaves_the_terms(
    server: Any, client: Any, answer: str
) -> None:
    server.says(answer)
    assert await ModelNames(client).name(["refund"], ["text"]) is None


async def test_a_model_that_refuses_leaves_the_terms(server: Any, client: Any) -> None:
    server.answers(404)
    assert await ModelNames(client).name(["refund"], ["text"]) is None
