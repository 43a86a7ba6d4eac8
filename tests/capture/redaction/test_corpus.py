"""Everything of the corpus goes, wherever in a piece it stands."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from capture.events import FeedbackReceived, Span, SpansReceived, TraceReceived
from capture.redaction.redactor import Redacted, Redactor
from capture.redaction.rules import Rules
from capture.trace import Signal, Step, Trace

Corpus = list[dict[str, str]]


def _remains(value: str, piece: Any) -> bool:
    """Whether the value is in the piece's JSON, as it is or escaped once more."""
    told = msgspec.json.encode(piece).decode()
    once = json.dumps(value)[1:-1]
    forms = {value, once, json.dumps(once)[1:-1], msgspec.json.encode(value).decode()[1:-1]}
    return any(form in told for form in forms)


def test_nothing_of_the_corpus_remains_in_a_text(corpus: Corpus, rules: Rules) -> None:
    for entry in corpus:
        trace = Trace(trace_id="t", project="shop", input=entry["text"])
        redactor = Redactor(rules)
        piece = redactor.redact(TraceReceived(event_id="", trace=trace))
        assert not _remains(entry["value"], piece), entry
        assert entry["kind"] in redactor.counts, (entry, redactor.counts)


def test_redacting_again_changes_nothing(corpus: Corpus, rules: Rules) -> None:
    for entry in corpus:
        trace = Trace(trace_id="t", project="shop", input=entry["text"])
        once = Redactor(rules).redact(TraceReceived(event_id="", trace=trace))
        again = Redactor(rules)
        assert again.redact(once) is once, entry
        assert not again.counts


@pytest.mark.parametrize(
    "place",
    [
        lambda t: {"deep": [[{"er": t}]]},
        lambda t: json.dumps({"text": t}),
        lambda t: json.dumps({"inner": json.dumps([t])}),
        lambda t: json.dumps({"text": "line one\n" + t}),
        lambda t: [json.dumps({"text": t}, ensure_ascii=False)],
    ],
    ids=["nested", "json", "json in json", "after an escaped newline", "unicode json"],
)
def test_nothing_remains_however_deep_it_lies(
    corpus: Corpus, redacted: Callable[..., Any], place: Callable[[str], Any]
) -> None:
    for entry in corpus:
        after = redacted(place(entry["text"]))
        assert not _remains(entry["value"], after), (entry, after)


def test_nothing_remains_in_any_field_of_a_trace(corpus: Corpus, rules: Rules) -> None:
    for entry in corpus:
        text = entry["text"]
        trace = Trace(
            trace_id="t",
            project="shop",
            input={"said": text},
            output=[text],
            user_id=text,
            session_id=text,
            steps=(
                Step(type="tool_call", name="f", arguments={"q": text}, error=text),
                Step(type="tool_result", content=json.dumps({"rows": [text]})),
            ),
            signals=(Signal(name="thumbs", value=text, comment=text),),
            metadata={"error.message": text, text: 1},
        )
        piece = Redactor(rules).redact(TraceReceived(event_id="", trace=trace))
        assert not _remains(entry["value"], piece), entry


def test_nothing_remains_in_any_field_of_spans(corpus: Corpus, rules: Rules) -> None:
    for entry in corpus:
        text = entry["text"]
        span = Span(
            span_id="00f067aa0ba902b7",
            name=text,
            status_message=text,
            attributes={"input.value": text, "gen_ai.prompt": json.dumps([{"content": text}])},
            events=({"name": "exception", "attributes": {"exception.message": text}},),
        )
        piece = SpansReceived(
            event_id="",
            project="shop",
            trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
            resource={"host.name": text},
            spans=(span,),
        )
        assert not _remains(entry["value"], Redactor(rules).redact(piece)), entry


def test_nothing_remains_in_feedback(corpus: Corpus, rules: Rules) -> None:
    for entry in corpus:
        signal = Signal(name="thumbs", value=entry["text"], comment=entry["text"])
        piece = FeedbackReceived(event_id="", project="shop", trace_id="t", signal=signal)
        assert not _remains(entry["value"], Redactor(rules).redact(piece)), entry


