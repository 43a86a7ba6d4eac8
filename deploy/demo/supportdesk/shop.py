"""The shop's records: what is true. Whether an answer was right is decided against these."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Product:
    """Something the shop sells. `alias` is what customers call it; prices are in cents."""

    sku: str
    name: str
    alias: str
    price: int


@dataclass
class Order:
    """One order. `delivery` is the planned day, ISO 8601."""

    number: str
    customer: str
    carrier: str
    delivery: str
    lines: tuple[tuple[str, int], ...]

    @property
    def tracking(self) -> str:
        """The carrier's number for the parcel."""
        return f"{self.carrier[:2].upper()}00{self.number}7"


PRODUCTS = (
    Product("G-101", "Rain barrel, 200 l", "rain barrel", 8990),
    Product("G-102", "Pruning shears", "pruning shears", 2450),
    Product("G-103", "Hanging basket", "hanging basket", 1890),
    Product("G-104", "Copper watering can", "watering can", 4200),
    Product("G-105", "Slug killer pellets, 1 kg", "slug killer", 990),
    Product("C-201", "Trekking tent for two", "trekking tent", 18900),
    Product("C-202", "Headlamp", "headlamp", 3490),
    Product("C-203", "Camping stove", "camping stove", 5990),
    Product("C-204", 'Lantern "Firefly"', "firefly lantern", 2790),
    Product("H-301", "Wool blanket", "wool blanket", 7450),
    Product("H-302", "Enamel mug", "enamel mug", 1290),
    Product("H-303", 'Cast-iron skillet, 12"', "cast-iron skillet", 5490),
    Product("H-304", "Paring knife", "paring knife", 1990),
    Product("H-305", "Bath bomb set", "bath bomb", 1590),
)

OPENING_UNITS = {
    "G-101": 14, "G-102": 31, "G-103": 0, "G-104": 6, "G-105": 40, "C-201": 3, "C-202": 22,
    "C-203": 9, "C-204": 17, "H-301": 0, "H-302": 58, "H-303": 5, "H-304": 0, "H-305": 26,
}  # fmt: skip

MOVEMENTS = {"G-101": -14, "H-301": 25, "C-201": -3, "G-103": 12}
"""What the warehouse books during the day: two products sell out, two come in."""

# Order number, customer, carrier, planned day, contents.
_ORDERS = """
4101 cu-01 NordPost  2026-03-04 H-303*1 H-302*2
4102 cu-02 NordPost  2026-03-05 C-204*2 C-202*1
4103 cu-03 NordPost  2026-03-05 H-303*1 G-102*1
4104 cu-04 NordPost  2026-03-06 C-204*1 H-302*4
4105 cu-05 NordPost  2026-03-06 G-104*1 H-302*1
4106 cu-06 NordPost  2026-03-09 C-203*1 C-202*1
4107 cu-07 Parcelway 2026-03-04 G-102*1 H-304*1
4108 cu-08 Parcelway 2026-03-05 C-201*1 G-105*1
4109 cu-09 Parcelway 2026-03-05 G-101*1 H-302*2
4110 cu-10 Parcelway 2026-03-06 H-302*6 H-305*1
4111 cu-05 Swiftline 2026-03-06 H-301*1 H-305*2
4112 cu-06 Swiftline 2026-03-07 G-103*3 G-102*1
4113 cu-07 Swiftline 2026-03-09 C-202*2 H-302*1
4114 cu-08 Swiftline 2026-03-10 G-104*1 G-102*1
4115 cu-09 Swiftline 2026-03-11 H-304*1 H-302*3
4116 cu-10 Swiftline 2026-03-12 C-203*1 C-202*1
"""

PLACES = (
    "the depot in Linz", "the sorting centre in Graz", "a van that left Vienna this morning",
    "the parcel shop in Mill Lane", "the depot in Salzburg", "the sorting centre in Passau",
)  # fmt: skip


def _orders() -> dict[str, Order]:
    orders = {}
    for row in _ORDERS.strip().splitlines():
        number, customer, carrier, delivery, *contents = row.split()
        lines = tuple((sku, int(n)) for sku, _, n in (item.partition("*") for item in contents))
        orders[number] = Order(number, customer, carrier, delivery, lines)
    return orders


@dataclass
class Shop:
    """Everything the shop knows. A conversation gets the shop as it stands that day."""

    products: dict[str, Product] = field(default_factory=lambda: {p.sku: p for p in PRODUCTS})
    units: dict[str, int] = field(default_factory=lambda: dict(OPENING_UNITS))
    orders: dict[str, Order] = field(default_factory=_orders)
    refunds: dict[str, int] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)

    def book_movements(self) -> None:
        """Book what the warehouse sold and received since the morning."""
        for sku, change in MOVEMENTS.items():
            self.units[sku] += change

    def total(self, order: Order) -> int:
        """What the order cost, in cents."""
        return sum(self.products[sku].price * n for sku, n in order.lines)

    def place(self, order: Order) -> str:
        """Where the order's parcel really is."""
        return PLACES[int(order.number) % len(PLACES)]

    def history(self, customer: str) -> list[dict[str, object]]:
        """The customer's orders as they should look in an export."""
        return [
            {
                "order": order.number,
                "total": self.total(order) / 100,
                "items": [
                    {"name": self.products[sku].name, "quantity": n} for sku, n in order.lines
                ],
            }
            for order in self.orders.values()
            if order.customer == customer
        ]
