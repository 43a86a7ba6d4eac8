"""What a message asks for: an intent, and the order, day and amount it names."""

import re
from dataclasses import dataclass

from supportdesk.shop import PRODUCTS

_DAY = r"(?:the )?\d{1,2}(?:st|nd|rd|th)?"
_MONTH = r"(?:january|february|march|april|may|june)"
DATE = re.compile(
    rf"\b(\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}[./]\d{{1,2}}[./](?:\d{{4}}|\d{{2}})?"
    rf"|{_DAY} (?:of )?{_MONTH}|{_MONTH} {_DAY}"
    rf"|(?:mon|tues|wednes|thurs|fri|satur|sun)day the \d{{1,2}}(?:st|nd|rd|th))",
    re.IGNORECASE,
)
AMOUNT = re.compile(r"(?:€ ?)?\b\d+[.,]\d{2}(?![.,]?\d)(?: ?(?:€|EUR|euros?))?")
ORDER = re.compile(r"\b4\d{3}\b")

# An intent scores a point for each pattern found; more points win, then the earlier intent.
INTENTS: dict[str, tuple[str, ...]] = {
    "export": (r"\bjson\b", r"machine-readable|import|script|download"),
    "subscription": (
        r"subscri|\bbox thing|seed box|monthly|\bplan with|my plan\b|more boxes",
        r"cancel|kill|\bend\b|\bstop\b|quit|get out|out of|take me off|don't want",
    ),
    "refund": (
        r"refund|back\b|credit|reimburs|compensat|goodwill",
        r"owe me|money|return|\boff what|to my (?:account|card)",
    ),
    "reschedule": (
        r"\bmove\b|reschedul|postpone|push|instead|rather|different day|change of plan|slot",
        r"could the driver|brought then",
    ),
    "track": (
        r"\bwhere(?:abouts)?\b|\bwhere's|depot|any sign|stuck|lost\b|any news|going on|happening",
        r"my (?:parcel|package|shipment)\b|the shipment\b|courier|\btracking\b|\bvan\b",
        r"waiting (?:in|for a parcel)|turned up|consignment|supposed to be here",
    ),
    "stock": (
        r"in stock|available|availability|sold out|\bleft\b|on the shelf|still (?:have|get|buy)",
        r"warehouse|run out|be bought|units|\bbuy it|to be had|got any|right now",
    ),
    "order": (
        r"\btotal\b|how much (?:was|did)|what did|cost\b|amount|summary|details|contain|contents",
        r"what's in|items|\bdue\b|delivery day|is the .* in order",
    ),
}

NEEDS_ORDER = frozenset({"refund", "reschedule", "track", "order"})


@dataclass(frozen=True)
class Request:
    """What a message asks for; `amount` and `date` are as the customer wrote them."""

    intent: str | None
    order: str | None
    date: str | None
    amount: str | None


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found.group(0) if found else None


def _intent(text: str, *, order: str | None, date: str | None, amount: str | None) -> str | None:
    """The best intent. Most are not meant at all unless what they are about is named."""
    lowered = text.lower()
    possible = {
        "refund": amount is not None,
        "reschedule": date is not None,
        "order": order is not None,
        "stock": any(p.alias in lowered for p in PRODUCTS),
        "subscription": re.search(INTENTS["subscription"][0], lowered) is not None,
    }
    scores = {
        intent: sum(bool(re.search(pattern, lowered)) for pattern in patterns)
        for intent, patterns in INTENTS.items()
        if possible.get(intent, True)
    }
    best = max(scores, key=lambda intent: scores[intent])
    return best if scores[best] > 0 else None


def understand(text: str) -> Request:
    """Read one message."""
    order, date, amount = (_first(p, text) for p in (ORDER, DATE, AMOUNT))
    return Request(_intent(text, order=order, date=date, amount=amount), order, date, amount)


def read_amount(text: str) -> float | str:
    """The amount as a number.

    Defect `amount_as_text`: knows only the decimal point; anything else is handed on as it is.
    """
    bare = re.sub(r"€|EUR|euros?", "", text).strip()
    try:
        return float(bare)
    except ValueError:
        return text
