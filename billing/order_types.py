"""The types of orders: which statuses each has, and what of an order counts in each of them.

One entry makes a new type; no statement, form or table changes. Entries stand here, or in the module `order_types` of
any installed app, which is imported when Django starts. A broken entry is not known, and the system check billing.E002
says what is wrong with it. What no entry names is never guessed at: receivables count such orders and name them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

OWES = ("", "sell", "penalty")
LONGEST = 30
"""So many characters `Order.type` and `Order.status` hold."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class UnknownType(Exception):
    """No entry has that name; the message says which there are."""


class UnknownStatus(Exception):
    """The type has no such status; the message says which it has."""


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
_broken: list[str] = []


def register(entry: OrderType) -> OrderType:
    """Make a type known. A broken one is not, so that nothing is computed by it; `broken()` says what is wrong."""
    if wrong := list(_wrong(entry)):
        _broken.extend(wrong)
    else:
        # What was registered can't be changed behind everybody's back.
        _types[entry.name] = OrderType(entry.name, entry.label, MappingProxyType(dict(entry.statuses)))
    return entry


def _wrong(entry: OrderType) -> Iterator[str]:
    """Yield what is wrong with an entry, in sentences."""
    if not _is_name(entry.name):
        yield f"An order type is called {entry.name!r}: {_NAMED}."
    if not entry.label.strip():
        yield f"Order type {entry.name!r} has no label: say what a person calls it."
    if not entry.statuses:
        yield f"Order type {entry.name!r} has no status, so no order could be one."
    other = _types.get(entry.name)
    if other is not None and (other.label, dict(other.statuses)) != (entry.label, dict(entry.statuses)):
        yield f"Two order types are called {entry.name!r}: rename the one that says {entry.label!r}."
    for status, found in entry.statuses.items():
        if not _is_name(status):
            yield f"Order type {entry.name!r} has a status {status!r}: {_NAMED}."
        if found.owes not in OWES:
            known = ", ".join(map(repr, OWES))
            yield f"Order type {entry.name!r}, status {status!r}, owes {found.owes!r}: it is one of {known}."


_NAMED = f"a name is small letters, digits and underscores, begins with a letter, and has at most {LONGEST} of them"


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def types() -> tuple[OrderType, ...]:
    """Return all types, by name."""
    return tuple(_types[name] for name in sorted(_types))


def broken() -> tuple[str, ...]:
    """Return what is wrong with entries that are not known for it, in sentences."""
    return tuple(_broken)


def find(name: str) -> OrderType:
    """Return the type of that name; raise UnknownType with what there is."""
    if name not in _types:
        raise UnknownType(f"There is no order type {name!r}; there is: {', '.join(sorted(_types)) or 'none'}.")
    return _types[name]


def counts(name: str, status: str) -> Counts:
    """Return what of an order of this type counts in this status; raise UnknownType or UnknownStatus."""
    found = find(name).statuses
    if status not in found:
        raise UnknownStatus(f"An order of type {name} has no status {status!r}; it has: {', '.join(found)}.")
    return found[status]


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
