"""Leaving out texts without a candidate changes nothing: the spans of all the corpus, both ways."""

import json
import random
from collections.abc import Callable

import msgspec
import pytest

from capture.events import Span, SpansReceived
from capture.redaction.redactor import Redactor
from capture.redaction.rules import Rules

SPANS = 600


def _spans(corpus: list[dict[str, str]]) -> list[Span]:
    """Spans with one to three texts of the corpus: plain, behind names, and JSON in JSON in a text."""
    rng = random.Random(11)
    spans = []
    for number in range(SPANS):
        texts = [rng.choice(corpus)["text"] for _ in range(rng.randint(1, 3))]
        said = {"role": "user", "content": texts[-1]}
        attributes = {
            "said": texts[0],
            "gen_ai.input.messages": json.dumps([said], ensure_ascii=rng.random() < 0.5),
            "nested": json.dumps({"body": json.dumps({"list": [texts[0], 12, "nothing"]})}),
            "order": "XQ12345678 of 2026-11-21",
            "lines": f"first\n{texts[-1]}\tlast",
        }
        kept = {name: attributes[name] for name in rng.sample(sorted(attributes), 3)}
        spans.append(Span(span_id=f"{number:016x}", attributes=kept, status_message="done"))
    return spans


def test_a_span_is_redacted_as_if_every_text_were_looked_at(
    corpus: list[dict[str, str]], rules_of: Callable[..., Rules], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = _spans(corpus)
    piece = SpansReceived(event_id="", project="shop", trace_id="ab" * 16, spans=tuple(spans))
    quick, whole = rules_of(), rules_of()
    known = [quick.marks((s.attributes, s.status_message)) for s in spans]
    assert sum(bool(marks) for marks in known) > SPANS // 10  # else this would compare nothing
    monkeypatch.setattr(whole, "marks", lambda _: ())
    assert msgspec.json.encode(Redactor(quick).redact(piece)) == msgspec.json.encode(
        Redactor(whole).redact(piece)
    )


def test_only_texts_that_may_have_a_candidate_are_marked(rules: Rules) -> None:
    marks = rules.marks({"a": "Call +49 30 39358370.", "b": "order 12345, 2026-11-21"})
    assert marks is not None
    assert any("39358370" in mark for mark in marks)
    assert not any("2026" in mark for mark in marks)


def test_a_table_of_numbers_has_too_many_marks_to_look_for(rules: Rules) -> None:
    rows = [f"+49 30 {39358370 + row}" for row in range(100)]
    assert rules.marks({"rows": rows}) == ()
