"""Beat sends at the instants of its rows, where the stock scheduler of django-celery-beat 2.9 does not."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler

from config.celery import app
from ops.clock import beat
from tests.ops.clock.beats import Beat, stock_clock
from tests.ops.clock.fakes import NEW_YORK, SEOUL, at, crontab

pytestmark = pytest.mark.django_db

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
FRIDAY = at("2026-11-20T00:00:00+09:00")
SCHEDULERS = (DatabaseScheduler, beat.SlotScheduler)


@pytest.fixture(autouse=True)
def _no_deadline() -> Iterator[None]:
    """Let tasks be made up for however late, as where the settings name no deadline for that."""
    kept = app.conf.beat_cron_starting_deadline
    app.conf.beat_cron_starting_deadline = None
    yield
    app.conf.beat_cron_starting_deadline = kept


def foreign(text: str = "0 1 * * *", zone: str = SEOUL, **words: object) -> PeriodicTask:
    """Make a row of somebody's own task."""
    return PeriodicTask.objects.create(
        **{"name": "theirs", "task": "theirs.work", "crontab": crontab(text, zone), **words}
    )


def hours(sent: list[tuple[datetime, str]], begin: datetime) -> list[float]:
    """Return when messages were sent, in hours since an instant, to the minute."""
    return [round((instant - begin) / HOUR, 2) for instant, _ in sent]


@pytest.mark.parametrize(("scheduler", "wrong"), list(zip(SCHEDULERS, ([23.0, 25.0], [6.0, 25.0]), strict=True)))
def test_after_downtime_a_job_of_one_is_not_caught_up_at_23(scheduler: type, wrong: list[float]) -> None:
    """Down from midnight to 06:00. The stock one reads the row only two hours before and after its hour."""
    with stock_clock(FRIDAY - DAY) as clock:
        foreign()
        assert hours(Beat(clock, scheduler, every=1800).upto(FRIDAY), FRIDAY) == [-23.0]
        clock.now = FRIDAY + 6 * HOUR
        # Ours tells at once, and what a schedule's policy makes of that is its affair.
        assert hours(Beat(clock, scheduler, every=1800).upto(FRIDAY + 26 * HOUR), FRIDAY) == wrong


def test_after_downtime_others_are_not_caught_up_beyond_the_deadline() -> None:
    with stock_clock(FRIDAY - DAY) as clock:
        foreign()
        Beat(clock, every=1800).upto(FRIDAY)
        clock.now = FRIDAY + 6 * HOUR
        app.conf.beat_cron_starting_deadline = 300
        assert hours(Beat(clock, every=1800).upto(FRIDAY + 26 * HOUR), FRIDAY) == [25.0]


@pytest.mark.parametrize(("scheduler", "fired"), list(zip(SCHEDULERS, ([56, 58], [58]), strict=True)))
def test_an_edit_from_one_to_ten_at_eight_does_not_fire_at_eight(scheduler: type, fired: list[float]) -> None:
    """On working days at 01:00, edited on Sunday at 08:00 to every day at 10:00: Saturday's is not made up for."""
    with stock_clock(FRIDAY) as clock:
        made = foreign("0 1 * * 1-5")
        made.refresh_from_db()
        running = Beat(clock, scheduler, every=1800)
        assert hours(running.upto(FRIDAY + 56 * HOUR - SECOND), FRIDAY) == [1.0]
        made.refresh_from_db()
        made.crontab = crontab("0 10 * * *", SEOUL)
        made.save()
        assert [round(hour) for hour in hours(running.upto(FRIDAY + 60 * HOUR), FRIDAY)] == fired


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_beat_that_is_killed_right_after_sending_sends_again(scheduler: type) -> None:
    """For a foreign task that is a second run; a schedule's slot has its run by then (test_year.py)."""
    with stock_clock(FRIDAY) as clock:
        foreign()
        killed = Beat(clock, scheduler, every=60)
        killed.saves = False
        assert hours(killed.upto(FRIDAY + HOUR + SECOND), FRIDAY) == [1.0]
        assert hours(Beat(clock, scheduler, every=60).upto(FRIDAY + 2 * HOUR), FRIDAY) == [1.0]


@pytest.mark.parametrize(("scheduler", "found"), list(zip(SCHEDULERS, (set(), {"theirs"}), strict=True)))
def test_a_row_with_a_plain_hour_is_read_all_day(scheduler: type, found: set[str]) -> None:
    with stock_clock(FRIDAY + 12 * HOUR) as clock:
        foreign()
        assert set(Beat(clock, scheduler).scheduler.schedule) - {"celery.backend_cleanup"} == found


def test_both_dst_days_by_the_civil_rule() -> None:
    """02:30 in New York: skipped on 14 March 2027, so due at the end of the gap; had once at 02:30 otherwise."""
    begin = at("2027-03-13T00:00:00-05:00")
    with stock_clock(begin) as clock:
        foreign("30 2 * * *", NEW_YORK)
        foreign("30 1 * * *", NEW_YORK, name="doubled")
        sent = Beat(clock, every=1e6).upto(begin + 3 * DAY)
        assert hours([one for one in sent if one[1] == "theirs"], begin) == [2.5, 26.0, 49.5]
        clock.now = begin = at("2027-11-06T00:00:00-04:00")
        PeriodicTask.objects.update(last_run_at=begin)
        sent = Beat(clock, every=1e6).upto(begin + 3 * DAY)
    assert hours([one for one in sent if one[1] == "doubled"], begin) == [1.5, 25.5, 50.5]


