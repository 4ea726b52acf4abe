"""What can be told of the stored schedules: rows that beat drops, stalls on or floods by; slots that nobody started.

The rows are those of django-celery-beat; nothing is written, not even what a look of the sweeper would.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import router

from ops import clock
from ops.doctor import Finding, Remedy, Site, finding
from ops.models import Run
from ops.models import Schedule as Kept

AHEAD = timedelta(minutes=1)
"""How far last_run_at may be in the future; clocks are not quite alike."""

OVERDUE = timedelta(minutes=5)
"""How late a slot may be before it is overdue: beat looks every 5 s, the sweeper every 10."""

LEFT = timedelta(days=2)
"""How long an expired result may still be there: celery.backend_cleanup runs once a day."""

CLEANUP = "celery.backend_cleanup"


def _here(site: Site, model: Any) -> bool:
    return router.db_for_read(model) == site.alias


def enabled(site: Site) -> list[Any]:
    """Return the rows of beat that are on, where this database keeps them."""
    from django_celery_beat.models import PeriodicTask

    from ops.clock import rows

    if not _here(site, PeriodicTask):
        return []
    return [row for row in rows.named(database=site.alias).values() if row.enabled]


def look(site: Site, rows: list[Any]) -> Iterator[Finding]:
    """Find what is wrong with the enabled rows, and with what is declared."""
    site.told["schedules"] = "1 schedule is on" if len(rows) == 1 else f"{len(rows)} schedules are on"
    for row in rows:
        yield from _readable(row)
        yield from _ahead(site, row)
        if row.expires is not None and row.expires <= site.now:
            yield finding("W061", f"Schedule {row.name!r} expired at {clock.shown(row.expires)}.")
        elif row.one_off and row.total_run_count:
            yield finding("W061", f"Schedule {row.name!r} was to run once, and has run.")
    yield from _declared(site)
    yield from _overdue(site, rows)
    yield from _cleanup(site)


def _readable(row: Any) -> Iterator[Finding]:
    """Try what beat does with a row: it leaves out what raises ValueError, and ends by anything else."""
    named = f"Schedule {row.name!r}"
    if row.interval is not None and row.interval.every <= 0:
        yield finding("E062", f"{named} is due every {row.interval.every} {row.interval.period}.")
        return
    try:
        due = row.schedule
    except ValueError as exc:
        yield finding("E060", f"{named} ({row.scheduler}) can't be read: {_said(exc)}.")
        return
    except Exception as exc:  # this is what is to be told
        yield finding("E061", f"{named} ({row.scheduler or 'no schedule'}) raises {type(exc).__name__}: {_said(exc)}.")
        return
    try:
        due.remaining_estimate(clock.now())
    except Exception as exc:  # the same
        yield finding("E060", f"{named} ({row.scheduler}) is never due: {_said(exc)}.")
    of = f"schedule {row.name!r}"
    for name, empty, word in (("args", "[]", "a list"), ("kwargs", "{}", "an object")):
        if type(_json(getattr(row, name) or empty)) is not type(json.loads(empty)):
            yield finding("E060", f"The {name} of {of} are not {word} in JSON.")
    headers = _json(row.headers or "{}")
    if headers is ValueError:
        yield finding("E060", f"The headers of {of} are not JSON.")
    elif not isinstance(headers, dict):
        yield finding("E061", f"The headers of {of} are no object in JSON.")


def _said(exc: Exception) -> str:
    return " ".join(str(exc).split()).rstrip(".")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return ValueError


def _ahead(site: Site, row: Any) -> Iterator[Finding]:
    if row.last_run_at is None or row.last_run_at <= site.now + AHEAD:
        return
    yield finding(
        "E063",
        f"last_run_at of schedule {row.name!r} is {clock.shown(row.last_run_at)}.",
        remedy=Remedy(f"set last_run_at of {row.name!r} to now", _to_now(row, site.now)),
    )


def _to_now(row: Any, now: datetime) -> Callable[[], str]:
    def do() -> str:
        # By update, so that it does not count as an edit; beat then reads all rows again.
        type(row)._default_manager.filter(pk=row.pk, last_run_at=row.last_run_at).update(last_run_at=now)
        apps.get_model("django_celery_beat", "PeriodicTasks").update_changed()
        return f"last_run_at of {row.name!r} is now"

    return do


def _declared(site: Site) -> Iterator[Finding]:
    """Compare what is declared with what is stored, as sync_schedules would; an operator's edits are only theirs."""
    from ops.clock import schedules, sync
    from ops.engine.parameters import BadParameters

    if schedules.problems():
        return  # ops.E017 says so
    try:
        items = sync.plan(site.alias)
    except BadParameters as exc:
        yield finding("E017", str(exc))
        return
    for item in items:
        zone = item.declared.zone_name if item.declared is not None and item.declared.cron else ""
        crontab = item.row.crontab if item.row is not None else None
        if zone and crontab is not None and str(crontab.timezone) != zone and item.action != "in the way":
            yield finding(
                "E064",
                f"Schedule {item.name!r} is stored in {crontab.timezone}, and declared in {zone}.",
                f"manage.py sync_schedules{f' --reset {item.name!r}' if 'when' in item.edited else ''}",
                Remedy(f"put {item.name!r} into {zone}", _into(item.row, zone)),
            )
        elif item.action == "in the way":
            yield finding("W060", f"Schedule {item.name!r} is declared, but {item.note}.", "rename one of the two")
        elif item.writes:
            what = {"create": "is declared, and beat has no row of it", "switch off": "is on, and no longer declared"}
            differs = f"is stored with another {', '.join(sorted(item.write))} than declared"
            yield finding("W060", f"Schedule {item.name!r} {what.get(item.action, differs)}.")


