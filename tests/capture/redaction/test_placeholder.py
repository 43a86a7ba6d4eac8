from capture.events import Failure, TraceReceived
from capture.redaction.placeholder import LINK, numbered
from capture.redaction.redactor import Redactor
from capture.redaction.rules import Rules
from capture.trace import Trace
from dedup.fingerprint import fingerprint
from dedup.text import failure_text


def _scored(rules: Rules, mail: str) -> Trace:
    said = f"Send it to {mail} and to boss@example.com, then tell {mail}"
    trace = Trace(trace_id=mail[:2], project="shop", user_id=mail, input=said)
    piece = Redactor(rules).redact(TraceReceived(event_id="", trace=trace))
    assert isinstance(piece, TraceReceived)
    return numbered(piece.trace)


def test_placeholders_are_numbered_in_order_and_keep_their_link(rules: Rules) -> None:
    trace = _scored(rules, "ann@example.com")
    assert trace.input == "Send it to <EMAIL_1> and to <EMAIL_2>, then tell <EMAIL_1>"
    link = trace.metadata[LINK]
    assert trace.user_id == f"<EMAIL_{link['<EMAIL_1>']}>"
    assert numbered(trace) == trace


def test_the_same_failure_of_two_users_has_one_fingerprint(rules: Rules) -> None:
    prints = set()
    for mail in ("ann@example.com", "bob@example.com"):
        trace = _scored(rules, mail)
        prints.add(fingerprint(failure_text(_failure(trace)).whole))
    assert len(prints) == 1


def _failure(trace: Trace) -> Failure:
    from datetime import UTC, datetime  # noqa: PLC0415 - only here

    now = datetime(2026, 1, 2, tzinfo=UTC)
    return Failure(event_id="e", trace=trace, signals=(), severity="high", failed_at=now)
