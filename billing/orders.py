"""Hotel bookings as orders: who owes what for each booking that `load_bookings` has loaded, in which currency, by when.

The hotels' file says nothing of partners but two numbers, and nothing of payments, currencies or terms: what stands in
for them is in `Terms`, and every choice is explained in docs/orders.md. Two loads of the toolkit do the work, one of
partners (only new ones, none is overwritten) and one of orders, each a run that can be taken back.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from billing.bookings import ABSURD
from billing.intake import NotUsable, Outcome, known_currency
from billing.models import HotelBooking, Order, Partner
from billing.models.pricing import known_zone
from ops.engine.lifecycle import Declined, Options
from ops.engine.plan import Plan
from ops.engine.session import Session
from ops.load import Loaded, anomalies, upsert
from ops.management import display

ZONE = "Europe/Lisbon"
"""Where the hotels are. The file has the day of sale and no time: noon there is the same day nearly everywhere."""

PARTNER = ("reference", "client", "currency", "zone", "credit_limit", "credit_currency")

ORDER = (
    *("reference", "type", "partner", "status", "sold_at", "sell_amount", "sell_currency", "sell_rate"),
    *("penalty_amount", "refund_amount", "refund_currency", "refund_rate", "pending_on", "due_on"),
)
"""What an order has from its booking; an operator's paid_on and refunded_on are not among it."""

INVENTED = ("paid_on", "refunded_on")

NOTED = {
    "sell_rate": (
        "coalesce(CASE WHEN target.sell_currency_id = excluded.sell_currency_id THEN target.sell_rate END, "
        "excluded.sell_rate)"
    ),
    "refund_rate": (
        "coalesce(CASE WHEN target.refund_currency_id = excluded.refund_currency_id THEN target.refund_rate END, "
        "excluded.refund_rate)"
    ),
}
"""A rate is that of the moment of sale: once noted it stays, whatever is loaded or corrected later."""

KEPT = {name: f"coalesce(target.{name}, excluded.{name})" for name in INVENTED}
"""What an operator has noted as paid is not overwritten by what is invented."""

AT_ONCE = 5_000
"""So many bookings are held at a time."""

TOLD = 20
"""So many refused orders are named; 'manage.py runs rejects' lists all."""


@dataclass(frozen=True)
class Terms:
    """What the file does not say. Lists are what new partners are given from, by their numbers; a limit may be None."""

    days: int = 30
    """From the day a guest leaves, or cancels, to the last day of payment in time."""
    currencies: tuple[str, ...] = ("KRW", "USD", "EUR", "JPY")
    zones: tuple[str, ...] = ("Asia/Seoul",)
    limits: tuple[Decimal | None, ...] = (None,)
    credit_currency: str = "EUR"
    max_age: int = 10
    """A rate that is older than so many days is missing."""
    assume_payments: bool = False

    def check(self, database: str) -> None:
        """Make the currencies known; raise NotUsable for what can't be a partner's."""
        for code in (*self.currencies, self.credit_currency):
            known_currency(code, database)
        for zone in self.zones:
            try:
                known_zone(zone)
            except ValidationError as exc:
                raise NotUsable(exc.messages[0]) from exc


