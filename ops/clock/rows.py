"""What the rows of django-celery-beat say, as rules and as people read them; the models are handed in."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

START_SLOT = "ops.start_slot"
"""The task of the rows that sync_schedules makes; its argument is the schedule's name."""


def crontab_text(crontab: Any) -> str:
    """Return the five fields of a row of crontabs in the usual order, which is not that of its columns."""
    fields = (crontab.minute, crontab.hour, crontab.day_of_month, crontab.month_of_year, crontab.day_of_week)
    return " ".join("".join(str(field).split()) or "*" for field in fields)


def length_of(interval: Any) -> timedelta:
    """Return the length of a row of intervals."""
    return timedelta(**{interval.period: interval.every})


def seconds_text(length: timedelta) -> str:
    """Return a length in seconds, with decimals only where it has some."""
    seconds = length.total_seconds()
    return str(int(seconds)) if seconds == int(seconds) else f"{seconds:.6f}".rstrip("0")


def when_of(row: Any) -> str:
    """Return when a row is due while it is enabled, as a rule (see policy.py); '' for a solar one, or none at all."""
    if row.crontab is not None:
        rule = f"{crontab_text(row.crontab)} {row.crontab.timezone}"
    elif row.interval is not None:
        rule = f"every {seconds_text(length_of(row.interval))} s"
    elif row.clocked is not None:
        rule = f"at {_iso(row.clocked.clocked_time)}"
    else:
        return ""
    if row.start_time is not None:
        rule += f" from {_iso(row.start_time)}"
    if row.expires is not None:
        rule += f" until {_iso(row.expires)}"
    return rule


def rule_of(row: Any) -> str:
    """Return the rule by which a row is due now: '' where there is no row, or it is switched off."""
    return when_of(row) if row is not None and row.enabled else ""


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()


def named(names: Iterable[str] | None = None, database: str | None = None) -> dict[str, Any]:
    """Return the rows of these names, or all, each with its crontab, interval or clocked time, by one statement."""
    from django_celery_beat.models import PeriodicTask

    rows = PeriodicTask._default_manager.using(database) if database else PeriodicTask._default_manager
    found = rows.select_related("crontab", "interval", "clocked", "solar").order_by("name")
    return {row.name: row for row in (found.all() if names is None else found.filter(name__in=list(names)))}


def last_change() -> datetime | None:
    """Return when anything in the tables of beat was edited last, as far as that is known."""
    from django_celery_beat.models import PeriodicTasks

    return PeriodicTasks.last_change()  # type: ignore[no-any-return]  # the package has no types
