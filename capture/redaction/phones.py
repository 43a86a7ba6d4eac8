"""Phone numbers, by Google's libphonenumber."""

from collections.abc import Iterator, Sequence

import phonenumbers

from capture.redaction.finding import Found

_AROUND = 12  # characters before and after a candidate: what phonenumbers looks at beside it
_EXTENSION = 24  # `ext. 1234` and the like belongs to the number


def find(text: str, start: int, end: int, regions: Sequence[str]) -> Iterator[Found]:
    """Valid numbers near a place of the text: with a country code, or of the first region that fits."""
    first, last = max(0, start - _AROUND), min(len(text), end + _EXTENSION)
    window = text[first:last]
    for region in ("ZZ", *regions):
        matcher = phonenumbers.PhoneNumberMatcher(
            window, region, leniency=phonenumbers.Leniency.VALID, max_tries=32
        )
        for match in matcher:
            low, high = first + match.start, first + match.end
            if _cut(text, low, high, first, last) or _decimal(text, low):
                continue
            number = phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
            yield Found(low, high, "phone", number)
            if low <= start + 1 and high >= end - 1:
                return  # nothing is left to ask other regions about


def _cut(text: str, low: int, high: int, first: int, last: int) -> bool:
    """Whether the window cut a longer number short, so that this is only a part of it."""
    return (low == first > 0 and text[low - 1].isalnum()) or (
        high == last < len(text) and text[high].isalnum()
    )


def _decimal(text: str, low: int) -> bool:
    return low > 1 and text[low - 1] == "." and text[low - 2].isdigit()
