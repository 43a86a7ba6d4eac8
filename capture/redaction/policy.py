"""What a project calls personal or secret, as data."""

import re
from typing import Annotated, Literal, get_args

import jsonpath
import msgspec
import phonenumbers
import re2

Kind = Literal[
    "email",
    "phone",
    "card",  # of payment, by its check digit
    "iban",
    "national_id",  # of persons: social security, tax, health, passport, driving licence
    "ip",  # v4 and v6; loopback and unspecified addresses are nobody's
    "mac",
    "crypto",  # addresses of wallets
    "secret",  # API keys, tokens, private keys, what follows `password=`
    "jwt",
    "url_user",  # user and password in an address: https://user:password@host
]
KINDS: tuple[Kind, ...] = get_args(Kind)

PATTERN_NAME = r"^[a-z][a-z0-9_]{0,31}$"
_RESERVED = {*KINDS, "field", "person", "location", "organisation"}
_MOST_PATTERN_MEMORY = 8 << 20  # bytes of a compiled pattern; RE2's own default, for one project

DEFAULT_REGIONS = ("US", "GB", "DE", "FR", "IN")
"""Where numbers without a country code are looked for. Each region costs about as much again for
texts that have candidates, and calls more plain numbers phones: whoever serves other countries sets
their own (`policy set --phone-region`)."""

Allowed = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class RedactionPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken out of a project's traces before they are stored.

    `patterns` are RE2 regular expressions by name; the name becomes the kind. `json_paths` are RFC
    9535 paths, held against a native trace, and against {"attributes", "resource"} of a span.
    `allow` is never redacted: values as they are written, or /pattern/ for all that fits it wholly.

    Raises:
        ValueError: something in it cannot be used; the message says what to change.
    """

    enabled: bool = True
    kinds: tuple[Kind, ...] = KINDS
    phone_regions: tuple[str, ...] = DEFAULT_REGIONS
    patterns: dict[str, str] = {}
    json_paths: tuple[str, ...] = ()
    allow: tuple[Allowed, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could never be looked for."""
        for region in self.phone_regions:
            if region not in phonenumbers.SUPPORTED_REGIONS:
                message = (
                    f"phone_regions: {region!r} is no region; use two capital letters as in ISO "
                    "3166, for example GB for the United Kingdom"
                )
                raise ValueError(message)
        for name, pattern in self.patterns.items():
            _check_pattern(name, pattern)
        for path in self.json_paths:
            _check_path(path)
        for value in self.allow:
            if (inner := allowed_pattern(value)) is not None:
                compiled(inner, f"allow: {value}")


def allowed_pattern(value: str) -> str | None:
    """The pattern in `/pattern/`; None when the value stands for itself."""
    return value[1:-1] if len(value) > 2 and value[0] == value[-1] == "/" else None  # noqa: PLR2004 - two slashes


def compiled(pattern: str, where: str) -> "re2._Regexp[str]":
    """An RE2 pattern. Raises `ValueError`, which says where and what is wrong."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_PATTERN_MEMORY
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        said = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        message = (
            f"{where}: not a pattern that RE2 reads ({said}); look-around and back-references are "
            "not there: https://github.com/google/re2/wiki/Syntax"
        )
        raise ValueError(message) from error


def _check_pattern(name: str, pattern: str) -> None:
    if not re.fullmatch(PATTERN_NAME, name):
        message = (
            f"patterns: the name {name!r} must be a lower-case letter, then up to 31 of lower-case "
            "letters, digits and underscore, for example customer_number"
        )
        raise ValueError(message)
    if name in _RESERVED:
        message = f"patterns: {name!r} is the name of a built-in kind; choose another"
        raise ValueError(message)
    if compiled(pattern, f"patterns: {name}").search("") is not None:
        message = (
            f"patterns: {name} ({pattern!r}) fits the empty text, so it would fit everywhere; "
            "say what must be there at least"
        )
        raise ValueError(message)


def _check_path(path: str) -> None:
    try:
        jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        message = f"json_paths: {path!r} is not a JSON path (RFC 9535): {error}"
        raise ValueError(message) from error
    if not path.startswith("$"):
        message = f"json_paths: {path!r} must begin with $, for example $.metadata.customer"
        raise ValueError(message)
