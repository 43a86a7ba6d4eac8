"""Whether an English model can read a text, told from how its tokeniser cuts the words up.

A model that cannot read a text puts it near every other text of that language: six unrelated
requests in German were within 0.25 of each other, in Thai at the same point. What is not legible is
therefore compared by fingerprint alone: apart is a mistake one can see, together hides a failure.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

_WORD = re.compile(r"[^\W\d_]+")
_NAME = re.compile(r"\w*[a-z][A-Z]\w*|[\w.]*\w[._/]\w[\w./]*|<\w+>", re.ASCII)
"""`RateLimitError`, `find_order`, `app.pay`, `<id>`."""
_MOST_PIECES = 1.7
"""Pieces a word. Of 6,819 real English queries 99.9 % have at most 1.57; German, French, Spanish,
Dutch, Portuguese and Polish requests had 1.8 to 2.6 on average."""
_FEWEST_WORDS = 3  # a product's name alone says nothing about the language
_MOST_UNKNOWN = 0.3
_LEAST_LATIN = 0.5
_CHARACTERS = 2000  # more than the model reads


def legible(text: str, tokenize: Callable[[str], Sequence[str]], *, unknown: str) -> bool:
    """Whether the vocabulary covers the text.

    Asked of the first line, which is what was asked, where it is long enough, and of the whole: the
    reasons and errors in the lines below are English whatever the language of the user, and longer.
    Names of code in those lines count for nothing: no vocabulary has them.

    Args:
        text: any text; one without letters counts as legible unless its signs are unknown.
        tokenize: text to word pieces.
        unknown: the piece that stands for what is not in the vocabulary.
    """
    asked, line, told = text[:_CHARACTERS].partition("\n")
    long_enough = len(_WORD.findall(asked)) >= _FEWEST_WORDS or not _latin(asked)
    read = [asked] if line and long_enough else []
    read.append(asked + line + _NAME.sub(" ", told))
    return all(_covered(one, tokenize, unknown) for one in read)


def _covered(text: str, tokenize: Callable[[str], Sequence[str]], unknown: str) -> bool:
    if not _latin(text):
        return False
    pieces = tokenize(text)
    if pieces and pieces.count(unknown) > _MOST_UNKNOWN * len(pieces):
        return False
    words = _WORD.findall(text)
    return len(words) < _FEWEST_WORDS or len(tokenize(" ".join(words))) <= _MOST_PIECES * len(words)


def _latin(text: str) -> bool:
    if text.isascii():
        return True
    letters = [sign for sign in text if sign.isalpha()]
    latin = sum(unicodedata.name(sign, "").startswith("LATIN") for sign in letters)
    return not letters or latin >= _LEAST_LATIN * len(letters)
