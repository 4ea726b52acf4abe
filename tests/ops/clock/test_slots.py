"""Each slot of a schedule has one run, by its policy, whatever is edited, late or in the way."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks

from ops.clock import schedules, slots
from ops.engine import run as engine
from ops.engine.lifecycle import Options
from ops.models import MissedSlots, Run
from ops.models import Schedule as Kept
from tests.ops.clock.fakes import at, begun, declared, frontier, missed, nightly, row, runs, start
from tests.shelf.jobs import LiftCounter
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

NOON = at("2026-11-24T12:00:00+09:00")
ONE = at("2026-11-25T01:00:00+09:00")
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def rows() -> Iterator[None]:
    Counter.objects.bulk_create([Counter(v=n, note="", email="") for n in range(3)])
    yield
    Run.objects.filter(state__in=Run.UNFINISHED).update(state="cancelled")


def test_a_slot_has_one_run_however_often_one_is_nudged(rows: None) -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        assert start("nightly", ONE - MINUTE) == []
        done = start("nightly", ONE)
        assert [(one.outcome, one.job) for one in done] == [("done", "shelf.lift_counter")]
        assert start("nightly", ONE) == start("nightly", ONE + MINUTE) == []
        assert runs() == [(ONE, "done")]
        assert frontier() == (ONE, "0 1 * * * Asia/Seoul")
        assert set(Counter.objects.values_list("v", flat=True)) == {7}
    run = Run.objects.get()
    assert (run.schedule, run.slot, run.queue, run.started_from, run.consent) == (
        "nightly",
        ONE,
        "fast",
        "Python",
        True,
    )
    assert missed() == []


def test_a_slot_costs_three_statements_beside_its_run(rows: None) -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        job = LiftCounter()
        with CaptureQueriesContext(connection) as plain:
            engine.apply(job, {}, Options(fresh=True))
        Counter.objects.update(v=1)
        with CaptureQueriesContext(connection) as scheduled:
            start("nightly", ONE)
    assert len(scheduled) - len(plain) == 3


def test_a_schedule_that_nobody_declared_is_refused() -> None:
    with declared(nightly()), pytest.raises(schedules.UnknownSchedule) as caught:
        start("other", ONE)
    assert "There is no schedule 'other' in SETWISE_SCHEDULES; there is: nightly." in str(caught.value)


def test_a_schedule_without_a_row_of_beat_is_never_due() -> None:
    with declared(nightly()):
        assert slots.look("default", NOON) == []
        assert start("nightly", ONE + 3 * DAY) == []
    assert frontier() == (NOON, "")


def test_an_edit_from_one_to_ten_at_eight_fires_at_ten(rows: None) -> None:
    """And the slot of 01:00, which ran, is not run again."""
    eight = ONE + timedelta(hours=7)
    with declared(nightly()):
        made = begun(nightly(), NOON)
        start("nightly", ONE)
        CrontabSchedule.objects.update(hour="10")
        PeriodicTask.objects.filter(pk=made.pk).update(date_changed=eight)
        assert start("nightly", eight + MINUTE) == []
        assert slots.look("default", eight + MINUTE) == []
        assert frontier() == (eight, "0 10 * * * Asia/Seoul")
        start("nightly", eight + timedelta(hours=2))
    assert runs() == [(ONE, "done"), (ONE + timedelta(hours=9), "done")]


def test_an_edit_that_is_seen_late_leaves_the_slots_before_it(rows: None) -> None:
    """Edited at 08:00 from 01 to 07 while nobody looked since the day before: 01:00 is due, 07:00 is tomorrow's."""
    eight = ONE + timedelta(hours=7)
    with declared(nightly()):
        made = begun(nightly(), NOON)
        CrontabSchedule.objects.update(hour="7")
        PeriodicTask.objects.filter(pk=made.pk).update(date_changed=eight)
        waiting = slots.look("default", eight + MINUTE)
        assert [(one.schedule, one.slot, one.late_seconds) for one in waiting] == [("nightly", ONE, 7 * 3600 + 60.0)]
        assert frontier()[1] == f"0 1 * * * Asia/Seoul\n{eight.isoformat()} | 0 7 * * * Asia/Seoul".replace(
            "T08:00:00+09:00", "T23:00:00+00:00"
        ).replace("2026-11-25T23", "2026-11-24T23")
        start("nightly", eight + MINUTE)
        assert runs() == [(ONE, "done")]
        assert frontier() == (eight, "0 7 * * * Asia/Seoul")
        assert start("nightly", eight + 2 * MINUTE) == []


