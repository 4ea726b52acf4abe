"""Beat's scheduler: entries of django-celery-beat that are due at the instants of their rule, whatever was missed.

It evaluates crontabs and intervals by `ops.clock.cron`, in UTC, and never by Celery's arithmetic on local times. An
entry is due when an instant of its rule lies after its last message and after the last edit of its row. All enabled
rows are read: the query of the package reads a row with a plain hour only two hours around it, and then catches up.
What beat sends for a schedule of Setwise is a nudge: which slots are run is decided by `ops.clock.slots`.
"""

from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from celery.schedules import schedstate
from django.conf import settings
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
from django_celery_beat.utils import NEVER_CHECK_TIMEOUT

from ops import clock
from ops.clock import rows
from ops.clock.policy import instants, next_instants

EARLY = 0.010
"""So many seconds before an entry is due Celery looks at it, over and over; not at ours."""

OFF_BY = timedelta(seconds=2)
"""So far `app.now()` may be from the clock: it is the same clock, read a moment later."""


def problems(app: Any) -> list[str]:
    """Return why beat would not be right with these settings, a sentence each."""
    found = []
    if not settings.USE_TZ:
        found.append("USE_TZ is False, so that Django keeps instants without a zone: set USE_TZ = True.")
    if not getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True):
        found.append(
            "DJANGO_CELERY_BEAT_TZ_AWARE is False, so that django-celery-beat shows and keeps crontabs without their "
            "zone: set it to True, or leave it out."
        )
    now = app.now()
    if now.utcoffset() is None:
        found.append(
            "app.now() has no zone, and Celery reads that as UTC: a job meant for 01:00 in Seoul runs at 10:00 or "
            "16:00. Leave app.now as Celery has it, and set CELERY_TIMEZONE."
        )
    elif abs(now - clock.now()) > OFF_BY:
        found.append(f"app.now() is {now.isoformat()}, which is not now: leave app.now as Celery has it.")
    return found


class SlotEntry(ModelEntry):  # type: ignore[misc]  # the package has no types
    """A row of beat. One of solar events or a clocked one is the package's own affair, but for how it is saved."""

    def __init__(self, model: Any, app: Any = None) -> None:
        self.ran_at = model.last_run_at
        super().__init__(model, app=app)
        cron_or_interval = model.crontab is not None or model.interval is not None
        self.rule = rows.when_of(model) if cron_or_interval else None
        # What was due before the row was edited is not due by what it says now.
        self.since = max(filter(None, (self.ran_at, model.date_changed)), default=clock.now())

    def default_now(self) -> datetime:
        """Return the present instant, aware, for the heap's order."""
        return clock.now()

    _default_now = default_now

    def is_due(self) -> Any:
        """Return whether a message is due, and in how many seconds to look again."""
        model, now = self.model, clock.now()
        if not model.enabled:
            return schedstate(is_due=False, next=5.0)
        if (model.expires and now >= model.expires) or (model.one_off and model.total_run_count > 0):
            self._disable(model)
            return schedstate(is_due=False, next=NEVER_CHECK_TIMEOUT)
        if self.rule is None:
            return super().is_due()
        coming = next_instants(self.rule, now, 1)
        wait = (coming[0] - now).total_seconds() + EARLY if coming else NEVER_CHECK_TIMEOUT
        return schedstate(is_due=bool(instants(self.rule, self._after(now), now)), next=wait)

    def _after(self, now: datetime) -> datetime:
        """Return after which instant it may be due: others' tasks are not caught up beyond Celery's own deadline."""
        deadline = self.app.conf.beat_cron_starting_deadline
        if deadline is None or self.task == rows.START_SLOT or self.model.crontab is None:
            return self.since
        return max(self.since, now - timedelta(seconds=deadline, microseconds=1))

    def __next__(self) -> "SlotEntry":
        """Return the entry once its message is sent."""
        self.model.last_run_at = clock.now()
        self.model.total_run_count += 1
        return type(self)(self.model, app=self.app)

    def save(self) -> None:
        """Write what beat knows, and nothing of what an operator edits meanwhile; `date_changed` stays the edit's."""
        kept = {"last_run_at": self.model.last_run_at, "total_run_count": self.model.total_run_count}
        type(self.model)._default_manager.filter(pk=self.model.pk).update(**kept)

    def _disable(self, model: Any) -> None:
        """Switch a row off, as an edit of now; a one-off one can be switched on again."""
        model.enabled = False
        off = {"enabled": False, "last_run_at": None, "total_run_count": 0, "date_changed": clock.now()}
        type(model)._default_manager.filter(pk=model.pk).update(**off)
        PeriodicTasks.update_changed()

    @classmethod
    def from_entry(cls, name: str, app: Any = None, **entry: Any) -> Any:
        """Return the entry of CELERY_BEAT_SCHEDULE; its row is written only where it is another: that is an edit."""
        wanted = cls._unpack_fields(**entry)
        found = PeriodicTask._default_manager.filter(name=name).first()
        if found is not None and all(getattr(found, field) == value for field, value in wanted.items()):
            return cls(found, app=app)
        return super().from_entry(name, app=app, **entry)


class SlotScheduler(DatabaseScheduler):  # type: ignore[misc]  # the package has no types
    """`CELERY_BEAT_SCHEDULER = "ops.clock.beat:SlotScheduler"`; it does not start where instants would be wrong."""

    Entry = SlotEntry

    def __init__(self, app: Any = None, *args: Any, **kwargs: Any) -> None:
        if wrong := problems(app or current_app):
            raise SystemExit(f"Beat does not start: {wrong[0]}")
        super().__init__(app, *args, **kwargs)

    def enabled_models_qs(self) -> Any:
        """Return all rows that are enabled."""
        return self.Model.objects.enabled()

    def reserve(self, entry: Any) -> Any:
        """Keep the entry as it is once sent: where the heap is made anew the old one would be due again."""
        self._schedule[entry.name] = sent = super().reserve(entry)
        return sent

    def all_as_schedule(self) -> dict[str, Any]:
        """Return the entries; one whose rule is as it was stays due, though its row was saved after the instant."""
        made: dict[str, Any] = super().all_as_schedule()
        for name, entry in made.items():
            before = (self._schedule or {}).get(name)
            if before is not None and (before.rule, before.ran_at) == (entry.rule, entry.ran_at):
                entry.since = min(entry.since, before.since)
        return made
