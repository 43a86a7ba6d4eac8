"""API keys, tokens, private keys and what follows `password=`: detect-secrets' plugins, and more.

Its regular expressions need quotes round what follows a keyword; in what people and logs say there
are none, so a plain word is taken too where it is at the place of a value. Beside the plugins stand
the shapes of keys that they do not know (yet).
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import re2

from capture.redaction.finding import Found
from capture.redaction.gates import KEYWORDS

_AROUND, _AFTER = 96, 1100  # characters round a candidate: the longest GitLab token has 1024
_WIDE = 400  # characters that are looked at after a keyword
_AT_ONCE = (
    4  # windows that are looked at as one: else a text of nothing but keywords costs its square
)

_KEYS = re2.compile(
    r"(?:(?:sk|pk)-(?:proj|svcacct|admin|ant|or|lf|None)?-?[A-Za-z0-9][A-Za-z0-9_-]{15,250}"
    r"|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,400}|GOCSPX-[0-9A-Za-z_-]{20,60}"  # Google
    r"|github_pat_[A-Za-z0-9_]{22,255}|gh[pousr]_[A-Za-z0-9_]{36,255}"
    r"|(?i:xox[a-z]-[0-9a-z-]{10,250}|xapp-[0-9]-[0-9a-z-]{10,250})"  # Slack
    r"|[srp]k_(?:live|test)_[0-9a-zA-Z]{10,250}|whsec_[0-9A-Za-z+/=]{20,100}"  # Stripe
    r"|hf_[A-Za-z0-9]{30,60}|gsk_[A-Za-z0-9]{20,100}|xai-[A-Za-z0-9]{20,120}|r8_[A-Za-z0-9]{30,60}"
    r"|npm_[A-Za-z0-9]{30,60}|dop_v1_[0-9a-f]{64}|lsv2_[a-z]{2}_[0-9a-f_]{32,90}"
    r"|(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16})"
)
_BEGIN = re.compile(
    r"(?:-{2,5} ?)?BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?(?: ?-{2,5})?"
    r"|PuTTY-User-Key-File-[23]"
)
_END = re.compile(
    r"END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?(?: ?-{2,5})?|Private-MAC: ?[0-9a-f]{0,64}"
)
_BLOCK = 20000  # characters from the one to the other; without an end, to that of the text
_JWT = re2.compile(r"eyJ[A-Za-z0-9_=-]{6,}\.[A-Za-z0-9_=-]+(?:\.[A-Za-z0-9_.+/=-]*)?")
_USER = re2.compile(r"://([^\s/?#@\"'<>]+)@")
_KEYWORD = re2.compile("(?i)[0-9A-Za-z_-]{0,40}" + KEYWORDS)
_VALUE = r"[^\s\"'`,;&<>(){}\[\]\\]{4,200}"
_PLAIN = re.compile(
    r"[0-9A-Za-z_]*[\"'\\\])]{0,4}\s{0,4}(?P<link>:?=>?|:|\bis\b:?|\s)\s{0,4}(?:bearer\s+|basic\s+|token\s+)?"
    rf"(?P<value>{_VALUE})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\s+(?P<value>[A-Za-z0-9._~+/=-]{8,2000})")
_QUOTED = re.compile(
    r"[0-9A-Za-z_]*\\{0,3}[\"'`\])]{0,3}\s{0,4}(?::=|={1,3}|!==?|=>|:)\s{0,4}@?"
    r"(?P<quote>\\{0,3}[\"'`])(?P<value>[^\"'`]{1,200}?)(?P=quote)",
    re.IGNORECASE,
)
_SHOWN = re.compile(  # what stands for a value, or says that there is none
    r"(?:[*xX•.\-_]+|null|none|nil|true|false|undefined|string|str|text|required|optional|redacted|hidden|\[?redacted\]?"
    r"|\$\{?\w+\}?|%\w+%|\{\{?\s*\w+\s*\}?\}|<\w+>|os\.environ\S*|process\.env\S*|getenv\S*|input\S*)[.,;:!?]*",
    re.IGNORECASE,
)
_LINE_ENDS = re.compile(r"[ .!?\"']*(?:\n|\Z)")
_TELLING = re.compile(r"[0-9!#$%^*+=~@/_-]")
_SECRET_KEY = re.compile(
    r"(?:.*[^a-z]|.*(?<=[a-z])(?=[A-Z])|)(?:" + KEYWORDS + r"|cookie|set-cookie)\w*|.*" + KEYWORDS,
    re.IGNORECASE,
)
_NOT_SECRET_KEY = re.compile(
    r".*(?:secretar(?:y|ies)|forbidden|bearer_of)|.*[_.-](?:count|policy|length|required|enabled|type|url|at|hint)",
    re.IGNORECASE,
)


class Plugin(msgspec.Struct, frozen=True):
    """One of detect-secrets' plugins that finds by regular expressions."""

    patterns: tuple[re.Pattern[str], ...]


