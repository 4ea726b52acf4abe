"""Rows of what is loaded from files, and the limits of their tables: just right, and just wrong."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import DecimalField, Value
from django.db.models.functions import Cast

from billing.models import FxRate, HotelBooking, InvoiceLine, UsageCounter
from tests.billing.conftest import Shop

DAY = date(2016, 7, 3)
# As other programs write it; Django's own field refuses it before the database can.
NAN = Cast(Value("NaN"), DecimalField(max_digits=19, decimal_places=4))


def rate(shop: Shop, **values: Any) -> FxRate:
    return FxRate(**{"currency": "KRW", "day": DAY, "rate": Decimal("1342.24"), **values})


def line(shop: Shop, **values: Any) -> InvoiceLine:
    given = {"invoice": "489434", "stock_code": "85048", "price": Decimal("6.95"), "quantity": 12}
    return InvoiceLine(**{**given, "invoiced_at": datetime(2009, 12, 1, tzinfo=UTC), "currency_id": "USD", **values})


def booking(shop: Shop, **values: Any) -> HotelBooking:
    given: dict[str, Any] = dict.fromkeys(("market_segment", "channel", "customer_type", "meal"), "Direct")
    given |= dict.fromkeys(("status_on", "booked_on", "arrives_on"), DAY)
    given |= {"identity": UUID(int=1), "occurrence": 1, "hotel": "City Hotel", "status": "Check-Out", "nights": 1}
    given |= {"adults": 2, "babies": 0, "daily_rate": Decimal("75.5"), "deposit_type": "No Deposit"}
    return HotelBooking(**{**given, "currency_id": "USD", **values})


def counter(shop: Shop, **values: Any) -> UsageCounter:
    return UsageCounter(**{"digest": "0" * 64, "account": "kim", "meter": "api calls", "count": 1, **values})


# As in test_constraints: the constraint, how to make a row, values that are just right, values that are just wrong.
RECEIVED: list[tuple[str, Any, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "billing_fx_rate_above_zero",
        rate,
        [{"rate": Decimal("0.00000001")}, {"rate": 10**12 - 1, "currency": "TRL"}],
        [{"rate": 0}, {"rate": -1}, {"rate": NAN}],
    ),
    ("billing_fx_rate_currency", rate, [{"currency": "ABC"}], [{"currency": "krw"}, {"currency": "KR"}]),
    ("billing_fx_rate_not_euro", rate, [{"currency": "EUX"}], [{"currency": "EUR"}]),
    (
        "billing_invoice_line",
        line,
        [{}, {"price": Decimal("6.96")}, {"stock_code": "85048a"}, {"invoice": "C489434"}],
        [{}, {"quantity": -1, "currency_id": "KRW"}],
    ),
    ("billing_invoice_line_named", line, [{"invoice": "1"}], [{"invoice": ""}, {"stock_code": ""}]),
    ("billing_invoice_line_price", line, [{"price": Decimal("-53594.36")}], [{"price": NAN}]),
    ("billing_booking", booking, [{}, {"occurrence": 2}, {"identity": UUID(int=2)}], [{}, {"hotel": "Resort Hotel"}]),
    ("billing_booking_daily_rate", booking, [{"daily_rate": Decimal("-6.38")}], [{"daily_rate": NAN}]),
    (
        "billing_booking_status",
        booking,
        [{"status": status, "occurrence": n} for n, status in enumerate(("Check-Out", "Canceled", "No-Show"))],
        [{"status": ""}, {"status": "canceled"}],
    ),
    (
        "billing_booking_deposit",
        booking,
        [{"deposit_type": d, "occurrence": n} for n, d in enumerate(("No Deposit", "Non Refund", "Refundable"))],
        [{"deposit_type": ""}, {"deposit_type": "Non-Refund"}],
    ),
    ("billing_usage_counted", counter, [{"count": 1}], [{"count": 0}]),
    ("billing_usage_account", counter, [{"account": None}], [{"account": ""}]),
]
