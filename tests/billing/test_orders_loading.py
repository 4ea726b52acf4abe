"""Orders of hotel bookings: every one agrees with a naive loop, the same again changes nothing, and it can go back."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command

from billing import orders
from billing.models import Client, FxRate, HotelBooking, Order, Partner
from billing.orders import Terms
from ops.models import Anomaly, Reject, Run
from tests.billing.bookings import book, naive, partners, rate, stored
from tests.billing.files import SHARED, counts, load

REAL = SHARED / "hotel_bookings_2015_2017.csv.gz"
RATES = SHARED / "eurofxref-hist.csv.gz"
pytestmark = pytest.mark.django_db

FIGURES = ("sell_amount", "penalty_amount", "refund_amount", "refund_currency_id")
AMOUNT = Decimal(151)


def done(terms: Terms | None = None) -> dict[str, int]:
    """Load, and return the outcomes that are not 0."""
    return counts(orders.load(terms or Terms()).as_json())


@pytest.mark.parametrize(
    ("status", "deposit", "want"),
    [
        ("Check-Out", "No Deposit", ("completed", AMOUNT, 0, 0, None)),
        ("Check-Out", "Non Refund", ("completed", AMOUNT, 0, 0, None)),
        ("Check-Out", "Refundable", ("completed", AMOUNT, 0, 0, None)),
        ("Canceled", "No Deposit", ("cancelled", AMOUNT, 0, 0, None)),
        ("Canceled", "Non Refund", ("cancelled", AMOUNT, AMOUNT, 0, None)),
        ("Canceled", "Refundable", ("cancelled", AMOUNT, 0, AMOUNT, "EUR")),
        ("No-Show", "No Deposit", ("no_show", AMOUNT, 0, 0, None)),
        ("No-Show", "Non Refund", ("no_show", AMOUNT, 0, 0, None)),
        ("No-Show", "Refundable", ("no_show", AMOUNT, 0, 0, None)),
    ],
)
def test_what_counts_follows_from_status_and_deposit(status: str, deposit: str, want: tuple[Any, ...]) -> None:
    book(status=status, deposit_type=deposit)
    assert done() == {"inserted": 1}
    assert Order.objects.values_list("status", *FIGURES).get() == want
    assert stored() == naive(Terms())


def test_the_days_are_those_of_the_stay_or_of_the_cancellation() -> None:
    book(1)
    book(2, status="Canceled", status_on=date(2016, 6, 10))
    book(3, status="No-Show", status_on=date(2016, 7, 3), nights=0)
    done(Terms(days=14))
    days = {one.status: (one.pending_on, one.due_on) for one in Order.objects.all()}
    assert days == {
        "completed": (date(2016, 7, 3), date(2016, 7, 19)),
        "cancelled": (date(2016, 6, 10), date(2016, 6, 24)),
        "no_show": (date(2016, 7, 3), date(2016, 7, 17)),
    }
    assert not Order.objects.exclude(paid_on=None, refunded_on=None).exists()


def test_the_day_of_sale_is_the_same_in_nearly_every_zone() -> None:
    book(1)
    book(2, booked_on=date(2016, 1, 3))
    done()
    for zone in ("Asia/Seoul", "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Noumea", "Europe/Lisbon", "UTC"):
        days = {one.sold_at.astimezone(ZoneInfo(zone)).date() for one in Order.objects.all()}
        assert days == {date(2016, 6, 3), date(2016, 1, 3)}, zone


def test_a_partner_is_the_company_else_the_agent_else_the_hotels_direct_guests() -> None:
    book(1, company=40, agent=9)
    book(2, agent=9)
    book(3, agent=9, hotel="Resort Hotel")
    book(4)
    book(5, hotel="Resort Hotel")
    terms = Terms(
        currencies=("KRW", "USD", "EUR"),
        zones=("Asia/Seoul", "Europe/Lisbon"),
        limits=(None, Decimal(20_000)),
        credit_currency="GBP",
    )
    outcome = orders.load(terms)
    assert (outcome.facts["clients"], outcome.facts["partners"]) == (4, 4)
    # Of three currencies, two zones and two limits: 40 = 1 + 3 * (1 + 2 * 6), 9 = 0 + 3 * (1 + 2 * 1).
    assert partners() == [
        ("agent 9", "Agent 9", "KRW", "Europe/Lisbon", Decimal(20_000), "GBP"),
        ("company 40", "Company 40", "USD", "Europe/Lisbon", None, None),
        ("direct City Hotel", "City Hotel, direct guests", "USD", "Asia/Seoul", None, None),
        ("direct Resort Hotel", "Resort Hotel, direct guests", "EUR", "Asia/Seoul", None, None),
    ]
    assert stored() == naive(terms)


def test_every_combination_of_currency_zone_and_limit_occurs() -> None:
    for number in range(12):
        book(number, agent=number)
    orders.load(Terms(currencies=("KRW", "USD"), zones=("Asia/Seoul", "UTC"), limits=(None, Decimal(1), Decimal(2))))
    combined = Partner.objects.values_list("currency_id", "zone", "credit_limit")
    assert len(set(combined)) == len(combined) == 12


def test_a_partner_that_exists_is_not_overwritten() -> None:
    book(agent=9)
    done()
    Partner.objects.update(currency="KWD", zone="Asia/Kuwait", credit_limit=5, credit_currency="USD")
    book(1, agent=9)
    book(2, agent=10)
    outcome = orders.load(Terms())
    assert (counts(outcome.as_json()), outcome.facts["partners"]) == ({"inserted": 2, "unchanged": 1}, 1)
    assert partners()[1] == ("agent 9", "Agent 9", "KWD", "Asia/Kuwait", 5, "USD")


def test_a_partner_made_by_hand_is_used_where_it_has_the_reference() -> None:
    book(agent=9)
    client = Client.objects.create(name="Sunny Travel")
    partner = Partner.objects.create(client=client, reference="agent 9", currency_id="USD")
    outcome = orders.load(Terms())
    assert (outcome.facts["clients"], outcome.facts["partners"]) == (0, 0)
    assert Order.objects.get().partner == partner


def test_a_client_of_another_partner_is_not_taken() -> None:
    book(agent=9)
    other = Client.objects.create(name="Agent 9")
    Partner.objects.create(client=other, currency_id="USD")
    done()
    assert Client.objects.filter(name="Agent 9").count() == 2
    assert Order.objects.get().partner.client != other


def test_the_same_again_changes_nothing() -> None:
    for number in range(20):
        book(number, agent=number % 3, status="Canceled", deposit_type="Refundable", currency_id="GBP")
    rate("GBP", date(2016, 6, 1), "0.77")
    assert done() == {"inserted": 20}
    before = (stored(), partners(), Client.objects.count())
    assert done() == {"unchanged": 20}
    assert (stored(), partners(), Client.objects.count()) == before


def test_a_newer_export_updates_its_order() -> None:
    one = book()
    done()
    HotelBooking.objects.filter(pk=one.pk).update(
        status="Canceled", deposit_type="Refundable", status_on=date(2016, 6, 9), daily_rate=60
    )
    assert done() == {"updated": 1}
    assert stored() == naive(Terms())
    assert Order.objects.get().refund_amount == 120


def test_what_an_operator_noted_as_paid_stays() -> None:
    one = book()
    done()
    Order.objects.update(paid_on=date(2016, 8, 1))
    HotelBooking.objects.filter(pk=one.pk).update(daily_rate=60)
    assert done() == {"updated": 1}
    assert done(Terms(assume_payments=True)) == {"unchanged": 1}
    assert Order.objects.values_list("sell_amount", "paid_on").get() == (120, date(2016, 8, 1))


def test_a_load_is_two_runs_and_can_be_taken_back() -> None:
    book(agent=9)
    book(1)
    outcome = orders.load(Terms())
    partner_run, order_run = outcome.facts["partner run"], outcome.as_json()["run"]
    assert [Run.objects.get(pk=pk).target for pk in (partner_run, order_run)] == ["billing.Partner", "billing.Order"]
    for run in (order_run, partner_run):
        call_command("runs", "revert", str(run), "--no-input", "--json")
    assert (Order.objects.count(), Partner.objects.count()) == (0, 0)
    # Clients stay, and are taken again.
    assert done() == {"inserted": 2}
    assert Client.objects.count() == 2


def test_a_rate_is_that_of_the_day_or_of_the_newest_before_it() -> None:
    day = date(2016, 6, 3)
    for offset, units in ((-11, "0.70"), (-2, "0.80"), (0, "0.90"), (1, "0.95")):
        rate("GBP", day + timedelta(offset), units)
    for number, offset in enumerate((-12, -3, -1, 0, 1, 11, 12)):
        book(number, currency_id="GBP", booked_on=day + timedelta(offset))
    book(99, booked_on=day)
    done()
    rates = dict(
        Order.objects.order_by("sold_at").values_list("sold_at__date", "sell_rate").exclude(sell_currency="EUR")
    )
    assert {(found - day).days: units and f"{units:.2f}" for found, units in rates.items()} == {
        -12: None, -3: "0.70", -1: "0.80", 0: "0.90", 1: "0.95", 11: "0.95", 12: None,
    }  # fmt: skip
    assert Order.objects.get(sell_currency="EUR").sell_rate == 1
    assert stored() == naive(Terms())


def test_a_missing_rate_is_counted_and_comes_with_the_next_load() -> None:
    book(1, currency_id="GBP", status="Canceled", deposit_type="Refundable")
    book(2, currency_id="GBP", booked_on=date(2016, 5, 1))
    outcome = orders.load(Terms())
    assert outcome.odd == {"no rate at the sale, GBP": 2}
    noted = Anomaly.objects.get()
    assert (noted.kind, noted.key, noted.count) == ("order: no rate at the sale", "GBP", 2)
    assert noted.detail == "sold from 2016-05-01 to 2016-06-03: load rates of these days, then run load_orders again"
    rate("GBP", date(2016, 6, 3), "0.77")
    assert done() == {"updated": 1, "unchanged": 1}
    assert Order.objects.values_list("sell_rate", "refund_rate").get(status="cancelled") == (
        Decimal("0.77"),
        Decimal("0.77"),
    )
    assert stored() == naive(Terms())


def test_a_rate_that_was_noted_stays_whatever_is_corrected_later() -> None:
    one = book(currency_id="GBP", status="Canceled", deposit_type="Refundable")
    rate("GBP", date(2016, 6, 1), "0.77")
    done()
    FxRate.objects.update(rate=Decimal("0.99"))
    rate("GBP", date(2016, 6, 3), "0.88")
    assert done() == {"unchanged": 1}
    assert Order.objects.values_list("sell_rate", "refund_rate").get() == (Decimal("0.77"), Decimal("0.77"))
    # Of another currency it would be wrong.
    HotelBooking.objects.filter(pk=one.pk).update(currency="EUR")
    assert done() == {"updated": 1}
    assert Order.objects.values_list("sell_rate", "refund_rate").get() == (1, 1)
    HotelBooking.objects.filter(pk=one.pk).update(deposit_type="No Deposit")
    assert done() == {"updated": 1}
    assert Order.objects.values_list("refund_currency", "refund_rate").get() == (None, None)


def test_a_negative_amount_is_refused_counted_and_named() -> None:
    bad = book(1, daily_rate=Decimal("-6.38"), hotel="Resort Hotel", status="Canceled", deposit_type="Refundable")
    book(2, daily_rate=Decimal("-0.001"))
    book(3, daily_rate=5400, nights=1)
    book(4, daily_rate=-5, nights=0)
    outcome = orders.load(Terms())
    # Less than half a cent is nothing, and so is any rate for no night.
    assert counts(outcome.as_json()) == {"inserted": 3, "rejected": 1}
    assert outcome.odd == {"daily rate above 1,000, City Hotel": 1, "negative amount, Resort Hotel": 1}
    assert outcome.facts["no amount"] == 2
    reject = Reject.objects.get()
    assert (reject.line, reject.column, reject.reason) == (
        1,
        "sell_amount",
        "An amount is a number and never negative.",
    )
    said = f"{bad.identity}-1: sell_amount -12.76: An amount is a number and never negative."
    assert outcome.bad == [said]
    noted = Anomaly.objects.get(kind="order: negative amount")
    assert (noted.key, noted.detail) == ("Resort Hotel", f"{bad.identity}-1: -12.76 EUR")
    assert stored() == naive(Terms())


def test_an_amount_is_rounded_to_the_currencys_minor_unit_half_away_from_zero() -> None:
    book(1, daily_rate=Decimal("0.1250"), nights=1)
    book(2, daily_rate=Decimal("0.5"), nights=3, currency_id="KRW")
    book(3, daily_rate=Decimal("1.0005"), nights=1, currency_id="KWD")
    done()
    found = dict(Order.objects.values_list("sell_currency", "sell_amount"))
    assert found == {"EUR": Decimal("0.13"), "KRW": 2, "KWD": Decimal("1.001")}


def test_payments_are_invented_on_demand_the_same_each_time() -> None:
    terms = Terms(assume_payments=True)
    for number in range(80):
        book(
            number,
            status=("Check-Out", "Canceled")[number % 2],
            deposit_type=("Non Refund", "Refundable")[number % 4 // 2],
        )
    assert done(terms) == {"inserted": 80}
    assert stored() == naive(terms)
    late = [
        (one.paid_on - one.due_on).days if one.paid_on else None for one in Order.objects.filter(status="completed")
    ]
    assert set(late) == {0, 20, 75, None}
    assert Order.objects.filter(status="cancelled", penalty_amount=0).exclude(paid_on=None).count() == 0
    assert {one.refunded_on is None for one in Order.objects.exclude(refund_amount=0)} == {True, False}
    assert done(terms) == {"unchanged": 80}


def test_more_bookings_than_are_held_at_a_time_are_all_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "AT_ONCE", 3)
    for number in range(10):
        book(number)
    assert done() == {"inserted": 10}
    assert stored() == naive(Terms())


# Committing, as a load does outside of a test.
@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not REAL.exists(), reason="the shared data is not here")
def test_every_real_booking_is_an_order_but_the_one_that_is_negative() -> None:
    load("load_rates", RATES)
    load("load_bookings", REAL)
    outcome = orders.load(Terms())
    assert counts(outcome.as_json()) == {"inserted": 119_389, "rejected": 1}
    assert (outcome.facts["partners"], outcome.facts["no amount"]) == (681, 1_959)
    assert not Order.objects.filter(sell_rate=None).exists()
    assert counts(orders.load(Terms()).as_json()) == {"unchanged": 119_389, "rejected": 1}
