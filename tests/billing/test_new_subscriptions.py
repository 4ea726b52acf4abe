"""A new subscription has its price when its insert commits, whichever way it was inserted, and is marked."""

from collections.abc import Callable
from decimal import Decimal

from billing.models import Catalogue, PriceChange, Service, Subscription
from tests.billing.conftest import LONG_AGO, Shop, copy_in, marks, run_sql, settle
from tests.billing.test_marks import LATER, START, roads

Road = Callable[[Shop], object]


@roads(
    save=lambda shop: shop.new(quantity=10).save(),
    bulk_create=lambda shop: Subscription.objects.bulk_create([shop.new(quantity=10)]),
    sql=lambda shop: run_sql(
        "INSERT INTO billing_subscription (client_id, service_id, plan_id, quantity) VALUES (%s, %s, %s, 10)",
        [shop.client.pk, shop.service.pk, shop.plan.pk],
    ),
    insert_select=lambda shop: run_sql(
        "INSERT INTO billing_subscription (client_id, service_id, plan_id, quantity) "
        "SELECT client_id, service_id, plan_id, 10 FROM billing_subscription ORDER BY id LIMIT 1"
    ),
    copy=lambda shop: copy_in(
        "billing_subscription",
        "client_id,service_id,plan_id,quantity",
        f"{shop.client.pk},{shop.service.pk},{shop.plan.pk},10",
    ),
    copy_with_a_price=lambda shop: copy_in(
        "billing_subscription",
        "client_id,service_id,plan_id,quantity,price",
        f"{shop.client.pk},{shop.service.pk},{shop.plan.pk},10,3",
    ),
)
def test_a_new_subscription_has_its_price(shop: Shop, road: Road) -> None:
    road(shop)
    new = Subscription.objects.exclude(pk__in=[s.pk for s in shop.subscriptions]).get()
    assert new.price == 80
    assert marks() == {(None, None, (new.pk,))}
    settle()


def test_many_new_subscriptions_of_one_statement_have_their_prices(shop: Shop) -> None:
    run_sql(
        "INSERT INTO billing_subscription (client_id, service_id, plan_id, quantity) "
        "SELECT client_id, service_id, plan_id, n FROM billing_subscription CROSS JOIN generate_series(9, 11) AS n"
    )
    rows = Subscription.objects.exclude(quantity=1).order_by("service_id", "plan_id", "quantity")
    assert [int(price or 0) for price in rows.values_list("price", flat=True)] == [
        *(100, 80, 80, 90, 80, 80),
        *(50_000, 50_000, 50_000, 45_000, 45_000, 45_000),
    ]
    settle()


def test_a_new_pinned_subscription_keeps_the_price_it_brings(shop: Shop) -> None:
    made = Subscription.objects.bulk_create(
        [
            shop.new(price=7, pinned_until=LATER),
            shop.new(price=7, pinned_until=START),
            shop.new(price=None, pinned_until=LATER),
        ]
    )
    rows = dict(Subscription.objects.in_bulk([s.pk for s in made]))
    assert [rows[s.pk].price for s in made] == [Decimal(7), Decimal(100), Decimal(100)]
    settle()


def test_a_new_subscription_without_what_a_price_takes_has_none(shop: Shop) -> None:
    free = Service.objects.create(name="Unpriced", currency_id="USD")
    nowhere = Service.objects.create(name="Without currency", full_price=5)
    new = [shop.new(price=3, **values) for values in ({"plan": None}, {"service": free}, {"service": nowhere})]
    made = Subscription.objects.bulk_create(new)
    found = Subscription.objects.in_bulk([s.pk for s in made])
    assert [found[s.pk].price for s in made] == [None, None, None]
    made = Subscription.objects.bulk_create([shop.new(plan=None, price=3)])
    assert Subscription.objects.get(pk=made[0].pk).price is None


def test_a_new_subscription_without_a_catalogue_has_no_price(shop: Shop) -> None:
    """Not even where it would have to be found out which of several list prices it pays."""
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=START, follow="renewal")
    Catalogue.objects.all().delete()
    new = shop.new(started_at=LONG_AGO, renews_at=LONG_AGO, price=3)
    new.save()
    new.refresh_from_db()
    assert new.price is None


def test_inserting_nothing_marks_nothing(shop: Shop) -> None:
    run_sql("INSERT INTO billing_subscription (client_id, service_id) SELECT 1, 1 WHERE false")
    assert marks() == set()