def test_a_crontab_that_was_edited_in_place_counts_from_the_change_of_the_tables() -> None:
    eight = ONE + timedelta(hours=7)
    with declared(nightly()):
        begun(nightly(), ONE)
        CrontabSchedule.objects.update(hour="7")
        PeriodicTasks.objects.update_or_create(ident=1, defaults={"last_update": eight})
        assert start("nightly", eight + MINUTE) == slots.look("default", eight + MINUTE) == []
        assert frontier() == (eight, "0 7 * * * Asia/Seoul")


def test_what_is_due_while_switched_off_is_not_due() -> None:
    with declared(nightly()):
        made = begun(nightly(), NOON)
        PeriodicTask.objects.filter(pk=made.pk).update(enabled=False, date_changed=NOON + MINUTE)
        assert start("nightly", ONE + MINUTE) == []
        assert frontier() == (NOON + MINUTE, "")
        PeriodicTask.objects.filter(pk=made.pk).update(enabled=True, date_changed=ONE + 3 * DAY + MINUTE)
        assert start("nightly", ONE + 3 * DAY + 2 * MINUTE) == []
    assert (runs(), missed()) == ([], [])


def test_once_runs_the_latest_and_records_the_others(rows: None) -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        start("nightly", ONE + 3 * DAY + MINUTE)
    assert runs() == [(ONE + 3 * DAY, "done")]
    assert missed() == [(ONE, ONE + 2 * DAY, 3, "a later slot was due")]


def test_once_has_a_deadline(rows: None) -> None:
    late = nightly(deadline=timedelta(hours=6))
    with declared(late):
        begun(late, NOON)
        assert start("nightly", ONE + 3 * DAY + timedelta(hours=6, seconds=1)) == []
        assert missed() == [(ONE, ONE + 3 * DAY, 4, "not started within 6 h")]
        assert frontier()[0] == ONE + 3 * DAY
        start("nightly", ONE + 4 * DAY + timedelta(hours=6))
    assert runs() == [(ONE + 4 * DAY, "done")]


def test_skip_runs_within_five_minutes_only(rows: None) -> None:
    skipping = nightly(missed="skip")
    with declared(skipping):
        begun(skipping, NOON)
        start("nightly", ONE + 5 * MINUTE)
        start("nightly", ONE + DAY + 5 * MINUTE + timedelta(seconds=1))
    assert runs() == [(ONE, "done")]
    assert missed() == [(ONE + DAY, ONE + DAY, 1, "not started within 5 min")]


def test_each_runs_one_after_the_other_oldest_first(rows: None) -> None:
    each = nightly(missed="each", deadline=3 * DAY)
    with declared(each):
        begun(each, NOON)
        start("nightly", ONE + 4 * DAY + MINUTE)
    assert runs() == [(ONE + n * DAY, "done") for n in (2, 3, 4)]
    assert missed() == [(ONE, ONE + DAY, 2, "not started within 3 d")]


def test_what_is_left_when_the_time_is_up_is_for_the_next_nudge(rows: None) -> None:
    each = nightly(missed="each")
    options = Options()
    with declared(each):
        begun(each, NOON)
        stopping = Options(stop=options.stop, opened=lambda run: options.stop.set())
        first = slots.start("nightly", stopping, now=lambda: ONE + 2 * DAY)
        assert [one.outcome for one in first] == ["stopped"]
        Run.objects.update(state="cancelled")
        start("nightly", ONE + 2 * DAY)
    assert [slot for slot, _ in runs()] == [ONE, ONE + DAY, ONE + 2 * DAY]


