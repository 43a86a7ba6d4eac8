"""`capture.redaction.phones`: the plan of a region never rules out what the matcher takes."""

import random

import phonenumbers
import pytest

from capture.redaction.phones import _thinkable, find
from capture.redaction.policy import DEFAULT_REGIONS

PREFIXES = ["0", "1", "44", "49", "33", "91", "330", "490", "1800", "0800", "0049", "011", "111"]


def _written(rng: random.Random) -> str:
    digits = "".join(rng.choices("0123456789", k=rng.choice([8, 9, 10, 10, 11, 11, 12, 12, 13])))
    if rng.random() < 0.4:
        digits = rng.choice(PREFIXES) + digits[2:]
    groups = []
    while digits:
        size = rng.randint(2, 5)
        groups.append(digits[:size])
        digits = digits[size:]
    return rng.choice(["", "", "-", " ", "."]).join(groups)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_plan_rules_out_no_matcher_takes(seed: int) -> None:
    rng = random.Random(seed)
    ruled_out = 0
    for _ in range(1500):
        text = _written(rng)
        if _thinkable(text, 0, len(text), DEFAULT_REGIONS):
            continue
        ruled_out += 1
        for region in ("ZZ", *DEFAULT_REGIONS):
            leniency = phonenumbers.Leniency.VALID
            for match in phonenumbers.PhoneNumberMatcher(text, region, leniency):
                assert sum(c.isdigit() for c in match.raw_string) < 7, (text, region)
    assert ruled_out > 300, "the plans rule out a good part"


@pytest.mark.parametrize(
    "text",
    [
        "(415) 555-2671",
        "030 23125-0",
        "07700 900123",
        "06 12 34 56 78",
        "98765 43210",
        "0049 30 231250",
    ],
)
def test_numbers_as_people_write_them_are_found(text: str) -> None:
    [*found] = find(text, 0, len(text), DEFAULT_REGIONS)
    assert any(one.start <= 1 and one.end == len(text) for one in found)
