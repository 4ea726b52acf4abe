"""The price rule by example: each promise of the issue in a few numbers."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Catalogue, Currency, Plan, PriceChange, Promotion, QuantityTier, Service, Subscription
from ops.engine import registry, run
from ops.engine.plan import Refused
from tests.billing.conftest import Shop, reprice, run_sql

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
BEFORE = MARCH - timedelta(days=60)
TICK = timedelta(microseconds=1)
EVERYTHING: dict[str, Any] = {"service": [], "plan": [], "client": [], "dirty": False}


def price_of(shop: Shop, as_of: datetime | None = None, **values: Any) -> Decimal | None:
    """Return what a subscription to `service` on `plan` pays at an instant, or now, as it is inserted."""
    subscription = shop.new(**{"started_at": BEFORE, "renews_at": BEFORE, **values})
    subscription.save()
    if as_of is not None:
        others = Subscription.objects.exclude(pk=subscription.pk)
        others.delete()
        run.apply(registry.find("billing.reprice"), EVERYTHING, run.Options(), as_of)
    subscription.refresh_from_db()
    return subscription.price


def offer(shop: Shop, **values: Any) -> None:
    """Add a promotion of `service` that holds in March."""
    Promotion.objects.create(
        **{"service": shop.service, "starts_at": MARCH, "ends_at": MARCH + timedelta(days=31), **values}
    )


# Rounding


@pytest.mark.parametrize(
    ("currency", "list_price", "percent", "price"),
    [
        ("USD", "250", "5", "237.5"),
        ("KRW", "250", "5", "238"),  # 237.5
        ("KRW", "250", "5.2", "237"),
        ("KRW", "1", "50", "1"),  # 0.5 goes away from zero
        ("KRW", "3", "50", "2"),  # and 1.5, where half to even would agree
        ("KRW", "5", "50", "3"),  # and 2.5, where it would not
        ("USD", "0.01", "50", "0.01"),
        ("USD", "0.03", "50", "0.02"),
        ("USD", "0.03", "51", "0.01"),
        ("KWD", "1.001", "50", "0.501"),
        ("CLF", "0.0001", "50", "0.0001"),
        ("USD", "100", "100", "0"),
    ],
)
def test_half_a_minor_unit_goes_away_from_zero(
    shop: Shop, currency: str, list_price: str, percent: str, price: str
) -> None:
    units = {"KRW": 0, "USD": 2, "KWD": 3, "CLF": 4}[currency]
    Currency.objects.get_or_create(code=currency, defaults={"minor_units": units})
    Service.objects.filter(pk=shop.service.pk).update(full_price=list_price, currency=currency)
    Plan.objects.filter(pk=shop.plan.pk).update(discount_percent=percent)
    assert price_of(shop) == Decimal(price)


def test_it_is_rounded_once_after_all_reductions(shop: Shop) -> None:
    Catalogue.objects.update(policy="stack")
    Service.objects.filter(pk=shop.service.pk).update(full_price=15, currency="KRW")
    Plan.objects.filter(pk=shop.plan.pk).update(discount_percent=10)  # 13.5; rounded too early it would be 14
    assert price_of(shop, quantity=10) == 11  # 13.5 less 20 % is 10.8; 14 less 20 % would be 11.2


def test_a_list_price_finer_than_the_minor_unit_is_rounded(shop: Shop) -> None:
    Service.objects.filter(pk=shop.service.pk).update(full_price="99.995")
    assert price_of(shop) == 100


# Policies, on a list price of 100 USD: plan 10 %, tier 20 %, promotions of 25 USD and, with less priority, 50 %


@pytest.fixture
def reduced(shop: Shop) -> Shop:
    offer(shop, amount=25, priority=5)
    offer(shop, percent=50, priority=1)
    return shop


@pytest.mark.parametrize(
    ("policy", "order", "price"),
    [
        ("best_of", "promotion plan tier", "50"),
        ("stack", "promotion plan tier", "27"),  # (100 - 25) * 0.5 * 0.9 * 0.8
        ("stack", "plan tier promotion", "23.5"),  # (100 * 0.9 * 0.8 - 25) * 0.5
        ("stack", "tier promotion plan", "24.75"),  # (100 * 0.8 - 25) * 0.5 * 0.9
        ("exclusive", "promotion plan tier", "75"),
        ("exclusive", "plan promotion tier", "90"),
        ("exclusive", "tier promotion plan", "80"),
    ],
)
def test_policies(reduced: Shop, policy: str, order: str, price: str) -> None:
    Catalogue.objects.update(policy=policy, reduction_order=order.split())
    assert price_of(reduced, MARCH, plan=reduced.student, quantity=10) == Decimal(price)


def test_exclusive_passes_over_a_kind_that_does_not_apply(shop: Shop) -> None:
    Catalogue.objects.update(policy="exclusive", reduction_order=["promotion", "tier", "plan"])
    assert price_of(shop, plan=shop.student, quantity=9) == 90
    assert price_of(shop, plan=shop.student, quantity=10) == 80
    assert price_of(shop, plan=shop.plan, quantity=9) == 100


def test_a_promotion_of_nothing_applies_all_the_same(shop: Shop) -> None:
    Catalogue.objects.update(policy="exclusive")
    offer(shop, percent=0)
    assert price_of(shop, MARCH, plan=shop.student) == 100


@pytest.mark.parametrize("policy", ["best_of", "stack", "exclusive"])
def test_no_price_is_below_zero(shop: Shop, policy: str) -> None:
    Catalogue.objects.update(policy=policy)
    offer(shop, amount="100.01")
    assert price_of(shop, MARCH) == 0


def test_a_stack_is_at_least_zero_after_each_promotion(shop: Shop) -> None:
    Catalogue.objects.update(policy="stack")
    offer(shop, amount=300, priority=2)
    offer(shop, percent=50, priority=1)
    assert price_of(shop, MARCH, plan=shop.student) == 0


@pytest.mark.parametrize(
    ("subject", "price"),
    [("service", 70), ("plan", 70), ("pair", 70), ("other service", 100), ("other plan", 100), ("other pair", 100)],
)
def test_a_promotion_without_service_or_plan_means_any(shop: Shop, subject: str, price: int) -> None:
    service, plan = {
        "service": (shop.service, None),
        "plan": (None, shop.plan),
        "pair": (shop.service, shop.plan),
        "other service": (shop.other, None),
        "other plan": (None, shop.student),
        "other pair": (shop.service, shop.student),
    }[subject]
    offer(shop, service=service, plan=plan, percent=30)
    assert price_of(shop, MARCH) == price


@pytest.mark.parametrize(
    ("as_of", "price"),
    [
        (MARCH - TICK, 100),
        (MARCH, 70),
        (MARCH + timedelta(days=31) - TICK, 70),
        (MARCH + timedelta(days=31), 100),
    ],
)
def test_a_promotion_holds_from_its_start_until_just_before_its_end(shop: Shop, as_of: datetime, price: int) -> None:
    offer(shop, percent=30)
    assert price_of(shop, as_of) == price


@pytest.mark.parametrize(("quantity", "price"), [(9, 100), (10, 80), (49, 80), (50, 95), (2147483647, 95)])
def test_the_highest_tier_that_is_reached_counts(shop: Shop, quantity: int, price: int) -> None:
    QuantityTier.objects.create(service=shop.service, minimum_quantity=50, percent=5)
    assert price_of(shop, quantity=quantity) == price


# Who follows a price change: 100 until 10 March 00:00 in Seoul, 120 from then on; renewals on the 20th

TENTH = datetime.fromisoformat("2024-03-10T00:00+09:00")
TWENTIETH = datetime.fromisoformat("2024-02-20T00:00+09:00")
RENEWAL = datetime.fromisoformat("2024-03-20T00:00+09:00")


@pytest.mark.parametrize(
    ("follow", "as_of", "price"),
    [
        ("at_once", TENTH - TICK, 100),
        ("at_once", TENTH, 120),
        ("renewal", TENTH, 100),
        ("renewal", RENEWAL - TICK, 100),
        ("renewal", RENEWAL, 120),
        ("never", RENEWAL + timedelta(days=99), 100),
    ],
)
def test_who_follows_a_price_change(shop: Shop, follow: str, as_of: datetime, price: int) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=TENTH, follow=follow)
    assert price_of(shop, as_of, renews_at=TWENTIETH) == price


@pytest.mark.parametrize("follow", ["at_once", "renewal", "never"])
def test_who_starts_at_a_price_change_pays_it(shop: Shop, follow: str) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=TENTH, follow=follow)
    assert price_of(shop, TENTH, started_at=TENTH) == 120
    if follow != "at_once":
        assert price_of(shop, TENTH, started_at=TENTH - TICK, renews_at=TWENTIETH) == 100


def test_only_those_still_at_the_old_price_follow_an_unchanged_one(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=TENTH, follow="never")
    later = TENTH + timedelta(days=1)
    PriceChange.objects.create(service=shop.service, new_value=150, effective_at=later, scope="unchanged")
    assert price_of(shop, later, started_at=BEFORE) == 100  # was left at 100 while the catalogue said 120
    assert price_of(shop, later, started_at=TENTH) == 150
    assert price_of(shop, later, started_at=later) == 150


def test_unchanged_asks_what_was_paid_just_before_even_at_a_renewal(shop: Shop) -> None:
    """The renewal adopts 120 at the very instant at which 150 is for those who paid 120 already: this one paid 100."""
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=TENTH, follow="renewal")
    PriceChange.objects.create(service=shop.service, new_value=150, effective_at=RENEWAL, scope="unchanged")
    assert price_of(shop, RENEWAL - TICK, renews_at=TWENTIETH) == 100
    assert price_of(shop, RENEWAL, renews_at=TWENTIETH) == 120
    assert price_of(shop, RENEWAL, renews_at=TENTH) == 150  # renewed on the 10th, so it paid 120


def test_a_change_that_all_follow_at_once_sweeps_away_what_came_before(shop: Shop) -> None:
    for days, value, follow in ((0, 120, "never"), (1, 150, "renewal"), (2, 90, "at_once")):
        PriceChange.objects.create(
            service=shop.service, new_value=value, effective_at=TENTH + timedelta(days=days), follow=follow
        )
    after = RENEWAL + timedelta(days=1)  # the renewal that would have adopted 150 is over, 90 still counts
    assert price_of(shop, after, renews_at=TWENTIETH) == 90


def test_a_plan_change_is_followed_like_a_list_price(shop: Shop) -> None:
    PriceChange.objects.create(plan=shop.student, new_value=30, effective_at=TENTH, follow="renewal")
    assert price_of(shop, RENEWAL - TICK, plan=shop.student, renews_at=TWENTIETH) == 90
    assert price_of(shop, RENEWAL, plan=shop.student, renews_at=TWENTIETH) == 70


@pytest.mark.parametrize(
    ("zone", "renews_at", "months", "effective_at", "renewal"),
    [
        # The last day of February stands for the 31st, in local months: 31 January in Seoul is the 30th in UTC.
        ("Asia/Seoul", "2024-01-31T00:00+09:00", 1, "2024-02-10T00:00+09:00", "2024-02-29T00:00+09:00"),
        ("UTC", "2024-01-30T15:00+00:00", 1, "2024-02-10T00:00+00:00", "2024-02-29T15:00+00:00"),
        ("Asia/Seoul", "2024-01-31T00:00+09:00", 1, "2024-03-01T00:00+09:00", "2024-03-31T00:00+09:00"),
        ("Asia/Seoul", "2024-02-29T00:00+09:00", 12, "2025-01-01T00:00+09:00", "2025-02-28T00:00+09:00"),
        ("Asia/Seoul", "2026-01-31T00:00+09:00", 3, "2024-02-10T00:00+09:00", "2024-04-30T00:00+09:00"),
        # Clocks go forward at 02:00 on 10 March: 02:30 is skipped, and back at 02:00 on 3 November: 01:30 comes twice.
        ("America/New_York", "2024-02-10T02:30-05:00", 1, "2024-03-01T00:00-05:00", "2024-03-10T03:30-04:00"),
        ("America/New_York", "2024-10-03T01:30-04:00", 1, "2024-11-01T00:00-04:00", "2024-11-03T01:30-05:00"),
    ],
)
def test_a_renewal_is_counted_in_local_months(
    shop: Shop, zone: str, renews_at: str, months: int, effective_at: str, renewal: str
) -> None:
    Catalogue.objects.update(zone=zone)
    PriceChange.objects.create(
        service=shop.service, new_value=120, effective_at=datetime.fromisoformat(effective_at), follow="renewal"
    )
    first = datetime.fromisoformat(renewal)
    values = {"renews_at": datetime.fromisoformat(renews_at), "billing_period": months}
    assert price_of(shop, first - TICK, **values) == 100
    assert price_of(shop, first, **values) == 120


# Pins and what is missing


def test_a_pinned_subscription_keeps_its_price_until_the_pin_runs_out(shop: Shop) -> None:
    assert price_of(shop, MARCH - TICK, price=42, pinned_until=datetime(2090, 1, 1, tzinfo=UTC)) == 42
    Subscription.objects.update(pinned_until=MARCH)
    run.apply(registry.find("billing.reprice"), EVERYTHING, run.Options(), MARCH - TICK)
    assert Subscription.objects.get().price == 42
    run.apply(registry.find("billing.reprice"), EVERYTHING, run.Options(), MARCH)
    assert Subscription.objects.get().price == 100


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("UPDATE billing_subscription SET plan_id = NULL", "it has no plan"),
        ("UPDATE billing_service SET full_price = NULL", "its service has no price"),
        ("UPDATE billing_service SET currency_id = NULL", "its service has no currency"),
    ],
)
def test_what_is_missing_refuses_the_run_and_names_the_row(shop: Shop, missing: str, why: str) -> None:
    Service.objects.filter(pk=shop.other.pk).update(full_price=60_000)
    first = shop.subscriptions[0].pk
    run_sql(f"{missing} WHERE id = {first if 'subscription' in missing else shop.service.pk}")
    before = list(Subscription.objects.order_by("id").values_list("price", flat=True))
    for options in (("--no-input",), ("--dirty", "--no-input")):
        with pytest.raises(Exception, match=rf"the first being {first} \({why}\)"):
            reprice(*options)
    assert list(Subscription.objects.order_by("id").values_list("price", flat=True)) == before
    _, plan = run.plan_only(registry.find("billing.reprice"), EVERYTHING, run.Options())
    assert {row["key"]: row["reason"] for row in plan.refused}[str(first)] == why
    assert plan.refusals == (1 if "plan" in why else 2)


def test_an_instant_in_the_future_is_for_plans_only(shop: Shop) -> None:
    future = datetime(2090, 1, 1, tzinfo=UTC)
    PriceChange.objects.create(service=shop.service, new_value=120, effective_at=future)
    _, plan = run.plan_only(registry.find("billing.reprice"), EVERYTHING, run.Options(), future)
    assert (plan.changes, [(row["old"], row["new"]) for row in plan.largest]) == (2, [("100", "120"), ("90", "108")])
    with pytest.raises(Refused, match="lies in the future"):
        run.apply(registry.find("billing.reprice"), EVERYTHING, run.Options(), future)
    assert shop.price() == 100
