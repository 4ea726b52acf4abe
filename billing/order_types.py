"""The types of orders: which statuses each has, and what of an order counts in each of them.

One entry makes a new type; no statement, form or table changes. A status that no entry names is never guessed at:
receivables count such orders and name them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OWES = ("", "sell", "penalty")


class BrokenOrderType(Exception):
    """An entry contradicts itself or another; the message names it."""


@dataclass(frozen=True)
class Counts:
    """What of an order counts: which amount is owed ("sell", "penalty" or ""), and whether a refund is due."""

    owes: str = ""
    refunds: bool = False


SALE = Counts(owes="sell")
CANCELLED = Counts(owes="penalty", refunds=True)
NOTHING = Counts()


@dataclass(frozen=True)
class OrderType:
    """A type of order: its name in `Order.type`, what a person calls it, and its statuses."""

    name: str
    label: str
    statuses: Mapping[str, Counts]


_types: dict[str, OrderType] = {}


def register(entry: OrderType) -> OrderType:
    """Make a type known; raise BrokenOrderType where another has its name, or a status owes what no order has."""
    if entry.name in _types and _types[entry.name] != entry:
        raise BrokenOrderType(f"Two order types are called {entry.name!r}; rename one.")
    for status, counts in entry.statuses.items():
        if counts.owes not in OWES:
            raise BrokenOrderType(
                f"Order type {entry.name}, status {status}: owes is one of {OWES}, not {counts.owes!r}."
            )
    _types[entry.name] = entry
    return entry


def types() -> tuple[OrderType, ...]:
    """Return all types, by name."""
    return tuple(_types[name] for name in sorted(_types))


HOTEL = register(
    OrderType(
        "hotel",
        "Hotel",
        {"booked": SALE, "completed": SALE, "no_show": SALE, "cancelled": CANCELLED, "on_request": NOTHING},
    )
)
CAR = register(
    OrderType("car", "Car", {"reserved": SALE, "picked_up": SALE, "completed": SALE, "cancelled": CANCELLED})
)
UPSELL = register(OrderType("upsell", "Upsell", {"ordered": SALE, "completed": SALE, "cancelled": CANCELLED}))
