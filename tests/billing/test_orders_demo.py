"""The demo's partners, orders, rates and uploads: the same everywhere, of every kind, and right in their dates."""

import hashlib
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F, Model, Q
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import demo, order_types
from billing.models import Catalogue, Client, Currency, FxRate, Order, Partner, Subscription, Upload

SIZES = demo.Sizes(120, 20, 4, 10, 10, 100, partners=40, orders=4_000, uploads=2_000)
AS_OF = datetime(2026, 10, 31, 15, tzinfo=UTC)
TODAY = date(2026, 11, 1)
"""The day that begins in Seoul at AS_OF."""

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def made(db: None) -> None:
    Catalogue.objects.get_or_create(id=1)
    demo.make(SIZES, AS_OF)


def fingerprint(model: type[Model], *fields: str) -> str:
    rows = list(model._default_manager.order_by("pk").values_list(*fields))
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def test_the_data_is_the_same_on_every_machine() -> None:
    fields = [one.name for one in Order._meta.fields if one.name not in ("id", "partner")]
    found = {
        "orders": fingerprint(Order, "partner__client__name", *fields),
        "partners": fingerprint(Partner, "client__name", "currency", "zone", "credit_limit", "credit_currency"),
        "rates": fingerprint(FxRate, "currency", "day", "rate"),
        "uploads": fingerprint(Upload, "client__name", "name", "size", "uploaded_at"),
    }
    assert found == {
        "orders": "8485f936af0cf6fb",
        "partners": "1c7dfce3d4f5f296",
        "rates": "831552041d2f011d",
        "uploads": "ddf78d34a688d883",
    }


def test_there_are_orders_of_every_type_and_status_and_currency() -> None:
    assert Order.objects.count() == 4_000
    pairs = set(Order.objects.values_list("type", "status").distinct())
    assert pairs == {(one.name, status) for one in order_types.types() for status in one.statuses}
    for currency in ("KRW", "JPY", "USD", "KWD", "EUR"):
        amounts = Order.objects.filter(sell_currency=currency)
        assert amounts.count() > 600
        digits = Currency.objects.get(code=currency).minor_units
        for one in amounts:
            for amount in (one.sell_amount, one.penalty_amount, one.refund_amount):
                assert amount == round(amount, digits)
    for one in Order.objects.select_related("partner")[:40]:
        one.full_clean()


def test_orders_are_due_around_now_and_most_of_what_was_due_is_paid() -> None:
    days = {one.due_on - TODAY for one in Order.objects.all()}
    assert min(days) == timedelta(-180)
    assert max(days) == timedelta(60)
    everything = Order.objects.all()
    assert everything.filter(sold_at__lt=AS_OF, due_on__gte=F("pending_on")).count() == 4_000
    sold = [(one.sold_at.date(), one.pending_on) for one in everything]
    assert sum(day > pending for day, pending in sold) < 40  # of those that are pending at once
    owed = ~Q(status__in=("cancelled", "on_request")) | Q(penalty_amount__gt=0)
    due = everything.filter(owed, due_on__lt=TODAY)
    paid = due.exclude(paid_on=None)
    assert 0.7 < paid.count() / due.count() < 0.8
    assert not everything.filter(paid_on__gte=TODAY).exists()
    assert not everything.filter(~owed).exclude(paid_on=None).exists()
    for wanted in (Q(due_on=TODAY), Q(due_on=TODAY + timedelta(1)), Q(pending_on__gt=TODAY), Q(due_on__lt=TODAY)):
        assert everything.filter(wanted, owed, paid_on=None).exists()


def test_only_cancelled_orders_have_penalties_and_refunds_some_of_them_sent() -> None:
    other = Order.objects.exclude(status="cancelled")
    assert not other.filter(Q(penalty_amount__gt=0) | Q(refund_amount__gt=0)).exists()
    refunds = Order.objects.exclude(refund_amount=0)
    kinds = Counter((one.penalty_amount > 0, one.refund_amount > 0) for one in Order.objects.filter(status="cancelled"))
    assert set(kinds) == {(False, False), (True, False), (False, True), (True, True)}
    assert {one.refund_currency == one.sell_currency for one in refunds} == {True}
    assert {one.refunded_on is None for one in refunds} == {True, False}
    assert not Order.objects.filter(refunded_on__gte=TODAY).exists()


