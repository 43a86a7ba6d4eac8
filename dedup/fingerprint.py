"""The fingerprint: an exact hash of a failure's text, masked where occurrences differ."""

import hashlib
import re
import unicodedata
from collections.abc import Callable

# Boundaries and letters are ASCII on purpose: Chinese and Japanese write numbers and addresses right
# beside words, and a mask that took the words along would make two different sentences one.
#
# Every pattern begins where nothing it could begin with precedes, or is of bounded length: time is
# linear in the text, whatever is in it. On text of this length Python's own engine is three times as
# fast as re2's, whose binding translates every place between bytes and characters.
_START, _END = r"(?<![a-z0-9])", r"(?![a-z0-9])"
_CLOCK = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,12})?)?(?:z|[+-][0-9]{2}:?[0-9]{2})?"

_EMAIL = re.compile(
    rf"{_START}[a-z0-9._%+-]{{1,64}}@[a-z0-9-]{{1,63}}(?:\.[a-z0-9-]{{1,63}}){{1,8}}{_END}"
)
_UUID = re.compile(_START + r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}" + _END)
_URL = re.compile(_START + r"https?://[!-~]+" + _END)
_DATE = re.compile(
    rf"{_START}(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[t ]{_CLOCK})?"
    rf"|[0-9]{{1,2}}[./][0-9]{{1,2}}[./][0-9]{{2,4}}){_END}"
)
_NUMBERED = re.compile(r"(?<![a-z0-9_-])[a-z_-]*+[0-9][a-z0-9_-]*")
"""A run of letters, digits, underscores and hyphens with a digit in it."""
_WORD = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_JOINED = re.compile(r"<id>(?:[.,:]<id>)+")  # decimals, thousands, times
_MARKS = 30  # UAX 15, section 13: no language has more
_FEW = 4000  # characters; the worst of them take 4 ms
_HAS_DIGIT = re.compile("[0-9]")


class _BySpelling(dict[int, str]):
    """A table for `str.translate` that asks about each character once."""

    def __init__(self, spelled: Callable[[str, str], str]) -> None:
        """`spelled` is given a character and its Unicode category."""
        super().__init__()
        self._spelled = spelled

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = self._spelled(character, unicodedata.category(character))
        return self[code]


def _digit(character: str, category: str) -> str:
    """Digits of every script as 0 to 9."""
    return str(unicodedata.decimal(character)) if category == "Nd" else character


def _word(character: str, category: str) -> str:
    """Punctuation says nothing here; marks are vowels in many scripts, symbols can be the answer."""
    if character in "<>_" or category[0] in "LMN":
        return character
    return f" {character} " if category in {"Sm", "Sc", "So"} else " "


_digits, _words = _BySpelling(_digit), _BySpelling(_word)


def normalised(text: str) -> str:
    """The text in lower case and one Unicode form, with ids, numbers, dates and addresses masked."""
    if text.isascii():  # all of what is done below for other scripts, at once
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", _few_marks(text)).casefold()
        folded = unicodedata.normalize("NFKC", folded).translate(_digits)
    return " ".join(_masked(folded).translate(_words).split())


def fingerprint(text: str, guard: str = "") -> str:
    """32 hexadecimal digits; equal exactly when the guards and the normalised texts are equal."""
    hashed = f"{guard}\0{normalised(text)}".encode("utf-8", "replace")
    return hashlib.blake2b(hashed, digest_size=16).hexdigest()


def _few_marks(text: str) -> str:
    """The text with at most 30 combining marks in a row, as Unicode's stream-safe format has it.

    Bringing marks into order is quadratic in their number. A text too short for that to matter stays
    as it is: looking at every character costs more.
    """
    if len(text) <= _FEW:
        return text
    kept: list[str] = []
    row = 0
    for character in text:
        row = row + 1 if unicodedata.combining(character) else 0
        if row <= _MARKS:
            kept.append(character)
    return "".join(kept)


def _masked(text: str) -> str:
    """The folded text, masked. The more specific comes first, and what cannot be there is not sought."""
    if text.count("-") >= 4:  # noqa: PLR2004 - as many as a UUID has
        text = _UUID.sub("<uuid>", text)
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    if "://" in text:
        text = _URL.sub("<url>", text)
    if _HAS_DIGIT.search(text):
        text = _DATE.sub("<date>", text)
        text = _JOINED.sub("<id>", _NUMBERED.sub(_numbered, text))
    return text


def _numbered(run: re.Match[str]) -> str:
    return _WORD.sub(_id, run[0])


def _id(word: re.Match[str]) -> str:
    return "<id>" if _HAS_DIGIT.search(word[0]) else word[0]