@dataclass
class _Orders:
    """Rows of orders made of bookings as they are asked for, and what is odd about them."""

    session: Session
    terms: Terms
    without_amount: int = 0
    odd: Counter[tuple[str, str]] = field(default_factory=Counter)
    example: dict[tuple[str, str], str] = field(default_factory=dict)
    unrated: dict[str, tuple[date, date]] = field(default_factory=dict)
    """The first and last day of sale without a rate, by currency."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return what a row has."""
        return (*ORDER, *INVENTED) if self.terms.assume_payments else ORDER

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield an order for each booking, by key; a batch is held at a time."""
        values = {"terms": self.terms.days, "zone": ZONE, "max_age": self.terms.max_age, "up_to": AT_ONCE}
        after = 0
        while found := self.session.execute("billing/list_hotel_orders.sql", {**values, "after": after}):
            for booking, *row, hotel, daily_rate in found:
                self._look(dict(zip(ORDER, row, strict=False)), hotel, daily_rate)
                yield tuple(row[: len(self.columns)])
                after = booking

    def _look(self, row: dict[str, Any], hotel: str, daily_rate: Decimal) -> None:
        if row["sell_amount"] < 0:
            self._count("negative amount", hotel, f"{row['reference']}: {row['sell_amount']} {row['sell_currency']}")
        elif not row["sell_amount"]:
            self.without_amount += 1
        if daily_rate > ABSURD:
            self._count(f"daily rate above {ABSURD:,}", hotel, f"{row['reference']}: {daily_rate:f}")
        if row["sell_rate"] is None:
            currency, day = row["sell_currency"], row["sold_at"].date()
            first, last = self.unrated.get(currency, (day, day))
            self.unrated[currency] = min(first, day), max(last, day)
            self._count("no rate at the sale", currency, "")

    def _count(self, what: str, key: str, example: str) -> None:
        self.odd[what, key] += 1
        self.example[what, key] = example

    def told(self) -> dict[str, int]:
        """Return how often each was met, in words."""
        return {f"{what}, {key}": times for (what, key), times in sorted(self.odd.items())}

    def note(self, database: str) -> None:
        """Count what is odd as anomalies, with an example of each."""
        for (what, key), times in self.odd.items():
            detail = self.example[what, key]
            if key in self.unrated and not detail:
                detail = "sold from {} to {}: load rates of these days, then run load_orders again".format(
                    *self.unrated[key]
                )
            anomalies.count(f"order: {what}", key, detail, times=times, database=database)


@dataclass
class Planned:
    """What a load would do: the plan of the orders as a run keeps it, and what is worth knowing beside it."""

    plan: dict[str, Any]
    facts: dict[str, Any]
    odd: dict[str, int]

    @property
    def changes(self) -> int:
        """Return how many orders would be written."""
        return int(self.plan["inserted"]) + int(self.plan["updated"])

    def as_json(self) -> dict[str, Any]:
        """Return it as one object; no run was left."""
        facts = {name.replace(" ", "_"): value for name, value in self.facts.items()}
        return {"run": None, **self.plan, **facts, "anomalies": self.odd}

    def shown(self, *, terminal: bool) -> str:
        """Return it as a person reads it."""
        facts = [(name, f"{value:,}") for name, value in self.facts.items()]
        parts = [display.plan(self.plan, rows="orders", terminal=terminal), "", display.facts(facts, terminal=terminal)]
        if self.odd:
            odd = [(what, f"{times:,}") for what, times in self.odd.items()]
            parts.append(display.table("Odd", ("what", "number"), odd, ("number",), terminal))
        return "\n".join(parts)


def load(terms: Terms, database: str = "default", *, started_from: str = "Python") -> Outcome:
    """Bring orders in line with all loaded bookings; raises NotUsable, and what `ops.load.upsert` raises."""
    with transaction.atomic(using=database):
        partners, clients = _partners(terms, database, started_from)
    orders = _Orders(Session(database), terms)
    loaded = _upsert(orders, Options(database=database, started_from=started_from))
    orders.note(database)
    facts = _facts(orders, partners, clients)
    if partners is not None and partners.run is not None:
        facts["partner run"] = partners.run.pk
    bad = [
        f"{(one.fields or ['?'])[0]}: {one.column} {one.value}: {one.reason}" for one in islice(loaded.rejects, TOLD)
    ]
    return Outcome(loaded, facts, orders.told(), bad, odd_is="Odd")


def plan(terms: Terms, database: str = "default") -> Planned:
    """Return what `load` would do; raises what it raises.

    It is found by doing it up to the writing of orders, in a transaction that is rolled back, so that partners that
    are not there yet have their keys. Nothing stays, no run either.
    """
    found: dict[str, Any] = {}

    def look(made: Plan) -> bool:
        found.update(made.as_json())
        return False

    with transaction.atomic(using=database):
        partners, clients = _partners(terms, database, "a plan")
        orders = _Orders(Session(database), terms)
        try:
            loaded = _upsert(orders, Options(database=database, confirm=look))
        except Declined:
            pass
        else:
            # Nobody is asked where there is nothing to write.
            assert loaded.run is not None
            found.update(loaded.run.plan or {})
        transaction.set_rollback(True, using=database)
    return Planned(found, _facts(orders, partners, clients), orders.told())


def _partners(terms: Terms, database: str, started_from: str) -> tuple[Loaded | None, int]:
    """Make the partners that are missing, with their clients; return their load and how many clients were made.

    Clients have no unique name, so a second load waits for the first: until the end of the transaction.
    """
    session = Session(database)
    session.execute("billing/lock_sample.sql")
    if not HotelBooking.objects.using(database).exists():
        raise NotUsable("There are no bookings to make orders of: run 'manage.py load_bookings FILE' first.")
    terms.check(database)
    ((clients,),) = session.execute("billing/merge_order_clients.sql")
    values = {
        "currencies": list(terms.currencies),
        "zones": list(terms.zones),
        "limits": list(terms.limits),
        "credit_currency": terms.credit_currency,
    }
    rows = session.execute("billing/list_order_partners.sql", values)
    if not rows:
        return None, clients
    options = Options(database=database, started_from=started_from)
    return upsert(Partner, rows, columns=PARTNER, on=("reference",), on_conflict="keep", options=options), clients


def _upsert(orders: _Orders, options: Options) -> Loaded:
    return upsert(
        Order,
        orders.rows(),
        columns=orders.columns,
        on=("reference", "type"),
        expressions={**NOTED, **(KEPT if orders.terms.assume_payments else {})},
        options=options,
    )


def _facts(orders: _Orders, partners: Loaded | None, clients: int) -> dict[str, Any]:
    new = partners.inserted if partners else 0
    return {"clients": clients, "partners": new, "no amount": orders.without_amount}
