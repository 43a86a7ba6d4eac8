r"""One pass over a text that says which kinds it may have at all; RE2, so linear in the text.

Each gate lets more through than its recognisers find, never less (tests hold them to it). They are
held against text as it is, and against JSON as it is encoded: hence a letter that ends an escape
(`\n4111...`) counts as a beginning, and `\u0040` as what it stands for. The shapes of dates, of
nanoseconds and of decimals are kept out by construction: they are in almost every span.
"""

import re
from collections.abc import Collection, Iterator

import msgspec
import re2

from capture.redaction.policy import DEFAULT_REGIONS, Kind

_BEFORE = r"(?:^|[^0-9A-Za-z_.]|[^0-9]\.|\\[nrtbf]|\\u[0-9A-Fa-f]{4})"
_AFTER = r"(?:[^0-9A-Za-z_]|$)"
_INSIDE = r"(?:\b|\\[nrtbf])"
_MEMORY = 64 << 20  # bytes of automaton at most; measured: under 6 MB on the sample traces

_AT = r"(?:@|%40|\\u0040|&#64;|&#x40;|&commat;|＠|(?i:\\uff20))"
_WORD = r"(?:[0-9A-Za-z_\x80-\x{10ffff}]|\\{1,4}u[0-9A-Fa-f]{4})"

KEYWORDS = (
    r"(?:api[_-]?key|auth[_-]?key|service_?key|account_?key|db_?key|database_?key|priv_?key|private[_-]?key"
    r"|client_?key|access[_-]?key|db_?pass|database_?pass|key_?pass|password|passwd|passphrase|pwd|secret"
    r"|contraseñ?n?a|(?:access|auth|refresh|session|api|id)[_-]?token|authorization|bearer|x-api)"
)
"""detect-secrets' own words for what a secret is kept under, and those of HTTP headers."""

_PLAIN = r"0\d{7,16}|[2-9]\d{9}|1[0-3]\d{8}|\d{11,12}|[2-9]\d{12}|1[0-3]\d{11}|\d{14,17}"
"""Numbers without separators. Ten and thirteen digits that begin with 14 to 19 are Unix times, in
seconds and milliseconds, from 2014 to 2033; eight or nine digits are dates and orders."""

_LOOSE = [
    rf"[1-9]\d{{{first - 1}}}[ .\-]\d(?:[ .\-]?\d){{{9 - first},{12 - first}}}"
    for first in range(2, 9)
]
"""Ten to thirteen digits in any groups: phonenumbers takes all of them."""

_GROUPED = "|".join((
    r"\(?\d{3}\)?[ .\-/]{1,3}\d{3}[ .\-]{0,3}\d{4}|\(\d{3}\)\d{3}|\d{6}[ .\-]\d{4}",  # (415) 555-2671
    r"\(?0\d{2,5}\)?(?:[ ./()\-]{1,3}\d{2,8}){1,5}",  # 030 1234567, 07700 900123
    r"\(?0\d\)?(?: \d{2,8}){2,5}|0\d(?:[.\-/]\d\d){4}|0\d[.\-/]\d{3,}[.\-/]?\d{3,}",  # 06 12 34 56 78
    r"\(\d{2,5}\)[ .\-]{0,2}\d{3,5}[ .\-]{0,2}\d{3,5}",  # (11) 91234-5678
    r"\d{5}[ \-]\d{5,6}|\d{3}-\d{6}|\d{5}-\d{4}",  # 98765 43210
    r"\d{3}[\- .]\d{2}[\- .]\d{4}|\d{3}-\d{2}-\d{5}",  # social security, Korean business
    r"9\d{2}[\- ]\d{6}|9\d{4}[\- ]\d{4}",
    r"\d{3}[ \-.]\d{3}[ \-.]\d{3}|\d{3}(?:[ .\-]\d{2}){3}",  # tax file numbers; 612 34 56 78
    r"\d{2} \d{3} \d{3} \d{3}|\d{4}[ \-:]\d{4}[ \-:]\d{4}|\d{4} \d{5} \d",
    r"\d{6}-\d{7}|[12]\d{3}[ \-]\d{3}[ \-]\d{3}",
    r"[3456]\d{3}[\- ]?\d{3,4}[\- ]?\d{3,4}[\- ]?\d{3,5}",  # cards
    r"1\d{3}[\- ]?\d{3,4}[\- ]?\d{3,4}[\- ]?\d{4,5}",
    *_LOOSE,
    r"\d{2,3}[ .\-]{1,3}\d{3,6}[ .\-]{1,3}\d{2,6}|\d{2,3}[ .\-]{1,3}\d{2}[ .\-]{1,3}\d{5,6}",  # 41-5555-2671
    r"\d{2,3}(?:[ .\-]{1,2}\d{2,6}){3,4}|\d{2}[ .\-]\d{8,9}|\d{3}[ .\-]\d{7}|\d{4}[ .\-]\d{6}",
    r"\d{6}[ .\-]\d{4,5}|\d{7}[ .\-]\d{3,4}|\d{8}[ .\-]\d{2,3}",
))  # fmt: skip
_ANY_GROUPS = r"\d{7,13}|\(?\d{1,6}\)?(?:[ .()/\-]{1,3}\d{2,6}){1,6}"  # plans not thought of above
_WEAK = r"\d{5}|\d{4}[ \-_:]\d|\d{3}[ \-]\d{3}|\d{2} \d{3}|\d[ _]\d[ _]\d|[A-Za-z]\d{3}"
"""What is an identity number only when words beside it say so."""

