"""The short way to a message's step says the same as the long one, or nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.conventions.messages import steps_of
from capture.conventions.plain import plain_steps
from capture.trace import Step

words = st.text(max_size=12) | st.sampled_from(['[{"type":"text"}]', '{"a":1}', '"a"', "[1]", " "])
part = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "text", "tool_call"]), "content": words},
    optional={"text": words},
)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "User"])},
    optional={
        "parts": st.lists(part, max_size=3),
        "content": words | st.none(),
        "finish_reason": st.sampled_from(["stop", None]),
        "name": words,
    },
)


@given(message)
def test_plain_words_are_read_as_the_long_way_reads_them(told: dict[str, Any]) -> None:
    found = plain_steps(msgspec.Raw(msgspec.json.encode(told)))
    assert found is None or found == steps_of(told, 1)


@pytest.mark.parametrize(
    ("told", "step"),
    [
        (
            {"role": "user", "parts": [{"type": "text", "content": "why?"}]},
            Step(type="user", content="why?"),
        ),
        (
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}],
                "finish_reason": "stop",
            },
            Step(type="assistant", content="a\nb"),
        ),
        ({"role": "user", "content": "why?"}, Step(type="user", content="why?")),
    ],
)
def test_what_most_messages_are_takes_the_short_way(told: dict[str, Any], step: Step) -> None:
    assert plain_steps(msgspec.Raw(msgspec.json.encode(told))) == [step]


@pytest.mark.parametrize("raw", [b"7", b"null", b"[]", b'{"role":"user","content":"\xff"}', b"{"])
def test_what_is_no_message_is_left_to_the_long_way(raw: bytes) -> None:
    assert plain_steps(msgspec.Raw(raw)) is None
