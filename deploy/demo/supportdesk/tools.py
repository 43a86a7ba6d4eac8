"""The tools the agent can call. Each returns text, or raises a `ToolError` that says why not."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supportdesk.shop import PRODUCTS, Order, Shop

TIMEOUT_S = 12.0
ATTEMPTS = 3

# How long each carrier's tracking service takes. NordPost retired the host that is asked here.
CARRIER_ANSWERS_AFTER_S = {"NordPost": 90.0, "Parcelway": 0.42, "Swiftline": 0.95}


class ToolError(Exception):
    """The tool could not do it; the text is what the agent gets to see."""


class CarrierTimeoutError(ToolError):
    """The carrier's tracking service never answered."""

    def __init__(self, carrier: str, waited_s: float) -> None:
        super().__init__(
            f"Timeout: tracking.{carrier.lower()}.example did not answer "
            f"({ATTEMPTS} attempts of {TIMEOUT_S:.0f} s)"
        )
        self.waited_s = waited_s


@dataclass(frozen=True)
class ToolResult:
    """What came back, and after how many milliseconds."""

    content: str
    latency_ms: float
    failed: bool = False


@dataclass(frozen=True)
class Argument:
    """What one argument of a tool has to be."""

    kind: type[str] | type[float]
    pattern: str | None = None


SCHEMAS: dict[str, dict[str, Argument]] = {
    "track_parcel": {"order": Argument(str, r"\d{4}")},
    "get_order": {"order": Argument(str, r"\d{4}")},
    "check_stock": {"sku": Argument(str, r"[A-Z]-\d{3}")},
    "find_product": {"query": Argument(str)},
    "reschedule_delivery": {
        "order": Argument(str, r"\d{4}"),
        "date": Argument(str, r"\d{4}-\d{2}-\d{2}"),
    },
    "issue_refund": {"order": Argument(str, r"\d{4}"), "amount": Argument(float)},
    "cancel_subscription": {"customer": Argument(str)},
    "export_orders": {"customer": Argument(str)},
}


def check_arguments(tool: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that do not fit the tool's schema.

    Raises:
        ToolError: naming the argument, its value and what was expected.
    """
    for name, wanted in SCHEMAS[tool].items():
        value = arguments.get(name)
        if not isinstance(value, wanted.kind):
            kind = "number" if wanted.kind is float else "string"
            msg = f"InvalidArgument: {tool}.{name} must be a {kind}, got {value!r}"
            raise ToolError(msg)
        if wanted.pattern and not re.fullmatch(wanted.pattern, str(value)):
            expected = "a date as YYYY-MM-DD" if name == "date" else f"of form {wanted.pattern}"
            msg = f"InvalidArgument: {tool}.{name} must be {expected}, got {value!r}"
            raise ToolError(msg)


class StockCache:
    """The morning's copy of the stock, so that the warehouse is not asked for every question."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._units: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Copy the stock afresh."""
        self._units = dict(self._shop.units)

    def units(self, sku: str) -> int:
        """How many there are.

        Defect `stale_stock`: nothing calls `refresh` when the warehouse books a movement.
        """
        return self._units[sku]


class Toolbox:
    """The tools of one shop. Time is the simulated time each call takes; nothing waits."""

    def __init__(self, shop: Shop, stock: StockCache) -> None:
        self._shop = shop
        self._stock = stock
        self._tools: dict[str, Callable[..., tuple[str, float]]] = {
            "track_parcel": self._track_parcel,
            "get_order": self._get_order,
            "check_stock": self._check_stock,
            "find_product": self._find_product,
            "reschedule_delivery": self._reschedule_delivery,
            "issue_refund": self._issue_refund,
            "cancel_subscription": self._cancel_subscription,
            "export_orders": self._export_orders,
        }

    def call(self, tool: str, arguments: dict[str, Any]) -> ToolResult:
        """Check the arguments, run the tool, and turn its errors into a result."""
        try:
            check_arguments(tool, arguments)
        except ToolError as error:
            return ToolResult(str(error), 3.0, failed=True)
        try:
            content, seconds = self._tools[tool](**arguments)
        except CarrierTimeoutError as error:
            return ToolResult(str(error), error.waited_s * 1000, failed=True)
        except ToolError as error:
            return ToolResult(str(error), 45.0, failed=True)
        return ToolResult(content, seconds * 1000)

    def _order(self, number: str) -> Order:
        if number not in self._shop.orders:
            msg = f"NotFound: there is no order {number}"
            raise ToolError(msg)
        return self._shop.orders[number]

    def _track_parcel(self, order: str) -> tuple[str, float]:
        """Defect `carrier_timeout`: the attempts have no deadline in common.

        So a carrier that does not answer costs the customer all of them.
        """
        found = self._order(order)
        answers_after = CARRIER_ANSWERS_AFTER_S[found.carrier]
        if answers_after > TIMEOUT_S:
            raise CarrierTimeoutError(found.carrier, ATTEMPTS * TIMEOUT_S)
        where = {"tracking": found.tracking, "carrier": found.carrier}
        return json.dumps({**where, "place": self._shop.place(found)}), answers_after

    def _get_order(self, order: str) -> tuple[str, float]:
        found = self._order(order)
        items = [f"{n} x {self._shop.products[sku].name}" for sku, n in found.lines]
        record = {"order": order, "items": items, "delivery": found.delivery}
        return json.dumps({**record, "total": self._shop.total(found) / 100}), 0.06

    def _check_stock(self, sku: str) -> tuple[str, float]:
        return json.dumps({"sku": sku, "units": self._stock.units(sku)}), 0.01

    def _find_product(self, query: str) -> tuple[str, float]:
        for product in PRODUCTS:
            if product.alias in query.lower():
                return json.dumps({"sku": product.sku, "name": product.name}), 0.08
        msg = f"NotFound: no product is called {query!r}"
        raise ToolError(msg)

    def _reschedule_delivery(self, order: str, date: str) -> tuple[str, float]:
        self._order(order).delivery = date
        return json.dumps({"order": order, "delivery": date}), 0.31

    def _issue_refund(self, order: str, amount: float) -> tuple[str, float]:
        found = self._order(order)
        cents = round(amount * 100)
        if cents > self._shop.total(found):
            msg = f"Refused: {amount:.2f} is more than order {order} cost"
            raise ToolError(msg)
        self._shop.refunds[order] = cents
        return json.dumps({"order": order, "refunded": amount}), 0.55

    def _cancel_subscription(self, customer: str) -> tuple[str, float]:
        self._shop.cancelled.add(customer)
        return json.dumps({"customer": customer, "subscription": "cancelled"}), 0.22

    def _export_orders(self, customer: str) -> tuple[str, float]:
        """Defect `unescaped_export`: JSON is put together by hand and names are not escaped."""
        orders = []
        for order in self._shop.history(customer):
            items = ", ".join(
                f'{{"name": "{self._shop.products[sku].name}", "quantity": {n}}}'
                for sku, n in self._shop.orders[str(order["order"])].lines
            )
            head = f'"order": "{order["order"]}", "total": {order["total"]}'
            orders.append(f'{{{head}, "items": [{items}]}}')
        return "[" + ", ".join(orders) + "]", 0.12