_LETTERED = (
    r"(?i)(?:[xyz]?\d{7,8}-?[a-z]|\d{6}[+\-a-fu-y]\d{3}[0-9a-y]|[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]"
    r"|[a-z]\d{7}[a-z]|[a-z]{5}\d{4}[a-z]|\d{2}[a-z0-9]{11}z[a-z0-9]|\d{9}[a-z]|[ts]\d{2}[a-z]{2}\d{4}[a-z]"
    r"|\d[a-z][a-z0-9]\d-?[a-z][a-z0-9]\d-?[a-z]{2}\d{2})"
)
_NEAR = (
    r"(?i)(?:`ssn|social.?sec|passport|passaporto|driver|licen[cs]e|patente|`nhs|`itin\b|taxpayer|tax.?(?:id|file|payer)"
    r"|`tfn|medicare|aadhaar|aadhar|uidai|pesel|`nino\b|nat(?:ional|l)?.?ins|routing|`aba\b|bank.?acc|account.?(?:no|num)|acct"
    r"|`abn|`acn\b|`nin\b|identity.?(?:card|no|num)|`npi\b|provider.?id|voter|`dea\b|partita.?iva|p\.?iva|`uen\b|carta|`hetu|resident.?reg"
    r"|사업자|운전면허|여권|national.?id)"
)
_KEYS = "|".join((  # noqa: FLY002 - the same
    r"AKC[a-zA-Z0-9]{10}|AP[0-9A-F][a-zA-Z0-9]{8}",
    r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{8}|(?i:aws.{0,20}(?:key|pw|pass|token))",
    r"[MNO][a-zA-Z0-9_-]{8,}\.[a-zA-Z0-9_-]{6}\.[a-zA-Z0-9_-]{8}|gh[pousr]_[A-Za-z0-9_]{8}|github_pat_",
    r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_-]{8}|GR1348941",
    r"[0-9a-z]{8}-us[0-9]|:_authToken|npm_[A-Za-z0-9]{8}",
    r"(?:^|[^A-Za-z0-9]|\\[nrtbf])[sp]k-[A-Za-z0-9_-]{8}|T3BlbkFJ|GOCSPX-",
    r"AIza[0-9A-Za-z_-]{8}|ya29\.|hf_[A-Za-z0-9]{8}|gsk_[A-Za-z0-9]{8}|xai-[A-Za-z0-9]{8}",
    r"(?i:xox[a-z]-|xapp-|hooks\.slack\.com)|[srp]k_(?:live|test)_|whsec_",
    r"PRIVATE KEY|PuTTY-User-Key|pypi-A|SG\.[a-zA-Z0-9_-]{8,}\.|sq0csp-|\d{8}:[0-9A-Za-z_-]{8}",
    r"AC[a-z0-9]{8}|SK[a-z0-9]{8}|AccountKey=|lsv2_[a-z]{2}_|r8_[A-Za-z0-9]{8}|dop_v1_",
    r"(?i:(?:cloudant|clou|cl|softlayer|sl|ibm|iam|cloud|cos|hmac)[_-]{0,2}(?:api|iam)?[_-]?(?:key|pwd|pw|password|pass|token))",
    r"(?i:(?:key|pwd|password|pass|token)[\"'\\\]]{0,3} *[:=> ]+ *[\"'\\]{0,2}[a-z0-9_-]{12})",
    r"(?i:api\.softlayer\.com|\.cloudant\.com)",
))  # fmt: skip
"""The beginnings of what plugins and shapes find; long runs are cut short, each length costs states."""


class Gate(msgspec.Struct, frozen=True):
    """A shape. `bounded` ones stand by themselves, not inside a longer word or number."""

    kinds: tuple[Kind, ...]
    shape: str
    bounded: bool = False


