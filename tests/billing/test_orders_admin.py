"""Partners, orders and uploads in the admin: forms that know the registry, lists that stay quick."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from billing import order_types
from billing.models import Client, Currency, Order, Partner, Upload
from billing.order_types import SALE, OrderType
from ops import admin as lists
from tests.billing.admin_pages import NOW, errors, initial, instants, url

MODELS = ("partner", "order", "upload")
DAY = date(2026, 7, 1)


@pytest.fixture
def owed(db: None) -> Order:
    for code, digits in (("EUR", 2), ("KRW", 0), ("USD", 2)):
        Currency.objects.create(code=code, minor_units=digits)
    return add(0)


def add(number: int) -> Order:
    """Make an order and an upload of a new partner."""
    client = Client.objects.create(name=f"Kim {number}")
    partner = Partner.objects.create(
        client=client, currency_id="KRW", credit_limit=20_000, credit_currency_id="EUR", reference=f"agent {number}"
    )
    Upload.objects.create(client=client, name=f"{number}.csv", size=1_234_567, uploaded_at=NOW)
    return Order.objects.create(
        partner=partner,
        type="hotel",
        reference=f"H-{number}",
        status="booked",
        sold_at=NOW - timedelta(days=1),
        sell_amount=50_000,
        sell_currency_id="KRW",
        sell_rate=1500,
        pending_on=DAY,
        due_on=DAY,
    )


def form(order: Order, **values: Any) -> dict[str, Any]:
    """Return what a browser posts to add an order like another one."""
    return {
        "partner": order.partner_id,
        "type": "car",
        "reference": "C-1",
        "status": "reserved",
        "sell_amount": "99.5",
        "sell_currency": "USD",
        "sell_rate": "1.1",
        "penalty_amount": "0",
        "refund_amount": "0",
        "refund_currency": "",
        "refund_rate": "",
        "pending_on": "2026-07-01",
        "due_on": "2026-07-31",
        "paid_on": "",
        "refunded_on": "",
        **instants(sold_at=NOW),
        **values,
    }


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_page_opens_with_its_rows(owed: Order, browser: Browser, model: str) -> None:
    (row,) = browser.get(url(model)).context["cl"].result_list
    assert browser.get(url(model, "change", row.pk)).status_code == 200
    assert browser.get(url(model, "add")).status_code == (403 if model == "upload" else 200)


@pytest.mark.parametrize("model", MODELS)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(owed: Order, browser: Browser, model: str) -> None:
    browser.get(url(model))
    with CaptureQueriesContext(connection) as few:
        browser.get(url(model))
    for number in range(1, 31):
        add(number)
    with CaptureQueriesContext(connection) as many:
        assert browser.get(url(model)).context["cl"].result_count == 31
    assert len(many) == len(few) <= 4


def test_a_list_counts_no_further_than_it_leads(owed: Order, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", 3)
    for number in range(1, 6):
        add(number)
    for model in MODELS:
        with CaptureQueriesContext(connection) as queries:
            page = browser.get(url(model))
        assert page.context["cl"].result_count == 3
        assert "The first 3; search for others" in page.content.decode()
        counted = [one["sql"] for one in queries if "COUNT(*)" in one["sql"]]
        assert counted
        assert all("LIMIT 3" in one for one in counted)


def test_lists_show_amounts_in_their_currency(owed: Order, browser: Browser) -> None:
    assert "50,000 KRW" in browser.get(url("order")).content.decode()
    assert "20,000 EUR" in browser.get(url("partner")).content.decode()
    assert "1,234,567" in browser.get(url("upload")).content.decode()


def test_an_order_is_found_by_its_whole_reference_or_its_partners_name(owed: Order, browser: Browser) -> None:
    other = add(1)

    def found(term: str) -> set[int]:
        return {row.pk for row in browser.get(url("order"), {"q": term}).context["cl"].result_list}

    assert found("H-1") == {other.pk}
    assert found("H-") == set()
    assert found("kim 0") == {owed.pk}
    assert found("kim") == {owed.pk, other.pk} == found(" ")


def test_a_partner_is_found_by_name_and_reference_and_leads_to_its_orders(owed: Order, browser: Browser) -> None:
    add(1)
    for term in ("Kim 0", "agent 0"):
        assert [row.pk for row in browser.get(url("partner"), {"q": term}).context["cl"].result_list] == [
            owed.partner_id
        ]
    page = browser.get(url("partner", "change", owed.partner_id)).content.decode()
    address = f"/admin/billing/order/?partner__id__exact={owed.partner_id}"
    assert address in page
    assert [row.pk for row in browser.get(address).context["cl"].result_list] == [owed.pk]


def test_an_order_is_added_in_the_form(owed: Order, browser: Browser) -> None:
    assert browser.post(url("order", "add"), form(owed)).status_code == 302
    made = Order.objects.get(type="car")
    assert (made.sell_amount, made.sell_rate, made.sold_at, made.refund_currency) == (
        Decimal("99.5"),
        Decimal("1.1"),
        NOW,
        None,
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"status": "booked"},
            "An order of type car has no status 'booked'; it has: reserved, picked_up, completed, c",
        ),
        ({"type": "boat"}, "There is no order type 'boat'; there is: car, hotel, upsell."),
        ({"type": "hotel", "status": "booked", "reference": "H-0"}, "There is an order of this type and reference alr"),
        ({"sell_amount": "-1"}, "An amount is a number and never negative."),
        ({"sell_amount": "NaN"}, "Enter a number."),
        ({"sell_rate": "0"}, "A rate is a number above zero."),
        ({"refund_amount": "5"}, "A refund has a currency."),
        ({"due_on": "2026-06-30"}, "An order is due on the day from which it is to be paid, or later."),
        ({"type": ""}, "This field is required."),
    ],
)
def test_an_order_that_cannot_be_is_told_so(owed: Order, browser: Browser, values: dict[str, str], said: str) -> None:
    (found, *_) = errors(browser.post(url("order", "add"), form(owed, **values)))
    assert found.startswith(said)
    assert Order.objects.count() == 1


def test_a_new_type_is_in_the_form_when_it_is_in_the_registry(
    owed: Order, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_types, "_types", dict(order_types._types))
    order_types.register(OrderType("boat", "Sailing boat", {"chartered": SALE}))
    page = browser.get(url("order", "add")).content.decode()
    assert '<option value="boat">Sailing boat</option>' in page
    assert browser.post(url("order", "add"), form(owed, type="boat", status="chartered")).status_code == 302
    assert Order.objects.filter(type="boat", status="chartered").count() == 1


def test_what_the_registry_does_not_know_any_more_is_shown_and_not_changed_by_saving(
    owed: Order, browser: Browser
) -> None:
    Order.objects.update(type="boat", status="sunk")
    address = url("order", "change", owed.pk)
    page = browser.get(address).content.decode()
    assert '<option value="boat" selected>boat (unknown)</option>' in page
    assert '<option value="sunk" selected>sunk (unknown)</option>' in page
    said = errors(browser.post(address, initial(browser, address)))
    assert said == ["There is no order type 'boat'; there is: car, hotel, upsell."]
    owed.refresh_from_db()
    assert (owed.type, owed.status) == ("boat", "sunk")


def test_saving_writes_only_what_was_edited(owed: Order, browser: Browser) -> None:
    address = url("order", "change", owed.pk)
    values = initial(browser, address)
    # A load has written it meanwhile.
    other, sold_at = add(1).partner, NOW - timedelta(days=2, microseconds=5)
    Order.objects.filter(pk=owed.pk).update(sell_amount=60_000, partner=other, sold_at=sold_at)
    assert browser.post(address, {**values, "paid_on": "2026-07-02"}).status_code == 302
    owed.refresh_from_db()
    assert (owed.paid_on, owed.sell_amount) == (date(2026, 7, 2), 60_000)
    assert (owed.partner, owed.sold_at) == (other, sold_at)


def test_a_partner_is_edited_and_told_what_cannot_be(owed: Order, browser: Browser) -> None:
    address = url("partner", "change", owed.partner_id)
    values = initial(browser, address)
    assert browser.post(address, {**values, "zone": "Europe/Lisbon", "reference": ""}).status_code == 302
    partner = Partner.objects.get()
    assert (partner.zone, partner.reference) == ("Europe/Lisbon", None)
    assert errors(browser.post(address, {**values, "zone": "Asia/Soul"})) == [
        "'Asia/Soul' is no time zone: write a name such as Asia/Seoul."
    ]
    assert errors(browser.post(address, {**values, "credit_currency": ""})) == ["A credit limit has a currency."]


def test_what_is_referred_to_stays(owed: Order, browser: Browser) -> None:
    client = owed.partner.client_id
    currencies = {code: browser.get(url("currency", "delete", code)).status_code for code in ("KRW", "EUR", "USD")}
    assert currencies == {"KRW": 403, "EUR": 403, "USD": 200}
    assert browser.get(url("partner", "delete", owed.partner_id)).status_code == 403
    assert browser.get(url("client", "delete", client)).status_code == 403
    assert "delete_selected" not in browser.get(url("partner")).content.decode()
    assert browser.post(url("order", "delete", owed.pk), {"post": "yes"}).status_code == 302
    assert browser.get(url("partner", "delete", owed.partner_id)).status_code == 200


def test_uploads_are_to_read(owed: Order, browser: Browser) -> None:
    upload = Upload.objects.get()
    assert browser.post(url("upload", "change", upload.pk), {"size": "1"}).status_code == 403
    assert browser.get(url("upload", "delete", upload.pk)).status_code == 403
    assert datetime.now(UTC) >= upload.uploaded_at