def test_a_rate_is_that_of_the_partners_day_of_sale_or_the_newest_before_it() -> None:
    rates: dict[str, dict[date, Decimal]] = {}
    for one in FxRate.objects.all():
        rates.setdefault(one.currency, {})[one.day] = one.rate
    missing = 0
    for order in Order.objects.select_related("partner"):
        if order.sell_rate is None:
            missing += 1
            continue
        day = order.sold_at.astimezone(ZoneInfo(order.partner.zone)).date()
        known = rates.get(order.sell_currency_id, {date.min: Decimal(1)})
        assert order.sell_rate == known[max(found for found in known if found <= day)]
        assert order.refund_rate in ((order.sell_rate,) if order.refund_amount else (None,))
    assert 0 < missing <= 5


def test_rates_are_of_workdays_and_leave_alone_what_is_there() -> None:
    assert set(FxRate.objects.values_list("currency", flat=True)) == {
        *("BHD", "CHF", "GBP", "JPY", "KRW", "KWD", "USD"),
    }
    days = set(FxRate.objects.values_list("day", flat=True))
    assert {day.isoweekday() for day in days} == {1, 2, 3, 4, 5}
    assert max(days) <= TODAY
    assert min(days) >= TODAY - timedelta(399)
    # A currency that has a rate of its own, the ECB's say, gets no others.
    FxRate.objects.exclude(currency="KRW").delete()
    FxRate.objects.filter(currency="KRW").exclude(day=max(days)).delete()
    Order.objects.all().delete()
    Partner.objects.all().delete()
    demo.add_orders(SIZES, AS_OF)
    assert FxRate.objects.filter(currency="KRW").count() == 1
    assert FxRate.objects.filter(currency="USD").count() > 280


def test_partners_report_in_five_currencies_with_and_without_limits() -> None:
    kinds = Counter(Partner.objects.values_list("currency", "zone"))
    assert kinds == {
        ("KRW", "Asia/Seoul"): 8,
        ("USD", "America/New_York"): 8,
        ("JPY", "Asia/Tokyo"): 8,
        ("EUR", "Europe/Berlin"): 8,
        ("KWD", "Asia/Kuwait"): 8,
    }
    assert Partner.objects.filter(credit_limit=None).count() == 10
    assert Partner.objects.exclude(credit_currency=F("currency")).exclude(credit_limit=None).exists()
    assert {one.orders.count() > 50 for one in Partner.objects.all()} == {True}


def test_uploads_are_spread_over_400_days_most_of_them_lately() -> None:
    times = sorted(Upload.objects.values_list("uploaded_at", flat=True))
    assert len(times) == 2_000
    assert AS_OF - timedelta(400) < times[0] < AS_OF - timedelta(390)
    assert AS_OF < times[-1] < AS_OF + timedelta(minutes=20)
    assert sum(one >= AS_OF - timedelta(7) for one in times) > sum(one < AS_OF - timedelta(300) for one in times) / 2
    sizes = list(Upload.objects.values_list("size", flat=True))
    assert 1024 <= min(sizes) < 10_000
    assert 10_000_000 < max(sizes) < 40_000_000
    assert Upload.objects.filter(client=None).count() == 222


def test_an_earlier_demo_gets_what_it_lacks_and_nothing_twice() -> None:
    for model in (Upload, Order, Partner, FxRate):
        model.objects.all().delete()
    before = Subscription.objects.count()
    said: list[str] = []
    demo.ready(SIZES, said.append)
    assert (Partner.objects.count(), Order.objects.count(), Upload.objects.count()) == (40, 4_000, 2_000)
    assert "40 partners, 4,000 orders, 2,000 uploads." in said[0]
    demo.ready(SIZES, said.append)
    assert said[0] == said[1]
    assert (Order.objects.count(), Subscription.objects.count()) == (4_000, before)


@settings(max_examples=5, deadline=None)
@given(clients=st.integers(1, 60), partners=st.integers(0, 90))
def test_there_are_as_many_partners_as_asked_for_or_as_there_are_clients(clients: int, partners: int) -> None:
    for model in (Upload, Order, Partner, Subscription, Client):
        model.objects.all().delete()
    Client.objects.bulk_create(Client(name=f"c {number}") for number in range(clients))
    sizes = demo.Sizes(partners=partners, orders=min(partners, 20), uploads=5)
    assert demo.add_orders(sizes, AS_OF)["partners"] == min(clients, partners)
