"""What Prometheus asks at `/metrics`: read from the database and the broker when it asks.

So every process of the web server says the same, and none keeps a count of its own. A counter counts since midnight,
UTC: it begins again at 0 there, which Prometheus takes for what it is, and it never falls because old runs are pruned.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ops import clock
from ops.engine import owner
from ops.engine.lifecycle import server_now
from ops.engine.session import Session
from ops.models import MissedSlots, Run, Schedule
from ops.web import broker
from ops.web.health import briefly
from ops.web.standing import standings

logger = logging.getLogger("ops.web")

STATEMENT = 5_000
"""Milliseconds that a statement of a scrape may take."""

# Prometheus gives a scrape ten seconds; a transaction that began before and commits after is no longer than this.
LONGEST = timedelta(hours=1)

BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0)
"""Seconds that a run takes: the buckets of its histogram."""


class Metric(NamedTuple):
    """One metric: its name without prefix and suffix, its kind, its labels, and what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


# "job" is what Prometheus calls the target.
IN = ("database", "job_name", "verb")
METRICS = (
    Metric("database_up", "gauge", ("database",), "Whether the database answers."),
    Metric("broker_up", "gauge", (), "Whether Celery's broker answers; absent where there is none."),
    Metric("counted_since_timestamp_seconds", "gauge", ("database",), "From when the counters of runs count."),
    Metric("runs", "counter", (*IN, "state"), "Runs that ended, since midnight UTC."),
    Metric("rows_written", "counter", IN, "Rows written by runs that ended, since midnight UTC."),
    Metric("run_duration_seconds", "histogram", IN, "From a run's opening to its end; those that ended today, UTC."),
    Metric("run_events", "counter", ("database", "event"), "What happened to runs (blocked, resumed, ..), today, UTC."),
    Metric("unfinished_runs", "gauge", (*IN, "state", "queue"), "Runs that are queued, running, stopped or paused."),
    Metric("unfinished_age_seconds", "gauge", (*IN, "state", "queue"), "For how long the oldest of these is open."),
    Metric("unfinished_rows_written", "gauge", (*IN, "state", "queue"), "Rows that unfinished runs wrote so far."),
    Metric("stale_runs", "gauge", IN, "Running runs whose process is gone or silent."),
    Metric("job_last_ended_timestamp_seconds", "gauge", ("database", "job_name"), "When the job's last run ended."),
    Metric("job_last_done_timestamp_seconds", "gauge", ("database", "job_name"), "When one was last done."),
    Metric("job_last_ok", "gauge", ("database", "job_name"), "Whether the job's last run that ended is done."),
    Metric("queue_messages", "gauge", ("queue",), "Messages that wait in a queue of Celery's."),
    Metric("unacknowledged_messages", "gauge", (), "Messages that workers have and have not acknowledged."),
    Metric("unacknowledged_age_seconds", "gauge", (), "For how long the oldest of these is delivered."),
    Metric(
        "slot_late_seconds",
        "gauge",
        ("database", "schedule"),
        "For how long a slot is due that has not begun.",
    ),
    Metric("next_slot_timestamp_seconds", "gauge", ("database", "schedule"), "When the schedule is due next."),
    Metric(
        "schedule_sent_timestamp_seconds",
        "gauge",
        ("database", "schedule"),
        "When beat last sent its message.",
    ),
    Metric("missed_slots", "counter", ("database", "schedule"), "Slots that have no run."),
    Metric("scrape_seconds", "gauge", (), "How long it took to find all this."),
)


class Collector:
    """Reads all metrics once, as a collector of prometheus_client does."""

    def collect(self) -> Iterator[Any]:
        """Yield each metric that has something to say."""
        from prometheus_client import core

        begun = clock.monotonic()
        kinds = {
            "gauge": core.GaugeMetricFamily,
            "counter": core.CounterMetricFamily,
            "histogram": core.HistogramMetricFamily,
        }
        found = {one.name: kinds[one.kind](f"setwise_{one.name}", one.help, labels=one.labels) for one in METRICS}
        queues: set[str] = set()
        for alias in connections:
            if connections[alias].vendor == "postgresql":
                queues |= _database(found, alias)
        _broker(found, queues)
        found["scrape_seconds"].add_metric([], clock.monotonic() - begun)
        yield from (family for family in found.values() if family.samples)


def _database(found: dict[str, Any], alias: str) -> set[str]:
    """Add what a database says; return the queues that its unfinished runs name."""
    up = found["database_up"]
    try:
        # First, since Django's own connection may hang where a host is gone.
        with briefly(alias) as cursor:
            tables = connections[alias].introspection.get_table_list(cursor) if alias != DEFAULT_DB_ALIAS else []
        if alias != DEFAULT_DB_ALIAS and Run._meta.db_table not in {table.name for table in tables}:
            return set()
        session = Session(alias)
        with session.transaction(lock_timeout=1_000, statement_timeout=STATEMENT):
            now = server_now(session)
            queues = _runs(found, session, now)
            _schedules(found, session, now)
    except Error as exc:
        logger.warning("No metrics of database %s: %s", alias, str(exc).strip())
        up.add_metric([alias], 0)
        return set()
    up.add_metric([alias], 1)
    return queues


