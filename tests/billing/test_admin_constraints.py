"""Constraints in the admin's forms: each told in its own sentence, and nothing saved."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.test import Client as Browser

from billing import models
from ops.models import Run
from tests.billing.admin_pages import NO_TIERS, NOW, errors, initial, instants, url
from tests.billing.conftest import Shop, other_connection, reprice, run_sql

__all__ = ["other_connection"]


def promotion(shop: Shop, **values: Any) -> dict[str, Any]:
    return {
        "name": "",
        "service": shop.service.pk,
        "plan": "",
        "percent": "10",
        "amount": "",
        "priority": "0",
        **instants(starts_at=NOW, ends_at=None),
        **values,
    }


OVERLAP = "Another promotion of this priority overlaps it; choose another priority."


def test_a_promotion_is_added_and_another_priority_may_overlap(full: Shop, browser: Browser) -> None:
    for values in (
        {"priority": "1"},
        {"service": full.other.pk},
        {"plan": full.plan.pk, "service": full.other.pk, "priority": "2"},
        instants(starts_at=NOW - timedelta(days=9), ends_at=NOW),
    ):
        assert browser.post(url("promotion", "add"), promotion(full, **values)).status_code == 302
    assert models.Promotion.objects.count() == 5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, OVERLAP),
        # A missing service means any, so a promotion of a plan meets one of a service.
        ({"service": "", "plan": "student"}, OVERLAP),
        ({"plan": "student", **instants(starts_at=NOW + timedelta(days=99))}, OVERLAP),
        ({"amount": "3", "priority": "5"}, "State either a percentage or an amount."),
        ({"percent": "", "priority": "5"}, "State either a percentage or an amount."),
        ({"service": "", "priority": "5"}, "State a service, a plan or both."),
        (instants(ends_at=NOW - timedelta(days=1)), "A promotion ends after it starts."),
        ({"percent": "", "amount": "-1", "priority": "5"}, "An amount is never negative."),
        ({"percent": "101", "priority": "5"}, "Ensure this value is less than or equal to 100."),
    ],
)
def test_a_promotion_that_breaks_a_constraint_is_told_so(
    full: Shop, browser: Browser, values: dict[str, str], said: str
) -> None:
    given = {k: full.student.pk if v == "student" else v for k, v in values.items()}
    assert errors(browser.post(url("promotion", "add"), promotion(full, **given))) == [said]
    assert models.Promotion.objects.count() == 1


def test_a_promotion_edited_into_another_is_told_so_and_does_not_meet_itself(full: Shop, browser: Browser) -> None:
    second = models.Promotion.objects.create(service=full.service, percent=7, starts_at=NOW, priority=1)
    address = url("promotion", "change", second.pk)
    form = initial(browser, address)
    assert browser.post(address, {**form, "percent": "8"}).status_code == 302
    assert errors(browser.post(address, {**form, "priority": "0"})) == [OVERLAP]
    second.refresh_from_db()
    assert (second.percent, second.priority) == (8, 1)


def test_a_price_change_is_edited_and_told_where_it_may_not_be(full: Shop, browser: Browser) -> None:
    first = models.PriceChange.objects.get()
    second = models.PriceChange.objects.create(
        service=full.service, new_value=115, effective_at=NOW + timedelta(days=60)
    )
    address = url("pricechange", "change", second.pk)
    form = initial(browser, address)
    assert browser.post(address, {**form, "new_value": "116", "follow": "renewal"}).status_code == 302
    second.refresh_from_db()
    assert (second.new_value, second.follow, second.old_value) == (116, "renewal", 110)
    same = instants(effective_at=first.effective_at)
    assert errors(browser.post(address, {**form, **same})) == [
        "Price change with this Service and Effective at already exists."
    ]
    assert errors(browser.post(address, {**form, "plan": full.plan.pk, "new_value": "9"})) == [
        "State either a service or a plan."
    ]
    assert errors(browser.post(address, {**form, "new_value": "-1"})) == ["An amount is never negative."]
    of_plan = {**form, "service": "", "plan": full.plan.pk, "new_value": "101"}
    assert errors(browser.post(address, of_plan)) == ["A percentage lies between 0 and 100."]


def test_a_price_change_in_the_form_that_is_in_force_sets_the_price(shop: Shop, browser: Browser) -> None:
    form = {
        "service": shop.service.pk,
        "plan": "",
        "new_value": "90",
        "follow": "at_once",
        "scope": "all",
        **instants(effective_at=NOW - timedelta(minutes=5)),
    }
    assert browser.post(url("pricechange", "add"), form).status_code == 302
    shop.service.refresh_from_db()
    assert shop.service.full_price == 90
    change = models.PriceChange.objects.get()
    assert change.old_value == 100
    # It is history now: the way back is another change.
    assert browser.get(url("pricechange", "delete", change.pk)).status_code == 403
    reprice("--dirty", "--no-input")
    assert shop.price() == 90


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (
            "quantitytier",
            {"minimum_quantity": "10"},
            "Quantity tier with this Service and Minimum quantity already exists.",
        ),
        ("service", {"name": "Disk", "full_price": "1", **NO_TIERS}, "Service with this Name already exists."),
        ("service", {"name": "New", "full_price": "-1", **NO_TIERS}, "An amount is never negative."),
        ("currency", {"code": "usd", "minor_units": "2"}, "A currency's code is three capital letters, such as KRW."),
        ("currency", {"code": "XXX", "minor_units": "5"}, "A currency has at most 4 decimals."),
        ("quantitytier", {"minimum_quantity": "0"}, "A tier begins at a quantity of at least 1."),
        ("plan", {"name": "P", "discount_percent": "-1"}, "Ensure this value is greater than or equal to 0."),
    ],
)
def test_other_constraints_are_told_in_words(
    full: Shop, browser: Browser, model: str, values: dict[str, str], said: str
) -> None:
    given = {"service": full.service.pk, "percent": "3", "plan_type": "full", **values}
    before = get_count(model)
    assert errors(browser.post(url(model, "add"), given)) == [said]
    assert get_count(model) == before


def get_count(model: str) -> int:
    found: type[Model] = getattr(models, {"quantitytier": "QuantityTier"}.get(model, model.title()))
    return found._default_manager.count()


def test_what_is_subscribed_to_is_not_deleted_and_what_is_not_is(full: Shop, browser: Browser) -> None:
    lonely = models.Client.objects.create(name="Lonely")
    assert browser.get(url("client", "delete", full.client.pk)).status_code == 403
    assert browser.get(url("service", "delete", full.service.pk)).status_code == 403
    assert browser.get(url("plan", "delete", full.plan.pk)).status_code == 403
    assert browser.post(url("client", "delete", lonely.pk), {"post": "yes"}).status_code == 302
    assert list(models.Client.objects.values_list("name", flat=True)) == ["Kim"]


@pytest.mark.django_db(transaction=True)
def test_who_was_slower_than_another_is_told_in_words(open_shop: Shop, other_connection: Any) -> None:
    """The form's validation sees no conflict; the database, a moment later, does."""
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("admin2", password="x"))
    statement = (
        "CREATE FUNCTION slow_rival() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.name = '' AND pg_trigger_depth() = 1 THEN INSERT INTO billing_promotion (name, service_id, percent, "
        "starts_at, priority) VALUES ('rival', NEW.service_id, 5, NEW.starts_at, NEW.priority); END IF; RETURN NEW; "
        "END $$; "
        "CREATE TRIGGER slow_rival BEFORE INSERT ON billing_promotion FOR EACH ROW EXECUTE FUNCTION slow_rival()"
    )
    run_sql(statement, using=other_connection)
    try:
        answer = browser.post(url("promotion", "add"), promotion(open_shop), follow=True)
    finally:
        run_sql("DROP FUNCTION slow_rival CASCADE", using=other_connection)
    assert answer.status_code == 200
    assert f"Nothing was saved. {OVERLAP}" in answer.content.decode()
    assert not models.Promotion.objects.exists()
    assert not Run.objects.exists()
