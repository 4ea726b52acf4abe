"""Declared schedules: which job runs when, with what, and what becomes of the slots that were missed.

`settings.SETWISE_SCHEDULES` names a tuple of `Schedule`; `manage.py sync_schedules` brings the tables of
django-celery-beat in line with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.conf import settings
from django.db import Error, connections
from django.utils.module_loading import import_string

from ops import clock
from ops.clock.cron import Crontab
from ops.clock.policy import MISSED, Policy, shown
from ops.clock.rows import seconds_text
from ops.clock.zones import read_zone, zone_name
from ops.engine import parameters, registry
from ops.engine.jobs import BrokenJob, Job
from ops.engine.plan import Guards

SETTING = "SETWISE_SCHEDULES"
LONGEST_NAME = 200
SECOND = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(days=10_000)


class BrokenSchedule(Exception):
    """A declaration is wrong; the message names it, says what was found and what to write."""


class UnknownSchedule(Exception):
    """No schedule of that name is declared."""


@dataclass(frozen=True)
class Schedule:
    """A job that runs by itself: at the minutes of a crontab (in the words of Celery) in a zone, or every so often.

    The zone is the project's where none is given. Slots that were missed are skipped ("skip"), the latest of them is
    run late ("once"), or all are ("each"), in each case only if they start within the deadline. Guards, workers and
    verify are those of the job's own command.
    """

    name: str
    job: str
    params: Mapping[str, Any] = field(default_factory=dict)
    cron: str = ""
    zone: str = ""
    every: timedelta | None = None
    queue: str = ""
    enabled: bool = True
    missed: str = "once"
    deadline: timedelta | None = None
    database: str = "default"
    max_rows: int | None = None
    max_change: Decimal | int | str | None = None
    max_row_change: Decimal | int | str | None = None
    workers: int = 1
    verify: bool = False

    @property
    def when(self) -> str:
        """When it is due, as a rule (see policy.py): the zone is always named."""
        if self.every is not None:
            return f"every {seconds_text(self.every)} s"
        return f"{' '.join(self.cron.split())} {self.zone_name}"

    @property
    def zone_name(self) -> str:
        """The name of its zone: the one declared, or the project's."""
        return zone_name(read_zone(self.zone or settings.TIME_ZONE))

    @property
    def where(self) -> str:
        """The queue of its messages: the one declared, or Celery's default."""
        return self.queue or getattr(settings, "CELERY_TASK_DEFAULT_QUEUE", "celery")

    @property
    def policy(self) -> Policy:
        """What becomes of slots that were missed."""
        return Policy(self.missed, self.deadline)

    @property
    def guards(self) -> Guards:
        """The bounds of its runs."""
        change, row_change = (None if one is None else Decimal(one) for one in (self.max_change, self.max_row_change))
        return Guards(self.max_rows, change, row_change)

    def cleaned(self) -> dict[str, Any]:
        """Return its parameters, validated and canonical; raise BadParameters. Named rows are looked up."""
        return parameters.clean(registry.find(self.job).params, self.params, self.database)

    def described(self) -> str:
        """Say what it runs and how, for the row of beat."""
        params = " ".join(f"{name}={value!r}" for name, value in sorted(self.params.items()))
        late = f" up to {shown(self.policy.latest)} late" if self.policy.latest else ""
        return f"{self.job}{f' {params}' if params else ''}; missed: {self.missed}{late}. Declared in code: {SETTING}."

    def problem(self) -> str:
        """Return what is wrong with the declaration, in a sentence, or '' where nothing is."""
        return next(self._problems(), "")

    def _problems(self) -> Iterator[str]:
        named = f"Schedule {self.name!r}"
        if not self.name or self.name.strip() != self.name or len(self.name) > LONGEST_NAME:
            yield f"{named}: the name is 1 to {LONGEST_NAME} characters, without blanks around: change it."
        yield from (f"{named}: {found}" for found in self._of_time())
        if self.missed not in MISSED:
            yield f"{named}: missed is {self.missed!r}: write one of {', '.join(MISSED)}."
        if self.deadline is not None and self.deadline < SECOND:
            yield f"{named}: the deadline is {self.deadline}: write at least a second, or leave it out."
        if self.database not in connections:
            yield f"{named}: there is no database {self.database!r}; there is: {', '.join(connections)}."
        if self.queue and (known := queues()) and self.queue not in known:
            yield f"{named}: there is no queue {self.queue!r}; there is: {', '.join(sorted(known))}."
        if not isinstance(self.workers, int) or self.workers < 1:
            yield f"{named}: workers is {self.workers!r}: write a whole number of at least 1."
        try:
            job = registry.find(self.job)
        except registry.UnknownJob as exc:
            yield f"{named}: {exc}"
            return
        yield from (f"{named}: {found}" for found in self._of_job(job))

    def _of_time(self) -> Iterator[str]:
        if bool(self.cron) == (self.every is not None):
            yield "it is due by cron or by every: give exactly one of them."
            return
        if self.every is not None:
            whole = isinstance(self.every, timedelta) and not self.every % SECOND
            if not whole or not SECOND <= self.every <= LONGEST_INTERVAL:
                yield f"every is {self.every!r}: write a timedelta of whole seconds, at least one."
            if self.zone:
                yield "an interval has no zone: leave zone out, or write a cron."
            return
        try:
            read_zone(self.zone or settings.TIME_ZONE)
            Crontab.parse(self.cron)
        except ValueError as exc:
            yield str(exc)

    def _of_job(self, job: Job) -> Iterator[str]:
        if job.shell_only:
            yield f"{job.name} is for a shell only, never for a schedule: write a job of its own."
            return
        if self.verify and not job.verifies:
            yield f"{job.name} has a statement of its own, so there is nothing to plan again: leave verify out."
        for name in ("max_rows", "max_change", "max_row_change"):
            bound = getattr(self, name)
            if bound is not None and not _is_bound(bound, whole=name == "max_rows"):
                yield f"{name} is {bound!r}: write a number of at least {1 if name == 'max_rows' else 0}."
        if job.money is None and (self.max_change is not None or self.max_row_change is not None):
            yield f"{job.name} counts no money, so max_change and max_row_change would guard nothing: use max_rows."
        if secret := sorted(parameters.secrets(job.params) & set(self.params)):
            yield f"{secret[0]} is secret, and not kept for a worker: a schedule can't give it."
        if found := _bad_params(job, self.params, self.database):
            yield found
            return
        try:
            job.bind(dict(self.params))
        except (BrokenJob, KeyError, TypeError):
            return  # it wants what is cleaned, or more than can be told without a database


