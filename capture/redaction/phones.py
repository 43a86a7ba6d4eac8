"""Phone numbers, by Google's libphonenumber."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import phonenumbers

from capture.redaction.finding import Found

_PUNCTUATION = frozenset("0123456789 ()./-\u2010\u2011\u2013\u00a0+＋~*#xX,;")
"""What a number is written with, its extension included; a run of these is looked at whole."""
_FROM_ABROAD = ("00", "011", "810")  # how a number is dialled from another country
_MOST_GROUPS = 8
_FEWEST_DIGITS = 7  # of what a gate lets through
_NUMBER_TYPES = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number"),
    *("voip", "pager", "uan", "voicemail"),
)
_AROUND = 12  # characters before and after a candidate: what phonenumbers looks at beside it
_EXTENSION = 24  # `ext. 1234` and the like belongs to the number


def find(text: str, start: int, end: int, regions: Sequence[str]) -> Iterator[Found]:
    """Valid numbers near a place of the text: with a country code, or of the first region that fits."""
    if not _thinkable(text, start, end, regions):
        return
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


def _thinkable(text: str, start: int, end: int, regions: Sequence[str]) -> bool:
    """Whether the digits that stand there may be a number of any of the regions.

    The plan of a region says which national numbers there are, and a valid number has one of them:
    holding the digits against the plan is a hundred times cheaper than the matcher. With a plus, or
    where more digits stand beside, the matcher is asked.
    """
    first, last = max(0, start - _AROUND), min(len(text), end + _EXTENSION)
    while start > first and text[start - 1] in _PUNCTUATION:
        start -= 1
    while end < last and text[end] in _PUNCTUATION:
        end += 1
    around = text[start - 1 : start] if start > first else ""
    around += text[end : end + 1] if end < last else ""
    said = text[start:end]
    if "+" in said or "＋" in said or any(c.isdigit() for c in around):
        return True
    groups = re.findall(r"[0-9]+", said)
    if len(groups) > _MOST_GROUPS:
        return True
    parts = {
        "".join(groups[first:last])
        for first in range(len(groups))
        for last in range(first + 1, len(groups) + 1)
    }
    return any(
        part.startswith(_FROM_ABROAD) or any(_of_plan(region, part) for region in regions)
        for part in parts
        if len(part) >= _FEWEST_DIGITS
    )


class _Plan(msgspec.Struct, frozen=True):
    """A region's numbers: what they look like, and which are written without a national prefix."""

    numbers: tuple[re.Pattern[str], ...]
    formats: tuple[tuple[re.Pattern[str], re.Pattern[str], bool], ...]
    """The digits it begins with, the whole, and whether the prefix may be left out."""
    code: str
    prefix: re.Pattern[str]

    def bare(self, digits: str) -> bool:
        """Whether this may be a number without anything before it."""
        if not self.has(digits):
            return False
        for beginning, whole, free in self.formats:
            if beginning.match(digits) and whole.fullmatch(digits):
                return free
        return True

    def has(self, digits: str) -> bool:
        """Whether this may be a national number."""
        return any(number.fullmatch(digits) for number in self.numbers)


@functools.cache
def _plan(region: str) -> _Plan:
    """The plan of a region, by libphonenumber. Regions that share a country code share a general one."""
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(region)
    shared = len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[metadata.country_code]) > 1
    kinds = [getattr(metadata, name) for name in _NUMBER_TYPES]
    described = [metadata.general_desc] if shared else [k for k in kinds if k is not None]
    rewritten = metadata.national_prefix_transform_rule is not None
    return _Plan(
        tuple(re.compile(d.national_number_pattern or "$^") for d in described)
        if not rewritten
        else (re.compile(r"\d+"),),
        tuple(
            (re.compile((f.leading_digits_pattern or [""])[-1]), re.compile(f.pattern), _free(f))
            for f in metadata.number_format
        ),
        str(metadata.country_code),
        re.compile(metadata.national_prefix_for_parsing or "$^"),
    )


def _free(written: Any) -> bool:
    rule = written.national_prefix_formatting_rule
    optional = bool(written.national_prefix_optional_when_formatting)
    return not rule or optional or re.fullmatch(r"\(?\\1\)?", rule) is not None


@functools.lru_cache(maxsize=4096)
def _of_plan(region: str, digits: str) -> bool:
    plan = _plan(region)
    rest = digits.removeprefix(plan.code) if digits.startswith(plan.code) else ""
    if rest.startswith("0"):
        return True  # a trunk or carrier prefix after the country code: the matcher knows which
    if plan.bare(digits):
        return True
    left = [rest, *_stripped(plan.prefix, digits), *_stripped(plan.prefix, rest)]
    return any(map(plan.has, left))


def _stripped(prefix: re.Pattern[str], digits: str) -> Iterator[str]:
    """The digits without the prefix, as often as it stands there."""
    while digits and (found := prefix.match(digits)) is not None and found.end():
        digits = digits[found.end() :]
        yield digits


def _cut(text: str, low: int, high: int, first: int, last: int) -> bool:
    """Whether the window cut a longer number short, so that this is only a part of it."""
    return (low == first > 0 and text[low - 1].isalnum()) or (
        high == last < len(text) and text[high].isalnum()
    )


def _decimal(text: str, low: int) -> bool:
    return low > 1 and text[low - 1] == "." and text[low - 2].isdigit()
