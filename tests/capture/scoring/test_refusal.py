"""Answers that refuse, in several languages, and answers that do not."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.scoring.refusal import RefusalScorer
from capture.trace import Trace

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, I cannot assist with this.",
    "I cannot provide information on how to do that.",
    "I'm unable to help you with that request.",
    "Unfortunately, I'm not able to assist with this kind of request.",
    "I apologize, but I cannot fulfill this request.",
    "I must decline to answer this question.",
    "As an AI language model, I cannot provide medical advice.",
    "As an AI developed by a company, I can't discuss that.",
    "I'm not comfortable helping with this.",
    "I'm not able to discuss that topic.",
    "I can't create content that sexualises minors. I can't help with that.",
    "I won't help with that.",
    "> I cannot comply with this request.",
    "I'd prefer not to discuss that.",
    "That's against my guidelines.",
    "This request violates our policy.",
    "I'm sorry, but as a language model AI, I cannot diagnose or provide medical advice.",
    "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
    "Tut mir leid, ich kann diese Anfrage nicht beantworten.",
    "Leider kann ich dir dabei nicht helfen.",
    "Je suis désolé, mais je ne peux pas vous aider avec cela.",
    "Désolée, je ne peux pas répondre à cette demande.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Lo siento, no puedo proporcionar esa información.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "Het spijt me, maar daar kan ik je niet mee helpen.",
    "Przykro mi, ale nie mogę w tym pomóc.",
    "Извините, но я не могу вам с этим помочь.",
    "К сожалению, я не могу помочь с этим.",
    "Üzgünüm, bu konuda yardımcı olamam.",
    "很抱歉，我无法提供这方面的帮助。",
    "对不起，我不能协助您完成这个请求。",
    "抱歉，我无法回答这个问题。",
    "申し訳ありませんが、そのご要望にはお応えできません。",
    "申し訳ございませんが、お手伝いできません。",
    "죄송하지만, 그 요청은 도와드릴 수 없습니다.",
    "عذرًا، لا أستطيع مساعدتك في ذلك.",
    "क्षमा करें, मैं इसमें आपकी मदद नहीं कर सकता।",
)

ANSWERS = (
    "I'm sorry to hear that your parcel is late. I have ordered a new one.",
    "I can't find an order with that number. Could you check it?",
    "I cannot see a reservation under this name.",
    "I'm unable to change the passenger's name in the reservation.",
    "Unfortunately, basic economy flights cannot be modified.",
    "Sorry for the wait! Your refund is on its way.",
    "No, you cannot cancel after 24 hours.",
    "You can't help but notice that this is great.",
    "I can help you with that.",
    "The model answered: I'm sorry, but I can't help with that.",
    "I will not be able to reach the carrier before Monday; I will write to you then.",
    "Je ne peux pas trouver votre commande.",
    "No puedo encontrar su pedido.",
    "Ich kann Ihre Bestellung nicht finden.",
    "我无法找到您的订单。",
    "Das kann ich gern tun, es ist nicht schwer.",
    "",
)


@pytest.mark.parametrize("answer", REFUSALS)
def test_an_answer_that_refuses_fails(ask: Any, answer: str) -> None:
    (found,) = ask({"type": "refusal"}, output=answer)
    assert found.reason.startswith("The answer refuses: ")
    assert (found.severity, found.fault) == ("medium", "model")


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_only_says_what_cannot_be_had_passes(ask: Any, answer: str) -> None:
    assert ask({"type": "refusal"}, output=answer) == []


@pytest.mark.parametrize(
    "trace",
    [
        {"metadata": {"finish_reason": "content_filter"}, "output": ""},
        {"metadata": {"finish_reason": "SAFETY"}},
        {"metadata": {"finish_reason": "refusal"}, "output": "Let us talk about something else."},
        {"metadata": {"gen_ai.response.refusal": "I can't do that"}},
        {"output": {"role": "assistant", "content": None, "refusal": "No."}},
    ],
)
def test_the_providers_own_word_for_it_counts(ask: Any, trace: dict[str, Any]) -> None:
    (found,) = ask({"type": "refusal"}, **trace)
    assert "The provider says" in found.reason


def test_a_project_adds_phrases_of_its_own(ask: Any) -> None:
    scorer = {"type": "refusal", "phrases": ["That is (not) for me"]}
    assert ask(scorer, output="That  is (NOT) for me, I think.")
    assert ask(scorer, output="That is not for me.") == []


def _answers(folder: Path) -> Iterator[tuple[str, str]]:
    for name in ("traces/airline", "traces/rag", "judge/items", "judge/pandalm"):
        for line in (folder / f"{name}.jsonl").read_bytes().splitlines():
            row = msgspec.json.decode(line)
            for key, text in row.items():
                if key == "output" or key.startswith(("output_", "output1", "output2", "response")):
                    yield (
                        name,
                        text if isinstance(text, str) else msgspec.json.encode(text).decode(),
                    )


def test_of_all_recorded_answers_only_those_that_refuse_fail(sample_data: Path) -> None:
    """The measurement in docs/scorers-and-policy.md: no false positive in 2,858 answers."""
    rule = RefusalScorer().rule()
    counts: Counter[str] = Counter()
    refused = set()
    for name, text in _answers(sample_data):
        counts[name] += 1
        if rule(Trace(trace_id="t", project="p", output=text)):
            refused.add(text[:70])
    assert sum(counts.values()) == 2858, counts
    assert refused == {"I'm sorry, but as a language model AI, I cannot diagnose medical condi"}