def test_an_edit_is_never_overwritten_by_beat_and_its_time_stays() -> None:
    with stock_clock(FRIDAY) as clock:
        made = foreign()
        running = Beat(clock, every=1e6)
        clock.now = FRIDAY + HOUR
        PeriodicTask.objects.filter(pk=made.pk).update(description="an operator's", queue="slow")
        assert hours(running.upto(FRIDAY + HOUR + SECOND), FRIDAY) == [1.0]
        made.refresh_from_db()
    assert (made.description, made.queue, made.total_run_count) == ("an operator's", "slow", 1)
    assert (made.last_run_at, made.date_changed) == (FRIDAY + HOUR, FRIDAY)


def test_a_row_that_is_saved_right_after_its_instant_is_still_due() -> None:
    with stock_clock(FRIDAY) as clock:
        made = foreign()
        running = Beat(clock, every=1e6)
        running.upto(FRIDAY + HOUR - SECOND)
        clock.now = FRIDAY + HOUR + SECOND / 2
        made.refresh_from_db()
        made.description = "edited as it fires"
        made.save()
        assert hours(running.upto(FRIDAY + HOUR + 2 * SECOND), FRIDAY) == [1.0]


def test_begin_and_end_and_one_off_are_kept() -> None:
    with stock_clock(FRIDAY) as clock:
        foreign(name="bounded", start_time=FRIDAY + 2 * DAY, expires=FRIDAY + 4 * DAY)
        foreign(name="once", one_off=True)
        clocked = ClockedSchedule.objects.create(clocked_time=FRIDAY + 5 * HOUR)
        foreign(name="clocked", crontab=None, clocked=clocked, one_off=True)
        sent = Beat(clock, every=3600).upto(FRIDAY + 6 * DAY)
    assert hours([one for one in sent if one[1] == "bounded"], FRIDAY) == [49.0, 73.0]
    assert hours([one for one in sent if one[1] == "once"], FRIDAY) == [1.0]
    assert hours([one for one in sent if one[1] == "clocked"], FRIDAY) == [5.0]
    assert not PeriodicTask.objects.filter(name__in=("bounded", "once", "clocked"), enabled=True).exists()


def test_intervals_are_multiples_since_1970_and_those_with_a_beginning_since_that() -> None:
    with stock_clock(FRIDAY + 7 * SECOND) as clock:
        every = IntervalSchedule.objects.create(every=10, period="minutes")
        foreign(crontab=None, interval=every)
        foreign(name="from", crontab=None, interval=every, start_time=FRIDAY + HOUR + 180 * SECOND)
        sent = Beat(clock, every=1e6).upto(FRIDAY + 1.5 * HOUR)
    assert hours([one for one in sent if one[1] == "theirs"], FRIDAY) == [round(n / 6, 2) for n in range(1, 10)]
    assert hours([one for one in sent if one[1] == "from"], FRIDAY) == [1.05, 1.22, 1.38]


def test_an_entry_of_the_settings_is_no_edit_at_each_start() -> None:
    entry = {"task": "theirs.work", "schedule": 600.0}
    with stock_clock(FRIDAY) as clock:
        for _ in range(2):
            beat.SlotEntry.from_entry("theirs", app=app, **entry)
            clock.forward(hours=1)
        assert PeriodicTask.objects.get(name="theirs").date_changed == FRIDAY
        beat.SlotEntry.from_entry("theirs", app=app, **{**entry, "schedule": 60.0})
    assert PeriodicTask.objects.get(name="theirs").date_changed == FRIDAY + 2 * HOUR


def test_a_tick_reads_whether_anything_changed_and_no_more() -> None:
    with stock_clock(FRIDAY) as clock:
        for n in range(5):
            foreign(name=f"row {n}")
        PeriodicTasks.update_changed()
        running = Beat(clock)
        running.scheduler.tick()
        with connection.execute_wrapper(lambda execute, *words: heard.append(words[0]) or execute(*words)):
            heard: list[str] = []
            running.scheduler.tick()
    assert {text.split()[0] for text in heard} == {"SELECT"}
    assert len(heard) <= 4


COMBINATIONS = [
    (use_tz, aware, zone) for use_tz in (True, False) for aware in (True, False) for zone in ("UTC", SEOUL, NEW_YORK)
]


@pytest.mark.parametrize(("use_tz", "aware", "zone"), COMBINATIONS)
def test_every_combination_is_right_or_refused(use_tz: bool, aware: bool, zone: str) -> None:
    with override_settings(USE_TZ=use_tz, DJANGO_CELERY_BEAT_TZ_AWARE=aware, TIME_ZONE=zone):
        if not (use_tz and aware):
            with pytest.raises(SystemExit) as caught:
                beat.SlotScheduler(app=app)
            assert ("USE_TZ" if not use_tz else "DJANGO_CELERY_BEAT_TZ_AWARE") in str(caught.value)
            return
        with stock_clock(FRIDAY) as clock:
            foreign()
            foreign("0 1 * * *", NEW_YORK, name="york")
            sent = Beat(clock, every=1e6).upto(FRIDAY + 2 * DAY)
    assert hours([one for one in sent if one[1] == "theirs"], FRIDAY) == [1.0, 25.0]
    assert hours([one for one in sent if one[1] == "york"], FRIDAY) == [15.0, 39.0]


def test_crontab_rows_are_never_read_by_the_local_zone() -> None:
    assert CrontabSchedule._meta.get_field("timezone").default() == SEOUL
