"""PriceChange is history and future; Service.full_price and Plan.discount_percent are the value now in force."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.models import Catalogue, Plan, PriceChange, Service
from ops.engine.session import Session
from tests.billing.conftest import Shop, reprice, run_sql, settle
from tests.billing.world import server_now

PAST = datetime(2024, 3, 1, tzinfo=UTC)
FUTURE = datetime(2090, 3, 1, tzinfo=UTC)


def history(**subject: Any) -> list[tuple[Any, ...]]:
    """Return a subject's changes: old value, new value, who follows, whom it concerns."""
    rows = PriceChange.objects.filter(**subject).order_by("effective_at")
    return list(rows.values_list("old_value", "new_value", "follow", "scope"))


def full_price(shop: Shop) -> Decimal | None:
    return Service.objects.get(pk=shop.service.pk).full_price


def test_an_edit_of_a_list_price_is_recorded_as_a_change(shop: Shop) -> None:
    before = server_now()
    Service.objects.filter(pk=shop.service.pk).update(full_price=120)
    after = server_now()
    run_sql("UPDATE billing_service SET full_price = 130 WHERE name = 'Mail'")
    shop.service.refresh_from_db()
    shop.service.full_price = 140
    shop.service.save()
    shop.service.save()
    assert history(service=shop.service) == [
        (100, 120, "at_once", "all"),
        (120, 130, "at_once", "all"),
        (130, 140, "at_once", "all"),
    ]
    assert before < PriceChange.objects.earliest("effective_at").effective_at < after
    assert PriceChange.objects.count() == 3
    settle()
    assert (full_price(shop), shop.price()) == (140, 140)


def test_an_edit_of_a_discount_is_recorded_as_a_change(shop: Shop) -> None:
    Plan.objects.filter(pk=shop.student.pk).update(discount_percent="12.5")
    assert history(plan=shop.student) == [(10, Decimal("12.5"), "at_once", "all")]
    assert PriceChange.objects.count() == 1


def test_one_statement_records_a_change_for_each_row_it_changes(shop: Shop) -> None:
    Service.objects.update(full_price=500)
    assert history(service=shop.service) == [(100, 500, "at_once", "all")]
    assert history(service=shop.other) == [(50_000, 500, "at_once", "all")]
    assert PriceChange.objects.count() == 2


def test_other_edits_are_no_history(shop: Shop) -> None:
    Service.objects.filter(pk=shop.service.pk).update(name="Post", currency_id="KRW", full_price=100)
    Plan.objects.update(plan_type="full")
    assert not PriceChange.objects.exists()


def test_a_price_given_and_taken_away_leaves_what_it_was(shop: Shop) -> None:
    """No price is a value too: before the edit, there was none."""
    new = Service.objects.create(name="New", currency_id="USD")
    Service.objects.filter(pk=new.pk).update(full_price=5)
    Service.objects.filter(pk=new.pk).update(full_price=None)
    assert history(service=new) == [(None, 5, "at_once", "all"), (5, None, "at_once", "all")]
    shop.new(service=new, started_at=PAST, renews_at=PAST).save()
    found = reprice("--as-of", "2024-04-01T00:00Z", "--dry-run")
    assert [row["reason"] for row in found["refused"]] == ["its service has no price"]


def test_a_change_in_force_sets_the_price(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=PAST, follow="never")
    assert full_price(shop) == 120
    assert history(service=shop.service) == [(100, 120, "never", "all")]
    PriceChange.objects.update(new_value=125)
    assert full_price(shop) == 125
    assert history(service=shop.service) == [(100, 125, "never", "all")]
    settle()
    assert shop.price() == 100  # its subscription never follows


def test_a_change_before_others_in_force_sets_nothing(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=PAST)
    PriceChange.objects.create(service=shop.service, new_value=110, effective_at=PAST - timedelta(days=1))
    assert full_price(shop) == 120
    assert history(service=shop.service)[0] == (100, 110, "at_once", "all")


def test_a_future_change_sets_nothing_yet(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=FUTURE)
    PriceChange.objects.create(service=shop.service, new_value=130, effective_at=FUTURE + timedelta(days=1))
    settle()
    assert full_price(shop) == 100
    assert history(service=shop.service) == [(100, 120, "at_once", "all"), (120, 130, "at_once", "all")]


def test_a_change_that_is_put_off_takes_its_price_back(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=PAST)
    settle()
    assert (full_price(shop), shop.price()) == (120, 120)
    PriceChange.objects.update(effective_at=FUTURE)
    assert full_price(shop) == 100
    settle()
    assert shop.price() == 100
    assert history(service=shop.service) == [(100, 120, "at_once", "all")]


def test_an_edit_that_repeats_the_change_in_force_is_that_change(shop: Shop) -> None:
    """A form that was open while a change took effect, or an impatient operator, adds nothing to the history."""
    soon = server_now()
    with connection.cursor() as cursor:
        # As if the change lay in the future when it was made, and no claim has come by since.
        cursor.execute("ALTER TABLE billing_pricechange DISABLE TRIGGER billing_changes_inserted")
        PriceChange.objects.create(service=shop.service, new_value=120, effective_at=soon)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_pricechange ENABLE TRIGGER billing_changes_inserted")
    assert full_price(shop) == 100
    Service.objects.filter(pk=shop.service.pk).update(full_price=120)
    assert history(service=shop.service) == [(100, 120, "at_once", "all")]


def test_a_claim_as_of_an_instant_ago_does_not_undo_an_edit_made_since(shop: Shop) -> None:
    """A run reads the clock, and before it claims, somebody edits a price: the edit stands, and nothing is recorded."""
    PriceChange.objects.create(service=shop.service, new_value=110, effective_at=PAST)
    settle()
    as_of = server_now()
    Service.objects.filter(pk=shop.service.pk).update(full_price=120)
    Session("default").execute("billing/mark_passed_instants.sql", {"as_of": as_of})
    assert full_price(shop) == 120
    assert [row[1] for row in history(service=shop.service)] == [110, 120]
    assert Catalogue.objects.get().marked_until == as_of
    settle()
    assert shop.price() == 120
