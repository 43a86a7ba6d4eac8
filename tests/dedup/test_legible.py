import re

import numpy as np
import pytest

from dedup.encoders.reference import ReferenceEncoder
from dedup.encoders.unreadable import own_direction
from dedup.encoders.weights import BUNDLED_MODEL
from dedup.legible import legible

REQUESTS = {
    "de": ("Wo ist mein Paket?", "Ich habe mein Passwort vergessen", "Die App stürzt ab"),
    "ja": ("注文した荷物はどこですか", "パスワードを忘れました", "返金してください"),
    "ko": ("주문한 택배는 어디에 있나요", "비밀번호를 잊어버렸어요", "환불해 주세요"),
    "hi": ("मेरा पार्सल कहाँ है", "मैं पासवर्ड भूल गया", "मुझे पैसे वापस चाहिए"),
    "th": ("พัสดุของฉันอยู่ที่ไหน", "ฉันลืมรหัสผ่าน", "ขอเงินคืน"),
    "ru": ("Где моя посылка", "Я забыл пароль", "Верните деньги"),
}
SORRY = {
    "de": "Das kann ich leider nicht beantworten.",
    "ja": "申し訳ありませんが、お答えできません。",
    "ko": "죄송합니다, 답변할 수 없습니다.",
    "hi": "क्षमा करें, मैं उत्तर नहीं दे सकता।",
    "th": "ขออภัย ไม่สามารถตอบได้",
    "ru": "Извините, я не могу ответить.",
}


@pytest.mark.slow
def test_what_the_bundled_model_cannot_read_is_near_nothing_else() -> None:
    """Two different failures never hide behind each other, in whatever language they happen."""
    model = ReferenceEncoder(BUNDLED_MODEL, threads=2)
    for language, requests in REQUESTS.items():
        vectors = model.encode([f"{request}\n{SORRY[language]}" for request in requests])
        near = 1 - vectors @ vectors.T + 2 * np.eye(len(vectors))  # not with itself
        assert near.min() > 0.6, language
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    english = model.encode(["Where is my parcel?\nSorry.", "Where's my package?\nSorry."])
    assert 1 - english[0] @ english[1] < 0.3


def test_the_same_text_has_the_same_direction_of_its_own() -> None:
    assert np.array_equal(own_direction("поздно", 384), own_direction("поздно", 384))
    assert abs(own_direction("a", 384) @ own_direction("b", 384)) < 0.3


@pytest.mark.parametrize("text", ["", "42", "Where is order 4711?", "iPhone", "¿?!"])
def test_numbers_names_and_english_are_legible(text: str) -> None:
    assert legible(text, str.split, unknown="[UNK]")


def test_a_text_of_unknown_signs_is_not_legible() -> None:
    assert not legible("🎉 🎉", lambda text: ["[UNK]"] * len(text.split()), unknown="[UNK]")


ENGLISH = "judge: The answer names a period of 14 days where the policy of the shop says 30 days."


def _pieces(text: str) -> list[str]:
    """English words whole, all others in pieces of three letters, as a model of English has them."""
    known = set(f"where is my parcel today {ENGLISH}".replace(".", "").replace(":", "").split())
    return [
        piece
        for word in text.split()
        for piece in ([word] if word in known or len(word) <= 3 else [*re.findall(".{1,3}", word)])
    ]


@pytest.mark.parametrize(
    "asked",
    ["Wo ist meine Bestellung geblieben", "注文した荷物はどこですか", "订单 在哪里", "Где посылка"],
)
def test_english_reasons_and_errors_do_not_make_another_language_legible(asked: str) -> None:
    """They are below what was asked in every text, and longer."""
    assert not legible(f"{asked}\n{ENGLISH}", _pieces, unknown="[UNK]")


def test_names_in_an_error_do_not_make_english_illegible() -> None:
    error = "JSONDecodeError UnprocessableEntityError RateLimitExceededException at xyzzyHandler"
    assert legible(f"where is my parcel today\n{ENGLISH}\n{error}", _pieces, unknown="[UNK]")