@pytest.mark.parametrize("number", [4111111111111111, 4111111111111111.0, 378282246310005])
def test_a_card_that_is_a_number_goes(redacted: Callable[..., Any], number: float) -> None:
    assert redacted({"n": number})["n"].startswith("<CARD_")


def test_what_stands_under_a_secret_name_goes(redacted: Callable[..., Any]) -> None:
    said = {"password": "plainword", "headers": {"x-api-key": ["k1"]}, "max_tokens": 12}
    after = redacted(said)
    assert after["password"].startswith("<SECRET_")
    assert after["headers"]["x-api-key"][0].startswith("<SECRET_")
    assert after["max_tokens"] == 12


def test_the_same_value_has_one_placeholder_in_all_its_spellings(
    redacted: Callable[..., Any],
) -> None:
    said = [
        "a@b.example.com",
        "A@B.example.com",
        "x?m=a%40b.example.com",
        '{"m":"a\\u0040b.example.com"}',
    ]
    after = " ".join(redacted(said))
    assert (
        len(
            {
                word
                for word in after.replace('"', " ").replace("=", " ").split()
                if "EMAIL" in word.replace("}", "")
            }
        )
        <= 2
    )
    assert after.count(after[after.index("<EMAIL_") : after.index(">") + 1]) == 4


def test_json_in_a_text_is_json_afterwards(redacted: Callable[..., Any]) -> None:
    text = json.dumps({"a": "first\nbob@example.com", "n": 1.0, "u": "ü"})
    after = json.loads(redacted(text))
    assert after["a"].startswith("first\n<EMAIL_")
    assert (after["n"], after["u"]) == (1.0, "ü")


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-17T10:30:45.123Z took 1.234567890123 s, version 3.11.2",
        "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7",
        "123e4567-e89b-12d3-a456-426614174000",
        "timestamp 1749650492 and 1749650492123 and 1749650492123456789",
        "Order HAT097 on 05/24/2024 for $1,234.56",
        "std::vector<int> x[1::2]; @app.route; react@18.2.0",
        "I forgot my password: what should I do?",
        "0.6666666666666666 3.3333333333333335",
        "localhost 127.0.0.1 ::1 0.0.0.0",
        "The secret is that we care about tokens and keys.",
        "<EMAIL_k7f3q2x4> said password: <SECRET_k7f3q2x4>",
        "password=*** api_key=${API_KEY} token: <token>",
    ],
)
def test_what_is_nobody_s_stays(redacted: Callable[..., Any], text: str) -> None:
    assert redacted(text) == text


def test_ids_that_a_trace_is_found_by_lose_addresses_and_keep_numbers(rules: Rules) -> None:
    for trace_id, kept in (("4155552671", True), ("1.2.3.4", True), ("bob@example.com-7", False)):
        trace = Trace(trace_id=trace_id, project="shop", release="1.2.3.4")
        piece = Redactor(rules).redact(TraceReceived(event_id="", trace=trace))
        assert (piece.trace_id == trace_id) is kept
        assert piece.trace.release == "1.2.3.4"


def test_feedback_follows_its_trace_under_a_redacted_id(rules: Rules) -> None:
    trace = Trace(trace_id="bob@example.com-7", project="shop", input="q")
    feedback = FeedbackReceived(
        event_id="", project="shop", trace_id="bob@example.com-7", signal=Signal(name="thumbs")
    )
    first = Redactor(rules).redact(TraceReceived(event_id="", trace=trace))
    assert Redactor(rules).redact(feedback).trace_id == first.trace_id != "bob@example.com-7"


def test_every_finding_says_where_it_was(rules: Rules) -> None:
    heard: list[Redacted] = []
    trace = Trace(
        trace_id="t", project="shop", steps=(Step(type="user", content={"m": ["a@b.example.com"]}),)
    )
    Redactor(rules, told=heard.append).redact(TraceReceived(event_id="", trace=trace))
    assert [(one.kind, one.at, one.before) for one in heard] == [
        ("email", ("steps", 0, "content", "m", 0), "a@b.example.com")
    ]


def test_a_text_with_more_numbers_than_can_be_asked_about_loses_all_of_them(
    redacted: Callable[..., Any],
) -> None:
    after = redacted(" ".join(str(40_000_000_000_000 + 977 * n) for n in range(3000)))
    assert after.count("<NUMBER_") >= 900
