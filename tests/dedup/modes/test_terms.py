from dedup.modes.names import name_of
from dedup.modes.terms import TERMS, telling_terms


def test_a_mode_is_told_by_the_words_the_others_do_not_use() -> None:
    refunds = ["I want my refund for the order", "the refund for order 88 never came"] * 5
    logins = ["I cannot log in, the password is wrong", "my password for the order page"] * 5
    found = telling_terms([refunds, logins])
    assert found[0][0] == "refund"
    assert "password" in found[1][:2]
    assert "refund" not in found[1]
    assert name_of(found[0]).startswith("refund")


def test_terms_do_not_repeat_one_another_and_are_few() -> None:
    found = telling_terms(
        [["exchange rate wrong exchange rate"] * 3, [" ".join(map(chr, range(97, 123)))]]
    )
    words = [word for term in found[0] for word in term.split()]
    assert len(set(words)) >= len(found[0])
    assert len(found[0]) <= TERMS


def test_other_scripts_are_words_too() -> None:
    found = telling_terms([["возврат денег не пришёл"] * 3, ["パスワード が 違います"] * 3])
    assert "возврат" in " ".join(found[0])
    assert "パスワード" in found[1]


def test_without_words_there_are_no_terms() -> None:
    assert telling_terms([["123 456", "the of"], ["..."]]) == [[], []]
    assert telling_terms([]) == []
    assert name_of([]) == "(no words)"


def test_one_mode_without_words_beside_one_that_has_some() -> None:
    assert telling_terms([["17 18"], ["refund"]]) == [[], ["refund"]]


def test_what_every_mode_says_tells_nothing() -> None:
    boilerplate = "thumbs I am sorry, I cannot help with that."
    cards = [f"my card was {what}. {boilerplate}" for what in ("lost", "eaten", "declined")]
    transfers = [f"my transfer is {what}. {boilerplate}" for what in ("pending", "late", "gone")]
    one, other = telling_terms([cards, transfers])
    assert one[0] == "card"
    assert other[0] == "transfer"
    assert not {"sorry", "help", "thumbs"} & {*one, *other}


def test_modes_that_all_say_the_same_still_have_terms() -> None:
    first, second = telling_terms([["late refund"] * 2, ["late refund"] * 3])
    assert first == second == ["late", "late refund"]
