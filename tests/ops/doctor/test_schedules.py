"""What the doctor tells of stored schedules: each row is also put before beat itself, to see what that makes of it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler
from django_celery_results.models import TaskResult

from config import celery_app
from ops import clock
from ops.clock import sync
from ops.clock.beat import SlotScheduler
from ops.clock.schedules import Schedule
from ops.doctor import Finding
from ops.models import Run
from ops.models import Schedule as Kept
from tests.ops.doctor.conftest import daily, every, found, only

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("conf")]

ALL = [f"E06{number}" for number in range(6)] + ["W060", "W061", "W062"]


@pytest.fixture
def declared(settings: Any) -> Any:
    """Declare schedules."""

    def declare(*schedules: Schedule) -> None:
        settings.SETWISE_SCHEDULES = schedules

    declare()
    return declare


def loaded(scheduler: type[DatabaseScheduler] = SlotScheduler) -> dict[str, Any]:
    """Return the rows that beat reads; the scheduler of the package leaves some out whose hour is far from now."""
    entries: dict[str, Any] = scheduler(app=celery_app, lazy=True).all_as_schedule()
    return entries


def test_nothing_is_wrong_with_a_row_that_fires() -> None:
    daily("nightly", last_run_at=clock.now())
    every("often", 600)
    assert found(*ALL) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"day_of_week": "7"}, r"\(0 1 \* \* 7 .* Asia/Seoul\) can't be read: Invalid end range: 7 > 6\."),
        ({"day_of_month": "30", "month_of_year": "2"}, r"\(0 1 30 2 \* .*\) can't be read: invalid.*30.*2"),
        ({"day_of_month": "31", "month_of_year": "4,6,9,11"}, "can't be read"),
        ({"hour": "1-25"}, "can't be read: Invalid end range: 25 > 23"),
        ({"minute": "*/0"}, "can't be read: slice step cannot be zero"),
        ({"day_of_week": "funday"}, "can't be read: Invalid weekday literal 'funday'"),
    ],
)
def test_ops_e060_a_crontab_that_beat_drops_without_a_word(fields: dict[str, str], said: str) -> None:
    daily("dropped", **fields)
    daily("kept")
    assert "dropped" not in loaded()
    assert "kept" in loaded()
    finding = only("E060")
    assert re.search(said, finding.found, re.IGNORECASE), finding.found
    assert finding.found.startswith("Schedule 'dropped' (")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"args": "[1,"}, "The args of schedule 'dropped' are not a list in JSON."),
        ({"args": '{"a": 1}'}, "The args of schedule 'dropped' are not a list in JSON."),
        ({"kwargs": "[1]"}, "The kwargs of schedule 'dropped' are not an object in JSON."),
        ({"headers": "{"}, "The headers of schedule 'dropped' are not JSON."),
    ],
)
def test_ops_e060_arguments_that_can_not_be_sent(fields: dict[str, str], said: str) -> None:
    every("dropped", 600, **fields)
    assert only("E060").found == said


@pytest.mark.parametrize("fields", [{"minute": "*/"}, {"hour": "1,,2"}, {"day_of_month": "-1"}])
def test_ops_e061_a_crontab_that_keeps_beat_from_starting(fields: dict[str, str]) -> None:
    daily("broken", **fields)
    with pytest.raises(Exception, match=r"empty|negative") as raised:
        loaded()
    assert not isinstance(raised.value, ValueError)
    finding = only("E061")
    assert finding.found.startswith("Schedule 'broken' (")
    assert "raises ParseException" in finding.found


def test_ops_e061_a_row_without_a_schedule_keeps_beat_from_starting() -> None:
    row = every("bare", 600)
    PeriodicTask.objects.filter(pk=row.pk).update(interval=None)
    with pytest.raises(AttributeError):
        loaded()
    assert only("E061").found.startswith("Schedule 'bare' (no schedule) raises AttributeError")


def test_ops_e062_an_interval_of_nothing_is_always_due() -> None:
    every("flood", 0)
    assert loaded(DatabaseScheduler)["flood"].is_due().is_due
    assert only("E062").found == "Schedule 'flood' is due every 0 seconds."


def test_ops_e063_beat_waits_for_a_last_run_in_the_future() -> None:
    ahead = clock.now() + timedelta(hours=9)
    every("stalled", 600, last_run_at=ahead)
    assert loaded(DatabaseScheduler)["stalled"].is_due().next > 9 * 3600
    finding = only("E063")
    assert finding.found == f"last_run_at of schedule 'stalled' is {clock.shown(ahead)}."
    assert finding.remedy is not None
    edited = PeriodicTask.objects.get(name="stalled").date_changed
    assert finding.remedy.do() == "last_run_at of 'stalled' is now"
    row = PeriodicTask.objects.get(name="stalled")
    assert row.last_run_at < clock.now()
    assert row.date_changed == edited
    assert found("E063") == []


def test_ops_e064_a_row_in_another_zone_than_the_declared_one(declared: Any) -> None:
    declared(Schedule("nightly", "billing.reprice", cron="0 1 * * *", zone="Asia/Seoul"))
    sync.apply("default")
    assert found("E064", "W060", "E017") == []
    crontab = CrontabSchedule.objects.get()
    crontab.timezone = "UTC"
    crontab.save()
    PeriodicTask.objects.create(name="other", task="x", crontab=CrontabSchedule.objects.get())
    finding = only("E064")
    assert finding.found == "Schedule 'nightly' is stored in UTC, and declared in Asia/Seoul."
    assert finding.mends == "manage.py sync_schedules --reset 'nightly'"
    assert finding.remedy is not None
    assert finding.remedy.do() == "'nightly' is in Asia/Seoul"
    assert found("E064") == []
    # A crontab that is shared stays what it is for the other.
    zones = PeriodicTask.objects.order_by("name").values_list("name", "crontab__timezone")
    assert [(name, str(zone)) for name, zone in zones] == [("nightly", "Asia/Seoul"), ("other", "UTC")]


def test_ops_w060_a_declared_schedule_that_is_not_stored(declared: Any) -> None:
    declared(Schedule("nightly", "billing.reprice", cron="0 1 * * *"))
    assert only("W060").found == "Schedule 'nightly' is declared, and beat has no row of it."
    sync.apply("default")
    assert found("W060") == []
    declared(Schedule("nightly", "billing.reprice", cron="0 2 * * *", queue="slow"))
    assert only("W060").found == "Schedule 'nightly' is stored with another queue, when than declared."
    declared()
    assert only("W060").found == "Schedule 'nightly' is on, and no longer declared."


def test_ops_w060_a_row_made_by_hand_in_the_way(declared: Any) -> None:
    declared(Schedule("nightly", "billing.reprice", cron="0 1 * * *"))
    daily("nightly")
    finding = only("W060")
    assert finding.found.startswith("Schedule 'nightly' is declared, but a row of this name was made by hand")
    assert finding.mends == "rename one of the two"


def test_an_operators_edit_is_no_finding(declared: Any) -> None:
    declared(Schedule("nightly", "billing.reprice", cron="0 1 * * *"))
    sync.apply("default")
    row = PeriodicTask.objects.get()
    row.enabled = False
    row.save()
    CrontabSchedule.objects.update(hour="3")
    assert found(*ALL, "E017") == []


def test_ops_e017_a_parameter_that_names_nothing_there_is(declared: Any) -> None:
    declared(Schedule("nightly", "billing.reprice", cron="0 1 * * *", params={"client": ["nobody"]}))
    assert "nobody" in only("E017").found


def overdue(declared: Any, **more: Any) -> list[Finding]:
    """Let the slot of an hour ago wait, and return what is found."""
    declared(Schedule("hourly", "billing.reprice", every=timedelta(hours=1)))
    IntervalSchedule.objects.all().delete()
    every("hourly", 3600, task="ops.start_slot", last_run_at=clock.now())
    before = clock.now() - timedelta(hours=2)
    Kept.objects.update_or_create(
        name="hourly", defaults={"rule": "every 3600 s", "settled_at": before, "seen_at": before}
    )
    return found("E065")


def test_ops_e065_a_slot_that_nobody_has_started(declared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.doctor.schedules.OVERDUE", timedelta(0))
    (finding,) = overdue(declared)
    slot = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert finding.found == f"Slot {clock.shown(slot)} of schedule 'hourly' has no run yet."


def run_of(state: str) -> Run:
    now = clock.now()
    return Run.objects.create(
        job="billing.reprice", verb="apply", scope="x", state=state, as_of=now, heartbeat_at=now, started_by="me"
    )


def test_ops_e065_says_which_run_is_in_the_way_and_waits_with_one_that_is_carried_out(
    declared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.doctor.schedules.OVERDUE", timedelta(0))
    run = run_of("paused")
    (finding,) = overdue(declared)
    assert finding.found.endswith(f"has no run yet; run {run.pk} of its job is paused and in its way.")
    Run.objects.filter(pk=run.pk).update(state="running")
    assert found("E065") == []


def test_ops_e065_a_task_of_somebody_else_that_beat_has_not_sent() -> None:
    row = every("theirs", 600, task="theirs.task")
    long_ago = datetime(2026, 1, 1, 12, 3, tzinfo=UTC)
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=long_ago, date_changed=long_ago)
    assert only("E065").found == "Schedule 'theirs' (theirs.task) has been due since 2026-01-01 21:10:00 KST."


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"expires": datetime(2026, 1, 1, tzinfo=UTC)}, "Schedule 'over' expired at 2026-01-01 09:00:00 KST."),
        ({"one_off": True, "total_run_count": 1}, "Schedule 'over' was to run once, and has run."),
    ],
)
def test_ops_w061_a_row_that_will_never_fire_again(fields: dict[str, Any], said: str) -> None:
    every("over", 600, **fields)
    assert only("W061").found == said


def test_ops_w062_nobody_deletes_old_results() -> None:
    TaskResult.objects.create(task_id="1")
    assert found("W062") == []
    TaskResult.objects.update(date_done=datetime(2026, 1, 1, tzinfo=UTC))
    assert only("W062").found == "The oldest result is of 2026-01-01 09:00:00 KST, and results expire after 30 days."
    TaskResult.objects.all().delete()
    daily("celery.backend_cleanup", task="celery.backend_cleanup", enabled=False)
    assert only("W062").found == "Schedule 'celery.backend_cleanup' is off."


def test_what_is_switched_off_is_not_looked_at() -> None:
    daily("off", day_of_week="7", enabled=False)
    assert found(*ALL) == []