def _is_bound(value: Any, *, whole: bool) -> bool:
    if whole:
        return isinstance(value, int) and value >= 1
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        return False
    return number.is_finite() and number >= 0


def _bad_params(job: Job, params: Mapping[str, Any], database: str) -> str:
    """Return what is wrong with parameters as far as that can be told without a database, or ''."""
    of_rows = (parameters.NamedRows, forms.ModelChoiceField)
    plain = {
        name: forms.Field(required=kept.required) if isinstance(kept, of_rows) else kept
        for name, kept in job.params.base_fields.items()
    }
    form: Any = type(job.params.__name__, (job.params,), {})
    form.base_fields = plain
    try:
        parameters.clean(form, params, database)
    except parameters.BadParameters as exc:
        return str(exc)
    except (Error, RuntimeError, TypeError):
        return ""  # the form asks a database, or wants what these fields clean to
    return ""


def queues() -> set[str]:
    """Return the queues that the settings name; none where they leave it to Celery."""
    stated = getattr(settings, "CELERY_TASK_QUEUES", None) or ()
    return {str(getattr(one, "name", one)) for one in stated}


def found() -> tuple[Any, ...]:
    """Return what the setting names, unchecked; raise BrokenSchedule where that is no tuple of schedules."""
    path = getattr(settings, SETTING, None)
    if not path:
        return ()
    try:
        stated = import_string(path) if isinstance(path, str) else path
    except ImportError as exc:
        raise BrokenSchedule(f"{SETTING} is {path!r}, which can't be imported: {exc}.") from exc
    if not isinstance(stated, tuple | list):
        raise BrokenSchedule(f"{path} is no tuple of schedules but {type(stated).__name__}: end it with a comma.")
    if strange := [one for one in stated if not isinstance(one, Schedule)]:
        raise BrokenSchedule(f"{path} holds {strange[0]!r}, which is no ops.clock.schedules.Schedule.")
    return tuple(stated)


def problems() -> list[str]:
    """Return what is wrong with the declarations, a sentence each; needs no database."""
    try:
        stated = found()
    except BrokenSchedule as exc:
        return [str(exc)]
    wrong = [problem for one in stated if (problem := one.problem())]
    names = [one.name for one in stated]
    wrong += [
        f"Two schedules are called {name!r}: rename one."
        for name in sorted({one for one in names if names.count(one) > 1})
    ]
    return wrong


def declared() -> tuple[Schedule, ...]:
    """Return the declared schedules; raise BrokenSchedule where one is wrong."""
    return _checked(found())


def _checked(stated: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    # Once for a tuple: a worker asks for each slot, and validating all forms for each would cost more than its run.
    global _good
    if stated is not _good:
        if wrong := problems():
            raise BrokenSchedule(wrong[0])
        _good = stated
    return stated


_good: tuple[Schedule, ...] = ()


def find(name: str) -> Schedule:
    """Return the schedule of that name; raise UnknownSchedule with the names there are."""
    by_name = {one.name: one for one in declared()}
    if name not in by_name:
        known = ", ".join(by_name) or "none"
        raise UnknownSchedule(
            f"There is no schedule {name!r} in {SETTING}; there is: {known}. Declare it, or run 'manage.py "
            "sync_schedules', which switches off what is no longer declared."
        )
    return by_name[name]


def zones(zone: str) -> list[str]:
    """Return the zones in which a firing of a schedule is shown: its own, the project's, Seoul's, UTC, each once."""
    return list(dict.fromkeys([zone or clock.zone().key, clock.zone().key, "Asia/Seoul", "UTC"]))
