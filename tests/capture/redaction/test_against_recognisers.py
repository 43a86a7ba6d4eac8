"""Nothing that the full recognisers find, asked about the whole text, is left by redaction.

The oracle is Presidio's `analyze`, phonenumbers' matcher and detect-secrets' plugins over the whole
text, without gates, windows or memory; what counts of Presidio's weak patterns is said once, here:
shapes that say what they are, right check digits, or a word beside.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.redaction.placeholder import PLACEHOLDER
from capture.redaction.policy import DEFAULT_REGIONS
from capture.redaction.recognisers import Recognisers

_STRONG = (
    "EmailRecognizer", "CreditCardRecognizer", "IbanRecognizer", "MacAddressRecognizer", "CryptoRecognizer",
    "UsSsnRecognizer", "UsItinRecognizer", "UsMbiRecognizer", "UkNinoRecognizer", "EsNifRecognizer",
    "EsNieRecognizer", "ItFiscalCodeRecognizer", "FiPersonalIdentityCodeRecognizer", "InPanRecognizer",
    "InGstinRecognizer", "SgFinRecognizer", "KrRrnRecognizer", "KrFrnRecognizer", "ThTninRecognizer",
)  # fmt: skip
_PLUGINS = (
    "AWSKeyDetector", "BasicAuthDetector", "DiscordBotTokenDetector", "GitHubTokenDetector",
    "GitLabTokenDetector",
    "MailchimpDetector", "SendGridDetector", "SlackDetector", "StripeDetector", "TelegramBotTokenDetector",
    "TwilioKeyDetector", "JwtTokenDetector", "OpenAIDetector", "PypiTokenDetector", "SquareOAuthDetector",
)  # fmt: skip
_VALID = phonenumbers.Leniency.VALID


@pytest.fixture(scope="module")
def oracle(recognisers: Recognisers) -> Callable[[str], set[str]]:
    """What the full recognisers find in a text, where it stands by itself."""
    from detect_secrets.core.plugins.util import (  # noqa: PLC0415 - after the recognisers, which import the same
        get_mapping_from_secret_type_to_class,
    )
    from presidio_analyzer import predefined_recognizers  # noqa: PLC0415 - the same

    presidio = [getattr(predefined_recognizers, name)() for name in _STRONG]
    email = presidio[0]
    email.validate_result = recognisers.email
    classes = get_mapping_from_secret_type_to_class().values()
    plugins = [kind() for kind in classes if kind.__name__ in _PLUGINS]

    def found(text: str) -> Iterator[str]:
        for recogniser in presidio:
            for one in recogniser.analyze(text, recogniser.supported_entities, None):
                if one.score >= 0.5 and _by_itself(text, one.start, one.end):
                    yield text[one.start : one.end].strip()
        for region in ("ZZ", *DEFAULT_REGIONS):
            for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=_VALID):
                if _by_itself(text, match.start, match.end) and _grouped(match.raw_string):
                    yield match.raw_string
        for plugin in plugins:
            yield from (secret for secret in plugin.analyze_string(text) if len(secret) > 4)

    return lambda text: {one for one in found(text) if not PLACEHOLDER.search(one)}


def _by_itself(text: str, start: int, end: int) -> bool:
    """Not inside a longer word, a decimal, or a Unix time, which redaction leaves alone on purpose."""
    before, after = text[max(0, start - 2) : start], text[end : end + 1]
    said = text[start:end]
    decimal = len(before) == 2 and before[1] == "." and before[0].isdigit()
    unix = said.isdigit() and len(said) in {10, 13} and "14" <= said[:2] <= "19"
    return not (decimal or unix or before[-1:].isalnum() or after.isalnum())


def _grouped(number: str) -> bool:
    """As people write numbers: in groups of two digits and more, with one kind of separator."""
    groups = re.split(r"[ .\-]", number.strip("+()"))
    return number.startswith("+") or (
        re.fullmatch(r"\d+\.\d+", number) is None
        and all(len(group) > 1 and group.isdigit() for group in groups)
        and len(set(re.sub(r"\d", "", number))) < 2
        and sum(map(len, groups)) > 8
    )


_SEPARATORS = st.sampled_from(["", " ", "-", "."])
_GROUPS = st.lists(st.text("0123456789", min_size=2, max_size=5), min_size=2, max_size=5)
_NUMBERS = st.builds(str.join, _SEPARATORS, _GROUPS)
_INTERNATIONAL = st.builds(
    lambda code, number: f"+{code} {number}",
    st.sampled_from(["1", "44", "49", "33", "91"]),
    _NUMBERS,
)
_WORDS = st.text("abcdefghij XYZ0123456789@.:-_/+=\"'\n{}[],;äß中", max_size=12)
_MAILS = st.builds(
    lambda user, host, tld: f"{user}@{host}.{tld}",
    st.text("abcXYZ019._%+-'", min_size=1, max_size=12),
    st.text("abcxyz09-", min_size=1, max_size=10),
    st.sampled_from(["com", "de", "co.uk", "io", "org", "zz", "internal"]),
)


@pytest.fixture(scope="module")
def pieces(corpus: list[dict[str, str]]) -> st.SearchStrategy[str]:
    values = st.sampled_from([entry["text"] for entry in corpus])
    return st.one_of(values, _NUMBERS, _INTERNATIONAL, _MAILS, _WORDS)


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_nothing_that_a_full_recogniser_finds_in_any_text_remains(
    data: st.DataObject,
    pieces: st.SearchStrategy[str],
    oracle: Callable[[str], set[str]],
    redacted: Callable[..., Any],
) -> None:
    parts = data.draw(st.lists(pieces, min_size=1, max_size=6))
    text = data.draw(st.sampled_from([" ", "\n", ", ", " | "])).join(parts)
    after = redacted(text)
    assert redacted(after) == after
    shown = PLACEHOLDER.sub("\0", after if isinstance(after, str) else json.dumps(after))
    for value in oracle(text):
        left = re.search(rf"(?<!\w){re.escape(value)}(?!\w)", shown)
        assert left is None, (value, text, after)


@pytest.mark.parametrize("name", ["airline", "rag"])
def test_nothing_that_a_full_recogniser_finds_in_recorded_traces_remains(
    name: str, sample_data: Path, oracle: Callable[[str], set[str]], redacted: Callable[..., Any]
) -> None:
    lines = (sample_data / "traces" / f"{name}.jsonl").read_text().splitlines()
    for line in lines[::8]:
        for text in _texts(json.loads(line)):
            after = redacted(text)
            shown = PLACEHOLDER.sub("\0", after)
            for value in oracle(text):
                assert value not in shown, (value, text[:200], after[:200])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            yield value
        else:
            yield from _texts(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
