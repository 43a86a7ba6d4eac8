"""What is wrong in a policy file: which scorer, which field, what to write."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from capture.policy import KINDS

_PLACE = re.compile(r"(?s)^(?P<what>.*?)(?: - at `(?P<path>\$.*)`)?$")
_IN_SCORER = re.compile(r"^\$(?:\.policy)?\.scoring\.scorers\[(?P<at>\d+)\](?:\.(?P<field>.+))?$")
_UNKNOWN_FIELD = re.compile(r"^Object contains unknown field `(?P<name>[^`]*)`$")
_BAD_KIND = re.compile(r"^Invalid value '(?P<name>[^']*)'$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]*)`$")
_EXAMPLES: Mapping[str, str] = {
    "latency": '{"type": "latency", "above_ms": 8000}',
    "cost": '{"type": "cost", "above_usd": 0.10}',
    "tokens": '{"type": "tokens", "above": 20000, "of": "total"}',
    "json_schema": '{"type": "json_schema", "schema": {"type": "object"}}',
    "regex": '{"type": "regex", "pattern": "(?i)lorem ipsum"}',
    "score": '{"type": "score", "signal": "faithfulness", "below": 3}',
    "python": '{"type": "python", "function": "my_package.scorers:polite"}',
    "judge": '{"type": "judge", "rubric": "The answer names its source.", "sample": 0.1}',
}


def explained(error: msgspec.ValidationError, document: Any) -> str:
    """The error in words. `document` is what the file holds."""
    found = _PLACE.match(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), None)
    in_scorer = _IN_SCORER.match(path) if path else None
    if in_scorer is None:
        place = f"At {path}: " if path else ""
        return f"{place}{_worded(what)}"
    at = int(in_scorer["at"])
    scorer = _scorer(document, at)
    return f"{_named(scorer, at)}{_of_scorer(what, in_scorer['field'], scorer)}"


def _of_scorer(what: str, field: str | None, scorer: Mapping[str, Any]) -> str:
    kind = str(scorer.get("type", ""))
    if field is None and (unknown := _UNKNOWN_FIELD.match(what)) and kind in KINDS:
        allowed = sorted(msgspec.structs.fields(KINDS[kind]), key=lambda one: not one.required)
        names = [one.encode_name for one in allowed]
        return (
            f"there is no field {unknown['name']!r}. {_near(unknown['name'], names)}"
            f"A scorer of type {kind} has: {', '.join(names)}."
        )
    if (bad := _BAD_KIND.match(what)) and field == "type":
        return (
            f"{bad['name']!r} is no type of scorer. {_near(bad['name'], list(KINDS))}"
            f"There are: {', '.join(KINDS)}."
        )
    if missing := _MISSING.match(what):
        name = missing["name"]
        example = _EXAMPLES.get(kind)
        more = f" For example: {example}" if example else ""
        inside = f" in {field}" if field else ""
        if name == "type":
            more = f" It says what kind of scorer this is: {', '.join(KINDS)}."
        return f"the field {name!r} is missing{inside}.{more}"
    place = f"field {field!r}: " if field else ""
    return f"{place}{_worded(what)}"


def _scorer(document: Any, at: int) -> Mapping[str, Any]:
    """The scorer as the file has it; empty where it is no object."""
    try:
        scorer = document["scoring"]["scorers"][at]
    except (KeyError, IndexError, TypeError):
        return {}
    return scorer if isinstance(scorer, dict) else {}


def _named(scorer: Mapping[str, Any], at: int) -> str:
    called = scorer.get("name") or scorer.get("type")
    return f"Scorer {at + 1} ({called}), " if called else f"Scorer {at + 1}, "


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


def _worded(what: str) -> str:
    """Msgspec's words in ours, where they need it."""
    text = what
    for theirs, ours in _WORDS:
        text = re.sub(theirs, ours, text)
    text = text[:1].lower() + text[1:] if text.startswith(("Expected", "Invalid")) else text
    return text if text.endswith((".", "?")) else text + "."


_WORDS = (
    (r"`(float|int)`", "a number"),
    (r"`str`", "text"),
    (r"`bool`", "true or false"),
    (r"`array`", "a list"),
    (r"`object`", "an object (name and value pairs)"),
    (r" \| null", ", or null"),
    (r"Invalid enum value '([^']*)'", r"\1 is not one of the words that may stand here"),
    (r"text matching regex '\^\[a-z\]\{2,3\}\\\\Z'", "a language code such as en"),
    (r"text matching regex '[^']*output\|tool[^']*'", "output, or tool: and the name of a tool"),
    (
        r"text matching regex '\^\[A-Za-z_\]\[\\\\w.-\]\*[^']*'",
        "package.module:function, or the name of an entry point",
    ),
    (
        r"text matching regex '\^\[A-Za-z0-9_\][^']*'",
        "a name: 1 to 64 letters, digits, dots, hyphens, underscores and colons",
    ),
)
