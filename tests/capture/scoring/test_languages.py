"""The language of an answer."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.policy import ScoringPolicy
from capture.scoring.languages import RECOGNISED, LanguageScorer, _identifier
from capture.trace import Trace

ENGLISH = "Where is my parcel? I ordered it two weeks ago and it has still not arrived."
GERMAN = "Ihr Paket wurde gestern an der Haustür abgegeben, bitte fragen Sie Ihre Nachbarn danach."
FRENCH = "Votre colis a été livré hier à votre voisin, veuillez lui demander de vous le remettre."
JAPANESE = (
    "お荷物は昨日お隣の方にお届けしました。お手数ですが、"
    "お隣の方にご確認をお願いいたします。どうぞよろしくお願いいたします。"
)


def test_an_answer_in_another_language_than_the_question_fails(ask: Any) -> None:
    (found,) = ask({"type": "language"}, input=ENGLISH, output=GERMAN)
    assert found.reason == "The answer is in 'de', the question in 'en'."
    assert found.value == "de"
    assert ask({"type": "language"}, input=GERMAN, output=GERMAN + " " + GERMAN) == []
    assert ask({"type": "language"}, input=FRENCH, output=JAPANESE)


def test_an_answer_in_none_of_the_allowed_languages_fails(ask: Any) -> None:
    scorer = {"type": "language", "allowed": ["de", "fr"]}
    assert ask(scorer, output=GERMAN) == ask(scorer, output=FRENCH) == []
    (found,) = ask(scorer, output=ENGLISH)
    assert found.reason == "The answer is in 'en', not in de, fr."


@pytest.mark.parametrize(
    "output",
    [
        "ok",
        "Ja, gern!",
        "```python\ndef livrer(colis): return voisin(colis)\n```",
        "https://beispiel.example/wo-ist-mein-paket-denn-nun-wieder-geblieben",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27",
        "SKU-1 SKU-2 SKU-3 SKU-4 SKU-5 SKU-6 SKU-7 SKU-8 SKU-9",
        None,
        "",
    ],
)
def test_nothing_is_said_about_a_text_too_short_to_tell(ask: Any, output: Any) -> None:
    assert ask({"type": "language"}, input=ENGLISH, output=output) == []


def test_languages_that_look_alike_are_not_held_against_each_other(ask: Any) -> None:
    danish = "Hvor er min pakke? Jeg bestilte den for to uger siden, og den er ikke kommet endnu."
    norwegian = "Pakken din ble levert i går til naboen din. Vennligst spør ham om å få den av ham."
    assert ask({"type": "language"}, input=danish, output=norwegian) == []


def test_the_list_of_languages_is_the_models() -> None:
    assert set(_identifier().labels) == RECOGNISED


@pytest.mark.parametrize("allowed", [["xx"], ["english"], ["EN"]])
def test_a_language_that_does_not_exist_is_refused(allowed: list[str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"scorers": [{"type": "language", "allowed": allowed}]}, ScoringPolicy)


def test_no_recorded_session_or_answer_is_in_another_language(sample_data: Path) -> None:
    """The measurement in docs/scorers-and-policy.md. All are English, asked and answered."""
    rule = LanguageScorer().rule()
    for name in ("airline", "rag"):
        for line in (sample_data / f"traces/{name}.jsonl").read_bytes().splitlines():
            assert not rule(msgspec.json.decode(line, type=Trace)), line[:80]
