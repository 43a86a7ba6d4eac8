import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.events import FailingSignal, Failure
from capture.scorers import ERROR_MESSAGE, ERROR_TYPE
from capture.trace import Signal, Step, Trace
from dedup.fingerprint import fingerprint
from dedup.guard import guard_of
from dedup.policy import Part, TextPart, TextPolicy
from dedup.text import failure_text, text_version

MakeFailure = Callable[..., Failure]

LONGEST = sum(part.chars for part in TextPolicy().parts) + len(TextPolicy().parts) - 1
LANGUAGES = {
    "ar": "أين طلبي رقم ٤٥؟ لم يصل بعد", "bg": "Къде е поръчката ми?", "bn": "আমার অর্ডার কোথায়?",
    "ca": "On és la meva comanda?", "cs": "Kde je moje objednávka?", "da": "Hvor er min ordre?",
    "de": "Wo ist meine Bestellung?", "el": "Πού είναι η παραγγελία μου;", "en": "Where is my order?",
    "es": "¿Dónde está mi pedido?", "et": "Kus on minu tellimus?", "fa": "سفارش من کجاست؟",
    "fi": "Missä tilaukseni on?", "fr": "Où est ma commande ?", "gu": "મારો ઓર્ડર ક્યાં છે?",
    "he": "איפה ההזמנה שלי?", "hi": "मेरा ऑर्डर १२ कहाँ है?", "hr": "Gdje je moja narudžba?",
    "hu": "Hol van a rendelésem?", "hy": "Որտե՞ղ է իմ պատվերը", "id": "Di mana pesanan saya?",
    "it": "Dov'è il mio ordine?", "ja": "注文番号１２３はどこですか", "ka": "სად არის ჩემი შეკვეთა?",
    "km": "ការបញ្ជាទិញរបស់ខ្ញុំនៅឯណា?", "ko": "제 주문은 어디에 있나요?", "lt": "Kur mano užsakymas?",
    "lv": "Kur ir mans pasūtījums?", "ml": "എന്റെ ഓർഡർ എവിടെ?", "nl": "Waar is mijn bestelling?",
    "no": "Hvor er bestillingen min?", "pl": "Gdzie jest moje zamówienie?", "pt": "Onde está meu pedido?",
    "ro": "Unde este comanda mea?", "ru": "Где мой заказ?", "sk": "Kde je moja objednávka?",
    "sv": "Var är min beställning?", "ta": "எனது ஆர்டர் எங்கே?", "th": "คำสั่งซื้อของฉันอยู่ที่ไหน",
    "tr": "Siparişim nerede?", "uk": "Де моє замовлення?", "ur": "میرا آرڈر کہاں ہے؟",
    "vi": "Đơn hàng của tôi ở đâu?", "zh": "我的订单12345没有到",
}  # fmt: skip


def only(*parts: Part, chars: int = 500) -> TextPolicy:
    return TextPolicy(parts=tuple(TextPart(part=part, chars=chars) for part in parts))


def told(failure: Failure, part: Part, chars: int = 500) -> str:
    return failure_text(failure, only(part, chars=chars)).whole


def signalled(failure: Failure, *signals: FailingSignal) -> Failure:
    return msgspec.structs.replace(failure, signals=signals)


def signal(name: str, reason: str, **more: Any) -> FailingSignal:
    return FailingSignal(
        name=name, scorer=f"{name}/1", reason=reason, **{"severity": "high", **more}
    )


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("quality is 0.2, below the bound of 0.5 (said by outcome).", "quality"),
        ("The answer took 37027 ms, above the bound of 30000 ms.", "quality"),
        ("The user gave 0, below the bound of 0.5. The comment: half a minute", "half a minute"),
    ],
)
def test_what_a_bound_says_is_left_out_since_every_failure_of_it_says_the_same(
    make_failure: MakeFailure, reason: str, left: str
) -> None:
    failure = signalled(make_failure(input="where is it"), signal("quality", reason))
    whole = failure_text(failure).whole
    assert left in whole
    assert "bound" not in whole


def test_every_user_turn_is_in_the_text(make_failure: MakeFailure) -> None:
    """The first turn alone is the topic; what was wanted is often said later."""
    steps = (
        Step(type="user", content="I want to change my flight"),
        Step(type="assistant", content="Which one?"),
        Step(type="user", content="the one to Oslo, and add a bag"),
    )
    failure = make_failure(input="ignored when there are turns", steps=steps)
    assert told(failure, "turns") == "I want to change my flight the one to Oslo, and add a bag"


