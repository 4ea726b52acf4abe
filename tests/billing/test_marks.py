"""Whatever road a change takes, it marks what it touches in its own transaction, and nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import transaction
from django.forms.models import model_to_dict, modelform_factory

from billing.models import Catalogue, Currency, Plan, PriceChange, Promotion, QuantityTier, Service, Subscription
from tests.billing.conftest import Shop, copy_in, marks, reprice, run_sql, settle

Road = Callable[[Shop], object]
EVERYTHING = {(None, None, None)}
START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = datetime(2090, 1, 1, tzinfo=UTC)


def by_form(row: Any, **values: Any) -> None:
    """Change or add a row as the admin does: by a model form."""
    form_class = modelform_factory(type(row), fields="__all__")
    given = {name: value for name, value in {**model_to_dict(row), **values}.items() if value is not None}
    form = form_class(data=given, instance=row)
    assert form.is_valid(), form.errors
    form.save()


def by_save(row: Any, **values: Any) -> None:
    """Change or add a row by save()."""
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def roads(**named: Road) -> Any:
    """Parametrize a test by roads with names."""
    return pytest.mark.parametrize("road", named.values(), ids=[name.replace("_", " ") for name in named])


# Services, plans, currencies, the catalogue


@roads(
    form=lambda shop: by_form(shop.service, full_price=120),
    save=lambda shop: by_save(shop.service, full_price=120),
    update=lambda shop: Service.objects.filter(pk=shop.service.pk).update(full_price=120),
    bulk_update=lambda shop: Service.objects.bulk_update([Service(pk=shop.service.pk, full_price=120)], ["full_price"]),
    sql=lambda shop: run_sql("UPDATE billing_service SET full_price = 120 WHERE id = %s", [shop.service.pk]),
    upsert=lambda shop: run_sql(
        "INSERT INTO billing_service (id, name, full_price) VALUES (%s, 'Mail', 1) "
        "ON CONFLICT (id) DO UPDATE SET full_price = 120",
        [shop.service.pk],
    ),
    merge=lambda shop: run_sql(
        "MERGE INTO billing_service AS s USING (VALUES (%s)) AS v (id) ON v.id = s.id "
        "WHEN MATCHED THEN UPDATE SET full_price = 120",
        [shop.service.pk],
    ),
)
def test_a_service_price(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert [shop.price(i) for i in range(4)] == [Decimal(120), Decimal(108), Decimal(50_000), Decimal(45_000)]


@roads(
    form=lambda shop: by_form(shop.student, discount_percent="12.5"),
    save=lambda shop: by_save(shop.student, discount_percent="12.5"),
    update=lambda shop: Plan.objects.filter(pk=shop.student.pk).update(discount_percent="12.5"),
    sql=lambda shop: run_sql("UPDATE billing_plan SET discount_percent = 12.5 WHERE id = %s", [shop.student.pk]),
)
def test_a_plan_discount(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(None, shop.student.pk, None)}
    settle()
    assert [shop.price(i) for i in range(4)] == [Decimal(100), Decimal("87.5"), Decimal(50_000), Decimal(43_750)]


@roads(
    form=lambda shop: by_form(shop.service, currency="KRW"),
    update=lambda shop: Service.objects.filter(pk=shop.service.pk).update(currency="KRW"),
)
def test_the_currency_of_a_service(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()


@roads(
    form=lambda shop: by_form(Currency.objects.get(code="USD"), minor_units=0),
    save=lambda shop: by_save(Currency.objects.get(code="USD"), minor_units=0),
    update=lambda shop: Currency.objects.filter(code="USD").update(minor_units=0),
    sql=lambda shop: run_sql("UPDATE billing_currency SET minor_units = 0"),
)
def test_the_minor_unit_of_a_currency(shop: Shop, road: Road) -> None:
    Service.objects.filter(pk=shop.service.pk).update(full_price="99.99")
    settle()
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert [shop.price(0), shop.price(1)] == [Decimal(100), Decimal(90)]


@roads(
    form=lambda shop: by_form(Catalogue.objects.get(), policy="stack", reduction_order="plan,promotion,tier"),
    save=lambda shop: by_save(Catalogue.objects.get(), policy="stack"),
    update=lambda shop: Catalogue.objects.update(policy="stack"),
    order=lambda shop: Catalogue.objects.update(reduction_order=["tier", "plan", "promotion"], policy="stack"),
    zone=lambda shop: Catalogue.objects.update(zone="UTC", policy="stack"),
    sql=lambda shop: run_sql("UPDATE billing_catalogue SET policy = 'stack'"),
)
def test_the_catalogue(shop: Shop, road: Road) -> None:
    Subscription.objects.filter(pk=shop.subscriptions[1].pk).update(quantity=10)
    settle()
    assert shop.price(1) == 80
    road(shop)
    assert marks() == EVERYTHING
    settle()
    assert shop.price(1) == 72


def test_what_a_claim_writes_on_the_catalogue_marks_nothing(shop: Shop) -> None:
    Catalogue.objects.update(marked_until=LATER)
    assert marks() == set()


@pytest.mark.parametrize("statement", ["DELETE FROM billing_catalogue", "TRUNCATE billing_catalogue"])
def test_a_catalogue_that_goes_and_comes(shop: Shop, statement: str) -> None:
    run_sql(statement)
    assert marks() == EVERYTHING
    with pytest.raises(CommandError, match="there is no catalogue"):
        reprice("--dirty", "--no-input")
    assert shop.price() == 100
    Subscription.objects.filter(pk=shop.subscriptions[1].pk).update(quantity=10)
    Catalogue.objects.create(policy="stack")
    settle()
    assert [shop.price(i) for i in range(4)] == [100, 72, 50_000, 45_000]


# Promotions, tiers, price changes: rows come, change and go


def promotion(shop: Shop, **values: Any) -> Promotion:
    return Promotion(**{"service": shop.service, "percent": 30, "starts_at": START, **values})


@roads(
    form=lambda shop: by_form(Promotion(), service=shop.service.pk, percent=30, starts_at=START, priority=0),
    save=lambda shop: promotion(shop).save(),
    bulk_create=lambda shop: Promotion.objects.bulk_create([promotion(shop)]),
    sql=lambda shop: run_sql(
        "INSERT INTO billing_promotion (service_id, percent, starts_at) VALUES (%s, 30, '2024-01-01Z')",
        [shop.service.pk],
    ),
    insert_select=lambda shop: run_sql(
        "INSERT INTO billing_promotion (service_id, percent, starts_at) "
        "SELECT id, 30, '2024-01-01Z' FROM billing_service WHERE name = 'Mail'"
    ),
    copy=lambda shop: copy_in("billing_promotion", "service_id,percent,starts_at", f"{shop.service.pk},30,2024-01-01Z"),
)
def test_a_new_promotion(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert [shop.price(0), shop.price(1)] == [Decimal(70), Decimal(70)]


def test_a_new_promotion_of_a_plan_and_of_a_pair(shop: Shop) -> None:
    Promotion.objects.bulk_create(
        [
            promotion(shop, service=None, plan=shop.student),
            promotion(shop, plan=shop.plan, priority=1),
        ]
    )
    assert marks() == {(None, shop.student.pk, None), (shop.service.pk, shop.plan.pk, None)}
    settle()
    assert [shop.price(i) for i in range(4)] == [Decimal(70), Decimal(70), Decimal(50_000), Decimal(35_000)]


@roads(
    form=lambda shop: by_form(Promotion.objects.get(), service=shop.other.pk),
    save=lambda shop: by_save(Promotion.objects.get(), service=shop.other),
    update=lambda shop: Promotion.objects.update(service=shop.other),
    sql=lambda shop: run_sql("UPDATE billing_promotion SET service_id = %s", [shop.other.pk]),
)
def test_a_promotion_that_moves_marks_where_it_was_and_where_it_is(shop: Shop, road: Road) -> None:
    promotion(shop).save()
    settle()
    road(shop)
    assert marks() == {(shop.service.pk, None, None), (shop.other.pk, None, None)}
    settle()
    assert [shop.price(0), shop.price(2)] == [Decimal(100), Decimal(35_000)]


@roads(
    instance=lambda shop: Promotion.objects.get().delete(),
    queryset=lambda shop: Promotion.objects.all().delete(),
    sql=lambda shop: run_sql("DELETE FROM billing_promotion"),
)
def test_a_promotion_that_goes(shop: Shop, road: Road) -> None:
    promotion(shop).save()
    settle()
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert shop.price() == 100


@pytest.mark.parametrize("table", ["billing_promotion", "billing_quantitytier", "billing_pricechange"])
def test_truncate_marks_everything(shop: Shop, table: str) -> None:
    promotion(shop, percent=5).save()
    Subscription.objects.filter(pk=shop.subscriptions[0].pk).update(quantity=10)
    settle()
    run_sql("SET CONSTRAINTS ALL IMMEDIATE")  # a TRUNCATE wants no pending check of a foreign key
    run_sql(f"TRUNCATE {table}")
    assert marks() == EVERYTHING
    settle()
    assert [shop.price(0), shop.price(1)] == {
        "billing_promotion": [Decimal(80), Decimal(90)],
        "billing_quantitytier": [Decimal(95), Decimal(90)],
        "billing_pricechange": [Decimal(80), Decimal(90)],
    }[table]


@roads(
    form=lambda shop: by_form(QuantityTier(), service=shop.other.pk, minimum_quantity=1, percent=50),
    save=lambda shop: QuantityTier(service=shop.other, minimum_quantity=1, percent=50).save(),
    bulk=lambda shop: QuantityTier.objects.bulk_create(
        [QuantityTier(service=shop.other, minimum_quantity=1, percent=50)]
    ),
    copy=lambda shop: copy_in("billing_quantitytier", "service_id,minimum_quantity,percent", f"{shop.other.pk},1,50"),
)
def test_a_new_tier(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(shop.other.pk, None, None)}
    settle()
    assert [shop.price(2), shop.price(3)] == [Decimal(25_000), Decimal(25_000)]


@roads(
    save=lambda shop: by_save(QuantityTier.objects.get(), minimum_quantity=1),
    update=lambda shop: QuantityTier.objects.update(minimum_quantity=1),
    sql=lambda shop: run_sql("UPDATE billing_quantitytier SET minimum_quantity = 1"),
)
def test_a_tier_that_changes_or_goes(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert shop.price() == 80
    QuantityTier.objects.all().delete()
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert shop.price() == 100


def change(shop: Shop, **values: Any) -> PriceChange:
    return PriceChange(**{"service": shop.service, "new_value": 130, "effective_at": START, **values})


@roads(
    form=lambda shop: by_form(
        PriceChange(), service=shop.service.pk, new_value=130, effective_at=START, follow="at_once", scope="all"
    ),
    save=lambda shop: change(shop).save(),
    bulk_create=lambda shop: PriceChange.objects.bulk_create([change(shop)]),
    sql=lambda shop: run_sql(
        "INSERT INTO billing_pricechange (service_id, new_value, effective_at) VALUES (%s, 130, '2024-01-01Z')",
        [shop.service.pk],
    ),
    copy=lambda shop: copy_in(
        "billing_pricechange", "service_id,new_value,effective_at", f"{shop.service.pk},130,2024-01-01Z"
    ),
)
def test_a_new_price_change(shop: Shop, road: Road) -> None:
    road(shop)
    assert marks() == {(shop.service.pk, None, None)}
    settle()
    assert [shop.price(0), shop.price(1)] == [Decimal(130), Decimal(117)]


def test_a_price_change_of_a_plan_that_changes_and_goes(shop: Shop) -> None:
    here = {(None, shop.student.pk, None)}
    change(shop, service=None, plan=shop.student, new_value=20).save()
    assert marks() == here
    settle()
    assert shop.price(1) == 80
    PriceChange.objects.update(new_value=40)
    assert marks() == here
    settle()
    assert shop.price(1) == 60
    change(shop, service=None, plan=shop.student, new_value=50, effective_at=START + timedelta(days=1)).save()
    settle()
    PriceChange.objects.latest("effective_at").delete()
    assert marks() == here
    settle()
    assert shop.price(1) == 60


# Subscriptions


@pytest.mark.parametrize("road", ["form", "save", "update", "sql"])
@pytest.mark.parametrize(
    ("column", "price"), [("service_id", 50_000), ("plan_id", 90), ("quantity", 80), ("pinned_until", 100)]
)
def test_an_input_of_a_subscription(shop: Shop, column: str, price: int, road: str) -> None:
    subscription = shop.subscriptions[0]
    values = {"service_id": shop.other.pk, "plan_id": shop.student.pk, "quantity": 10, "pinned_until": LATER}
    value = values[column]
    if road == "form":
        by_form(Subscription.objects.get(pk=subscription.pk), **{column.removesuffix("_id"): value})
    elif road == "save":
        by_save(Subscription.objects.get(pk=subscription.pk), **{column: value})
    elif road == "update":
        Subscription.objects.filter(pk=subscription.pk).update(**{column: value})
    else:
        run_sql(f"UPDATE billing_subscription SET {column} = %s WHERE id = %s", [value, subscription.pk])
    assert marks() == {(None, None, (subscription.pk,))}
    settle()
    assert shop.price() == price


def test_other_columns_mark_nothing(shop: Shop) -> None:
    Subscription.objects.update(comment="called twice")
    Subscription.objects.update(price=1)
    Subscription.objects.update(client=shop.client, quantity=1)
    subscription = Subscription.objects.get(pk=shop.subscriptions[0].pk)
    by_form(subscription, comment="by form")
    subscription.save()
    run_sql("UPDATE billing_service SET name = name, full_price = full_price")
    run_sql("UPDATE billing_currency SET minor_units = minor_units")
    run_sql("UPDATE billing_plan SET discount_percent = 10 WHERE name = 'Student'")
    assert marks() == set()


def test_a_change_that_is_rolled_back_leaves_no_mark(shop: Shop) -> None:
    with transaction.atomic():
        Service.objects.update(full_price=1)
        change(shop).save()
        promotion(shop).save()
        Subscription.objects.update(quantity=10)
        shop.new().save()
        assert len(marks()) == 7
        transaction.set_rollback(True)
    assert marks() == set()
    assert not PriceChange.objects.exists()
    settle()
    assert shop.price() == 100
