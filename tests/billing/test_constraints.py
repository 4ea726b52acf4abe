"""What the database refuses about the domain, by the name of the constraint, and the sentence a form says instead."""

import re
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import ProtectedError

from billing.models import Catalogue, Client, Currency, Plan, PriceChange, Promotion, QuantityTier, Service
from tests.billing.conftest import Shop, run_sql
from tests.billing.received_limits import RECEIVED

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2024, 2, 1, tzinfo=UTC)


@contextmanager
def refused(name: str) -> Any:
    """Expect the database to refuse by the constraint of that name, at the statement."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        yield
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg2.Error)
    assert cause.diag.constraint_name == name


def sentences(row: models.Model) -> list[str]:
    """Return what full_clean says about the row's constraints."""
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    return caught.value.messages


def service(shop: Shop, **values: Any) -> Service:
    return Service(**{"name": "New", "full_price": 1, "currency_id": "USD", **values})


def plan(shop: Shop, **values: Any) -> Plan:
    return Plan(**{"name": "New", **values})


def currency(shop: Shop, **values: Any) -> Currency:
    return Currency(**{"code": "EUR", "minor_units": 2, **values})


def tier(shop: Shop, **values: Any) -> QuantityTier:
    return QuantityTier(**{"service": shop.other, "minimum_quantity": 5, "percent": 5, **values})


def promotion(shop: Shop, **values: Any) -> Promotion:
    return Promotion(**{"service": shop.service, "percent": 5, "starts_at": START, "ends_at": END, **values})


def change(shop: Shop, **values: Any) -> PriceChange:
    subject = {} if {"service", "plan"} & values.keys() else {"service": shop.service}
    return PriceChange(**{"new_value": 5, "effective_at": START, **subject, **values})


def subscription(shop: Shop, **values: Any) -> models.Model:
    # A pinned subscription keeps the price it brings.
    return shop.new(**{"pinned_until": datetime(2090, 1, 1, tzinfo=UTC), **values})


Make = Callable[..., models.Model]

# The constraint, how to make a row, values that are just right, values that are just wrong.
LIMITS: list[tuple[str, Make, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "billing_currency_minor_units",
        currency,
        [{"minor_units": 0}, {"minor_units": 4, "code": "CLF"}],
        [{"minor_units": 5}],
    ),
    ("billing_currency_code", currency, [{"code": "ABC"}], [{"code": "eur"}, {"code": "EU"}, {"code": "E1R"}]),
    (
        "billing_service_full_price",
        service,
        [{"full_price": 0}, {"full_price": None, "name": "B"}],
        [{"full_price": Decimal("-0.0001")}],
    ),
    (
        "billing_plan_percent",
        plan,
        [{"discount_percent": 0}, {"discount_percent": 100, "name": "B"}],
        [{"discount_percent": Decimal("-0.0001")}, {"discount_percent": Decimal("100.0001")}],
    ),
    (
        "billing_plan_type",
        plan,
        [{"plan_type": t, "name": t} for t in ("full", "student", "discount")],
        [{"plan_type": ""}, {"plan_type": "Full"}],
    ),
    ("billing_subscription_price", subscription, [{"price": 0}, {"price": 1}], [{"price": Decimal("-0.0001")}]),
    ("billing_subscription_quantity", subscription, [{"quantity": 1}, {"quantity": 2147483647}], [{"quantity": 0}]),
    ("billing_subscription_period", subscription, [{"billing_period": 1}], [{"billing_period": 0}]),
    ("billing_tier_minimum", tier, [{"minimum_quantity": 1}], [{"minimum_quantity": 0}]),
    (
        "billing_tier_percent",
        tier,
        [{"percent": 0}, {"percent": 100, "minimum_quantity": 6}],
        [{"percent": Decimal("-0.0001")}, {"percent": Decimal("100.0001")}],
    ),
    (
        "billing_promotion_percent",
        promotion,
        [{"percent": 0}, {"percent": 100, "priority": 1}],
        [{"percent": Decimal("-0.0001")}, {"percent": Decimal("100.0001")}],
    ),
    (
        "billing_promotion_amount",
        promotion,
        [{"percent": None, "amount": 0}],
        [{"percent": None, "amount": Decimal("-0.0001")}],
    ),
    (
        "billing_promotion_one_reduction",
        promotion,
        [{"percent": 1}, {"percent": None, "amount": 1, "priority": 1}],
        [{"percent": None}, {"percent": 1, "amount": 1}],
    ),
    (
        "billing_promotion_subject",
        promotion,
        [{"plan": None}, {"plan": None, "priority": 1}],
        [{"service": None, "plan": None}],
    ),
    (
        "billing_promotion_ends_after_start",
        promotion,
        [{"ends_at": None}, {"ends_at": START + timedelta(microseconds=1), "priority": 1}],
        [{"ends_at": START}],
    ),
    ("billing_change_value", change, [{"new_value": 0}], [{"new_value": Decimal("-0.0001")}]),
    ("billing_follow", change, [{"follow": "never"}], [{"follow": "later"}]),
    ("billing_scope", change, [{"scope": "unchanged"}], [{"scope": "some"}]),
    *RECEIVED,
]