def test_without_turns_the_input_is_what_was_asked(make_failure: MakeFailure) -> None:
    assert failure_text(make_failure(input="Where is it?", output="No idea")).whole == (
        "Where is it?\nerror\nNo idea"
    )


def test_of_a_long_conversation_the_first_and_last_turns_stay_and_the_rest_is_counted(
    make_failure: MakeFailure,
) -> None:
    turns = ["Please move my flight to Monday", *["and then " * 20] * 30, "no, I said Monday"]
    steps = tuple(Step(type="user", content=turn) for turn in turns)
    part = failure_text(make_failure(steps=steps)).parts[0]
    assert part.text.startswith("Please move my flight to Monday")
    assert part.text.endswith("no, I said Monday")
    assert part.turns_left_out > 25
    assert part.cut == len(" ".join(" ".join(turns).split())) - len(part.text)


def test_a_failed_step_is_told_by_name_and_message(make_failure: MakeFailure) -> None:
    steps = (
        Step(type="tool_call", name="refund", error="timeout after 30 s"),
        Step(type="tool_result", error=True, content="no such order"),
        Step(type="tool_result", name="fine", error=False, content="left out"),
    )
    assert told(make_failure(steps=steps), "error") == (
        "refund: timeout after <id> s tool_result: no such order"
    )


def test_the_requests_own_error_comes_first_and_nothing_is_told_twice(
    make_failure: MakeFailure,
) -> None:
    error = {ERROR_TYPE: "RateLimitError", ERROR_MESSAGE: "too many requests"}
    again = tuple(Step(type="assistant", name="chat", error="too many tokens") for _ in range(3))
    failure = make_failure(metadata=error, steps=again)
    assert told(failure, "error") == "RateLimitError: too many requests chat: too many tokens"
    named = {ERROR_TYPE: "ValueError", ERROR_MESSAGE: "ValueError: bad"}
    assert told(make_failure(metadata=named), "error") == "ValueError: bad"
    assert told(make_failure(metadata={"error": "boom"}), "error") == "boom"


def test_of_a_stack_trace_only_the_callers_frames_are_told(make_failure: MakeFailure) -> None:
    stack = (
        "Traceback (most recent call last):\n"
        '  File "/app/refund.py", line 42, in refund\n    pay(order)\n'
        '  File "/x/site-packages/stripe/api.py", line 7, in pay\n    raise e\n'
        "stripe.CardError: card 4242 declined\n"
    )
    error = {ERROR_TYPE: "CardError", ERROR_MESSAGE: "declined", "exception.stacktrace": stack}
    assert told(make_failure(metadata=error), "error") == (
        "CardError: declined stripe.CardError: card <id> declined at refund in refund.py"
    )
    step = Step(type="tool_call", name="pay", error=stack)
    assert told(make_failure(steps=(step,)), "error").endswith("declined at refund in refund.py")


def test_a_log_in_an_error_is_told_by_its_templates(make_failure: MakeFailure) -> None:
    log = "10:11:12 INFO retry 1 of host alpha\n10:11:13 INFO retry 2 of host beta\ngave up"
    failure = make_failure(metadata={ERROR_TYPE: "Timeout", ERROR_MESSAGE: log})
    assert told(failure, "error") == "Timeout: retry <id> of host <*> gave up"


def test_failing_signals_are_told_gravest_first_with_why_and_what_was_said(
    make_failure: MakeFailure,
) -> None:
    said = Signal(name="thumb", value=0, source="user", label="down", comment="wrong city")
    failure = signalled(
        make_failure(signals=(said,)),
        signal("thumb", "The user gave thumb = 0.", severity="low", value=0, source="user"),
        signal("latency", "latency is 5312 ms, above 2000 ms."),
    )
    assert told(failure, "signals") == (
        "latency is <id> ms, above <id> ms. thumb: The user gave thumb = <id>. down wrong city"
    )


def test_a_signal_that_repeats_the_error_is_told_by_its_name(make_failure: MakeFailure) -> None:
    failure = signalled(make_failure(), signal("error", "The request ended in an error: boom"))
    assert told(failure, "signals") == "error"