def _into(row: Any, zone: str) -> Callable[[], str]:
    def do() -> str:
        # A crontab may be shared: another row of it, and the schedule's own row is saved, which is an edit as of now.
        crontabs = type(row.crontab)._default_manager
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        fields = {name: getattr(row.crontab, name) for name in names}
        found = crontabs.filter(**fields, timezone=zone).order_by("pk").first()
        row.crontab = found or crontabs.create(**fields, timezone=zone)
        row.save()
        return f"{row.name!r} is in {zone}"

    return do


def _overdue(site: Site, rows: list[Any]) -> Iterator[Finding]:
    """Find slots that nobody started: by the frontier where ops keeps one, by last_run_at elsewhere."""
    from ops.clock import rows as of_rows
    from ops.clock import schedules
    from ops.clock.policy import Frontier

    declared = {} if schedules.problems() else {one.name: one for one in schedules.declared()}
    stored = {row.name: row for row in rows}
    for kept in Kept.objects.using(site.alias).filter(name__in=list(declared)).order_by("name"):
        one = declared[kept.name]
        frontier = Frontier.read(kept.settled_at, kept.seen_at, kept.rule)
        frontier = frontier.observed(of_rows.rule_of(stored.get(kept.name)), None, site.now)
        slot = frontier.decide(one.policy, site.now).slot
        if slot is None or site.now - slot < OVERDUE:
            continue
        run = Run.objects.using(site.alias).filter(job=one.job, state__in=Run.UNFINISHED).order_by("pk").first()
        if run is not None and run.state == Run.State.RUNNING:
            continue  # it waits for that one, as it should; a stale one is told by itself
        why = f"; run {run.pk} of its job is {run.state} and in its way" if run else ""
        yield finding("E065", f"Slot {clock.shown(slot)} of schedule {kept.name!r} has no run yet{why}.")
    for row in rows:
        if row.task != of_rows.START_SLOT and (since := _due_since(site, row)) is not None:
            yield finding("E065", f"Schedule {row.name!r} ({row.task}) has been due since {clock.shown(since)}.")


def _due_since(site: Site, row: Any) -> datetime | None:
    """Return since when beat ought to have sent a row's task, if it ought to."""
    from ops.clock import rows
    from ops.clock.policy import instants

    since = max(filter(None, (row.last_run_at, row.date_changed)), default=None)
    if row.clocked is not None or row.solar is not None or since is None or row.one_off:
        return None
    # As beat's own scheduler sees it (clock/beat.py): what was due before an edit is not due by what it says now.
    due = instants(rows.when_of(row), since, site.now - OVERDUE)
    return due[0] if due else None


def _cleanup(site: Site) -> Iterator[Finding]:
    """See that old results are deleted, where they are kept in a table."""
    if site.app is None or not apps.is_installed("django_celery_results"):
        return
    from django_celery_beat.models import PeriodicTask
    from django_celery_results.models import TaskResult

    expires = site.app.conf.result_expires
    if not expires or not _here(site, TaskResult) or "django" not in str(site.app.conf.result_backend):
        return
    length = expires if isinstance(expires, timedelta) else timedelta(seconds=float(expires))
    oldest = (
        TaskResult._default_manager.using(site.alias).order_by("date_done").values_list("date_done", flat=True).first()
    )
    off = PeriodicTask._default_manager.using(site.alias).filter(task=CLEANUP, enabled=False).first()
    on = PeriodicTask._default_manager.using(site.alias).filter(task=CLEANUP, enabled=True).exists()
    if off is not None and not on:
        yield finding("W062", f"Schedule {off.name!r} is off.", f"switch {off.name!r} on in the admin")
    elif oldest is not None and oldest < site.now - length - LEFT:
        yield finding(
            "W062", f"The oldest result is of {clock.shown(oldest)}, and results expire after {length.days} days."
        )
