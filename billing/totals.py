"""What subscriptions come to: the list, and its total in each currency, which is kept until one of them changes.

A filter is a mapping of some of `client`, `plan`, `service` (ids) and `currency` (a code); what is None or left out
doesn't restrict. The total of a filtered list is its own.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict

from django.db import connection, transaction

from billing.models import Currency, Service, Subscription
from ops.cache import cached
from ops.engine.session import Session

FILTERS = {"client": "client_id", "plan": "plan_id", "service": "service_id", "currency": "service__currency_id"}
"""What a list may be restricted by, and the column of it."""


class Amount(TypedDict):
    """A sum in one currency."""

    currency: str
    amount: Decimal


class Total(TypedDict):
    """What a list of subscriptions comes to."""

    total_amount: Decimal | None
    """The sum where all have one currency, 0 of an empty list, None where currencies mix."""
    totals: list[Amount]
    subscriptions: int
    unpriced: int
    """How many have no price or no currency, and so count in no sum."""


class PlanOf(TypedDict):
    """The terms of a subscription."""

    id: int
    plan_type: str
    discount_percent: Decimal


class Row(TypedDict):
    """One subscription of a list."""

    id: int
    plan_id: int | None
    client_name: str
    email: str
    plan: PlanOf | None
    price: Decimal | None


class Listed(Total):
    """A list of subscriptions with its total."""

    result: list[Row]


class BadFilter(ValueError):
    """A list can't be restricted so; the message says what it can be restricted by."""


def subscriptions(filters: Mapping[str, Any] | None = None) -> Listed:
    """Return the subscriptions that a filter leaves, in the order of their ids, with their total; raise BadFilter.

    Both are as of one moment, unless this is called within a transaction.
    """
    with transaction.atomic():
        if len(connection.atomic_blocks) == 1:
            Session("default").execute("ops/set_snapshot.sql")
        return {"result": list_subscriptions(filters), **subscriptions_total(filters)}


def subscriptions_total(filters: Mapping[str, Any] | None = None) -> Total:
    """Return what the subscriptions that a filter leaves come to, in one statement at most; raise BadFilter."""
    return total_of(**checked(filters))


def list_subscriptions(filters: Mapping[str, Any] | None = None, after: int = 0, limit: int | None = None) -> list[Row]:
    """Return subscriptions with their client and plan in the order of their ids, in one query; raise BadFilter.

    At most `limit` of them, beginning behind the id `after`.
    """
    wanted = {FILTERS[name]: value for name, value in checked(filters).items() if value is not None}
    found = Subscription.objects.filter(pk__gt=after, **wanted).order_by("pk")[:limit]
    return [
        {
            "id": pk,
            "plan_id": plan,
            "client_name": client,
            "email": email,
            "plan": None if plan is None else {"id": plan, "plan_type": kind, "discount_percent": percent},
            "price": price,
        }
        for pk, plan, client, email, kind, percent, price in found.values_list(
            "pk", "plan_id", "client__name", "client__email", "plan__plan_type", "plan__discount_percent", "price"
        )
    ]


def summed(rows: Sequence[Sequence[Any]]) -> Total:
    """Return the total that the rows of total_subscriptions.sql make."""
    totals: list[Amount] = [{"currency": code, "amount": amount} for code, amount, *_ in rows if amount is not None]
    return {
        "total_amount": None if len(totals) > 1 else sum((one["amount"] for one in totals), Decimal(0)),
        "totals": totals,
        "subscriptions": sum(count for _, _, count, _ in rows),
        "unpriced": sum(unpriced for *_, unpriced in rows),
    }


@cached(
    "billing.subscriptions_total",
    tables=[Subscription, Service, Currency],
    ttl=3600,
    uses=["billing/total_subscriptions.sql", summed],
    warm=[{}],
)
def total_of(
    client: int | None = None, plan: int | None = None, service: int | None = None, currency: str | None = None
) -> Total:
    """Total the subscriptions that a filter leaves."""
    filters = {"client": client, "plan": plan, "service": service, "currency": currency}
    return summed(Session("default").execute("billing/total_subscriptions.sql", filters))


def checked(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a filter with all its names, ids as numbers, and None for what does not restrict."""
    given = dict(filters or {})
    if unknown := given.keys() - set(FILTERS):
        raise BadFilter(f"Subscriptions have no filter {min(unknown)!r}; there is: {', '.join(FILTERS)}.")
    found: dict[str, Any] = {}
    for name in FILTERS:
        value = given.get(name)
        if value is not None and name != "currency":
            try:
                value = int(value)
            except (TypeError, ValueError):
                raise BadFilter(f"{name}={value!r} is no id: write a whole number.") from None
        found[name] = value if value is None or name != "currency" else str(value)
    return found
