"""The price rule in SQL agrees with the naive reference to the last unit, wherever a price comes from."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from billing.models import Plan, PriceChange, Service, Subscription
from ops.engine import registry, run
from ops.engine.compiler import Compiler
from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.engine.staging import stage
from tests.billing.reference import Wanted, in_force
from tests.billing.world import TICK, World, prices, server_now, store, worlds

EVERYTHING = {"service": [], "plan": [], "client": [], "dirty": False}

pytestmark = pytest.mark.django_db


def computed(as_of: datetime) -> list[Wanted]:
    """Return what the compiled SELECT of billing.reprice wants for each subscription, by id."""
    job, session = registry.find("billing.reprice"), Session("default")
    values = job.sql_params(EVERYTHING, as_of, None)
    with transaction.atomic(), connection.cursor() as cursor:
        stage(session, job, EVERYTHING, values)
        cursor.execute(Compiler(job, EVERYTHING, connection).rows(holds=False), values)
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    found = {}
    for row in rows:
        refused = row["ops_refused"]
        assert row["ops_differs"] == (refused is None and row["before_0"] != row["after_0"])
        assert row["ops_held"] is False
        found[row["id"]] = Wanted(None if refused else row["after_0"], refused)
    assert len(found) == len(rows)
    return [found[pk] for pk in sorted(found)]


def agree(world: World, got: list[Wanted], want: list[Wanted], what: str) -> None:
    """Fail with the first few differences, if any."""
    pairs = zip(world.subscriptions, got, want, strict=True)
    wrong = [f"{what}: {g} instead of {w} for {s}" for s, g, w in pairs if g != w]
    for line in wrong[:3]:
        note(line)
    assert not wrong, f"{len(wrong)} of {len(got)} differ; {wrong[0]}"


def check_inserted(world: World) -> list[Decimal | None]:
    """Hold the prices that the trigger gave against the reference, and return them."""
    want = world.wanted(server_now(), [s.price for s in world.subscriptions])
    found = prices()
    agree(world, [Wanted(p, w.refused) for p, w in zip(found, want, strict=True)], want, "inserted")
    return found


def check_values_in_force(world: World) -> None:
    """Hold the services' and plans' present values and the changes' old values against the history."""
    now = server_now()
    for subjects, column, model in (
        (world.services, "full_price", Service),
        (world.plans, "discount_percent", Plan),
    ):
        stored = dict(model.objects.values_list("id", column))
        assert stored == {s.key: in_force(s.current, s.changes, now) for s in subjects}
    for subject in world.services:
        for change in subject.changes[:1]:
            first = PriceChange.objects.filter(service_id=subject.key).earliest("effective_at")
            assert (first.effective_at, first.old_value) == (change.effective_at, change.old_value)


def check_plan_and_apply(world: World, before: list[Decimal | None]) -> None:
    """Hold the plan's figures and the prices after an apply against the reference."""
    job, options = registry.find("billing.reprice"), run.Options(batch_size=60)
    want = world.wanted(world.as_of, before)
    refused = [number for number, w in enumerate(want, start=1) if w.refused]
    _, plan = run.plan_only(job, EVERYTHING, options, world.as_of)
    assert (plan.looked_at, plan.refusals) == (len(want), len(refused))
    if refused:
        with pytest.raises(Refused):
            run.apply(job, EVERYTHING, options, world.as_of)
        assert prices() == before
        Subscription.objects.filter(pk__in=refused).delete()
    kept = [(s, b, w) for s, b, w in zip(world.subscriptions, before, want, strict=True) if not w.refused]
    record, plan = run.apply(job, EVERYTHING, options, world.as_of)
    assert prices() == [w.price for _, _, w in kept]
    assert plan.changes == record.changed == sum(b != w.price for _, b, w in kept)
    sums: dict[str | None, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    with localcontext(prec=60):
        for s, b, w in kept:
            sums[s.service.currency][0] += (b or 0) * s.quantity
            sums[s.service.currency][1] += (w.price or 0) * s.quantity
    assert {a.currency: [a.before, a.after] for a in plan.amounts} == sums
    _, again = run.plan_only(job, EVERYTHING, options, world.as_of)
    assert again.changes == 0


def assert_agreement(world: World, chance: random.Random) -> None:
    """Store a world and hold everything computed from it against the reference; leave nothing behind."""
    with transaction.atomic():
        store(world, chance=chance)
        check_values_in_force(world)
        before = check_inserted(world)
        edges = world.boundaries()
        instants = {world.as_of, chance.choice(edges or [world.as_of]), chance.choice(edges or [world.as_of])}
        for instant in sorted(instants):
            for as_of in (instant - TICK, instant, instant + TICK):
                agree(world, computed(as_of), world.wanted(as_of, before), f"as of {as_of}")
        check_plan_and_apply(world, before)
        transaction.set_rollback(True)


seeds = st.integers(0, 2**32)
RELAXED = {
    "deadline": None,
    "database": None,
    "phases": (Phase.generate,),  # a world takes a tenth of a second, so shrinking one takes minutes
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
}


@settings(max_examples=25, **RELAXED)
@given(world=worlds(subscriptions=256), seed=seeds)
def test_sql_agrees_with_the_reference(world: World, seed: int) -> None:
    """45 worlds of 256 subscriptions: 11,520 random subscriptions, each at up to nine instants."""
    assert_agreement(world, random.Random(seed))


@pytest.mark.soak
@settings(max_examples=2_000, **RELAXED)
@given(world=worlds(subscriptions=1_000), seed=seeds)
def test_sql_agrees_with_the_reference_at_length(world: World, seed: int) -> None:
    assert_agreement(world, random.Random(seed))


@settings(max_examples=20, **RELAXED)
@given(world=worlds(subscriptions=40), seed=seeds)
def test_policies_agree_when_there_is_nothing_to_combine(world: World, seed: int) -> None:
    bare = replace(
        world,
        promotions=(),
        plans=tuple(replace(p, current=Decimal(0), changes=()) for p in world.plans),
    )
    plans = {p.key: p for p in bare.plans}
    subscriptions = tuple(replace(s, plan=s.plan and plans[s.plan.key]) for s in bare.subscriptions)
    results = []
    for policy in ("best_of", "stack", "exclusive"):
        one = replace(bare, subscriptions=subscriptions, catalogue=replace(bare.catalogue, policy=policy))
        with transaction.atomic():
            store(one, chance=random.Random(seed))
            results.append(computed(world.as_of))
            transaction.set_rollback(True)
    assert results[0] == results[1] == results[2]
