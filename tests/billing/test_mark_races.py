"""Two connections: no change that is made while a run computes, and no row that it could not see, is ever lost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from billing.models import Mark, Plan, PriceChange, Service, Subscription
from ops.engine import carrier, registry, run
from ops.engine.plan import Plan as RunPlan
from ops.engine.plan import Refused
from ops.models import Run
from tests.billing.conftest import LONG_AGO, Shop, marks, reprice, run_sql, settle

DIRTY: dict[str, Any] = {"service": [], "plan": [], "client": [], "dirty": True}
FULL = {**DIRTY, "dirty": False}


def paused(meanwhile: Callable[[], object], params: dict[str, Any] = DIRTY, *, say: bool = True) -> Run:
    """Carry out a run that does something else between its plan and its first write."""
    called: list[int] = []

    def confirm(plan: RunPlan) -> bool:
        called.append(plan.changes)
        meanwhile()
        return say

    record, _ = run.apply(registry.find("billing.reprice"), params, run.Options(confirm=confirm))
    assert len(called) == 1, "nothing differed, so the run did not pause"
    return record


@pytest.mark.parametrize("params", [DIRTY, FULL], ids=["dirty", "full"])
def test_a_change_made_between_compute_and_clear_is_not_lost(
    open_shop: Shop, other_connection: BaseDatabaseWrapper, params: dict[str, Any]
) -> None:
    """The well-known bug: compute, then clear the flag, and a change made in between is forgotten."""
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    raise_it = "UPDATE billing_service SET full_price = 130 WHERE name = 'Mail'"
    record = paused(lambda: run_sql(raise_it, using=other_connection), params)
    assert (record.changed, open_shop.price()) == (2, 120)  # what it had computed
    assert marks() == {(open_shop.service.pk, None, None)}  # and what it could not know
    settle()
    assert (open_shop.price(0), open_shop.price(1)) == (130, 117)


def test_a_change_that_commits_after_the_claim_is_not_lost(
    open_shop: Shop, other_connection: BaseDatabaseWrapper
) -> None:
    """Its mark is older than the claim, but can't be seen by it."""
    Service.objects.filter(pk=open_shop.other.pk).update(full_price=60_000)
    other_connection.set_autocommit(False)
    run_sql("UPDATE billing_plan SET discount_percent = 50 WHERE name = 'Student'", using=other_connection)
    paused(other_connection.commit)
    assert marks() == {(None, open_shop.student.pk, None)}
    settle()
    assert [open_shop.price(i) for i in range(4)] == [100, 50, 60_000, 30_000]


def test_a_subscription_changed_between_compute_and_write_has_its_price(
    open_shop: Shop, other_connection: BaseDatabaseWrapper
) -> None:
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    first, second = open_shop.subscriptions[:2]

    def meanwhile() -> None:
        run_sql(f"UPDATE billing_subscription SET quantity = 10 WHERE id = {first.pk}", using=other_connection)
        run_sql(f"UPDATE billing_subscription SET comment = 'hi' WHERE id = {second.pk}", using=other_connection)

    paused(meanwhile)
    assert [open_shop.price(0), open_shop.price(1)] == [96, 108]
    assert Subscription.objects.get(pk=second.pk).comment == "hi"
    assert Subscription.objects.get(pk=first.pk).quantity == 10
    assert marks() == {(None, None, (first.pk,))}
    settle()


@pytest.fixture(params=[10.0, -1.0], ids=["staged by the plan", "staged anew"])
def staging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write from the difference that the plan staged, and, as after a long wait at a prompt, from one staged anew."""
    monkeypatch.setattr(carrier, "STAGED_FOR", request.param)


def test_a_subscription_that_moves_to_a_pair_the_run_does_not_know_never_loses_its_price(
    open_shop: Shop, other_connection: BaseDatabaseWrapper, staging: None
) -> None:
    """The run has computed no price for the new pair; it leaves the row to the mark that the move made."""
    new = Plan.objects.create(name="New", discount_percent=50)
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    first = open_shop.subscriptions[0]
    move = f"UPDATE billing_subscription SET plan_id = {new.pk} WHERE id = {first.pk}"
    paused(lambda: run_sql(move, using=other_connection), FULL)
    assert (open_shop.price(0), open_shop.price(1)) == (100, 108)
    assert marks() == {(None, None, (first.pk,))}
    settle()
    assert open_shop.price(0) == 60


def test_a_subscription_inserted_while_a_run_writes_keeps_the_price_of_its_insert(
    open_shop: Shop, other_connection: BaseDatabaseWrapper, staging: None
) -> None:
    new = Plan.objects.create(name="New", discount_percent=50)
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    made: list[int] = []

    def meanwhile() -> None:
        run_sql(
            "INSERT INTO billing_subscription (client_id, service_id, plan_id) "
            f"VALUES ({open_shop.client.pk}, {open_shop.service.pk}, {new.pk})",
            using=other_connection,
        )
        made.append(Subscription.objects.latest("id").pk)

    paused(meanwhile, FULL)
    assert Subscription.objects.get(pk=made[0]).price == 60
    assert marks() == {(None, None, (made[0],))}
    settle()
    assert Subscription.objects.get(pk=made[0]).price == 60


def test_an_insert_that_could_not_see_a_price_change_is_repriced(
    open_shop: Shop, other_connection: BaseDatabaseWrapper
) -> None:
    """The change is not committed yet when the row is inserted, and the row not when the change's mark is claimed."""
    run_sql("UPDATE billing_service SET full_price = 120 WHERE name = 'Mail'")  # so that the dirty run has work
    settle()
    other_connection.set_autocommit(False)
    with transaction.atomic():
        # The raise is on its way ..
        run_sql("UPDATE billing_service SET full_price = 150 WHERE name = 'Mail'", using=other_connection)
        new = open_shop.new(started_at=LONG_AGO, renews_at=LONG_AGO)
        new.save()
        new.refresh_from_db()
        assert new.price == 120
    # .. and takes effect now; the insert has left a mark of its own.
    other_connection.commit()
    assert marks() == {(open_shop.service.pk, None, None), (None, None, (new.pk,))}
    settle()
    new.refresh_from_db()
    assert new.price == 150


