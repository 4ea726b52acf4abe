"""What silently makes instants wrong or loses work in this installation, and the command that mends it.

`examine` looks at everything once and writes nothing; each finding has an id of `catalogue`. What can be told without
a server is a system check, too (`ops.checks`), by the same code. Whatever is away is a finding; the rest is looked at.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ops import clock
from ops.doctor.catalogue import AREAS, KNOWN

T = TypeVar("T")

SEVERITIES = {"E": "error", "W": "warning", "I": "info"}


@dataclass(frozen=True)
class Remedy:
    """What `--mend` does about a finding: said beforehand, done once, and told afterwards."""

    says: str
    do: Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its id, what was found, and what mends it."""

    id: str
    found: str
    mends: str
    remedy: Remedy | None = None

    @property
    def severity(self) -> str:
        """Return error, warning or info."""
        return SEVERITIES[self.id.removeprefix("ops.")[0]]

    @property
    def area(self) -> str:
        """Return where it belongs."""
        return KNOWN[self.id].area

    @property
    def breaks(self) -> str:
        """Return what it breaks."""
        return KNOWN[self.id].breaks

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "id": self.id,
            "severity": self.severity,
            "area": self.area,
            "found": self.found,
            "breaks": self.breaks,
            "mends": self.mends,
            "mendable": self.remedy is not None,
        }


def finding(number: str, found: str, mends: str = "", remedy: Remedy | None = None) -> Finding:
    """Make a finding of the catalogue: `finding("E063", "..")`."""
    known = KNOWN[f"ops.{number}"]
    return Finding(known.id, found, mends or known.mends, remedy)


@dataclass
class Site:
    """What is examined: a database by its alias, Celery's app (None where there is none), and the instant."""

    alias: str
    app: Any
    now: datetime
    uses_beat: bool = False
    only: frozenset[str] = frozenset()
    told: dict[str, str] = field(default_factory=dict)
    """A line for each area: what was looked at, or why nothing was."""

    trouble: str = ""
    """Why the database could not be looked at; then little can be told."""

    def wants(self, *areas: str) -> bool:
        """Tell whether one of these areas can have what was asked for."""
        return not self.only or any(set(areas) & set(KNOWN[one].areas) for one in self.only)


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found, worst first within each area."""

    site: Site
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def healthy(self) -> bool:
        """Tell whether there is nothing to do; what is only information does not count."""
        return all(one.severity == "info" for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "database": self.site.alias,
            "healthy": self.healthy,
            "seconds": round(self.seconds, 3),
            "areas": [{"area": area, "looked_at": self.site.told[area]} for area in AREAS if area in self.site.told],
            "findings": [one.as_json() for one in self.findings],
        }


def _sorted(found: Iterable[Finding], only: frozenset[str]) -> tuple[Finding, ...]:
    from django.conf import settings

    kept = [one for one in found if not only or one.id in only]
    kept = [one for one in kept if one.id not in settings.SILENCED_SYSTEM_CHECKS or one.id in only]
    kept.sort(key=lambda one: (AREAS.index(one.area), "EWI".index(one.id[4]), one.id))
    return tuple(kept)


def examine(alias: str, only: Iterable[str] = ()) -> Report:
    """Look at everything, or at what can have the ids given. Nothing that is away raises: that is a finding.

    Workers are asked in threads of their own meanwhile, as they have a second to answer.
    """
    from ops.doctor import asking, database, settings
    from ops.engine.session import DatabaseTrouble

    began = clock.monotonic()
    # First, as an embedded server starts with its first connection, and Redis with it.
    unreachable = database.unreachable(alias)
    app = settings.loaded_app()
    site = Site(alias, app, clock.now(), settings.uses_beat(), frozenset(only))
    found: list[Finding] = []
    with asking.asked(app if site.wants("broker", "workers") else None) as answers:
        if site.wants("settings"):
            found += settings.look(app)
            site.told["settings"] = settings.told(app)
        rows: list[Any] = []
        try:
            rows = [] if unreachable else _in_database(site, found)
        except DatabaseTrouble as exc:
            unreachable = str(exc)
        if unreachable:
            site.trouble = unreachable
            found.append(finding("E047", f"{unreachable.partition('; see that')[0].rstrip('.')}."))
            site.told["database"] = "not looked at, nor what is in it"
        if site.wants("broker", "workers"):
            found += _at_broker(site, answers(), rows)
    return Report(site, _sorted(found, site.only), clock.monotonic() - began)


def _in_database(site: Site, found: list[Finding]) -> list[Any]:
    """Look at what is in the database; return the enabled rows of beat. DatabaseTrouble where it does not answer."""
    from ops.doctor import database, runs, schedules
    from ops.engine.lifecycle import trouble

    with trouble(f"Looking at database {site.alias!r}"):
        behind = _guarded(site, "database", lambda: database.pending(site.alias))
    if site.wants("database"):
        with trouble(f"Looking at database {site.alias!r}"):
            found += _guarded(site, "database", lambda: list(database.look(site, behind)))
    if site.wants("migrating"):
        with trouble("Looking at the migrations"):
            found += _guarded(site, "migrating", lambda: _migrating(site))
    labels = {one.partition(".")[0] for one in behind}
    rows: list[Any] = []
    if site.uses_beat and not labels & {"ops", "django_celery_beat", "django_celery_results"}:
        with trouble("Looking at the schedules"):
            rows = _guarded(site, "schedules", lambda: schedules.enabled(site))
            if site.wants("schedules"):
                found += _guarded(site, "schedules", lambda: list(schedules.look(site, rows)))
    elif site.wants("schedules"):
        why = "migrations are not applied" if site.uses_beat else "django_celery_beat is not installed"
        site.told["schedules"] = f"not looked at: {why}"
    if site.wants("runs"):
        with trouble("Looking at the runs"):
            if "ops" in labels:
                site.told["runs"] = "not looked at: migrations are not applied"
            else:
                found += _guarded(site, "runs", lambda: list(runs.look(site)))
    return rows


def _migrating(site: Site) -> list[Finding]:
    """Look at the files of migrations, and at what records them."""
    from ops.drift import checks

    site.told["migrating"] = checks.told(site.alias)
    return [*checks.of_names(), *checks.of_texts(), *checks.of_database(site.alias)]


def _guarded(site: Site, area: str, look: Callable[[], list[T]]) -> list[T]:
    """Look at an area in a transaction of its own; what the role may not read is told, and the rest goes on."""
    from django.db import ProgrammingError, transaction

    from ops.engine.session import DatabaseTrouble, in_words

    try:
        with transaction.atomic(using=site.alias):
            return look()
    except ProgrammingError as exc:
        why = str(in_words(exc, "Looking at it"))
    except DatabaseTrouble as exc:
        if not isinstance(exc.__cause__, ProgrammingError):
            raise
        why = str(exc)
    site.told[area] = f"not looked at to the end. {why}"
    return []


def _at_broker(site: Site, answers: Any, rows: list[Any]) -> Iterator[Finding]:
    """Look at the broker and at those who listen to it."""
    from ops.doctor import broker, workers

    looked = broker.look(site, {row.queue for row in rows if row.queue})
    yield from looked.findings
    if site.app is None:
        site.told["workers"] = "this project has no Celery"
    elif looked.lengths is None or answers.unreachable:
        site.told["workers"] = "not asked: the broker is away"
    else:
        yield from workers.look(site, answers, rows, looked.lengths)
