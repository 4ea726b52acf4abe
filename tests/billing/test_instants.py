"""Instants that pass are marks too: between two claims, no price moves that the second claim does not mark."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.models import Catalogue, Mark, PriceChange, Promotion, Service, Subscription
from ops import clock
from ops.engine.session import Session
from tests.billing.conftest import LONG_AGO, Shop, marks, reprice, settle
from tests.billing.world import TICK, World, prices, server_now, store, worlds

SINCE = datetime(2024, 3, 1, tzinfo=UTC)
AT = datetime(2024, 3, 5, tzinfo=UTC)
UPTO = datetime(2024, 3, 9, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def claim(since: datetime, upto: datetime) -> None:
    """Mark what passed from one claim to the next, as a claim does with the clock's instants."""
    Mark.objects.all().delete()
    Catalogue.objects.update(marked_until=since)
    Session("default").execute("billing/mark_passed_instants.sql", {"as_of": upto})
    assert Catalogue.objects.get().marked_until == max(since, upto)


def passed(since: datetime, upto: datetime) -> set[Any]:
    """Return what a claim at the second instant marks, the first having been the last claim's."""
    claim(since, upto)
    return marks()


def assert_half_open(at: datetime, mark: tuple[Any, ...]) -> None:
    """Expect an instant to be marked by exactly one of the claims around it."""
    assert passed(at - TICK, at) == {mark}
    assert passed(at, at + TICK) == set()
    assert passed(at - TICK * 2, at - TICK) == set()


def test_a_promotion_begins_and_ends(shop: Shop) -> None:
    Promotion.objects.create(service=shop.service, percent=5, starts_at=AT, ends_at=UPTO)
    Promotion.objects.create(service=shop.other, plan=shop.plan, percent=5, starts_at=SINCE, ends_at=None)
    assert_half_open(AT, (shop.service.pk, None, None))
    assert_half_open(UPTO, (shop.service.pk, None, None))
    assert_half_open(SINCE, (shop.other.pk, shop.plan.pk, None))


def test_a_pin_runs_out(shop: Shop) -> None:
    pks = [s.pk for s in shop.subscriptions[:2]]
    Subscription.objects.filter(pk__in=pks).update(pinned_until=AT)
    assert_half_open(AT, (None, None, tuple(pks)))


def test_a_price_change_takes_effect(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=5, effective_at=AT)
    PriceChange.objects.create(plan=shop.student, new_value=5, effective_at=UPTO)
    assert_half_open(AT, (shop.service.pk, None, None))
    assert_half_open(UPTO, (None, shop.student.pk, None))


def test_a_renewal_adopts_a_price_change(shop: Shop) -> None:
    PriceChange.objects.create(service=shop.service, new_value=5, effective_at=AT, follow="renewal")
    PriceChange.objects.create(service=shop.other, new_value=5, effective_at=AT, follow="never")
    first, second = shop.subscriptions[:2]
    Subscription.objects.filter(pk=first.pk).update(renews_at=AT + timedelta(days=10))
    Subscription.objects.filter(pk=second.pk).update(renews_at=AT + timedelta(days=11), billing_period=12)
    assert_half_open(AT + timedelta(days=10), (None, None, (first.pk,)))
    assert_half_open(AT + timedelta(days=11), (None, None, (second.pk,)))


def test_the_renewal_after_a_short_february_is_more_than_a_month_away(shop: Shop) -> None:
    """Renewals on the 31st: the change on 28 February at noon is adopted on 31 March, 31 days later."""
    effective_at = datetime.fromisoformat("2023-02-28T12:00+09:00")
    renewal = datetime.fromisoformat("2023-03-31T10:00+09:00")
    PriceChange.objects.create(service=shop.service, new_value=5, effective_at=effective_at, follow="renewal")
    Subscription.objects.update(renews_at=datetime.fromisoformat("2023-01-31T10:00+09:00"), started_at=LONG_AGO)
    assert_half_open(renewal, (None, None, tuple(s.pk for s in shop.subscriptions[:2])))


def test_a_catalogue_that_never_claimed_marks_all_instants(shop: Shop) -> None:
    Promotion.objects.create(service=shop.service, percent=5, starts_at=AT)
    settle()
    Catalogue.objects.update(marked_until=None)
    Session("default").execute("billing/mark_passed_instants.sql", {"as_of": UPTO})
    assert marks() == {(shop.service.pk, None, None)}


def test_a_claim_never_moves_the_clock_back(shop: Shop) -> None:
    claim(UPTO, SINCE)
    assert Catalogue.objects.get().marked_until == UPTO
    assert marks() == set()


def test_a_price_change_that_lay_in_the_future_takes_effect_at_the_next_claim(shop: Shop) -> None:
    soon = server_now() + timedelta(seconds=0.5)
    PriceChange.objects.create(service=shop.service, new_value=140, effective_at=soon)
    settle()
    assert (Service.objects.get(pk=shop.service.pk).full_price, shop.price()) == (100, 100)
    while server_now() < soon:
        clock.pause(0.05)
    settle()
    assert (Service.objects.get(pk=shop.service.pk).full_price, shop.price()) == (140, 140)
    assert PriceChange.objects.count() == 1


def test_the_next_dirty_run_reprices_what_passed(shop: Shop) -> None:
    """Promotion, pin and price change passed since the last claim, and nobody wrote anything."""
    Promotion.objects.create(service=shop.service, plan=shop.plan, percent=50, starts_at=AT)
    Subscription.objects.filter(pk=shop.subscriptions[1].pk).update(pinned_until=AT, price=3)
    PriceChange.objects.create(service=shop.other, new_value=60_000, effective_at=AT)
    Mark.objects.all().delete()
    Catalogue.objects.update(marked_until=SINCE)
    found = reprice("--dirty", "--dry-run")
    assert (found["looked_at"], found["changes"]) == (4, 4)
    settle()
    assert [shop.price(i) for i in range(4)] == [50, 90, 60_000, 54_000]


# For any world: what moves is marked


def marked_subscriptions() -> set[int]:
    """Return the ids that the present marks concern."""
    found: set[int] = set()
    for service, plan, ids in marks():
        if ids is not None:
            found.update(ids)
            continue
        rows = Subscription.objects.all()
        rows = rows.filter(service=service) if service is not None else rows
        rows = rows.filter(plan=plan) if plan is not None else rows
        found.update(rows.values_list("id", flat=True))
    return found


@settings(
    max_examples=40,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(world=worlds(subscriptions=100), seed=st.integers(0, 2**32))
def test_no_price_moves_without_a_mark(world: World, seed: int) -> None:
    chance = random.Random(seed)
    with transaction.atomic():
        store(world, chance=chance)
        stored = prices()
        around = [*world.boundaries(), world.as_of]
        for _ in range(6):
            since = chance.choice(around) + timedelta(days=chance.choice((0, 0, 10, 27, 28, 29, 30, 31, 32, 60, 90)))
            upto = since + chance.choice((TICK, timedelta(hours=1), timedelta(days=1), timedelta(days=3)))
            for first, last in ((since, upto), (since - TICK, since)):
                before, after = world.wanted(first, stored), world.wanted(last, stored)
                moved = {i for i, (a, b) in enumerate(zip(before, after, strict=True), start=1) if a != b}
                with transaction.atomic():
                    claim(first, last)
                    assert moved <= marked_subscriptions(), (first, last, moved - marked_subscriptions())
                    transaction.set_rollback(True)
        transaction.set_rollback(True)