def test_a_failed_tool_is_told_with_the_shape_of_its_last_arguments(
    make_failure: MakeFailure,
) -> None:
    steps = (
        Step(type="tool_call", name="refund", call_id="1", arguments='{"order": "W1", "n": 2}'),
        Step(type="tool_result", name="refund", call_id="1", error="no"),
        Step(type="tool_call", name="fine", call_id="2", arguments={"a": 1}),
    )
    assert told(make_failure(steps=steps), "tool") == "refund with {n: number, order: text}"
    assert told(make_failure(), "tool") == ""


def test_an_error_that_is_not_text_does_not_matter(make_failure: MakeFailure) -> None:
    """Metadata is whatever JSON a client sent."""
    said: list[object] = [{"code": 5}, ["a"], 7, 1.5]
    for error in said:
        assert told(make_failure(metadata={ERROR_MESSAGE: error}), "error")
    for error in (None, True, False, "", {}, []):
        assert told(make_failure(metadata={ERROR_MESSAGE: error}), "error") in ("", "{}", "[]")


def test_who_asked_and_how_long_it_took_change_nothing(make_failure: MakeFailure) -> None:
    """The text says how a failure happened, not to whom."""
    one = make_failure("t1", input="q", output="a", user_id="u1", latency_ms=10, release="1.0")
    two = make_failure(
        "t2",
        input="q",
        output="a",
        user_id="u2",
        session_id="s",
        latency_ms=9000,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert failure_text(one) == failure_text(two)


def test_the_order_of_keys_in_json_content_changes_nothing(make_failure: MakeFailure) -> None:
    one = make_failure(input={"a": 1, "b": [2]}, output={"x": 1, "y": 2})
    two = make_failure(input={"b": [2], "a": 1}, output={"y": 2, "x": 1})
    assert failure_text(one) == failure_text(two)


def test_a_failure_without_any_content_has_an_empty_text(make_failure: MakeFailure) -> None:
    assert failure_text(signalled(make_failure())).whole == ""


def test_the_policy_says_which_parts_in_which_order_and_how_long(
    make_failure: MakeFailure,
) -> None:
    failure = make_failure(input="what was asked", output="what was answered")
    policy = TextPolicy(parts=(TextPart(part="answer", chars=8), TextPart(part="turns", chars=50)))
    text = failure_text(failure, policy)
    assert text.whole == "what was\nwhat was asked"
    assert [(part.part, part.cut) for part in text.parts] == [("answer", 9), ("turns", 0)]


def test_every_change_of_the_policy_is_another_version() -> None:
    policies = [
        TextPolicy(),
        only("turns"),
        only("turns", chars=501),
        only("turns", "answer"),
        only("answer", "turns"),
    ]
    assert len({text_version(one) for one in policies}) == len(policies)
    assert text_version(TextPolicy()) == text_version(TextPolicy())


def test_a_policy_without_parts_or_with_one_twice_is_refused() -> None:
    for parts in ([], [{"part": "turns", "chars": 5}] * 2):
        with pytest.raises(msgspec.ValidationError, match=r"at least one part|named twice"):
            msgspec.convert({"parts": parts}, TextPolicy)


def test_two_mechanisms_of_one_request_have_two_texts(make_failure: MakeFailure) -> None:
    """What was asked is the same; what went wrong is not."""
    asked = make_failure(input="Refund my order")
    failures = [
        signalled(asked, signal("refusal", "The answer refuses.")),
        signalled(asked, signal("truncated", "The answer was cut at a limit.")),
        make_failure(input="Refund my order", metadata={ERROR_MESSAGE: "no route to host"}),
        make_failure(input="Refund my order", output="It is 14 days."),
        make_failure(input="Refund my order", output="It is 14 days.", steps=(
            Step(type="user", content="Refund my order"), Step(type="tool_call", name="pay", error="x"),
        )),
    ]  # fmt: skip
    assert len({fingerprint(failure_text(one).whole, guard_of(one)) for one in failures}) == 5


@pytest.mark.parametrize("said", LANGUAGES.values(), ids=LANGUAGES)
def test_every_language_is_told_as_it_is_and_numbers_mask_alike(
    make_failure: MakeFailure, said: str
) -> None:
    text = failure_text(make_failure(input=said), only("turns")).whole
    assert text == " ".join(said.split())
    assert fingerprint(f"{text} 12") == fingerprint(f"{text} 999")
    assert fingerprint(text) != fingerprint(f"{text} x")


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "\x00",
        "\ud800",
        "\u0301",
        "\u202e",
        "👩🏽‍🚀",
        "1",
        "-a",
        "@",
        "\n",
        "\u0301\u0323",
    ],
)
def test_a_megabyte_of_one_thing_is_bounded_everywhere(
    make_failure: MakeFailure, unit: str
) -> None:
    big = unit * (1_000_000 // len(unit))
    steps = (
        Step(type="user", content=big),
        Step(type="tool_call", name=big, arguments=big, error=big),
        Step(type="tool_result", name=big, content={"x": big}, error=True),
    )
    failure = signalled(
        make_failure(input=big, output=big, steps=steps, metadata={ERROR_MESSAGE: big}),
        signal("judge", big, value=big),
    )
    text = failure_text(failure).whole
    assert len(text) <= LONGEST
    assert text.encode()
    assert "\x00" not in text
    assert len(guard_of(failure)) < 200
    assert fingerprint(big) == fingerprint(big)


def test_control_characters_and_lone_surrogates_are_taken_out_and_emoji_stay(
    make_failure: MakeFailure,
) -> None:
    failure = make_failure(input="a\x00b\x1b[31m \ud800 c👍🏽 שלום\u200f d", output={"x": "\ud800"})
    text = failure_text(failure, only("turns", "answer")).whole
    assert text.startswith("a b [31m ? c👍🏽 שלום\u200f d\n")
    assert text.encode()


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_any_text = st.text(st.characters(exclude_categories=()), max_size=2000)
_content = st.none() | _any_text | st.dictionaries(st.text(), _json, max_size=4)
_steps = st.lists(
    st.builds(
        Step,
        type=st.sampled_from(["user", "assistant", "tool_call", "tool_result"]),
        name=st.none() | st.text(max_size=20),
        content=_content,
        arguments=_content,
        error=st.none() | st.booleans() | _any_text,
    ),
    max_size=5,
)


@settings(deadline=None)
@given(
    asked=_content,
    answered=_content,
    steps=_steps,
    metadata=st.dictionaries(
        st.sampled_from([ERROR_TYPE, ERROR_MESSAGE, "error", "stacktrace", "other"]), _json
    ),
    reason=_any_text,
)
def test_whatever_is_in_a_failure_the_text_is_short_clean_and_the_same_again(
    make_failure: MakeFailure,
    asked: Any,
    answered: Any,
    steps: list[Step],
    metadata: dict[str, Any],
    reason: str,
) -> None:
    failure = signalled(
        make_failure(input=asked, output=answered, steps=tuple(steps), metadata=metadata),
        signal("judge", reason),
    )
    text = failure_text(failure).whole
    assert text == failure_text(failure).whole
    assert len(text) <= LONGEST
    assert text.encode()
    lines = text.split("\n") if text else []
    assert len(lines) <= len(TextPolicy().parts)
    for line in lines:
        assert line == " ".join(line.split())
    for part in failure_text(failure).parts:
        assert len(part.text) <= part.chars
        assert part.cut >= 0
    assert fingerprint(text, guard_of(failure)) == fingerprint(text, guard_of(failure))


def test_recorded_sessions_say_what_was_wanted_first(airline: Sequence[Failure]) -> None:
    for failure in airline:
        first = next(step for step in failure.trace.steps if step.type == "user")
        text = failure_text(failure)
        assert text.whole.startswith(" ".join(str(first.content).split())[:60])
        assert len(text.whole) <= LONGEST


@pytest.fixture(scope="module")
def airline() -> Sequence[Failure]:
    """The recorded sessions; they are not part of the repository."""
    folder = Path(__file__).parents[3] / "shared/data/traces"
    if not folder.is_dir():
        pytest.skip("the recorded sessions are not here")
    with (folder / "airline.groups.csv").open() as file:
        known = {row["trace_id"] for row in csv.DictReader(file)}
    lines = (folder / "airline.jsonl").read_bytes().splitlines()
    traces = [msgspec.json.decode(line, type=Trace) for line in lines]
    assert known == {trace.trace_id for trace in traces}
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Failure(event_id=one.trace_id, trace=one, signals=(), severity="high", failed_at=moment)
        for one in traces
    ]
