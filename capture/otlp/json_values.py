"""Values of OTLP/JSON: AnyValue as plain JSON, and numbers that may be strings."""

import math
from typing import Any

import msgspec

from capture.depth import DEEPEST

Number = int | float | str | None
INT64 = range(-(1 << 63), 1 << 63)
_TIMES = range(1 << 64)  # OTLP's fixed64
_LONGEST_INTEGER = 20  # digits of the largest 64-bit integer, or of the smallest and its sign


class Array(msgspec.Struct):
    """ArrayValue."""

    values: list["Value"] | None = None


class KeyValue(msgspec.Struct):
    """KeyValue: one attribute."""

    key: str = ""
    value: "Value | None" = None


class KeyValues(msgspec.Struct):
    """KeyValueList."""

    values: list[KeyValue] | None = None


class Value(msgspec.Struct, rename="camel"):
    """AnyValue: one of these is given."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Number = None
    double_value: Number = None
    array_value: Array | None = None
    kvlist_value: KeyValues | None = None
    bytes_value: str | None = None  # base64, and kept so


def attributes(pairs: list[KeyValue] | None, depth: int = 0) -> dict[str, Any]:
    """Attributes by name, as plain JSON. Raises as `plain`."""
    return {pair.key: plain(pair.value, depth) for pair in pairs or ()}


def plain(value: Value | None, depth: int = 0) -> Any:  # noqa: PLR0911 - one return for each kind
    """An AnyValue as plain JSON.

    Raises:
        ValueError: a number that is none, or a value nested too deeply.
    """
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.bool_value is not None:
        return value.bool_value
    if value.int_value is not None:
        return integer("intValue", value.int_value, INT64)
    if value.double_value is not None:
        return _double(value.double_value)
    if depth >= DEEPEST:
        message = f"an attribute's value is nested deeper than {DEEPEST} levels"
        raise ValueError(message)
    if value.array_value is not None:
        return [plain(item, depth + 1) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return attributes(value.kvlist_value.values, depth + 1)
    return value.bytes_value


def finite_or_word(number: float) -> float | str:
    """A number; what JSON has no number for becomes the word protobuf's JSON has for it."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def time_ns(name: str, value: Number) -> int:
    """Nanoseconds since the epoch, 0 when not given. Raises ValueError."""
    return 0 if value is None else integer(name, value, _TIMES)


def integer(name: str, value: float | str, allowed: range) -> int:
    """A whole number, sent as a number or as its digits. Raises ValueError."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= allowed.stop:
        number = int(value)
    elif len(text := str(value)) <= _LONGEST_INTEGER and is_digits(text):
        number = int(text)
    else:
        message = f"{name} must be a whole number, got {str(value)[:40]!r}"
        raise ValueError(message)
    if number not in allowed:
        message = f"{name} must be between {allowed.start} and {allowed.stop - 1}, got {number}"
        raise ValueError(message)
    return number


def is_digits(text: str) -> bool:
    """Whether a text is an integer in ASCII digits."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _double(value: float | str) -> float | str:
    try:
        return finite_or_word(float(value))
    except (ValueError, OverflowError):
        message = f"doubleValue must be a number, got {str(value)[:40]!r}"
        raise ValueError(message) from None
