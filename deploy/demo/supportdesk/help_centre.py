"""The help centre: its pages, old and new, and how the agent searches them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class HelpPage:
    """A page of the help centre; `fact` is the part an answer must have. ISO 8601 dates."""

    topic: str
    text: str
    fact: str
    words: frozenset[str]
    valid_from: str
    valid_until: str | None = None


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", text.lower()))


_RETURNS = _words(
    "return returns returning returned send back bring hand deadline days window period mind "
    "accepting policy late"
)

HELP_PAGES = (
    HelpPage(
        topic="returns",
        text="You can send back unused items within 60 days of delivery and get the full price.",
        fact="60 days",
        words=_RETURNS,
        valid_from="2024-01-01",
        valid_until="2026-01-31",
    ),
    HelpPage(
        topic="returns",
        text="You can send back unused items within 30 days of delivery and get the full price.",
        fact="30 days",
        words=_RETURNS,
        valid_from="2026-02-01",
    ),
    HelpPage(
        topic="shipping_cost",
        text="Shipping costs €4.90 per order and is free from €60. Parcel shops cost the same.",
        fact="€4.90",
        words=_words("shipping shipped ship postage delivery charge fee costs free sending rates"),
        valid_from="2025-01-01",
    ),
    HelpPage(
        topic="payment",
        text="We take Visa, Mastercard, PayPal, gift vouchers (several at once) and bank transfer.",
        fact="PayPal",
        words=_words(
            "pay paying payment paypal express invoice card apple bank transfer vouchers methods "
            "instalments"
        ),
        valid_from="2025-01-01",
    ),
    HelpPage(
        topic="warranty",
        text="Everything is covered for two years; the order counts as receipt, wear is excluded.",
        fact="two years",
        words=_words(
            "warranty guarantee covered stopped working broke repair receipt failed tear claim"
        ),
        valid_from="2025-01-01",
    ),
    HelpPage(
        topic="hours",
        text="The showroom and the phone are open Monday to Saturday, 9 to 18, not on holidays.",
        fact="9 to 18",
        words=_words(
            "open opening hours hour close closed saturdays sunday holidays tonight morning phone "
            "showroom"
        ),
        valid_from="2025-01-01",
    ),
    HelpPage(
        topic="gift_wrap",
        text="We wrap each item for €3.50 with a greeting card, and leave prices off the slip.",
        fact="€3.50",
        words=_words("gift wrap wrapped wrapping card handwritten greeting paper box slip"),
        valid_from="2025-01-01",
    ),
)


def help_fact(topic: str) -> str:
    """What the page of a topic that is valid now says."""
    return next(p.fact for p in HELP_PAGES if p.topic == topic and p.valid_until is None)


def find_page(text: str) -> HelpPage | None:
    """The help page that shares most words with the question, or None when none does.

    Defect `superseded_page`: pages that are no longer valid are still in the index, and of two
    that fit equally well the older one, which comes first, wins.
    """
    words = _words(text)
    best = max(HELP_PAGES, key=lambda page: len(page.words & words))
    return best if best.words & words else None
