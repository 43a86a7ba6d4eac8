"""What is found in one place of a piece goes wherever else it stands; ids and sessions too."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from capture.events import FeedbackReceived, Span, SpansReceived, TraceReceived
from capture.redaction.redactor import Redactor
from capture.redaction.rules import Rules
from capture.trace import Signal, Step, Trace

SIGNAL = Signal(name="thumbs", value=1.0)


def _trace(rules: Rules, **fields: Any) -> Trace:
    trace = Trace(**{"trace_id": "t", "project": "shop", **fields})
    piece = Redactor(rules).redact(TraceReceived(event_id="", trace=trace))
    assert isinstance(piece, TraceReceived)
    return piece.trace


def test_a_secret_that_one_text_names_goes_from_all_others_of_the_trace(rules: Rules) -> None:
    trace = _trace(
        rules,
        input="my password is hunter2x9",
        output={"hunter2x9": ["you said hunter2x9."]},
        metadata={"args": '{"q": "hunter2x9"}'},
        session_id="hunter2x9",
        steps=(Step(type="tool_call", name="login", error="not valid: hunter2x9"),),
    )
    assert b"hunter2x9" not in msgspec.json.encode(trace)
    assert trace.output == {trace.session_id: [f"you said {trace.session_id}."]}


def test_a_secret_that_one_span_names_goes_from_the_others(rules: Rules) -> None:
    spans = (
        Span(span_id="1", attributes={"input.value": '{"password": "hunter2x9"}'}),
        Span(span_id="2", attributes={"tool.said": "hunter2x9"}, status_message="hunter2x9?"),
    )
    piece = SpansReceived(event_id="", project="shop", trace_id="ab" * 16, spans=spans)
    assert b"hunter2x9" not in msgspec.json.encode(Redactor(rules).redact(piece))


def test_a_plain_word_under_a_secrets_name_stays_where_it_means_something_else(
    rules: Rules,
) -> None:
    trace = _trace(rules, input="token: production", environment="production")
    assert trace.environment == "production"


def test_the_session_that_feedback_names_goes_as_that_of_its_trace(rules: Rules) -> None:
    said = "+14155552671"
    feedback = FeedbackReceived(
        event_id="", project="shop", trace_id=f"session:{said}", session_id=said, signal=SIGNAL
    )
    after = Redactor(rules).redact(feedback)
    assert isinstance(after, FeedbackReceived)
    assert after.session_id == _trace(rules, session_id=said).session_id != said
    assert after.trace_id == f"session:{after.session_id}"


def test_a_path_to_the_session_hides_the_one_that_feedback_names(
    rules_of: Callable[..., Rules],
) -> None:
    rules = rules_of(json_paths=("$.session_id",))
    feedback = FeedbackReceived(
        event_id="", project="shop", trace_id="session:jane", session_id="jane", signal=SIGNAL
    )
    after = Redactor(rules).redact(feedback)
    assert isinstance(after, FeedbackReceived)
    assert after.session_id == _trace(rules, session_id="jane").session_id != "jane"
    assert after.trace_id == f"session:{after.session_id}"


@pytest.mark.parametrize("said", ["DE89370400440532013000", "AKIAIOSFODNN7EXAMPLE"])
def test_ids_and_names_of_letters_and_digits_alone_lose_them_too(rules: Rules, said: str) -> None:
    trace = _trace(rules, trace_id=said, release=said, steps=(Step(type="tool_call", name=said),))
    assert said.encode() not in msgspec.json.encode(trace)


def test_a_pattern_of_the_project_is_looked_for_in_ids_of_letters_and_digits(
    rules_of: Callable[..., Rules],
) -> None:
    trace = _trace(rules_of(patterns={"customer": r"\bCU\d{6}\b"}), trace_id="CU123456")
    assert trace.trace_id.startswith("<CUSTOMER_")


@pytest.mark.parametrize("depth", [100, 330, 600, 900, 5000])
@pytest.mark.parametrize("paths", [(), ("$..customer",)])
def test_json_of_hundreds_of_levels_in_a_text_is_looked_at_all_the_same(
    rules_of: Callable[..., Rules], depth: int, paths: tuple[str, ...]
) -> None:
    for text in (
        "[" * depth + '"bob@example.com"' + "]" * depth,
        '{"a":' * depth + '"bob@example.com"' + "}" * depth,
    ):
        trace = _trace(rules_of(json_paths=paths), input=text)
        assert "bob@example.com" not in str(trace.input)
        assert "<EMAIL_" in str(trace.input)


def test_nothing_remains_of_the_numbers_of_a_table(redacted: Callable[..., Any]) -> None:
    addresses = [f"192.168.{n // 200 + 10}.{n % 200 + 50}" for n in range(2500)]
    assert not set("0123456789") & set(_outside(redacted(" ".join(addresses))))


def _outside(text: str) -> str:
    return "".join(part.partition(">")[2] for part in text.split("<"))