def load() -> list[Plugin]:
    """Its plugins, but those for public IP addresses, JWTs and keywords, which are asked elsewhere."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 - as Presidio
    from detect_secrets.plugins.base import RegexBasedDetector  # noqa: PLC0415 - the same

    elsewhere = {"IPPublicDetector", "JwtTokenDetector", "PrivateKeyDetector"}
    kinds: list[Any] = list(get_mapping_from_secret_type_to_class().values())
    classes = [
        kind
        for kind in kinds
        if issubclass(kind, RegexBasedDetector) and kind.__name__ not in elsewhere
    ]
    classes.sort(key=lambda kind: str(kind.__name__))
    return [Plugin(tuple(kind().denylist)) for kind in classes]


def find_keys(
    text: str, places: Iterable[tuple[int, int]], plugins: list[Plugin]
) -> Iterator[Found]:
    """Keys near the places of the text that passed the gate `key`, in order."""
    done = 0
    for start, end in places:
        if min(len(text), end + _AFTER) <= done:
            continue
        first, done = max(0, start - _AROUND), min(len(text), end + _AT_ONCE * _AFTER)
        for plugin in plugins:
            for pattern in plugin.patterns:
                for match in pattern.finditer(text, first, done):
                    low, high = _meant(match)
                    if low < high and not _SHOWN.fullmatch(text[low:high]):
                        yield Found(low, high, "secret", text[low:high])


def find_shapes(text: str) -> Iterator[Found]:
    """Keys by their shape alone, and whole blocks of private keys."""
    for match in _KEYS.finditer(text):
        low, high = match.span()
        if not text[max(0, low - 1) : low].isalnum() or _escaped(text, low):
            yield Found(low, high, "secret", match[0])
    if "PRIVATE KEY" in text or "PuTTY-User-Key" in text:
        yield from _blocks(text)


def _blocks(text: str) -> Iterator[Found]:
    ends = [end.span() for end in _END.finditer(text)]
    done = 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < done:
            continue
        after = bisect_left(ends, (begin.end(), 0))
        low, high = ends[after] if after < len(ends) else (len(text), len(text))
        if low - begin.end() <= _BLOCK:
            done = high
        elif len(text) - begin.end() <= _BLOCK:
            done = len(text)
        else:
            continue
        yield Found(begin.start(), done, "secret", text[begin.start() : done])


def find_jwts(text: str) -> Iterator[Found]:
    """JSON Web Tokens, with their signature."""
    for match in _JWT.finditer(text):
        token = match[0].rstrip(".=")
        low = match.start()
        yield Found(low, low + len(token), "jwt", token)


def find_users(text: str) -> Iterator[Found]:
    """User and password in addresses."""
    for match in _USER.finditer(text):
        if not _SHOWN.fullmatch(match[1]) and not all(map(_SHOWN.fullmatch, match[1].split(":"))):
            yield Found(match.start(1), match.end(1), "url_user", match[1])


def find_after_keywords(text: str) -> Iterator[Found]:
    """Values of keywords: quoted ones as detect-secrets reads them, and plain ones."""
    from detect_secrets.plugins import keyword  # noqa: PLC0415 - as Presidio

    done = 0
    for match in _KEYWORD.finditer(text):
        low, high = match.span()
        if min(len(text), high + _WIDE) > done:
            first, done = max(0, low - _WIDE), min(len(text), high + _AT_ONCE * _WIDE)
            if any(text.find(quote, first, done) >= 0 for quote in "\"'`"):
                for pattern, group in keyword.QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP.items():
                    for found in pattern.finditer(text, first, done):
                        yield from _kept(text, *found.span(group))
        yield from _plain(text, high, match[0])


def _plain(text: str, end: int, word: str) -> Iterator[Found]:
    """What follows the end of a keyword, quoted with escapes or not at all."""
    if word.lower().endswith("bearer"):
        bearer = _BEARER.match(text, end)
        if bearer is not None and _TELLING.search(bearer["value"]):
            yield from _kept(text, *bearer.span("value"))
        return
    quoted = _QUOTED.match(text, end, end + _WIDE)
    if quoted is not None:
        yield from _kept(text, *quoted.span("value"))
        return
    plain = _PLAIN.match(text, end, end + _WIDE)
    if plain is None:
        return
    low, high = plain.span("value")
    while high > low and text[high - 1] in ".,;:!?":
        high -= 1
    said, link = text[low:high], plain["link"].strip()
    last = _LINE_ENDS.match(text, plain.end()) is not None
    digit = any(c.isdigit() for c in said)
    if (
        link in {"=", ":=", "=>"}
        or (link == ":" and (last or _TELLING.search(said)))
        or (link.lower().startswith("is") and (digit or (last and _TELLING.search(said))))
        or (not link and digit and _TELLING.search(said) and any(c.isalpha() for c in said))
    ):
        yield from _kept(text, low, high)


def _kept(text: str, low: int, high: int) -> Iterator[Found]:
    said = text[low:high].rstrip("\\")
    if said.strip() and not _SHOWN.fullmatch(said.strip()):
        yield Found(low, low + len(said), "secret", said)


def is_secret_key(name: str) -> bool:
    """Whether what a mapping has under this name is a secret, whatever it looks like."""
    return _SECRET_KEY.fullmatch(name) is not None and _NOT_SECRET_KEY.fullmatch(name) is None


def stands_for_nothing(value: str) -> bool:
    """Whether the value of a secret's name says only that it is not shown."""
    return not value.strip() or _SHOWN.fullmatch(value.strip()) is not None


def _meant(match: re.Match[str]) -> tuple[int, int]:
    """The secret in the match: its last group that took part and is long, else all of it."""
    spans = [match.span(n) for n in range(1, (match.re.groups or 0) + 1)]
    long = [span for span in spans if span[1] - span[0] > 8]  # noqa: PLR2004 - `glpat` and `ghp` are groups
    low, high = max(long, key=lambda span: span[1] - span[0], default=match.span())
    said = match.string[low:high]
    return low + len(said) - len(said.lstrip(" =:\"'\n\t")), low + len(said.rstrip(" \"'\n\t"))


def _escaped(text: str, low: int) -> bool:
    return low > 1 and text[low - 2] == "\\" and text[low - 1] in "nrtbf"
