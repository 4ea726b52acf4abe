"""The billing domain in the admin: pages with rows in them, prices and marks by saving, constraints in words."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from billing import models
from ops import admin as lists
from tests.billing.admin_pages import NO_TIERS, NOW, errors, initial, url
from tests.billing.conftest import Shop, marks, other_connection, reprice

__all__ = ["other_connection"]

EDITABLE = ("client", "currency", "service", "plan", "subscription", "promotion", "quantitytier", "pricechange")


@pytest.mark.parametrize("model", [*EDITABLE, "catalogue", "mark"])
def test_every_list_and_page_opens_with_its_rows(full: Shop, browser: Browser, model: str) -> None:
    answer = browser.get(url(model))
    assert answer.status_code == 200
    rows = list(answer.context["cl"].result_list)
    assert len(rows) == browser.get(url(model)).context["cl"].result_count > 0
    assert browser.get(url(model, "change", rows[0].pk)).status_code == 200


@pytest.mark.parametrize("model", EDITABLE)
def test_every_form_to_add_opens(full: Shop, browser: Browser, model: str) -> None:
    assert browser.get(url(model, "add")).status_code == 200


def test_the_catalogue_is_one_row_and_marks_are_to_read(full: Shop, browser: Browser) -> None:
    assert browser.get(url("catalogue", "add")).status_code == 403
    assert browser.get(url("catalogue", "delete", 1)).status_code == 403
    mark = models.Mark.objects.get(reason="test")
    assert browser.get(url("mark", "add")).status_code == 403
    assert browser.post(url("mark", "change", mark.pk), {"reason": "x"}).status_code == 403
    page = browser.get(url("mark", "change", mark.pk)).content.decode()
    assert "1, 2, 3" in page
    assert "100" in page
    assert ", 21" not in page


def more_clients(shop: Shop) -> None:
    models.Client.objects.bulk_create(models.Client(name=f"c {i}") for i in range(30))


def more_services(shop: Shop) -> None:
    models.Service.objects.bulk_create(
        models.Service(name=f"s {i}", full_price=1, currency=shop.service.currency) for i in range(30)
    )


def more_subscriptions(shop: Shop) -> None:
    more_clients(shop)
    more_services(shop)
    pairs = zip(models.Client.objects.all(), models.Service.objects.all(), strict=False)
    models.Subscription.objects.bulk_create(
        models.Subscription(client=client, service=service, plan=shop.plan) for client, service in pairs
    )


def more_promotions(shop: Shop) -> None:
    more_services(shop)
    models.Promotion.objects.bulk_create(
        models.Promotion(service=service, percent=1, starts_at=NOW, priority=9)
        for service in models.Service.objects.all()
    )


def more_tiers(shop: Shop) -> None:
    more_services(shop)
    models.QuantityTier.objects.bulk_create(
        models.QuantityTier(service=service, minimum_quantity=77, percent=1) for service in models.Service.objects.all()
    )


def more_changes(shop: Shop) -> None:
    more_services(shop)
    models.PriceChange.objects.bulk_create(
        models.PriceChange(service=service, new_value=2, effective_at=NOW + timedelta(days=9))
        for service in models.Service.objects.all()
    )


def more_marks(shop: Shop) -> None:
    models.Mark.objects.bulk_create(models.Mark(reason=f"m {i}", service_id=i) for i in range(30))


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("client", more_clients),
        ("service", more_services),
        ("subscription", more_subscriptions),
        ("promotion", more_promotions),
        ("quantitytier", more_tiers),
        ("pricechange", more_changes),
        ("mark", more_marks),
    ],
)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(
    full: Shop, browser: Browser, model: str, more: Callable[[Shop], None]
) -> None:
    browser.get(url(model))
    with CaptureQueriesContext(
        connection,
    ) as few:
        before = browser.get(url(model)).context["cl"].result_count
    more(full)
    with CaptureQueriesContext(connection) as many:
        after = browser.get(url(model)).context["cl"].result_count
    assert after >= before + 30
    assert len(many) == len(few)


def test_a_list_counts_no_further_than_it_leads(full: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", 3)
    monkeypatch.setattr(lists.BigAdmin, "list_per_page", 2)
    answer = browser.get(url("subscription"))
    assert answer.context["cl"].result_count == 3
    assert "The first 3; search for others" in answer.content.decode()
    pages = [answer, browser.get(url("subscription"), {"p": 2})]
    newest = models.Subscription.objects.order_by("-pk").values_list("pk", flat=True)[:3]
    assert [row.pk for page in pages for row in page.context["cl"].result_list] == list(newest)


def test_a_subscription_is_found_by_the_beginning_of_a_name_and_by_number(full: Shop, browser: Browser) -> None:
    models.Client.objects.create(name="Lee Kim")
    first = full.subscriptions[0]

    def found(term: str) -> set[int]:
        return {row.pk for row in browser.get(url("subscription"), {"q": term}).context["cl"].result_list}

    everything = {row.pk for row in full.subscriptions}
    assert found("kim") == everything
    assert found("Mail") == {row.pk for row in full.subscriptions[:2]}
    assert found("ail") == set()
    assert found(str(first.pk)) == {first.pk}
    assert found("9" * 30) == set()
    assert found(" ") == everything


def test_a_list_shows_prices_in_their_currency(full: Shop, browser: Browser) -> None:
    page = browser.get(url("subscription")).content.decode()
    assert "50,000 KRW" in page
    assert "100 USD" in page


def test_a_subscription_added_in_the_form_has_its_price_at_once(full: Shop, browser: Browser) -> None:
    form = {
        **initial(browser, url("subscription", "add")),
        "client": full.client.pk,
        "service": full.service.pk,
        "plan": full.student.pk,
        "quantity": 10,
    }
    assert browser.post(url("subscription", "add"), form).status_code == 302
    made = models.Subscription.objects.latest("pk")
    # The tier of 20 % beats both the plan's 10 % and the promotion's 5 %.
    assert (made.price, made.quantity) == (Decimal(80), 10)
    assert "80 USD" in browser.get(url("subscription", "change", made.pk)).content.decode()


def test_saving_a_subscription_writes_what_was_edited_and_marks_it(full: Shop, browser: Browser) -> None:
    row = full.subscriptions[0]
    address = url("subscription", "change", row.pk)
    models.Mark.objects.all().delete()
    form = initial(browser, address)
    assert browser.post(address, {**form, "comment": "asked for a discount"}).status_code == 302
    assert marks() == set()
    with CaptureQueriesContext(connection) as queries:
        assert browser.post(address, {**form, "comment": "asked for a discount", "quantity": 12}).status_code == 302
    assert marks() == {(None, None, (row.pk,))}
    written = [q["sql"] for q in queries if q["sql"].startswith('UPDATE "billing_subscription"')]
    assert len(written) == 1
    assert '"price"' not in written[0]
    row.refresh_from_db()
    assert (row.comment, row.quantity) == ("asked for a discount", 12)


def test_a_list_price_edited_in_the_form_is_recorded_and_marked(shop: Shop, browser: Browser) -> None:
    address = url("service", "change", shop.service.pk)
    tier = models.QuantityTier.objects.get()
    form = {
        **initial(browser, address),
        "full_price": "120",
        "tiers-TOTAL_FORMS": "1",
        "tiers-INITIAL_FORMS": "1",
        "tiers-0-id": tier.pk,
        "tiers-0-service": shop.service.pk,
        "tiers-0-minimum_quantity": "10",
        "tiers-0-percent": "20",
    }
    assert browser.post(address, form).status_code == 302
    change = models.PriceChange.objects.get()
    assert (change.service, change.old_value, change.new_value, change.follow) == (shop.service, 100, 120, "at_once")
    assert (shop.service.pk, None, None) in marks()
    reprice("--dirty", "--no-input")
    assert shop.price() == 120


def test_a_form_opened_before_a_price_change_does_not_take_it_back(shop: Shop, browser: Browser) -> None:
    address = url("service", "change", shop.service.pk)
    form = {**initial(browser, address), **NO_TIERS, "name": "Post"}
    models.PriceChange.objects.create(service=shop.service, new_value=130, effective_at=NOW - timedelta(hours=1))
    shop.service.refresh_from_db()
    assert shop.service.full_price == 130
    assert browser.post(address, form).status_code == 302
    shop.service.refresh_from_db()
    assert (shop.service.name, shop.service.full_price) == ("Post", 130)
    assert models.PriceChange.objects.count() == 1


def test_a_discount_edited_in_the_form_is_recorded_and_marked(shop: Shop, browser: Browser) -> None:
    address = url("plan", "change", shop.student.pk)
    assert browser.post(address, {**initial(browser, address), "discount_percent": "15"}).status_code == 302
    change = models.PriceChange.objects.get()
    assert (change.plan, change.old_value, change.new_value) == (shop.student, 10, 15)
    assert (None, shop.student.pk, None) in marks()


def test_the_policy_is_edited_in_the_form_and_marks_everything(shop: Shop, browser: Browser) -> None:
    address = url("catalogue", "change", 1)
    form = initial(browser, address)
    assert browser.post(address, {**form, "policy": "stack"}).status_code == 302
    assert models.Catalogue.objects.get().policy == "stack"
    assert marks() == {(None, None, None)}
    assert errors(browser.post(address, {**form, "zone": "Asia/Soul"})) == [
        "There is no zone 'Asia/Soul': write one such as Asia/Seoul."
    ]
    assert errors(browser.post(address, {**form, "reduction_order": "plan,plan,tier"})) == [
        "State each of promotion, plan and tier exactly once."
    ]
