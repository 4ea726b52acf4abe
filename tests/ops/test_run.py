"""A run from end to end on two connections: what it writes, whom it waits for, and how it stops."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction

from billing.models import Mark, Service, Subscription
from ops.engine import run as engine
from ops.engine.lifecycle import Declined, Options, Stopped
from ops.engine.plan import Guards, Plan, Refused
from ops.engine.session import DatabaseTrouble
from ops.models import Changeset, Hold, Run, RunEvent
from tests.ops.shop import EVERYTHING, changed_rows, job, make_shop, other_connection, prices, raise_prices, small

pytestmark = pytest.mark.django_db(transaction=True)


def reprice(options: Options | None = None, **params: Any) -> tuple[Run, Plan]:
    return engine.apply(job(), {**EVERYTHING, **params}, options or small())


@pytest.mark.smoke
def test_a_run_writes_what_differs_and_records_it_all() -> None:
    make_shop()
    raise_prices()
    before = prices()
    done, plan = reprice(small(verify=True))
    after = prices()
    assert (plan.looked_at, plan.changes, done.state, done.changed) == (400, 400, "done", 400)
    assert sorted(changed_rows(done)) == sorted((str(k), before[k], after[k]) for k in before)
    assert done.batches == done.changesets.count() > 4
    assert list(done.events.order_by("pk").values_list("what", flat=True)) == ["opened", "done"]
    assert not Mark.objects.exists()
    again, nothing = reprice()
    assert (nothing.changes, again.changed, again.changesets.count()) == (0, 0, 0)


def test_amounts_are_the_sums_over_all_rows_by_currency() -> None:
    make_shop()
    before: dict[str, Decimal] = {}
    after: dict[str, Decimal] = {}
    for sub in Subscription.objects.select_related("service"):
        code = str(sub.service.currency_id)
        before[code] = before.get(code, Decimal(0)) + sub.price * sub.quantity
    raise_prices()
    _, plan = reprice()
    for sub in Subscription.objects.select_related("service"):
        code = str(sub.service.currency_id)
        after[code] = after.get(code, Decimal(0)) + sub.price * sub.quantity
    assert {a.currency: (a.before, a.after) for a in plan.amounts} == {c: (before[c], after[c]) for c in before}


def test_a_plan_writes_nothing_but_its_own_record() -> None:
    make_shop()
    raise_prices()
    before, marks = prices(), Mark.objects.count()
    record, plan = engine.plan_only(job(), EVERYTHING, small())
    assert (record.state, plan.changes) == ("planned", 400)
    assert prices() == before
    assert Mark.objects.filter(run_id=None).count() == marks
    assert (Run.objects.count(), Changeset.objects.count()) == (1, 0)
    assert record.plan is not None
    assert record.plan["changes"] == 400


def test_only_the_named_column_is_written_and_a_concurrent_edit_survives() -> None:
    make_shop()
    raise_prices()
    edited = Subscription.objects.order_by("pk")[7].pk

    def edit(plan: Plan) -> bool:
        with other_connection() as other, other.cursor() as cursor:
            cursor.execute("UPDATE billing_subscription SET comment = 'kept' WHERE id = %s", [edited])
        return True

    done, _ = reprice(small(confirm=edit))
    assert Subscription.objects.get(pk=edited).comment == "kept"
    # Its version moved after the rows were staged; it was computed anew, and is in the changesets once.
    assert done.changed == 400
    assert len({key for key, _, _ in changed_rows(done)}) == 400
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0


def test_a_row_whose_inputs_move_between_plan_and_write_gets_the_price_of_what_it_is_now() -> None:
    make_shop()
    raise_prices()
    moved = Subscription.objects.filter(quantity__lt=10).order_by("pk")[3].pk

    def edit(plan: Plan) -> bool:
        with other_connection() as other, other.cursor() as cursor:
            cursor.execute("UPDATE billing_subscription SET quantity = 12 WHERE id = %s", [moved])
        return True

    reprice(small(confirm=edit))
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0


def test_declined_changes_nothing_and_gives_the_marks_back() -> None:
    make_shop()
    raise_prices()
    before = prices()
    with pytest.raises(Declined, match="changed nothing"):
        reprice(small(confirm=lambda plan: False))
    assert prices() == before
    assert Run.objects.get().state == "cancelled"
    assert Mark.objects.exists()
    assert not Mark.objects.filter(run_id__isnull=False).exists()


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        (Guards(max_rows=399), "400 subscriptions would change, more than --max-rows 399"),
        (Guards(max_change=Decimal(5)), "more than --max-change 5"),
        (Guards(max_row_change=Decimal(5)), "more than --max-row-change 5"),
    ],
)
def test_a_guard_refuses_before_anything_is_written(guards: Guards, said: str) -> None:
    make_shop()
    raise_prices()
    before = prices()
    with pytest.raises(Refused, match=said):
        reprice(small(guards=guards))
    assert prices() == before
    assert (Run.objects.get().state, Changeset.objects.count()) == ("refused", 0)


def test_a_missing_price_refuses_the_whole_run_and_names_the_rows() -> None:
    make_shop()
    raise_prices()
    before = prices()
    Service.objects.filter(name="service 3").update(full_price=None)
    with pytest.raises(Refused, match=r"20 of 400 subscriptions cannot be computed.*its service has no price"):
        reprice()
    assert prices() == before
    plan = Run.objects.get().plan
    assert plan is not None
    assert len(plan["refused"]) == 20
    assert {row["service"] for row in plan["refused"]} == {"service 3"}


def test_the_second_of_two_is_refused_and_told_who_holds_it() -> None:
    make_shop()
    raise_prices()
    said: list[str] = []

    def start_another(plan: Plan) -> bool:
        def other() -> None:
            try:
                reprice()
            except Refused as exc:
                said.append(str(exc))
            finally:
                connections.close_all()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return True

    done, _ = reprice(small(confirm=start_another))
    assert done.state == "done"
    assert len(said) == 1
    assert f"Run {done.pk} of billing.reprice is being carried out by" in said[0]
    assert Run.objects.count() == 1


def test_a_locked_row_stops_the_run_resumably_and_says_who_blocks() -> None:
    make_shop()
    raise_prices()
    locked = Subscription.objects.order_by("pk")[200].pk
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM billing_subscription WHERE id = %s FOR UPDATE", [locked])
            with pytest.raises(Stopped, match=rf"Row {locked} is locked .* process {other.info.backend_pid}"):
                reprice()
        stopped = Run.objects.get()
        assert stopped.state == "stopped"
        # Batches halve until only the locked row is left of them; everything else has been written.
        assert RunEvent.objects.filter(run=stopped, what="blocked").count() >= 2
        other.rollback()
    done, _ = engine.resume(job(), stopped, small())
    assert (done.pk, done.state, Run.objects.count()) == (stopped.pk, "done", 1)
    assert len({key for key, _, _ in changed_rows(done)}) == len(changed_rows(done)) == 400
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0


def test_a_writer_that_locks_in_the_other_order_stops_nobody() -> None:
    make_shop(2_000)
    raise_prices()
    stop = threading.Event()
    trouble: list[BaseException] = []

    def write_backwards() -> None:
        with other_connection() as other:
            other.autocommit = False
            with other.cursor() as cursor:
                cursor.execute("SELECT array_agg(id ORDER BY id DESC) FROM billing_subscription")
                keys = cursor.fetchone()[0]
                at = 0
                while not stop.is_set():
                    try:
                        for key in keys[at : at + 40]:
                            cursor.execute(
                                "UPDATE billing_subscription SET comment = comment || '.' WHERE id = %s", [key]
                            )
                        other.commit()
                    except other.OperationalError:
                        other.rollback()
                    except BaseException as exc:
                        trouble.append(exc)
                        raise
                    at = (at + 40) % len(keys)

    thread = threading.Thread(target=write_backwards)
    thread.start()
    try:
        done, _ = reprice(small(batch_size=200, lock_timeout=2_000, attempts=8))
    finally:
        stop.set()
        thread.join()
    assert trouble == []
    assert (done.state, len({key for key, _, _ in changed_rows(done)}), done.changed) == ("done", 2_000, 2_000)
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0


def test_atomic_is_all_or_nothing() -> None:
    make_shop()
    raise_prices()
    before = prices()
    locked = Subscription.objects.order_by("pk")[399].pk
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT id FROM billing_subscription WHERE id = %s FOR UPDATE", [locked])
            with pytest.raises(DatabaseTrouble, match="another session holds a lock"):
                reprice(small(atomic=True, window=100))
        other.rollback()
    assert prices() == before
    assert (Run.objects.get().state, Changeset.objects.count()) == ("failed", 0)
    done, _ = reprice(small(atomic=True, window=100))
    assert (done.state, done.changed) == ("done", 400)


def test_asked_to_stop_it_stops_after_the_batch_and_goes_on_from_there() -> None:
    make_shop()
    raise_prices()
    stop = threading.Event()
    with pytest.raises(Stopped, match="runs resume"):
        reprice(small(stop=stop, progress=lambda done, total: stop.set() if done > 100 else None))
    stopped = Run.objects.get()
    assert stopped.state == "stopped"
    assert 100 < stopped.changed < 400
    # Started again, the same job goes on with the same run.
    done, _ = reprice()
    assert (done.pk, done.state, done.changed) == (stopped.pk, "done", 400)
    assert len({key for key, _, _ in changed_rows(done)}) == 400


def test_another_scope_is_refused_while_a_run_is_unfinished() -> None:
    make_shop()
    raise_prices()
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        reprice(small(stop=stop))
    with pytest.raises(Refused, match=r"is unfinished and excludes this one.*runs cancel"):
        reprice(service=[Service.objects.order_by("pk")[0].pk])


def test_a_late_owners_batch_is_rolled_back() -> None:
    make_shop()
    raise_prices()
    seen: list[int] = []

    def steal(done: int, total: int) -> None:
        if not seen:
            seen.append(done)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE ops_run SET fence = fence + 1")

    with pytest.raises(Stopped, match="taken over"):
        reprice(small(progress=steal))
    assert len(changed_rows(Run.objects.get())) == seen[0] == Run.objects.get().changed


def test_a_run_begun_under_other_sql_is_not_carried_on() -> None:
    make_shop()
    raise_prices()
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        reprice(small(stop=stop))
    Run.objects.update(sql_digest="another")
    with pytest.raises(Refused, match="began under other code or SQL"):
        reprice()


def test_a_full_disk_stops_the_run_and_loses_nothing() -> None:
    make_shop()
    raise_prices()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.batch = 4 THEN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; "
            "END IF; RETURN NEW; END$$"
        )
        cursor.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
    try:
        with pytest.raises(DatabaseTrouble, match="the disk is full: free space"):
            reprice()
        stopped = Run.objects.get()
        assert (stopped.state, stopped.batches) == ("stopped", 3)
        assert len(changed_rows(stopped)) == stopped.changed
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION full_disk CASCADE")
    done, _ = reprice()
    assert (done.pk, done.state, done.changed) == (stopped.pk, "done", 400)


def test_windows_smaller_than_the_table_end_the_same() -> None:
    make_shop()
    Subscription.objects.filter(pk__in=[s.pk for s in Subscription.objects.order_by("pk")[50:250]]).delete()
    raise_prices()
    done, _ = reprice(small(window=37, batch_size=10))
    assert (done.changed, len({key for key, _, _ in changed_rows(done)})) == (200, 200)
    assert engine.plan_only(job(), EVERYTHING, small())[1].changes == 0


def test_holds_end_when_their_inputs_change() -> None:
    from ops.engine import changeset

    make_shop()
    before = prices()
    raise_prices()
    done, _ = reprice()
    changeset.revert(done, small())
    assert prices() == before
    _, plan = reprice()
    assert (plan.changes, plan.held) == (0, 400)
    Service.objects.filter(name="service 5").update(full_price=500)
    _, plan = reprice()
    assert (plan.changes, plan.held) == (20, 380)
    assert Hold.objects.count() == 380


def test_a_run_inside_a_callers_transaction_goes_with_it() -> None:
    make_shop()
    raise_prices()
    before = prices()
    with transaction.atomic():
        reprice()
        assert prices() != before
        transaction.set_rollback(True)
    assert prices() == before
    assert Run.objects.count() == 0


def test_a_run_as_of_the_past_leaves_its_rows_to_the_next_dirty_run() -> None:
    make_shop()
    raise_prices()
    reprice()
    after = prices()
    past = Service.objects.order_by("pk")[0].price_changes.order_by("effective_at")[0].effective_at
    done, _ = engine.apply(job(), EVERYTHING, small(), past - timedelta(seconds=1))
    assert (done.changed, prices() == after) == (400, False)
    reprice(dirty=True)
    assert prices() == after
    with pytest.raises(Refused, match="leave --as-of out"):
        engine.apply(job(), {**EVERYTHING, "dirty": True}, small(), past)


def test_a_claim_waits_for_a_lock_no_longer_than_a_batch_does() -> None:
    make_shop()
    raise_prices()
    before = prices()
    with other_connection() as other:
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("UPDATE billing_catalogue SET policy = policy")
            with pytest.raises(DatabaseTrouble, match="another session holds a lock"):
                reprice()
        other.rollback()
    assert (prices(), Run.objects.count()) == (before, 0)
    assert reprice()[0].changed == 400
