"""Declared schedules against the rows of django-celery-beat: what differs, and making it so.

Three are compared: what is declared now, what was written last (kept in ops_schedule), and what is stored. Where the
stored differs from what was written, an operator has edited it, and it stays; it is shown, until it is reset. A row
that was made here and is no longer declared is switched off. All other rows are shown only.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.db import router, transaction

from ops import clock
from ops.clock import rows, schedules, slots
from ops.clock.policy import read_rule
from ops.clock.rows import START_SLOT
from ops.clock.schedules import Schedule
from ops.engine.lifecycle import server_now, trouble
from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.models import Schedule as Kept

PERIODS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))
QUIETLY = ("description",)
"""What an operator may edit without being told of it at each sync."""


class NoBeat(Exception):
    """The project has no django-celery-beat, so there are no rows to bring in line."""


@dataclass
class Item:
    """One schedule: what is to be done with its row, and what an operator has made of it.

    `action` is create, update, switch off, keep, other (a row that is not ours) or in the way. `write` are the values
    to write, `edited` the stored and the declared value of what was edited.
    """

    name: str
    action: str
    declared: Schedule | None = None
    row: Any = None
    write: dict[str, Any] = field(default_factory=dict)
    edited: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    note: str = ""
    written: dict[str, Any] | None = None
    database: str = "default"

    @property
    def when(self) -> str:
        """When it is due once all is written."""
        if "when" in self.write or (self.row is None and self.declared is not None):
            return str(self.declared.when) if self.declared else ""
        return rows.when_of(self.row) if self.row is not None else ""

    @property
    def queue(self) -> str:
        """The queue of its messages once all is written."""
        return str(self.write.get("queue", (self.row.queue or "") if self.row is not None else ""))

    @property
    def enabled(self) -> bool:
        """Whether it is switched on once all is written."""
        return bool(self.write.get("enabled", self.row.enabled if self.row is not None else False))

    @property
    def writes(self) -> bool:
        """Whether there is anything to do."""
        return self.action in ("create", "update", "switch off")


def database() -> str:
    """Return the alias of the database that has the tables of beat; raise NoBeat without them."""
    if not apps.is_installed("django_celery_beat"):
        raise NoBeat(
            "django-celery-beat is not in INSTALLED_APPS, so there are no schedules to bring in line: install "
            "setwise[schedules], add 'django_celery_beat' and migrate."
        )
    from django_celery_beat.models import PeriodicTask

    return router.db_for_write(PeriodicTask)


def wanted(schedule: Schedule) -> dict[str, Any]:
    """Return what the row of a declared schedule ought to be."""
    return {
        "when": schedule.when,
        "queue": schedule.where,
        "enabled": schedule.enabled,
        "task": START_SLOT,
        "arguments": _arguments([], {"schedule": schedule.name}),
        "one_off": False,
        "description": schedule.described(),
    }


def stored(row: Any) -> dict[str, Any]:
    """Return what a row is, in the same words."""
    return {
        "when": rows.when_of(row),
        "queue": row.queue or "",
        "enabled": row.enabled,
        "task": row.task,
        "arguments": _arguments(_decoded(row.args or "[]"), _decoded(row.kwargs or "{}")),
        "one_off": row.one_off,
        "description": row.description,
    }


def _arguments(args: Any, kwargs: Any) -> str:
    return json.dumps([args, kwargs] if args else kwargs, sort_keys=True, ensure_ascii=False)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def plan(alias: str, reset: Collection[str] = ()) -> list[Item]:
    """Return what is to be done, declared ones first; raise Refused for a name to reset that is not declared.

    Parameters are validated, those that name rows in the database, too: raises BadParameters.
    """
    declared = {one.name: one for one in schedules.declared()}
    if unknown := sorted(set(reset) - set(declared)):
        raise schedules.UnknownSchedule(
            f"There is no schedule {unknown[0]!r} to reset; declared is: {', '.join(declared) or 'none'}."
        )
    for one in declared.values():
        one.cleaned()
    with trouble("Reading the schedules"):
        there = rows.named(database=alias)
        written = _written(declared)
    found = []
    for name, one in declared.items():
        _, before = written.get(name, ("", None))
        found.append(_declared(one, there.get(name), before, name in reset))
        found[-1].database = one.database
    for name, row in there.items():
        if name not in declared:
            kept_in, before = written.get(name, ("default", None))
            found.append(_undeclared(row, before))
            found[-1].database = kept_in
    return found


def _written(declared: Mapping[str, Schedule]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what was written last, by name, and in which database that is kept: that of the schedule's runs."""
    found = {}
    for alias in dict.fromkeys(["default", *(one.database for one in declared.values())]):
        for kept in Kept.objects.using(alias).exclude(declared=None):
            found[kept.name] = (alias, dict(kept.declared or {}))
    return found