@pytest.mark.parametrize(("name", "make", "right", "wrong"), LIMITS, ids=[limit[0] for limit in LIMITS])
def test_limits(shop: Shop, name: str, make: Make, right: list[dict[str, Any]], wrong: list[dict[str, Any]]) -> None:
    model = type(make(shop))
    before = model._default_manager.count()
    for values in right:
        make(shop, **values).save(force_insert=True)
    assert model._default_manager.count() == before + len(right)
    for values in wrong:
        with refused(name):
            make(shop, **values).save(force_insert=True)
    assert model._default_manager.count() == before + len(right)


def test_every_named_constraint_has_a_test() -> None:
    from django.apps import apps

    declared = {c.name for model in apps.get_app_config("billing").get_models() for c in model._meta.constraints}
    elsewhere = {
        "billing_catalogue_is_one",
        "billing_policy",
        "billing_reduction_order",
        "billing_promotion_no_overlap",
        "billing_tier_one_per_minimum",
        "billing_change_one_subject",
        "billing_change_percent",
        "billing_change_service_instant",
        "billing_change_plan_instant",
    }
    text = Path(__file__).with_name("test_orders_constraints.py").read_text()
    of_orders = re.findall(r'"(billing_[a-z]+_\w+)"', text)
    assert declared == {limit[0] for limit in LIMITS} | elsewhere | set(of_orders)


def test_the_catalogue_is_one_row_with_a_known_policy_and_order(shop: Shop) -> None:
    with refused("billing_catalogue_is_one"):
        Catalogue(id=2).save(force_insert=True)
    with refused("billing_policy"):
        Catalogue.objects.update(policy="cheapest")
    for order in (["plan", "tier"], ["plan", "plan", "tier"], ["plan", "tier", "promotion", "plan"], []):
        with refused("billing_reduction_order"):
            Catalogue.objects.update(reduction_order=order)
    Catalogue.objects.update(policy="exclusive", reduction_order=["tier", "promotion", "plan"])
    assert Catalogue.objects.values_list("id", "policy", "reduction_order").get() == (
        1,
        "exclusive",
        ["tier", "promotion", "plan"],
    )


def test_names_are_unique(shop: Shop) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        service(shop, name="Mail").save()
    with pytest.raises(IntegrityError), transaction.atomic():
        plan(shop, name="Full").save()
    assert (Service.objects.count(), Plan.objects.count()) == (2, 2)


def test_a_tier_for_each_minimum_of_a_service(shop: Shop) -> None:
    tier(shop, service=shop.other, minimum_quantity=10).save()  # `service` has one from 10 on: another service may
    with refused("billing_tier_one_per_minimum"):
        tier(shop, service=shop.service, minimum_quantity=10).save()
    assert QuantityTier.objects.count() == 2


def test_a_price_change_has_one_subject(shop: Shop) -> None:
    change(shop, service=shop.service).save()
    change(shop, plan=shop.plan).save()
    with refused("billing_change_one_subject"):
        change(shop, service=shop.service, plan=shop.plan, effective_at=END).save()
    with refused("billing_change_one_subject"):
        change(shop, service=None, effective_at=END).save()
    assert PriceChange.objects.count() == 2


def test_a_price_change_of_a_plan_is_a_percentage(shop: Shop) -> None:
    change(shop, plan=shop.plan, new_value=100).save()
    change(shop, service=shop.service, new_value=Decimal("100.0001")).save()
    with refused("billing_change_percent"):
        change(shop, plan=shop.student, new_value=Decimal("100.0001")).save()
    assert PriceChange.objects.count() == 2


def test_one_price_change_of_a_subject_for_each_instant(shop: Shop) -> None:
    change(shop, service=shop.service).save()
    change(shop, service=shop.other).save()
    change(shop, service=shop.service, effective_at=END).save()
    change(shop, plan=shop.plan).save()
    with refused("billing_change_service_instant"):
        change(shop, service=shop.service, new_value=9).save()
    with refused("billing_change_plan_instant"):
        change(shop, plan=shop.plan, new_value=9).save()
    assert PriceChange.objects.count() == 4


# Promotions do not overlap with one priority

SUBJECTS = ("service", "plan", "pair", "other service", "student", "other pair", "mixed pair")


