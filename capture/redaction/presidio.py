"""Presidio's pattern recognisers, without its engine: patterns, check digits and words beside.

`load` imports Presidio, which takes seconds and 100 MB (it imports spaCy, which is not used here).
"""

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec
import regex

from capture.redaction.finding import Found
from capture.redaction.policy import Kind

_WINDOW = 40  # characters on either side of a candidate: the longest identifier has 34
_BEFORE, _AFTER = 64, 24  # characters where a word says what a number is; Presidio reads five words
_SURE = 0.5  # Presidio's score for a shape that says what it is; weaker ones need a check digit
_CHECKED = 0.3  # with one they need this; below it, a tenth of all numbers of that length fit

_HEAVY = ("torch", "transformers", "tensorflow", "sklearn", "scipy", "pandas", "stanza")
"""What spaCy and Presidio import where they find it, and only engines use: 700 MB and four seconds."""

_ADDRESS_CHARACTERS = frozenset("0123456789abcdefABCDEF:.")
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_TIGHT = re.compile(r"[ _\-:.]")


class Entry(msgspec.Struct, frozen=True):
    """One of Presidio's recognisers: its class's name, and how it is read here.

    `words` beside it make weak patterns count; none means that they never do. `checked` recognisers
    count alone too, when their check digit is right. `spaced` ones need a separator or a word: as
    plain digits, one number in eleven would fit.
    """

    name: str
    kind: Kind
    gates: frozenset[str]
    words: str = ""
    spaced: bool = False


_NUMBER = frozenset({"plain", "grouped"})
_LETTERED = frozenset({"lettered", "plain"})
_WEAK = frozenset({"weak"})

ENTRIES: tuple[Entry, ...] = (
    Entry("CreditCardRecognizer", "card", _NUMBER),
    Entry("IbanRecognizer", "iban", frozenset({"iban"})),
    Entry("IpRecognizer", "ip", frozenset({"ip"})),
    Entry("MacAddressRecognizer", "mac", frozenset({"mac"})),
    Entry("CryptoRecognizer", "crypto", frozenset({"crypto"})),
    Entry("UsSsnRecognizer", "national_id", _NUMBER | _WEAK, r"ssn|social.?sec"),
    Entry("UsItinRecognizer", "national_id", _NUMBER | _WEAK, r"itin|taxpayer|tax.?id"),
    Entry("UsMbiRecognizer", "national_id", _LETTERED | _WEAK, r"medicare|mbi"),
    Entry("NhsRecognizer", "national_id", _NUMBER | _WEAK, r"nhs|health.?serv", spaced=True),
    Entry("UkNinoRecognizer", "national_id", _LETTERED),
    Entry("EsNifRecognizer", "national_id", _LETTERED),
    Entry("EsNieRecognizer", "national_id", _LETTERED),
    Entry("ItFiscalCodeRecognizer", "national_id", frozenset({"fiscal"})),
    Entry("PlPeselRecognizer", "national_id", _NUMBER | _WEAK, r"pesel"),
    Entry("FiPersonalIdentityCodeRecognizer", "national_id", _LETTERED),
    Entry("InPanRecognizer", "national_id", _LETTERED),
    Entry("InGstinRecognizer", "national_id", _LETTERED),
    Entry("SgFinRecognizer", "national_id", _LETTERED),
    Entry("KrRrnRecognizer", "national_id", _NUMBER),
    Entry("KrFrnRecognizer", "national_id", _NUMBER),
    Entry("ThTninRecognizer", "national_id", _NUMBER),
    Entry("InAadhaarRecognizer", "national_id", _WEAK, r"aadhaa?r|uidai"),
    Entry("AuTfnRecognizer", "national_id", _WEAK, r"tfn|tax.?file"),
    Entry("AuMedicareRecognizer", "national_id", _WEAK, r"medicare"),
    Entry("AuAbnRecognizer", "national_id", _WEAK, r"abn"),
    Entry("AuAcnRecognizer", "national_id", _WEAK, r"acn"),
    Entry("NgNinRecognizer", "national_id", _WEAK, r"nin|national.?id"),
    Entry("MedicalLicenseRecognizer", "national_id", _WEAK, r"dea|medical.?licen[cs]e"),
    Entry("UsNpiRecognizer", "national_id", _WEAK, r"npi|provider.?id"),
    Entry("AbaRoutingRecognizer", "national_id", _WEAK, r"routing|aba"),
    Entry("UsBankRecognizer", "national_id", _WEAK, r"bank.?acc\w*|account.?(?:no|num\w*)|acct"),
    Entry("ItVatCodeRecognizer", "national_id", _WEAK, r"p\.?iva|partita.?iva"),
    Entry("UsPassportRecognizer", "national_id", _WEAK, r"passport"),
    Entry("UkPassportRecognizer", "national_id", _WEAK, r"passport"),
    Entry("InPassportRecognizer", "national_id", _WEAK, r"passport"),
    Entry("KrPassportRecognizer", "national_id", _WEAK, r"passport|여권"),
    Entry("ItPassportRecognizer", "national_id", _WEAK, r"passaporto|passport"),
    Entry("ItIdentityCardRecognizer", "national_id", _WEAK, r"carta|identity.?card"),
    Entry("ItDriverLicenseRecognizer", "national_id", _WEAK, r"patente"),
    Entry("UsLicenseRecognizer", "national_id", _WEAK, r"driver|driving"),
    Entry("KrDriverLicenseRecognizer", "national_id", _WEAK, r"driver|운전면허"),
    Entry("KrBrnRecognizer", "national_id", _WEAK, r"brn|사업자\w*"),
    Entry("InVoterRecognizer", "national_id", _WEAK, r"voter"),
    Entry("SgUenRecognizer", "national_id", _WEAK, r"uen"),
)  # fmt: skip