def _declared(schedule: Schedule, row: Any, written: dict[str, Any] | None, reset: bool) -> Item:
    ought = wanted(schedule)
    item = Item(schedule.name, "keep", schedule, row, written=ought)
    if row is None:
        if written is None or written.get("removed") or reset:
            item.action, item.write = "create", ought
        else:
            item.note, item.written = "deleted in the admin", written
        return item
    found = stored(row)
    ours = written is not None or (found["task"], found["arguments"]) == (START_SLOT, ought["arguments"])
    if not ours and not reset:
        item.action, item.written = "in the way", None
        item.note = f"a row of this name was made by hand: it sends {row.task}"
        return item
    before = written or ought
    item.written = dict(ought)
    for name, value in ought.items():
        if found[name] == value:
            continue
        if reset or found[name] == before.get(name, value) != value:
            item.write[name] = value
        else:
            item.written[name] = before.get(name, value)
            if name not in QUIETLY:
                item.edited[name] = (found[name], value)
    item.action = "update" if item.write else "keep"
    return item


def _undeclared(row: Any, written: dict[str, Any] | None) -> Item:
    if written is None:
        return Item(row.name, "other", row=row)
    removed = {**written, "enabled": False, "removed": True}
    item = Item(row.name, "keep", row=row, written=removed, note="no longer declared, and switched off")
    if row.enabled:
        item.action, item.write, item.note = "switch off", {"enabled": False}, "no longer declared"
    return item


def refuse(items: list[Item]) -> None:
    """Raise Refused where rows that were made by hand are in the way."""
    if wrong := [one for one in items if one.action == "in the way"]:
        first = wrong[0]
        raise Refused(
            f"Schedule {first.name!r} is declared, but {first.note}; nothing was written: rename one of the two, or "
            f"let the declaration take the row by '--reset {first.name}'."
        )


def apply(alias: str, reset: Collection[str] = (), seen: list[Item] | None = None) -> list[Item]:
    """Bring the rows of beat in line in one transaction, and return what was done.

    Raises Refused where something differs from what was `seen`, and where a row is in the way.
    """
    session = Session(alias)
    with trouble("Writing the schedules"), transaction.atomic(using=alias):
        session.execute("ops/lock_schedules.sql")
        items = plan(alias, reset)
        if seen is not None and _told(items) != _told(seen):
            raise Refused("The schedules were edited while you read the plan; nothing was written: look again.")
        refuse(items)
        for item in items:
            if item.writes:
                _write(alias, item)
            if item.database == alias:
                _keep(item)
            else:
                # Only once the row is there: else it would look as if an operator had deleted it.
                transaction.on_commit(partial(_keep, item), using=alias)
        if any(item.writes for item in items):
            _changed(alias)
    return items


def _told(items: list[Item]) -> list[Any]:
    return [(one.name, one.action, one.write, one.edited) for one in items]


def _changed(alias: str) -> None:
    from django_celery_beat.models import PeriodicTasks

    PeriodicTasks._default_manager.using(alias).update_or_create(ident=1, defaults={"last_update": clock.now()})


def _write(alias: str, item: Item) -> None:
    from django_celery_beat.models import PeriodicTask

    row = item.row or PeriodicTask(name=item.name)
    for name, value in item.write.items():
        if name == "when":
            assert item.declared is not None  # only a declaration says when
            _set_when(alias, row, item.declared)
        elif name == "arguments":
            row.args, row.kwargs = "[]", value
        else:
            setattr(row, name, value)
    row.save(using=alias)
    item.row = row


def _set_when(alias: str, row: Any, schedule: Schedule) -> None:
    """Point a row at a crontab or an interval that says so; the one it had stays, for others may share it."""
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule

    row.crontab = row.interval = row.clocked = row.solar = row.start_time = row.expires = None
    if schedule.every is not None:
        period, seconds = next(one for one in PERIODS if not schedule.every % timedelta(seconds=one[1]))
        values: dict[str, Any] = {"every": schedule.every // timedelta(seconds=seconds), "period": period}
        row.interval = _get_or_make(IntervalSchedule, alias, values)
        return
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    fields = dict(zip(names, schedule.cron.split(), strict=True))
    row.crontab = _get_or_make(CrontabSchedule, alias, {**fields, "timezone": schedule.zone_name})


def _get_or_make(model: Any, alias: str, values: dict[str, Any]) -> Any:
    # No constraint keeps them unique, so there may be several.
    found = model._default_manager.using(alias).filter(**values).order_by("pk").first()
    return found or model._default_manager.using(alias).create(**values)


def _keep(item: Item) -> None:
    """Keep what was written of a schedule, beside how far its slots are settled; it counts from now on where new."""
    if item.written is None:
        return
    session = Session(item.database)
    rule = rows.rule_of(item.row)
    slots.begin(session, item.name, rule, server_now(session))
    kept = Kept.objects.using(item.database).filter(pk=item.name)
    kept.exclude(declared=item.written).update(declared=item.written)


def transitions(schedule: Schedule, now: datetime) -> list[str]:
    """Say when the clocks of its zone skip or double an hour at which it is due, within a year from an instant."""
    rule = read_rule(schedule.when)
    if rule.crontab is None or rule.crontab.wild_hours:
        return []
    told: dict[bool, str] = {}
    for reading in rule.crontab.readings(rule.zone, now):
        if reading.instant > now + timedelta(days=366) or len(told) == 2:
            break
        local = f"{reading.local:%H:%M on %Y-%m-%d}"
        if reading.skipped:
            told.setdefault(True, f"clocks skip {local}: it runs as soon as they have")
        elif reading.again:
            told.setdefault(False, f"clocks have {local} twice: it runs the first time")
    return list(told.values())
