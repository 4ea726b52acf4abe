"""Taking runs back by compare-and-set, and the history of one row."""

import threading

import pytest

from billing.models import Service, Subscription
from ops.engine import changeset
from ops.engine import run as engine
from ops.engine.lifecycle import Stopped
from ops.engine.plan import Refused
from ops.models import Hold, Run
from tests.ops.shop import EVERYTHING, changed_rows, job, make_shop, prices, raise_prices, small

pytestmark = pytest.mark.django_db(transaction=True)


def applied() -> Run:
    return engine.apply(job(), EVERYTHING, small())[0]


def test_a_revert_sets_back_what_was_not_touched_since_and_lists_the_rest() -> None:
    make_shop()
    before = prices()
    raise_prices()
    done = applied()
    after = prices()
    keys = sorted(before)
    Subscription.objects.filter(pk=keys[5]).update(price=1)
    Subscription.objects.filter(pk=keys[6]).delete()
    back, plan = changeset.revert(done, small())
    assert (plan.rows, plan.back, plan.left_alone) == (400, 398, 2)
    assert plan.edited == [[str(keys[5])], [str(keys[6])]]
    assert (back.state, back.changed, back.left_alone, back.reverts) == ("done", 398, 2, done)
    now = prices()
    assert now.pop(keys[5]) == "1.0000"
    assert now == {key: before[key] for key in keys if key not in (keys[5], keys[6])}
    assert sorted(changed_rows(back)) == sorted((str(k), after[k], before[k]) for k in now)


def test_a_revert_is_held_until_it_is_lifted() -> None:
    make_shop()
    before = prices()
    raise_prices()
    back, _ = changeset.revert(applied(), small())
    _, plan = engine.apply(job(), EVERYTHING, small())
    assert (plan.changes, plan.held) == (0, 400)
    assert prices() == before
    assert changeset.lift("default", back) == 400
    _, plan = engine.apply(job(), EVERYTHING, small())
    assert (plan.changes, plan.held) == (400, 0)


def test_the_undo_of_an_undo_writes_again_and_lifts_the_holds() -> None:
    make_shop()
    raise_prices()
    done = applied()
    after = prices()
    back, _ = changeset.revert(done, small())
    again, plan = changeset.revert(back, small())
    assert (plan.back, again.changed, Hold.objects.count()) == (400, 400, 0)
    assert prices() == after
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0


def test_a_revert_that_was_stopped_goes_on_where_it_was() -> None:
    make_shop()
    before = prices()
    raise_prices()
    done = applied()
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped, match="runs resume"):
        changeset.revert(done, small(stop=stop))
    stopped = Run.objects.get(verb="revert")
    assert (stopped.state, 0 < stopped.changed < 400) == ("stopped", True)
    with pytest.raises(Refused, match="is unfinished and excludes this one"):
        applied()
    back, _ = changeset.resume_revert(stopped, small())
    assert (back.pk, back.state, back.changed) == (stopped.pk, "done", 400)
    assert prices() == before
    assert len({key for key, _, _ in changed_rows(back)}) == len(changed_rows(back)) == 400


def test_a_revert_of_nothing_is_refused_with_the_reason() -> None:
    make_shop()
    record, _ = engine.plan_only(job(), EVERYTHING, small())
    with pytest.raises(Refused, match="was a plan"):
        changeset.revert(record, small())


def test_a_revert_twice_finds_nothing_to_set_back() -> None:
    make_shop()
    before = prices()
    raise_prices()
    done = applied()
    changeset.revert(done, small())
    back, plan = changeset.revert(done, small())
    assert (plan.back, back.changed, back.left_alone) == (0, 0, 400)
    assert prices() == before


def test_the_history_of_a_row_tells_every_change_and_only_its_own() -> None:
    make_shop()
    row = Subscription.objects.order_by("pk")[123]
    first = row.price
    raise_prices()
    one = applied()
    row.refresh_from_db()
    second = row.price
    Service.objects.filter(pk=row.service_id).update(full_price=1_000)
    two = applied()
    row.refresh_from_db()
    third = row.price
    back, _ = changeset.revert(two, small())
    entries = changeset.history("default", Subscription, [str(row.pk)])
    told = [(e.run, e.verb, e.before["price"], e.after["price"]) for e in entries]
    assert told == [
        (one.pk, "apply", str(first), str(second)),
        (two.pk, "apply", str(second), str(third)),
        (back.pk, "revert", str(third), str(second)),
    ]
    other = Subscription.objects.exclude(service_id=row.service_id).order_by("pk")[0]
    assert [e.run for e in changeset.history("default", Subscription, [str(other.pk)])] == [one.pk]
    assert changeset.history("default", Subscription, ["999999999"]) == []
