"""The fingerprint: an exact hash of a failure's text, masked where occurrences differ."""

import hashlib
import re
import unicodedata
from collections.abc import Callable

# Boundaries and letters are ASCII on purpose: Chinese and Japanese write numbers and addresses right
# beside words, and a mask that took the words along would make two different sentences one.
_START, _END = r"(?<![a-z0-9])", r"(?![a-z0-9])"
_CLOCK = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:z|[+-][0-9]{2}:?[0-9]{2})?"
_WITH_DIGIT = r"(?=[a-z]*(?:[_-][a-z]+)*[_-]?[0-9])"  # sees no farther than the match will go


def _mask(pattern: str, placeholder: str) -> tuple[re.Pattern[str], str]:
    return re.compile(_START + pattern + _END), placeholder


_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    _mask(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "<uuid>"),
    _mask(r"[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+", "<email>"),
    _mask(r"https?://[!-~]+", "<url>"),
    _mask(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[t ]{_CLOCK})?", "<date>"),
    _mask(r"[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}", "<date>"),
    _mask(_WITH_DIGIT + r"[a-z0-9]+(?:[_-][a-z0-9]+)*", "<id>"),
    (re.compile(r"<id>(?:[.,:]<id>)+"), "<id>"),  # decimals, thousands, times
)


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
    folded = unicodedata.normalize("NFKC", text).casefold()
    masked = unicodedata.normalize("NFKC", folded).translate(_digits)
    for pattern, placeholder in _MASKS:
        masked = pattern.sub(placeholder, masked)
    return " ".join(masked.translate(_words).split())


def fingerprint(text: str) -> str:
    """32 hexadecimal digits; equal for two texts exactly when their normalised forms are equal."""
    return hashlib.blake2b(normalised(text).encode("utf-8", "replace"), digest_size=16).hexdigest()