def test_an_insert_that_commits_after_the_change_was_claimed_is_repriced(
    open_shop: Shop, other_connection: BaseDatabaseWrapper
) -> None:
    other_connection.set_autocommit(False)
    run_sql(
        "INSERT INTO billing_subscription (client_id, service_id, plan_id, comment) "
        f"VALUES ({open_shop.client.pk}, {open_shop.service.pk}, {open_shop.plan.pk}, 'late')",
        using=other_connection,
    )
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    reprice("--dirty", "--no-input")  # claims and forgets the mark of the service; can't see the new row
    assert Mark.objects.count() == 0
    other_connection.commit()
    late = Subscription.objects.get(comment="late")
    assert late.price == 100
    assert marks() == {(None, None, (late.pk,))}
    settle()
    late.refresh_from_db()
    assert late.price == 120


def test_an_insert_between_a_claim_and_its_instant_is_not_set_back(open_shop: Shop) -> None:
    """A run prices as of its first instant; a promotion that began since is the next run's, by its own mark."""
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)

    def meanwhile() -> None:
        run_sql(
            "INSERT INTO billing_promotion (service_id, percent, starts_at) VALUES (%s, 50, clock_timestamp())",
            [open_shop.service.pk],
        )
        open_shop.new(comment="new").save()

    paused(meanwhile, FULL)
    assert (None, None, (Subscription.objects.get(comment="new").pk,)) in marks()
    assert (open_shop.service.pk, None, None) in marks()
    settle()
    assert set(Subscription.objects.filter(service=open_shop.service).values_list("price", flat=True)) == {60}


# What becomes of the marks of a run that does not end well


def test_a_declined_run_gives_its_marks_back(open_shop: Shop) -> None:
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    before = marks()
    with pytest.raises(run.Declined):
        paused(lambda: None, say=False)
    assert marks() == before == {(open_shop.service.pk, None, None)}
    assert open_shop.price() == 100
    settle()
    assert open_shop.price() == 120


def test_a_refused_run_gives_its_marks_back(open_shop: Shop) -> None:
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=None)
    with pytest.raises(Refused, match="2 of 2 subscriptions cannot be computed"):
        run.apply(registry.find("billing.reprice"), DIRTY, run.Options())
    assert marks() == {(open_shop.service.pk, None, None)}
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)
    settle()
    assert open_shop.price() == 120


def test_a_stopped_run_keeps_its_marks_until_it_is_carried_on(open_shop: Shop) -> None:
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=120)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paused(interrupt)
    stopped = Run.objects.latest("id")
    assert (stopped.state, Mark.objects.exclude(run_id=stopped.pk).count()) == (Run.State.STOPPED, 0)
    assert Mark.objects.filter(run_id=stopped.pk).exists()
    Service.objects.filter(pk=open_shop.service.pk).update(full_price=130)
    reprice("--dirty", "--no-input")  # carries it on; the second edit's mark is the next run's
    assert Run.objects.get(pk=stopped.pk).state == Run.State.DONE
    assert marks() == {(open_shop.service.pk, None, None)}
    settle()
    assert open_shop.price() == 130


def test_a_full_sweep_settles_marks_and_a_partial_one_does_not(open_shop: Shop) -> None:
    Service.objects.update(full_price=500)
    reprice("--service", "Mail", "--no-input")
    assert marks() == {(open_shop.service.pk, None, None), (open_shop.other.pk, None, None)}
    assert [open_shop.price(i) for i in range(4)] == [500, 450, 50_000, 45_000]
    reprice("--no-input")
    assert Mark.objects.count() == 0
    assert [open_shop.price(i) for i in range(4)] == [500, 450, 500, 450]


def test_a_change_that_fails_at_its_commit_leaves_no_mark(
    open_shop: Shop, other_connection: BaseDatabaseWrapper
) -> None:
    """A deferred constraint takes the change and its marks back together."""
    other_connection.set_autocommit(False)
    run_sql("UPDATE billing_service SET full_price = 120, currency_id = 'XXX'", using=other_connection)
    with pytest.raises(IntegrityError):
        other_connection.commit()
    assert Mark.objects.count() == 0
    assert not PriceChange.objects.exists()
    assert open_shop.price() == 100


def test_renewals_that_pass_while_nobody_writes_are_repriced(open_shop: Shop) -> None:
    """Two renewals a moment apart, with a dirty run after each."""
    from ops import clock
    from tests.billing.world import server_now

    start = server_now()
    first, second = (open_shop.subscriptions[i].pk for i in (0, 1))
    month_ago = start - timedelta(days=31)
    for pk, seconds in ((first, 0.6), (second, 1.2)):
        # A billing period of a hundred years: the one renewal that matters is this one.
        Subscription.objects.filter(pk=pk).update(renews_at=start + timedelta(seconds=seconds), billing_period=1200)
    PriceChange.objects.create(service=open_shop.service, new_value=200, effective_at=month_ago, follow="renewal")
    settle()
    seen = []
    for seconds in (0.6, 1.2):
        while server_now() < start + timedelta(seconds=seconds):
            clock.pause(0.05)
        settle()
        seen.append((open_shop.price(0), open_shop.price(1)))
    assert seen == [(200, 90), (200, 180)]
