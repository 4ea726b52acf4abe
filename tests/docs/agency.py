"""The partners, orders and rates of which docs/receivables.md and its runbooks speak."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing.models import Client, Currency, FxRate, Order, Partner

SEPTEMBER, OCTOBER = date(2025, 9, 5), date(2025, 10, 2)


def open_agency() -> None:
    """Three partners, eight orders, rates of the days of sale; those of the end of October are not there yet."""
    Currency.objects.bulk_create(
        [Currency(code=code, minor_units=units) for code, units in (("EUR", 2), ("KRW", 0), ("KWD", 3), ("USD", 2))]
    )
    hanbit = _partner("Hanbit Travel", "KRW", "Asia/Seoul", 1_000_000, "KRW")
    alpine = _partner("Alpine Tours", "EUR", "Europe/Berlin", 1_000, "USD")
    gulf = _partner("Gulf Stays", "KWD", "Asia/Riyadh", None, None)
    _order(
        hanbit, "hotel", "H-0", 200_000, "KRW", "1500", SEPTEMBER, due_on=date(2025, 10, 10), paid_on=date(2025, 10, 9)
    )
    _order(hanbit, "hotel", "H-1", 300, "USD", "1.25", SEPTEMBER, due_on=date(2025, 9, 20))
    _order(hanbit, "hotel", "H-2", 450_000, "KRW", "1500", OCTOBER, due_on=date(2025, 10, 31))
    _order(hanbit, "car", "C-1", 120, "EUR", None, OCTOBER, due_on=date(2025, 11, 1))
    cancelled = {"status": "cancelled", "penalty_amount": 20, "refund_amount": 80, "refund_rate": Decimal("1.25")}
    cancelled |= {"refund_currency_id": "USD", "due_on": date(2025, 11, 20)}
    _order(hanbit, "car", "C-2", 100, "USD", "1.25", OCTOBER, **cancelled)
    november = {"pending_on": date(2025, 11, 6), "due_on": date(2025, 11, 20)}
    _order(alpine, "hotel", "H-3", 1_000, "USD", "1.25", OCTOBER, **november)
    _order(alpine, "upsell", "U-1", 55, "EUR", None, OCTOBER, due_on=date(2025, 10, 30))
    _order(gulf, "hotel", "H-4", 200, "USD", "1.25", OCTOBER, due_on=date(2025, 11, 30))
    rates("KRW", "1500", SEPTEMBER, date(2025, 9, 29), OCTOBER)
    rates("USD", "1.25", SEPTEMBER, date(2025, 9, 29), OCTOBER)


def rates(currency: str, rate: str, *days: date) -> None:
    """Keep a rate for some days."""
    FxRate.objects.bulk_create([FxRate(currency=currency, day=day, rate=Decimal(rate)) for day in days])


def _partner(name: str, currency: str, zone: str, limit: int | None, limit_in: str | None) -> Partner:
    client = Client.objects.create(name=name)
    return Partner.objects.create(
        client=client, currency_id=currency, zone=zone, credit_limit=limit, credit_currency_id=limit_in
    )


def _order(
    partner: Partner,
    kind: str,
    reference: str,
    amount: int,
    currency: str,
    rate: str | None,
    sold: date,
    **values: Any,
) -> None:
    Order.objects.create(
        partner=partner,
        type=kind,
        reference=reference,
        sold_at=datetime(sold.year, sold.month, sold.day, 3, tzinfo=UTC),
        sell_amount=amount,
        sell_currency_id=currency,
        sell_rate=rate and Decimal(rate),
        **{
            "status": {"hotel": "booked", "car": "reserved", "upsell": "ordered"}[kind],
            "pending_on": sold,
            **values,
        },
    )
