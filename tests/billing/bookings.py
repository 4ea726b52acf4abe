"""Hotel bookings to make orders of, and what a naive loop makes of them."""

import zlib
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.models import Currency, FxRate, HotelBooking, Order, Partner
from billing.orders import Terms

CURRENCIES = {"EUR": 2, "GBP": 2, "KWD": 3, "KRW": 0, "JPY": 0, "USD": 2}

FIELDS = (
    *("reference", "type", "partner__reference", "status", "sold_at", "sell_amount", "sell_currency_id", "sell_rate"),
    *("penalty_amount", "refund_amount", "refund_currency_id", "refund_rate", "pending_on", "due_on", "paid_on"),
    "refunded_on",
)

STATUSES = {"Check-Out": "completed", "Canceled": "cancelled", "No-Show": "no_show"}

LATE = (0, 0, 0, 0, 0, 0, 20, 20, 75, None)


def known_currencies() -> None:
    """Make the currencies of the tests known."""
    every = [Currency(code=code, minor_units=digits) for code, digits in CURRENCIES.items()]
    Currency.objects.bulk_create(every, ignore_conflicts=True)


def book(number: int = 0, **values: Any) -> HotelBooking:
    """Store a booking, known by a number; two nights from 2016-07-03, 75.50 EUR each, booked a month before."""
    known_currencies()
    given: dict[str, Any] = dict.fromkeys(("market_segment", "channel", "customer_type", "meal"), "Direct")
    given |= {
        "identity": UUID(int=zlib.crc32(str(number).encode()) << 96),
        "arrives_on": date(2016, 7, 3),
        "booked_on": date(2016, 6, 3),
        "status_on": date(2016, 7, 5),
        "nights": 2,
        "currency_id": "EUR",
        "occurrence": 1,
        "hotel": "City Hotel",
        "status": "Check-Out",
        "deposit_type": "No Deposit",
        "daily_rate": Decimal("75.5"),
        "adults": 2,
        "babies": 0,
    }
    return HotelBooking.objects.create(**{**given, **values})


def rate(currency: str, day: date, units: str) -> None:
    """Store a rate."""
    FxRate.objects.create(currency=currency, day=day, rate=Decimal(units))


def stored() -> list[tuple[Any, ...]]:
    """Return all orders, by reference."""
    return sorted(Order.objects.values_list(*FIELDS), key=repr)


def naive(terms: Terms) -> list[tuple[Any, ...]]:
    """Return the orders that ought to be there: one for each booking whose amount is not negative."""
    found = []
    rates: dict[str, dict[date, Decimal]] = {}
    for currency, day, units in FxRate.objects.values_list("currency", "day", "rate"):
        rates.setdefault(currency, {})[day] = units
    for one in HotelBooking.objects.all():
        places = Decimal(1).scaleb(-CURRENCIES[one.currency_id])
        amount = (one.daily_rate * one.nights).quantize(places, ROUND_HALF_UP)
        if amount < 0:
            continue
        cancelled = one.status == "Canceled"
        pending = one.status_on if cancelled else one.arrives_on
        due = (one.status_on if cancelled else one.arrives_on + timedelta(one.nights)) + timedelta(terms.days)
        penalty = amount if cancelled and one.deposit_type == "Non Refund" else Decimal(0)
        refund = amount if cancelled and one.deposit_type == "Refundable" else Decimal(0)
        known = (rates.get(one.currency_id, {}).get(one.booked_on - timedelta(n)) for n in range(terms.max_age + 1))
        units = Decimal(1) if one.currency_id == "EUR" else next(filter(None, known), None)
        late = LATE[(int(one.identity.hex[:8], 16) + one.occurrence) % 10]
        paid = refunded = None
        if terms.assume_payments:
            owed = penalty if cancelled else amount
            paid = due + timedelta(late) if owed and late is not None else None
            refunded = pending + timedelta(14) if refund and late not in (75, None) else None
        found.append(
            (
                f"{one.identity}-{one.occurrence}",
                "hotel",
                _partner(one),
                STATUSES[one.status],
                datetime(one.booked_on.year, one.booked_on.month, one.booked_on.day, 12, tzinfo=LISBON).astimezone(UTC),
                amount,
                one.currency_id,
                units,
                penalty,
                refund,
                one.currency_id if refund else None,
                units if refund else None,
                pending,
                due,
                paid,
                refunded,
            )
        )
    return sorted(found, key=repr)


LISBON = ZoneInfo("Europe/Lisbon")


def _partner(one: HotelBooking) -> str:
    if one.company is not None:
        return f"company {one.company}"
    return f"direct {one.hotel}" if one.agent is None else f"agent {one.agent}"


def partners() -> list[tuple[Any, ...]]:
    """Return all partners that have a reference, by it."""
    fields = ("reference", "client__name", "currency_id", "zone", "credit_limit", "credit_currency_id")
    return list(Partner.objects.exclude(reference=None).order_by("reference").values_list(*fields))
