"""Any bookings, rates and terms make the orders that a naive loop makes of them, and the same again changes nothing."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import orders
from billing.orders import Terms
from tests.billing.bookings import book, naive, rate, stored

pytestmark = pytest.mark.django_db

DAYS = st.dates(date(2016, 1, 1), date(2016, 2, 10))
BOOKING = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["Check-Out", "Canceled", "No-Show"]),
        "deposit_type": st.sampled_from(["No Deposit", "Non Refund", "Refundable"]),
        "currency_id": st.sampled_from(["EUR", "GBP", "KRW", "KWD", "JPY", "USD"]),
        "daily_rate": st.decimals(-20, 6000, places=4),
        "nights": st.integers(0, 9),
        "agent": st.sampled_from([None, 9, 240]),
        "company": st.sampled_from([None, None, 40]),
        "hotel": st.sampled_from(["City Hotel", "Resort Hotel"]),
        "booked_on": DAYS,
        "arrives_on": DAYS,
        "status_on": DAYS,
    }
)
RATE = st.tuples(st.sampled_from(["GBP", "KRW", "KWD", "JPY", "USD"]), DAYS)


TERMS = st.builds(
    Terms,
    days=st.integers(0, 90),
    max_age=st.integers(1, 20),
    assume_payments=st.booleans(),
    currencies=st.just(("KRW", "USD")),
)


def agree(bookings: list[dict[str, Any]], rates: dict[tuple[str, date], Decimal], terms: Terms) -> None:
    """Load twice, hold the orders against the naive loop, and leave nothing behind."""
    with transaction.atomic():
        for number, values in enumerate(bookings):
            book(number, **values)
        for (currency, day), units in rates.items():
            rate(currency, day, str(units))
        first = orders.load(terms).as_json()
        want = naive(terms)
        assert stored() == want
        assert (first["inserted"], first["rejected"]) == (len(want), len(bookings) - len(want))
        assert orders.load(terms).as_json()["unchanged"] == len(want)
        assert stored() == want
        transaction.set_rollback(True)


def anything(examples: int) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Return the decorator that feeds a test so many examples."""
    fed = given(
        bookings=st.lists(BOOKING, min_size=1, max_size=20),
        rates=st.dictionaries(RATE, st.decimals("0.0001", 3000, places=4), max_size=15),
        terms=TERMS,
    )
    return lambda test: settings(max_examples=examples, deadline=None)(fed(test))


@anything(6)
def test_any_bookings_and_rates_agree_with_the_naive_loop(
    bookings: list[dict[str, Any]], rates: dict[tuple[str, date], Decimal], terms: Terms
) -> None:
    agree(bookings, rates, terms)


@pytest.mark.soak
@anything(200)
def test_very_many_bookings_and_rates_agree_with_the_naive_loop(
    bookings: list[dict[str, Any]], rates: dict[tuple[str, date], Decimal], terms: Terms
) -> None:
    agree(bookings, rates, terms)