def windows(text: str, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is looked at for the places, which are in order: those near one another at once."""
    near: tuple[int, int] | None = None
    for start, end in places:
        first, last = max(0, start - _WINDOW), min(len(text), end + _WINDOW)
        if near is None or first > near[1]:
            if near is not None:
                yield near
            near = first, last
        else:
            near = near[0], max(near[1], last)
    if near is not None:
        yield near


class Recogniser:
    """One of Presidio's, ready to be asked about places in a text."""

    def __init__(self, entry: Entry, theirs: Any) -> None:
        """`theirs` is Presidio's object."""
        self.entry = entry
        self._theirs = theirs
        # ASCII: Chinese writes numbers beside words, and its letters are no part of a number
        flags = theirs.global_regex_flags | regex.ASCII
        self._patterns = [(regex.compile(p.regex, flags), float(p.score)) for p in theirs.patterns]
        self._words = (
            re.compile(rf"(?<![a-z])(?:{entry.words})(?![a-z])", re.IGNORECASE)
            if entry.words
            else None
        )

    def find(self, text: str, first: int, last: int, before: str) -> Iterator[Found]:
        """What it finds in a window of the text; `before` is what stands before the text."""
        for pattern, score in self._patterns:
            for match in pattern.finditer(text, first, last):
                low, high = self._trimmed(match)
                if low < high and (held := self._holds(text, low, high, score, before)):
                    value = _TIGHT.sub("", text[low:high]).upper()
                    if self.entry.kind in {"ip", "mac", "crypto"}:
                        value = text[low:high].lower()
                    yield Found(low, high, self.entry.kind, value, sure=held == "said")

    def _trimmed(self, match: "regex.Match[str]") -> tuple[int, int]:
        """Where the match is. An IBAN's may have taken in what follows: the longest that holds."""
        low, high = match.span()
        if self.entry.kind == "iban":
            ends = [match.end(n) for n in (3, 2, 1) if match.end(n) > low]
            high = next((e for e in ends if self._theirs.validate_result(match.string[low:e])), low)
        if self.entry.kind == "ip":  # its pattern ends at `::`
            low, high = _address(match.string, low, high)
        while low < high and match.string[low].isspace():
            low += 1
        return low, high

    def _holds(  # noqa: PLR0911 - a line a reason
        self, text: str, low: int, high: int, score: float, before: str
    ) -> Literal["shape", "said"] | None:
        """Why it counts: by its shape and check digit, or because words beside it say so."""
        said = text[low:high]
        if not _stands_alone(text, low, high):
            return None
        named = self._words is not None and self._words.search(before) is not None
        near = named or self._said(text, low, high, before)
        if named or (score >= _CHECKED and near):
            return "said"  # who writes the name of the number beside it may have mistyped it
        valid = self._theirs.validate_result(said)
        if valid is False or self._theirs.invalidate_result(said):
            return None
        if near:
            return "said"
        if self.entry.kind == "ip":
            return "shape" if _somebody(said) else None
        plain = self.entry.spaced and said.isdigit()
        if not plain and (score >= _SURE or (valid and score >= _CHECKED)):
            return "shape"
        return None

    def _said(self, text: str, low: int, high: int, before: str) -> bool:
        if self._words is None:
            return False
        around = f"{before} {text[max(0, low - _BEFORE) : low]} | {text[high : high + _AFTER]}"
        return self._words.search(around) is not None


def _address(text: str, low: int, high: int) -> tuple[int, int]:
    """The whole run of what addresses are written with, without what ends a sentence."""
    first, last = max(0, low - _WINDOW), min(len(text), high + _WINDOW)
    while low > first and text[low - 1] in _ADDRESS_CHARACTERS:
        low -= 1
    while high < last and text[high] in _ADDRESS_CHARACTERS:
        high += 1
    said = text[low:high]
    if said.count(":") == 1:  # a port, or a label before: one of the two sides is the address
        left, _, right = said.partition(":")
        said, low = (left, low) if left.count(".") == 3 else (right, low + len(left) + 1)  # noqa: PLR2004 - v4
    end = len(said.rstrip(".:")) if not said.endswith("::") else len(said)
    return low, low + end


def _stands_alone(text: str, low: int, high: int) -> bool:
    """Whether this is no part of a longer word, of a decimal, or of a UUID."""
    ahead, behind = text[max(0, low - 2) : low], text[high : high + 2]
    if ahead[-1:].isascii() and ahead[-1:].isalnum() and not _escape(text, low):
        return False
    if behind[:1].isascii() and behind[:1].isalnum():
        return False
    if len(ahead) > 1 and ahead[1] == "." and ahead[0].isdigit() and text[low].isdigit():
        return False
    near = text[max(0, low - 36) : high + 36]
    return not any(m.start() <= low - max(0, low - 36) < m.end() for m in _UUID.finditer(near))


def _escape(text: str, low: int) -> bool:
    r"""Whether the letter before is the end of an escape, as in `\n4111`, in JSON that is cut short."""
    return low > 1 and text[low - 2] == "\\" and text[low - 1] in "nrtbf"


def _somebody(address: str) -> bool:
    """Whether an address may be a person's: not loopback, not unspecified, no slice of a list."""
    if address.startswith(("127.", "0.")) or address in {"::", "::1"}:
        return False
    parts = [part for part in address.split(":") if part]
    return "." in address or len(parts) > 2 or any(len(part) > 2 for part in parts)  # noqa: PLR2004 - `1::2` slices


@contextlib.contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Let imports meanwhile find that these packages, unless imported before, are not there."""
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment] # Python's own word for "not there"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def load(names: Iterable[Entry] = ENTRIES) -> tuple[list[Recogniser], Callable[[str], bool]]:
    """All recognisers, and whether an address of e-mail holds. Raises `ImportError`.

    Presidio's check of e-mail asks tldextract for public suffixes, which would fetch the list over
    the network and write it to the disk; here it has the list in its package, and no cache.
    """
    import tldextract  # noqa: PLC0415 - as Presidio: only when something has to be decided

    with _without(*_HEAVY):
        from presidio_analyzer import predefined_recognizers as theirs  # noqa: PLC0415 - seconds

    extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())

    class OfflineEmail(theirs.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(extract(pattern_text).fqdn)

    class Pesel(theirs.PlPeselRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            """With the check digit as it is defined: ten less the sum, which 2.2.362 compares itself."""
            digits = [int(digit) for digit in pattern_text]
            total = sum(d * w for d, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=False))
            return (10 - total % 10) % 10 == digits[10]

    ours = {"PlPeselRecognizer": Pesel}
    email: Any = OfflineEmail()
    shape = regex.compile(email.patterns[0].regex, email.global_regex_flags)

    def holds(address: str) -> bool:
        return shape.search(address) is not None and bool(email.validate_result(address))

    made = [ours.get(entry.name) or getattr(theirs, entry.name) for entry in names]
    return [Recogniser(entry, kind()) for entry, kind in zip(names, made, strict=True)], holds