def test_an_outage_of_weeks_is_one_stretch() -> None:
    """Though somebody looks at each minute of the second half."""
    minutely = nightly(every=MINUTE, missed="skip", deadline=timedelta(seconds=30))
    with declared(minutely):
        begun(minutely, NOON)
        assert slots.look("default", NOON + 28 * DAY + timedelta(seconds=45)) == []
        for n in range(1, 20):
            slots.look("default", NOON + 28 * DAY + n * MINUTE + timedelta(seconds=45))
    assert missed() == [(NOON + MINUTE, NOON + 28 * DAY + 19 * MINUTE, 28 * 1440 + 19, "not started within 30 s")]


def test_a_slot_whose_parameters_are_wrong_is_missed_with_the_reason() -> None:
    wrong = nightly(job="billing.reprice", params={"service": ["Nowhere"]})
    with declared(wrong):
        begun(wrong, NOON)
        (one,) = start("nightly", ONE)
        assert (one.run, one.outcome) == (0, "failed")
        assert start("nightly", ONE + MINUTE) == []
    assert missed() == [(ONE, ONE, 1, one.message)]
    assert "There is no service 'Nowhere'" in one.message


def test_a_guard_that_refuses_settles_the_slot(rows: None) -> None:
    guarded = nightly(max_rows=1)
    with declared(guarded):
        begun(guarded, NOON)
        (one,) = start("nightly", ONE)
        assert (one.outcome, runs()) == ("refused", [(ONE, "refused")])
        assert "more than --max-rows 1" in one.message
        assert start("nightly", ONE + MINUTE) == []


@pytest.mark.parametrize(("state", "outcomes"), [("stopped", ["done", "done"]), ("paused", ["paused"])])
def test_an_unfinished_run_of_the_job_comes_first(rows: None, state: str, outcomes: list[str]) -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        held = engine.enqueue(LiftCounter(), {}, Options(queue="fast"))
        Run.objects.filter(pk=held.pk).update(state=state)
        found = start("nightly", ONE)
        assert [one.outcome for one in found] == outcomes
        assert found[0].run == held.pk
        if state == "paused":
            assert [one.slot for one in slots.look("default", ONE + MINUTE)] == [ONE]
            assert (runs(), missed(), Run.objects.count()) == ([], [], 1)
            Run.objects.update(state="cancelled")
            start("nightly", ONE + 2 * MINUTE)
        assert runs() == [(ONE, "done")]


def test_a_run_that_waits_for_another_queue_is_left_to_it(rows: None) -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        engine.enqueue(LiftCounter(), {}, Options(queue="slow"))
        assert [one.outcome for one in start("nightly", ONE)] == ["queued"]
        assert runs() == []


def test_a_frontier_that_was_set_back_makes_no_second_run(rows: None) -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        start("nightly", ONE)
        Kept.objects.update(settled_at=NOON)
        assert start("nightly", ONE + MINUTE) == []
        assert (runs(), frontier()[0]) == ([(ONE, "done")], ONE)


def test_looking_writes_only_now_and_then() -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        for seconds, statements in ((1, 3), (4, 3), (6, 4), (7, 3)):
            with CaptureQueriesContext(connection) as queries:
                slots.look("default", NOON + timedelta(seconds=seconds))
            # Three, less the clock's that is given.
            assert len(queries) == statements - 1, queries.captured_queries


def test_a_row_that_never_fires_or_is_none_of_ours_is_quiet() -> None:
    with declared(nightly()):
        begun(nightly(), NOON)
        CrontabSchedule.objects.update(day_of_week="9")
        PeriodicTask.objects.update(date_changed=NOON + MINUTE)
        assert start("nightly", ONE + 9 * DAY) == slots.look("default", ONE + 9 * DAY) == []
    assert not MissedSlots.objects.exists()


def test_next_slots_of_a_declaration_and_of_a_row() -> None:
    made = row(nightly())
    made.refresh_from_db()
    assert slots.next_slots(nightly(), NOON, 2) == slots.next_slots(made, NOON, 2) == [ONE, ONE + DAY]
    assert slots.next_slots(nightly(enabled=False), NOON, 2) == []
    assert slots.next_slots("every 600 s from 2026-11-24T03:05:00+00:00", NOON, 1) == [NOON + 5 * MINUTE]
