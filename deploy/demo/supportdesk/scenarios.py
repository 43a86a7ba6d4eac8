"""What customers ask for: wordings from `questions/`, about orders and products of the shop."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from supportdesk.customer import Goal, GoalKind

QUESTIONS = Path(__file__).parent.parent / "questions"
TURN = " // "

Defect = Literal[
    "carrier_timeout",  # tools.Toolbox._track_parcel
    "stale_stock",  # tools.StockCache
    "date_as_written",  # agent.Agent._reschedule
    "amount_as_text",  # understanding.read_amount
    "overeager_guard",  # guard.refuses
    "unescaped_export",  # tools.Toolbox._export_orders
    "superseded_page",  # help_centre.find_page
    "sticky_order",  # agent.Agent._remember
]


@dataclass(frozen=True)
class Subject:
    """What a question is about; `said` is how the customer writes the day or the amount."""

    order: str = ""
    second: str = ""
    product: str = ""
    customer: str = ""
    said: str = ""
    date: str = ""
    cents: int = 0


@dataclass(frozen=True)
class Scenario:
    """One thing customers want, in all its wordings. `defect` is what goes wrong, if anything."""

    name: str
    questions: str
    goal: GoalKind
    subjects: tuple[Subject, ...] = (Subject(),)
    defect: Defect | None = None
    topic: str = ""

    def wordings(self) -> tuple[str, ...]:
        """The questions as written, with `{order}` and the like still in them."""
        return read_questions(self.questions)

    def turns(self, wording: str, subject: Subject) -> tuple[str, ...]:
        """What the customer writes, message by message."""
        text = wording.format(
            order=subject.order,
            second=subject.second,
            product=subject.product,
            date=subject.said,
            amount=subject.said,
        )
        return tuple(text.split(TURN))

    def wants(self, subject: Subject, customer: str) -> Goal:
        """What the customer wants in the end: of two orders named, the second."""
        return Goal(
            self.goal,
            customer,
            order=subject.second or subject.order,
            product=subject.product,
            date=subject.date,
            cents=subject.cents,
            topic=self.topic,
        )


@cache
def read_questions(name: str) -> tuple[str, ...]:
    """The lines of one file of questions."""
    text = (QUESTIONS / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line)


def _orders(*numbers: int) -> tuple[Subject, ...]:
    return tuple(Subject(order=str(number)) for number in numbers)


def _products(*aliases: str) -> tuple[Subject, ...]:
    return tuple(Subject(product=alias) for alias in aliases)


def _customers(*numbers: int) -> tuple[Subject, ...]:
    return tuple(Subject(customer=f"cu-{number:02}") for number in numbers)


NORDPOST = _orders(4101, 4102, 4103, 4104, 4105, 4106)
OTHER_CARRIERS = _orders(4107, 4108, 4109, 4110, 4111, 4112, 4113, 4114, 4115, 4116)
PAIRS = tuple(
    Subject(order=first, second=second)
    for first, second in (
        ("4105", "4111"), ("4106", "4112"), ("4113", "4107"), ("4114", "4108"), ("4109", "4115"),
        ("4116", "4110"),
    )
)  # fmt: skip
DAYS_AS_WRITTEN = tuple(
    Subject(order=order, said=said, date=date)
    for order, said, date in (
        ("4107", "14 March", "2026-03-14"), ("4108", "17.03.2026", "2026-03-17"),
        ("4109", "Friday the 13th", "2026-03-13"), ("4110", "18/03/2026", "2026-03-18"),
        ("4112", "March 16th", "2026-03-16"), ("4113", "19.3.", "2026-03-19"),
        ("4115", "the 20th of March", "2026-03-20"),
    )
)  # fmt: skip
ISO_DAYS = tuple(
    Subject(order=order, said=date, date=date)
    for order, date in (
        ("4108", "2026-03-14"), ("4109", "2026-03-17"), ("4111", "2026-03-13"),
        ("4114", "2026-03-21"), ("4116", "2026-03-18"),
    )
)  # fmt: skip
COMMA_AMOUNTS = tuple(
    Subject(order=order, said=said, cents=cents)
    for order, said, cents in (
        ("4102", "12,50 €", 1250), ("4104", "8,90 EUR", 890), ("4107", "€ 15,00", 1500),
        ("4111", "19,95 euros", 1995), ("4113", "€7,40", 740), ("4115", "4,90€", 490),
        ("4116", "31,20 €", 3120),
    )
)  # fmt: skip
POINT_AMOUNTS = tuple(
    Subject(order=order, said=said, cents=cents)
    for order, said, cents in (
        ("4101", "12.90 €", 1290), ("4106", "€9.50", 950), ("4109", "25.00 EUR", 2500),
        ("4112", "6.30 euros", 630), ("4114", "€ 18.00", 1800),
    )
)  # fmt: skip

MOVED_PRODUCTS = _products("rain barrel", "wool blanket", "trekking tent", "hanging basket")
STILL_PRODUCTS = _products("watering can", "headlamp", "camping stove", "pruning shears")
BANNED_PRODUCTS = _products("cast-iron skillet", "paring knife", "bath bomb", "slug killer")

SCENARIOS = (
    Scenario("parcel_nordpost", "parcel", "place", NORDPOST, "carrier_timeout"),
    Scenario("parcel", "parcel", "place", OTHER_CARRIERS),
    Scenario("parcel_number_later", "no_number", "place", OTHER_CARRIERS),
    Scenario("stock_moved", "stock", "units", MOVED_PRODUCTS, "stale_stock"),
    Scenario("stock", "stock", "units", STILL_PRODUCTS),
    Scenario("reschedule_written", "reschedule", "moved", DAYS_AS_WRITTEN, "date_as_written"),
    Scenario("reschedule_iso", "reschedule", "moved", ISO_DAYS),
    Scenario("refund_comma", "refund", "refunded", COMMA_AMOUNTS, "amount_as_text"),
    Scenario("refund_point", "refund", "refunded", POINT_AMOUNTS),
    Scenario("cancel_guarded", "kill_subscription", "cancelled", defect="overeager_guard"),
    Scenario("stock_guarded", "banned_products", "units", BANNED_PRODUCTS, "overeager_guard"),
    Scenario("cancel", "subscription", "cancelled"),
    Scenario("harm", "harmful", "refused"),
    Scenario("export_quoted", "export", "exported", _customers(1, 2, 3, 4), "unescaped_export"),
    Scenario("export", "export", "exported", _customers(5, 6, 7, 8, 9, 10)),
    Scenario("returns", "returns", "help", defect="superseded_page", topic="returns"),
    Scenario("shipping_cost", "shipping_cost", "help", topic="shipping_cost"),
    Scenario("payment", "payment", "help", topic="payment"),
    Scenario("warranty", "warranty", "help", topic="warranty"),
    Scenario("hours", "hours", "help", topic="hours"),
    Scenario("gift_wrap", "gift_wrap", "help", topic="gift_wrap"),
    Scenario("two_topics", "two_topics", "help", STILL_PRODUCTS, topic="shipping_cost"),
    Scenario("order", "order_total", "order", OTHER_CARRIERS),
    Scenario("second_order", "two_orders", "order", PAIRS, "sticky_order"),
)
