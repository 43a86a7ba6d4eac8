"""The fingerprint: an exact hash of a failure's text, masked where occurrences differ."""

import hashlib
import re
import unicodedata

_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\S+@\S+\.\w+\b"), "<email>"),
    (re.compile(r"\bhttps?://\S+"), "<url>"),
    (
        re.compile(r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?"),
        "<date>",
    ),
    (re.compile(r"\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"), "<date>"),
    (re.compile(r"\b(?=[a-z_-]*\d)[a-z0-9]+(?:[_-][a-z0-9]+)*\b"), "<id>"),  # holds a digit
    (re.compile(r"<id>(?:[.,:]<id>)+"), "<id>"),  # decimals, thousands, times
    (re.compile(r"[^\w<>]+"), " "),  # punctuation and white space say nothing here
)


def normalised(text: str) -> str:
    """The text in lower case and one Unicode form, with ids, numbers, dates and addresses masked."""
    masked = unicodedata.normalize("NFKC", text).casefold()
    for pattern, placeholder in _MASKS:
        masked = pattern.sub(placeholder, masked)
    return masked.strip()


def fingerprint(text: str) -> str:
    """32 hexadecimal digits; equal for two texts exactly when their normalised forms are equal."""
    return hashlib.blake2b(normalised(text).encode("utf-8", "replace"), digest_size=16).hexdigest()
