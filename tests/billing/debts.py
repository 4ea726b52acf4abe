"""Partners, orders and rates for the tests of receivables: written out, and random ones around every boundary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from billing import order_types
from billing.models import Client, Currency, FxRate, Order, Partner

CURRENCIES = {"KRW": 0, "JPY": 0, "USD": 2, "EUR": 2, "KWD": 3, "CLF": 4}
TICK = timedelta(microseconds=1)
# Days on which clocks change in New York and Berlin, the day that Apia has not had, and days on which nothing happens.
DAYS = [date(2026, 3, 8), date(2026, 3, 29), date(2026, 11, 1), date(2011, 12, 31), date(2026, 3, 1), date(2024, 2, 29)]
ZONES = ["Asia/Seoul", "UTC", "America/New_York", "Europe/Berlin", "Pacific/Apia", "Pacific/Kiritimati", "Etc/GMT+12"]
KNOWN = [(entry.name, status) for entry in order_types.types() for status in entry.statuses]
UNKNOWN = [("boat", "booked"), ("hotel", "picked_up"), ("Hotel", "booked")]


def money(text: str | int) -> Decimal:
    return Decimal(text)


@dataclass
class Debts:
    """A database to be: partners, orders by partner, rates by (currency, day)."""

    partners: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    rates: dict[tuple[str, date], Decimal] = field(default_factory=dict)

    def store(self) -> list[int]:
        """Write all of it into empty tables and return the partners' ids."""
        Currency.objects.bulk_create(
            [Currency(code=code, minor_units=units) for code, units in CURRENCIES.items()], ignore_conflicts=True
        )
        clients = Client.objects.bulk_create([Client(name=f"partner {i}") for i, _ in enumerate(self.partners)])
        partners = Partner.objects.bulk_create(
            [Partner(client=client, **values) for client, values in zip(clients, self.partners, strict=True)]
        )
        Order.objects.bulk_create(
            [
                Order(**{**values, "partner": partners[values["partner"]], "reference": f"R{number}"})
                for number, values in enumerate(self.orders, start=1)
            ]
        )
        FxRate.objects.bulk_create(
            [FxRate(currency=currency, day=day, rate=rate) for (currency, day), rate in self.rates.items()]
        )
        return [partner.pk for partner in partners]


def order(**values: Any) -> dict[str, Any]:
    """Return an order of partner 0 over 100 USD, sold long ago, with what is given instead."""
    due = values.get("due_on", date(2026, 3, 1))
    return {
        "partner": 0,
        "type": "hotel",
        "status": "booked",
        "sold_at": datetime(2026, 2, 2, 3, tzinfo=UTC),
        "sell_amount": money(100),
        "sell_currency_id": "USD",
        "sell_rate": money("1.25"),
        "pending_on": min(date(2026, 1, 1), due),
        "due_on": due,
        **values,
    }


def partner(**values: Any) -> dict[str, Any]:
    """Return a partner in Seoul that is told in dollars."""
    return {"currency_id": "USD", "zone": "Asia/Seoul", **values}


codes = st.sampled_from(sorted(CURRENCIES))
rate_values = st.one_of(
    # Those that make halves often, and those that never end.
    st.sampled_from([money(text) for text in ("1", "2", "8", "0.5", "3", "0.00000001", "1300.12345678")]),
    st.decimals("0.00000001", "99999", places=8, allow_nan=False),
)
amounts = st.one_of(
    st.sampled_from([money(text) for text in ("0", "0.0001", "0.5", "1", "2.5", "0.005", "999999999999999.9999")]),
    st.decimals("0", "99999", places=4, allow_nan=False),
)


def instants_of(day: date) -> list[datetime]:
    """Return the midnights of a day in all zones with an instant before and after, and an afternoon."""
    midnights = [datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC) for zone in ZONES]
    return [m + tick for m in midnights for tick in (-TICK, timedelta(0), TICK)] + [midnights[1] + timedelta(hours=15)]


def near(day: date, bounds: Sequence[int]) -> list[date]:
    """Return the days around a day, and around those that are overdue by each bound."""
    return [day + timedelta(days=days) for base in (0, *(-one for one in bounds)) for days in range(base - 2, base + 3)]


@dataclass(frozen=True)
class Question:
    """As of when and how a world is asked."""

    as_of: datetime
    rates: str
    currency: str
    ages: tuple[int, ...]
    max_age_of_rate: int


@st.composite
def worlds(draw: st.DrawFn, orders: int = 12) -> tuple[Debts, list[Question]]:
    """Draw a few partners with orders whose days lie on and beside every boundary, and how to ask for them."""
    day = draw(st.sampled_from(DAYS))
    ages = draw(st.sampled_from([(30, 60, 90), (1,), (7, 8, 400), (1, 2, 3, 4, 5, 6, 7)]))
    instants = st.sampled_from(instants_of(day))
    days = st.sampled_from(near(day, ages))
    maybe = st.one_of(st.none(), days)
    limit = st.one_of(st.none(), amounts)

    def a_partner() -> dict[str, Any]:
        return {
            "currency_id": draw(codes),
            "zone": draw(st.sampled_from(ZONES)),
            "credit_limit": draw(limit),
            "credit_currency_id": draw(codes),
        }

    partners = [a_partner() for _ in range(draw(st.integers(0, 3)))]

    def an_order() -> dict[str, Any]:
        kind, status = draw(st.sampled_from(KNOWN * 2 + UNKNOWN))
        pending, due = sorted((draw(days), draw(days)))
        back = timedelta(days=draw(st.sampled_from([0, 0, 1, 5, 40])))
        return {
            "partner": draw(st.integers(0, len(partners) - 1)),
            "type": kind,
            "status": status,
            "sold_at": draw(instants) - back,
            "sell_amount": draw(amounts),
            "sell_currency_id": draw(codes),
            "sell_rate": draw(st.one_of(st.none(), rate_values)),
            "penalty_amount": draw(amounts),
            "refund_amount": draw(amounts),
            "refund_currency_id": draw(codes),
            "refund_rate": draw(st.one_of(st.none(), rate_values)),
            "pending_on": pending,
            "due_on": due,
            "paid_on": draw(maybe),
            "refunded_on": draw(maybe),
        }

    many = draw(st.integers(0, orders)) if partners else 0
    rated = st.tuples(
        st.sampled_from(sorted(set(CURRENCIES) - {"EUR"})),
        st.sampled_from([day + timedelta(days=days) for days in (*range(-12, 3), -40, -41, -45)]),
    )
    debts = Debts(partners, [an_order() for _ in range(many)], draw(st.dictionaries(rated, rate_values, max_size=30)))
    questions = [
        Question(draw(instants), rates, currency, ages, draw(st.sampled_from([0, 1, 10, 3650])))
        for rates in ("sale", "as-of")
        for currency in ("", draw(codes))
    ]
    return debts, questions