GATES: dict[str, Gate] = {
    "email": Gate(
        ("email",),
        r"[0-9A-Za-z_.!#$%&'*+/=?^`{|}~\x80-\x{10ffff}-]"
        + _AT
        + _WORD
        + r"(?:[-.]|%2[dD]|"
        + _WORD
        + r")*\."
        + _WORD,
    ),
    "plain": Gate(("phone", "card", "national_id"), _PLAIN, bounded=True),
    "plus": Gate(
        ("phone",),
        r"(?:[+＋][ (]{0,2}\d|(?:^|[^0-9A-Za-z.]|\\[nrtbf])00[1-9])(?:[ ().\-/]{0,3}\d){6,}",
    ),
    "grouped": Gate(("phone", "card", "national_id"), _GROUPED, bounded=True),
    "lettered": Gate(("national_id",), _LETTERED, bounded=True),
    "fiscal": Gate(
        ("national_id",),
        r"(?i)[a-z]{6}[0-9lmnp-v]{2}[a-z][0-9lmnp-v]{2}[a-z][0-9lmnp-v]{3}[a-z]",
        bounded=True,
    ),
    "near": Gate(("national_id",), _NEAR.replace("`", _INSIDE)),
    "weak": Gate(("national_id",), _WEAK),
    "iban": Gate(
        ("iban",),
        r"[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]{4}){2}|(?:\b|\\[nrtbf])[a-z]{2}\d{2}(?:[ \-]?[0-9]{4}){3}",
    ),
    "ip": Gate(
        ("ip",),
        r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9a-fA-F]::|::[0-9a-fA-F]|(?:[0-9a-fA-F]{1,4}:){6,7}[0-9a-fA-F]",
    ),
    "mac": Gate(
        ("mac",),
        r"(?i)[0-9a-f]{2}[:\-](?:[0-9a-f]{2}[:\-]){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}",
        bounded=True,
    ),
    "crypto": Gate(
        ("crypto",),
        r"(?:bc1[a-zA-Z0-9]{20,}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|0x[0-9a-fA-F]{12,})",
        bounded=True,
    ),
    "keyword": Gate(
        ("secret",),
        r"(?i)" + KEYWORDS + r"(?:\S*\s{0,4}\\{0,3}[\"'`]|[0-9A-Za-z_]*[\"'\\\])]{0,4}"
        r"\s{0,4}(?:[:=(!]|is\b|are\b)|\s+[A-Za-z0-9._~+/=-]{8})|[=!]{2,3}\s{0,4}[0-9A-Za-z_]*"
        + KEYWORDS
        + r"|(?i:cookie)[\"'\\]{0,4}\s?:",
    ),
    "key": Gate(("secret",), _KEYS),
    "jwt": Gate(("jwt", "secret"), r"eyJ[A-Za-z0-9_=-]{6,}\.[A-Za-z0-9_=-]+"),
    "url_user": Gate(("url_user", "secret"), r"://[^\s/?#@\"'<>]+@"),
}

_LEADING_ESCAPE = re.compile(rb"^\\[nrtbf]")
_ESCAPED = (
    r"\\u00[2-7][0-9A-Fa-f]"  # ASCII that need not be escaped: it may be hidden in JSON in a text
)


class DirtyEngine(RuntimeError):
    """RE2 could not tell (it ran out of memory): nothing can be said about the text."""


class Gates:
    """The gates of some kinds, and other patterns beside them, as one automaton."""

    def __init__(self, kinds: Collection[Kind], regions: Collection[str] = DEFAULT_REGIONS) -> None:
        """`regions` are those of phone numbers; other than the default ones have other shapes."""
        gates = {name: gate for name, gate in GATES.items() if set(gate.kinds) & set(kinds)}
        if "phone" in kinds and not set(regions) <= {*DEFAULT_REGIONS, "CA"}:
            shape = f"{_GROUPED}|{_ANY_GROUPS}"
            gates["grouped"] = msgspec.structs.replace(gates["grouped"], shape=shape)
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        self._names: list[str] = []
        self._known: dict[tuple[int, ...], frozenset[str]] = {}
        self._set = re2.Set.SearchSet(options)
        self._set.Add(r"\z")  # every text has an end: when even this one does not fit, RE2 gave up
        for name, gate in gates.items():
            around = (_BEFORE, _AFTER) if gate.bounded else ("", "")
            self._set.Add(f"{around[0]}(?:{gate.shape}){around[1]}")
            self._names.append(name)
        self._set.Add(_ESCAPED)
        self._names.append("escaped")
        self._set.Compile()
        self._shapes = {
            name: re2.compile(
                f"{_INSIDE}(?:{gate.shape})" + r"\b" if gate.bounded else gate.shape,
                options=options,
            )
            for name, gate in gates.items()
        }

    def open_for(self, text: str | bytes) -> frozenset[str]:
        """The names of the gates that the text passes. Raises `DirtyEngine`."""
        hits = tuple(self._set.Match(text))
        if not hits:
            raise DirtyEngine
        known = self._known.get(hits)
        if known is None:  # of the thinkable sets few are met, again and again
            known = self._known[hits] = frozenset(self._names[hit - 1] for hit in hits if hit)
        return known

    def places(self, name: str, text: str) -> Iterator[tuple[int, int]]:
        """Where, in characters, the candidates of a gate are."""
        for match in self._shapes[name].finditer(text):
            yield match.span()

    def candidates(self, name: str, encoded: bytes, most: int) -> set[str]:
        """What the candidates of a gate look like in JSON; of more than `most`, some more than that.

        Escapes, which stand before a candidate, are no part of it.
        """
        seen: set[str] = set()
        for match in self._shapes[name].finditer(encoded):
            seen.add(_LEADING_ESCAPE.sub(b"", match[0]).decode())
            if len(seen) > most:
                break
        return seen