def subject(shop: Shop, name: str) -> dict[str, Any]:
    """Return a promotion's service and plan."""
    service, plan = {
        "service": (shop.service, None),
        "plan": (None, shop.plan),
        "pair": (shop.service, shop.plan),
        "other service": (shop.other, None),
        "student": (None, shop.student),
        "other pair": (shop.other, shop.student),
        "mixed pair": (shop.service, shop.student),
    }[name]
    return {"service": service, "plan": plan}


@pytest.mark.parametrize("first", SUBJECTS)
@pytest.mark.parametrize("second", SUBJECTS)
def test_promotions_overlap_where_a_pair_has_both(shop: Shop, first: str, second: str) -> None:
    a, b = subject(shop, first), subject(shop, second)
    clash = all(a[key] is None or b[key] is None or a[key] == b[key] for key in ("service", "plan"))
    promotion(shop, **a).save()
    if clash:
        assert sentences(promotion(shop, **b)) == [
            "Another promotion of this priority overlaps it; choose another priority."
        ]
        with refused("billing_promotion_no_overlap"):
            promotion(shop, **b).save()
        promotion(shop, **b, priority=1).full_clean()
        promotion(shop, **b, priority=1).save()
    else:
        promotion(shop, **b).full_clean()
        promotion(shop, **b).save()
    assert Promotion.objects.count() == 2


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "clash"),
    [
        (START - timedelta(days=9), START, False),
        (START - timedelta(days=9), START + timedelta(microseconds=1), True),
        (END, None, False),
        (END - timedelta(microseconds=1), None, True),
        (START + timedelta(days=1), END - timedelta(days=1), True),
        (START - timedelta(days=9), None, True),
    ],
)
def test_promotions_may_touch_in_time(shop: Shop, starts_at: datetime, ends_at: datetime | None, clash: bool) -> None:
    promotion(shop).save()
    new = promotion(shop, starts_at=starts_at, ends_at=ends_at)
    if clash:
        assert sentences(new) == ["Another promotion of this priority overlaps it; choose another priority."]
        with refused("billing_promotion_no_overlap"):
            new.save()
    else:
        new.full_clean()
        new.save()
    assert Promotion.objects.count() == 2 - clash


def test_an_update_may_not_make_promotions_overlap(shop: Shop) -> None:
    promotion(shop).save()
    promotion(shop, priority=1).save()
    with refused("billing_promotion_no_overlap"):
        Promotion.objects.filter(priority=1).update(priority=0)
    with refused("billing_promotion_no_overlap"):
        run_sql("UPDATE billing_promotion SET priority = 5")
    assert sorted(Promotion.objects.values_list("priority", flat=True)) == [0, 1]


# What a form says


def test_full_clean_says_it_in_a_sentence(shop: Shop) -> None:
    percent = "A percentage lies between 0 and 100."
    amount = "An amount is never negative."
    assert amount in sentences(service(shop, full_price=-1))
    assert amount in sentences(promotion(shop, percent=None, amount=-1))
    assert amount in sentences(change(shop, new_value=-1))
    assert sentences(plan(shop, discount_percent=101)) == ["Ensure this value is less than or equal to 100."]
    assert sentences(tier(shop, percent=101)) == ["Ensure this value is less than or equal to 100."]
    assert sentences(promotion(shop, percent=-1)) == ["Ensure this value is greater than or equal to 0."]
    assert sentences(change(shop, plan=shop.plan, new_value=101)) == [percent]
    assert sentences(promotion(shop, percent=None)) == ["State either a percentage or an amount."]
    assert sentences(promotion(shop, service=None)) == ["State a service, a plan or both."]
    assert sentences(promotion(shop, ends_at=START)) == ["A promotion ends after it starts."]
    assert sentences(change(shop, service=None)) == ["State either a service or a plan."]
    assert sentences(change(shop, service=shop.service, plan=shop.plan)) == ["State either a service or a plan."]
    assert sentences(currency(shop, minor_units=5)) == ["A currency has at most 4 decimals."]
    assert sentences(currency(shop, code="eur")) == ["A currency's code is three capital letters, such as KRW."]
    assert sentences(tier(shop, minimum_quantity=0)) == ["A tier begins at a quantity of at least 1."]
    assert sentences(shop.new(quantity=0)) == ["A quantity is at least 1."]
    order = Catalogue(reduction_order=["plan", "plan", "tier"])
    assert "State each of promotion, plan and tier exactly once." in sentences(order)


def test_what_is_subscribed_to_is_protected(shop: Shop) -> None:
    for row in (shop.client, shop.service, shop.plan, Currency.objects.get(code="USD")):
        with pytest.raises(ProtectedError):
            row.delete()
    for table in ("billing_client", "billing_service", "billing_plan"):
        with pytest.raises(IntegrityError), transaction.atomic():
            run_sql(f"SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM {table}")
    assert (Client.objects.count(), Service.objects.count(), Plan.objects.count()) == (1, 2, 2)
