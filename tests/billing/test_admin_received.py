"""What is loaded from files, in the admin: to read, quick with many rows; a currency in use stays."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from billing import usage
from billing.models import Currency, FxRate, HotelBooking, InvoiceLine, UsageCounter
from tests.billing.admin_pages import url

MODELS = ("invoiceline", "hotelbooking", "usagecounter")


@pytest.fixture
def received(db: None) -> None:
    pound = Currency.objects.create(code="GBP", minor_units=2)
    Currency.objects.create(code="EUR", minor_units=2)
    Currency.objects.create(code="KRW", minor_units=0)
    add(pound, 1)


def add(pound: Currency, number: int) -> None:
    for i in range(number):
        InvoiceLine.objects.create(
            invoice=f"C{489_434 + i}",
            stock_code="10001",
            price=Decimal("2.5"),
            quantity=-4,
            invoiced_at=datetime(2010, 7, 1, 9, tzinfo=UTC),
            currency=pound,
        )
        HotelBooking.objects.create(
            identity=UUID(int=i),
            occurrence=1,
            hotel="Resort Hotel",
            status="No-Show",
            status_on=date(2016, 7, 1),
            booked_on=date(2016, 6, 1),
            arrives_on=date(2016, 7, 1),
            nights=2,
            adults=2,
            babies=0,
            daily_rate=Decimal("-6.38"),
            currency=pound,
            deposit_type="No Deposit",
            market_segment="Direct",
            channel="Direct",
            customer_type="Transient",
            meal="BB",
        )
        usage.count(f"kim {i}", "api calls")


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_page_opens_and_is_to_read(received: None, browser: Browser, model: str) -> None:
    answer = browser.get(url(model))
    assert answer.status_code == 200
    (row,) = answer.context["cl"].result_list
    assert browser.get(url(model, "change", row.pk)).status_code == 200
    assert browser.get(url(model, "add")).status_code == 403
    assert browser.post(url(model, "change", row.pk), {}).status_code == 403
    assert browser.get(url(model, "delete", row.pk)).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(received: None, browser: Browser, model: str) -> None:
    browser.get(url(model))
    with CaptureQueriesContext(connection) as few:
        browser.get(url(model))
    InvoiceLine.objects.all().delete()
    HotelBooking.objects.all().delete()
    UsageCounter.objects.all().delete()
    add(Currency.objects.get(code="GBP"), 30)
    with CaptureQueriesContext(connection) as many:
        assert browser.get(url(model)).context["cl"].result_count == 30
    assert len(many) == len(few)


def test_lists_show_amounts_in_their_currency(received: None, browser: Browser) -> None:
    assert "2.50 GBP" in browser.get(url("invoiceline")).content.decode()
    assert "-6.38 GBP" in browser.get(url("hotelbooking")).content.decode()


def test_an_invoice_is_found_by_its_number(received: None, browser: Browser) -> None:
    found = [browser.get(url("invoiceline"), {"q": term}).context["cl"].result_count for term in ("C489434", "C48943")]
    assert found == [1, 0]


def test_a_currency_shows_its_newest_rates(received: None, browser: Browser) -> None:
    FxRate.objects.create(currency="KRW", day=date(2026, 10, 30), rate=Decimal("1491.76"))
    for day in range(1, 31):
        FxRate.objects.create(currency="KRW", day=date(2026, 9, day), rate=Decimal(1000 + day))
    page = browser.get(url("currency", "change", "KRW")).content.decode()
    assert "2026-10-30 1,491.76" in page
    assert "2026-09-30 1,030<br>2026-09-29 1,029" in page
    assert page.count("2026-09-") == 19
    assert "1, by definition" in browser.get(url("currency", "change", "EUR")).content.decode()


def test_a_currency_goes_only_while_nothing_is_priced_in_it(received: None, browser: Browser) -> None:
    assert browser.get(url("currency", "delete", "KRW")).status_code == 200
    assert browser.get(url("currency", "delete", "GBP")).status_code == 403
    InvoiceLine.objects.all().delete()
    assert browser.get(url("currency", "delete", "GBP")).status_code == 403
    HotelBooking.objects.all().delete()
    assert browser.get(url("currency", "delete", "GBP")).status_code == 200
    assert "delete_selected" not in browser.get(url("currency")).content.decode()
