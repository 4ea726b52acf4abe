"""What tests of schedules need: a clock that stands still until it is moved, declarations, rows of beat."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import override_settings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from ops import clock
from ops.clock import slots
from ops.clock.rows import START_SLOT
from ops.clock.schedules import Schedule
from ops.engine.lifecycle import Options
from ops.engine.sweeping import Swept
from ops.models import MissedSlots, Run
from ops.models import Schedule as Kept

SEOUL, NEW_YORK = "Asia/Seoul", "America/New_York"


def at(text: str) -> datetime:
    """Return an instant, in UTC where the text has no offset."""
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


@dataclass
class FakeClock:
    """A clock that stands where it is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **length: float) -> datetime:
        self.now += timedelta(**length)
        return self.now


@contextmanager
def stopped_clock(now: datetime) -> Iterator[FakeClock]:
    """Let `clock.now()`, and Django's own, stand until the clock is moved."""
    from django.utils import timezone

    made = FakeClock(now)
    kept = clock.now, timezone.now
    clock.now = timezone.now = made
    try:
        yield made
    finally:
        clock.now, timezone.now = kept


@contextmanager
def declared(*schedules: Schedule) -> Iterator[None]:
    """Let these be the declared schedules."""
    with override_settings(SETWISE_SCHEDULES=tuple(schedules)):
        yield


def nightly(**words: Any) -> Schedule:
    """Return a schedule of a small job."""
    given: dict[str, Any] = {"name": "nightly", "job": "shelf.lift_counter", "cron": "0 1 * * *", "zone": SEOUL}
    if "every" in words:
        del given["cron"], given["zone"]
    return Schedule(**{**given, **words})


def crontab(text: str, zone: str) -> CrontabSchedule:
    """Make a row of crontabs."""
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return CrontabSchedule.objects.create(**dict(zip(names, text.split(), strict=True)), timezone=zone)


def row(schedule: Schedule, **words: Any) -> PeriodicTask:
    """Make the row of beat of a schedule, as sync_schedules does."""
    when: dict[str, Any] = {"crontab": crontab(schedule.cron, schedule.zone)} if schedule.cron else {}
    if schedule.every:
        seconds = int(schedule.every.total_seconds())
        when = {"interval": IntervalSchedule.objects.create(every=seconds, period="seconds")}
    given = {"name": schedule.name, "task": START_SLOT, "kwargs": f'{{"schedule": "{schedule.name}"}}', **when}
    return PeriodicTask.objects.create(**{**given, **words})


def begun(schedule: Schedule, now: datetime, **words: Any) -> PeriodicTask:
    """Make the row of beat of a schedule whose slots count from an instant on."""
    made = row(schedule, **words)
    PeriodicTask.objects.filter(pk=made.pk).update(date_changed=now)
    assert slots.look(schedule.database, now) == []
    return made


def start(name: str, now: datetime, **words: Any) -> list[Swept]:
    """Start the due slots of a schedule at an instant."""
    return slots.start(name, Options(queue="fast", **words), now=lambda: now)


def runs(name: str = "nightly") -> list[tuple[datetime, str]]:
    """Return slot and state of each run of a schedule, in the order of the runs."""
    return [(one.slot, one.state) for one in Run.objects.filter(schedule=name).order_by("pk") if one.slot]


def missed(name: str = "nightly") -> list[tuple[datetime, datetime, int, str]]:
    """Return the stretches that a schedule missed."""
    return [
        (one.first, one.last, one.count, one.reason)
        for one in MissedSlots.objects.filter(schedule=name).order_by("first")
    ]


def frontier(name: str = "nightly") -> tuple[datetime, str]:
    """Return how far a schedule is settled, and its rule."""
    found = Kept.objects.get(pk=name)
    return found.settled_at, found.rule
