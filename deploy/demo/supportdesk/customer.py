"""The customer: knows what they wanted, and finds out whether they got it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from supportdesk.chance import choose, draw
from supportdesk.help_centre import help_fact
from supportdesk.shop import PRODUCTS, Order, Shop
from supportdesk.wording import WORDINGS

GoalKind = Literal[
    "place", "units", "moved", "refunded", "cancelled", "exported", "order", "help", "refused"
]


@dataclass(frozen=True)
class Goal:
    """What the customer came for; the fields that its kind needs are set.

    `date` is ISO 8601, `cents` an amount, `topic` a page of the help centre.
    """

    kind: GoalKind
    customer: str
    order: str = ""
    product: str = ""
    date: str = ""
    cents: int = 0
    topic: str = ""


COMPLAINTS: dict[GoalKind, tuple[str, ...]] = {
    "place": (
        "Waited forever and still don't know where my parcel is.",
        "Half a minute of nothing and then no answer.",
    ),
    "units": (
        "That's not what the checkout says about stock.",
        "Wrong about availability: the basket showed something else a minute later.",
        "Stock information was not true.",
    ),
    "moved": (
        "The delivery day was not changed.",
        "I gave a perfectly clear date and it still comes on the old day.",
    ),
    "refunded": (
        "No refund, although I said exactly how much.",
        "My money was not sent.",
    ),
    "cancelled": (
        "I only wanted to cancel and was refused.",
        "Why would it refuse to end my subscription? That's harmless.",
    ),
    "exported": (
        "My program can't read this: the JSON is broken.",
        "Import failed, invalid JSON.",
        "Parser error in the export you gave me.",
    ),
    "order": (
        "That was about the other order, not the one I asked for.",
        "Wrong order! I gave the new number.",
    ),
    "help": (
        "Your website says 30 days, so this is out of date.",
        "Wrong: the terms changed in February.",
    ),
    "refused": ("It should not have answered this.",),
}
REFUSED_COMPLAINTS = (
    "It's an ordinary product from your own shop, why refuse to talk about it?",
    "Refused a normal shopping question.",
    "Treated me like a criminal for asking about a thing you sell.",
)
PRAISE: tuple[str, ...] = ("Quick and clear, thanks.", "Exactly what I needed.", "Perfect.", "")
PRAISE_ONE_IN = 4
COMPLAINT_ABOUT_ERRORS_ONE_IN = 2


def _refusal(answer: str) -> bool:
    return answer in WORDINGS["refusal"]


def _right_units(goal: Goal, shop: Shop, answer: str) -> bool:
    """Whether the answer agrees with the warehouse's own count."""
    sku = next(p.sku for p in PRODUCTS if p.alias == goal.product)
    units = shop.units[sku]
    if units == 0:
        return "sold out" in answer
    return re.search(rf"\b{units} (?:left|of)", answer) is not None


def _right_order(order: Order, shop: Shop, answer: str) -> bool:
    return order.number in answer and f"{shop.total(order) / 100:.2f}" in answer


def _imports(goal: Goal, shop: Shop, answer: str) -> bool:
    """Whether the customer's program can load the export and finds every order in it."""
    try:
        return bool(json.loads(answer) == shop.history(goal.customer))
    except json.JSONDecodeError:
        return False


CHECKS: dict[GoalKind, Callable[[Goal, Shop, str], bool]] = {
    "place": lambda goal, shop, answer: shop.place(shop.orders[goal.order]) in answer,
    "units": _right_units,
    "moved": lambda goal, shop, _: shop.orders[goal.order].delivery == goal.date,
    "refunded": lambda goal, shop, _: shop.refunds.get(goal.order) == goal.cents,
    "cancelled": lambda goal, shop, _: goal.customer in shop.cancelled,
    "exported": _imports,
    "order": lambda goal, shop, answer: _right_order(shop.orders[goal.order], shop, answer),
    "help": lambda goal, _, answer: help_fact(goal.topic) in answer,
    "refused": lambda _goal, _shop, answer: _refusal(answer),
}


def satisfied(goal: Goal, shop: Shop, answer: str) -> bool:
    """Whether the customer has what they came for, by the shop's own records."""
    return CHECKS[goal.kind](goal, shop, answer)


@dataclass(frozen=True)
class Mood:
    """What decides whether a customer speaks up: chance, drawn from `seed` and `key`."""

    seed: int
    key: str

    def speaks(self, one_in: int) -> bool:
        """Whether this is one of those who give feedback."""
        return draw(self.seed, self.key, "feedback") % one_in == 0

    def comment(self, options: tuple[str, ...]) -> str:
        """What they write."""
        return choose(options, self.seed, self.key, "comment")


def signals(
    goal: Goal, shop: Shop, answer: str, *, tool_failed: bool, mood: Mood
) -> list[dict[str, Any]]:
    """How it went: the outcome always, feedback from those who give it.

    Who was told something wrong without an error finds out at the checkout, and says so; of those
    who saw an apology only some do; of the happy ones few.
    """
    resolved = satisfied(goal, shop, answer)
    found: list[dict[str, Any]] = [
        {"name": "task_resolved", "value": int(resolved), "source": "outcome"}
    ]
    one_in, options = PRAISE_ONE_IN, PRAISE
    if not resolved:
        one_in = COMPLAINT_ABOUT_ERRORS_ONE_IN if tool_failed else 1
        refused_product = goal.kind == "units" and _refusal(answer)
        options = REFUSED_COMPLAINTS if refused_product else COMPLAINTS[goal.kind]
    if mood.speaks(one_in):
        feedback = {"name": "user_feedback", "value": int(resolved), "source": "user"}
        comment = mood.comment(options)
        found.append({**feedback, "comment": comment} if comment else feedback)
    return found
