import numpy as np
import pytest

from dedup.embedding import BUNDLED_MODEL, load_model, own_direction
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
    model = load_model(BUNDLED_MODEL, threads=2)
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