def _runs(found: dict[str, Any], session: Session, now: datetime) -> set[str]:
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    found["counted_since_timestamp_seconds"].add_metric([session.alias], since.timestamp())
    _ended(found, session, since)
    for what, events in session.execute("ops/count_happened.sql", {"since": since, "before": since - LONGEST}):
        found["run_events"].add_metric([session.alias, what], events)
    lease = {"lease": owner.LEASE, "prompt_lease": owner.PROMPT_LEASE}
    queues = set()
    gone: dict[tuple[str, ...], int] = {}
    for *labels, runs, oldest, changed, stale in session.execute("ops/count_unfinished.sql", lease):
        named = [session.alias, *labels]
        found["unfinished_runs"].add_metric(named, runs)
        found["unfinished_age_seconds"].add_metric(named, max(0.0, (now - oldest).total_seconds()))
        found["unfinished_rows_written"].add_metric(named, changed)
        queues.add(labels[-1])
        if labels[2] == Run.State.RUNNING:
            key = tuple(named[:3])
            gone[key] = gone.get(key, 0) + stale
    for key, stale in gone.items():
        found["stale_runs"].add_metric(key, stale)
    for job, _, state, ended_at, done_at in session.execute("ops/list_last_ended.sql"):
        found["job_last_ended_timestamp_seconds"].add_metric([session.alias, job], ended_at.timestamp())
        found["job_last_ok"].add_metric([session.alias, job], int(state == Run.State.DONE))
        if done_at is not None:
            found["job_last_done_timestamp_seconds"].add_metric([session.alias, job], done_at.timestamp())
    return queues - {""}


def _ended(found: dict[str, Any], session: Session, since: datetime) -> None:
    """Add what ended since an instant; one scan finds how many, what they wrote and how long they took."""
    runs: dict[tuple[str, ...], int] = {}
    rows: dict[tuple[str, ...], int] = {}
    took: dict[tuple[str, ...], float] = {}
    buckets: dict[tuple[str, ...], list[int]] = {}
    for job, verb, state, bound, n, changed, seconds in session.execute(
        "ops/count_ended.sql", {"since": since, "bounds": list(BOUNDS)}
    ):
        key: tuple[str, ...] = (session.alias, job, verb)
        runs[(*key, state)] = runs.get((*key, state), 0) + n
        rows[key] = rows.get(key, 0) + changed
        took[key] = took.get(key, 0.0) + seconds
        buckets.setdefault(key, [0] * (len(BOUNDS) + 1))[bound] += n
    for named, n in runs.items():
        found["runs"].add_metric(named, n)
    for key, counts in buckets.items():
        found["rows_written"].add_metric(key, rows[key])
        upto = [sum(counts[: i + 1]) for i in range(len(counts))]
        bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
        found["run_duration_seconds"].add_metric(key, list(zip(bounds, upto, strict=True)), took[key])


def _schedules(found: dict[str, Any], session: Session, now: datetime) -> None:
    kept = Schedule.objects.using(session.alias).order_by("name")
    for name, stands in standings(kept, now).items():
        named = [session.alias, name]
        if stands.declaration:
            late = (now - stands.waiting).total_seconds() if stands.waiting is not None else 0.0
            found["slot_late_seconds"].add_metric(named, late)
        for slot in stands.coming:
            found["next_slot_timestamp_seconds"].add_metric(named, slot.timestamp())
        if stands.row is not None and stands.row.last_run_at is not None:
            found["schedule_sent_timestamp_seconds"].add_metric(named, stands.row.last_run_at.timestamp())
    missed = MissedSlots.objects.using(session.alias).order_by("schedule").values_list("schedule")
    for name, slots in missed.annotate(slots=Sum("count")):
        found["missed_slots"].add_metric([session.alias, name], slots)


def _broker(found: dict[str, Any], queues: Iterable[str]) -> None:
    try:
        waiting = broker.look(set(queues))
    except broker.Unreachable as exc:
        logger.warning("No metrics of the broker: %s", exc)
        found["broker_up"].add_metric([], 0)
        return
    if waiting is None:
        return
    found["broker_up"].add_metric([], 1)
    for queue, messages in waiting.queues.items():
        found["queue_messages"].add_metric([queue], messages)
    if waiting.unacknowledged is not None:
        found["unacknowledged_messages"].add_metric([], waiting.unacknowledged)
        found["unacknowledged_age_seconds"].add_metric([], waiting.oldest or 0.0)


def _has_token(request: HttpRequest) -> bool:
    """Tell whether a request says the token of the settings; where there is none, no request does."""
    token: str = getattr(settings, "SETWISE_METRICS_TOKEN", "")
    scheme, _, said = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and constant_time_compare(said.strip(), token)


def _may_look(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return settings.DEBUG or _has_token(request) or bool(user and user.is_active and user.is_staff)


@transaction.non_atomic_requests
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in the format that the scraper prefers: to who says the token, and to the admin's staff."""
    if not _may_look(request):
        refused = HttpResponse(
            "Say the token of METRICS_TOKEN as a bearer token, or log in to the admin as staff.\n",
            content_type="text/plain",
            status=401,
        )
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError:
        said = "There are no metrics without prometheus-client: install setwise[metrics].\n"
        return HttpResponse(said, content_type="text/plain", status=501)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


metrics.open_to = _has_token  # type: ignore[attr-defined]  # what the middleware Probes looks at
