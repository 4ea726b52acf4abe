"""What can be told of the runs: those that nobody carries on, that wait for long, and slots that were missed."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.db.models import Sum

from ops import clock
from ops.doctor import Finding, Remedy, Site, finding
from ops.engine import sweeping
from ops.engine.lifecycle import Options
from ops.models import MissedSlots, Run

QUEUED = timedelta(minutes=15)
"""How long a run may wait for a worker; the sweeper sends its message again within seconds."""

RESTING = timedelta(days=1)
"""How long one may be stopped or paused."""

LATELY = timedelta(days=1)


def look(site: Site) -> Iterator[Finding]:
    """Find runs that stand still."""
    unfinished = list(Run.objects.using(site.alias).filter(state__in=Run.UNFINISHED).order_by("pk"))
    site.told["runs"] = f"{len(unfinished)} unfinished" if unfinished else "none is unfinished"
    for run in sweeping.stale(site.alias):
        yield finding(
            "W090",
            f"Run {run.pk} of {run.job} is running, and its process ({run.owner_pid} on {run.owner_host}) is gone.",
            "manage.py sweep" + ("" if site.alias == "default" else f" --database {site.alias}"),
            Remedy(f"carry run {run.pk} of {run.job} on, as a sweep does", _carried(site.alias, run)),
        )
    for run in unfinished:
        since = run.heartbeat_at or run.created_at
        if run.state == Run.State.QUEUED and site.now - (run.sent_at or run.created_at) > QUEUED:
            yield finding(
                "W091",
                f"Run {run.pk} of {run.job} has been queued for {run.queue or 'the sweeper'} since "
                f"{clock.shown(run.sent_at or run.created_at)}.",
            )
        elif run.state in (Run.State.STOPPED, Run.State.PAUSED) and site.now - since > RESTING:
            yield finding(
                "W092",
                f"Run {run.pk} of {run.job} has been {run.state} since {clock.shown(since)}.",
                f"{run.calls('resume')}, or {run.calls('cancel')}",
            )
    missed = MissedSlots.objects.using(site.alias).filter(at__gt=site.now - LATELY)
    for row in missed.values("schedule").annotate(slots=Sum("count")).order_by("schedule"):
        yield finding("I090", f"Schedule {row['schedule']!r} missed {row['slots']:,} in the last day.")


def _carried(alias: str, run: Run) -> Callable[[], str]:
    def do() -> str:
        options = Options(database=alias, agreed=True, started_from="manage.py doctor")
        came = sweeping.nudge(alias, run, options)
        return f"run {came.run} of {came.job}: {came.outcome}{f', {came.message}' if came.message else ''}"

    return do
