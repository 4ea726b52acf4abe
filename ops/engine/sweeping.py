"""Carrying on what nobody carries out: runs that are queued, and those whose owner was killed or lost.

A sweep and a worker's message do the same to a run, and both may come late, twice, or not at all: what a run needs is
in its row, and who comes second finds it held or done.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import Error
from django.db.models import Sum

from ops import clock
from ops.engine import control, owner, registry, retention
from ops.engine import run as engine
from ops.engine.lifecycle import Cancelled, Declined, Failed, Options, Stopped, event, trouble
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble, Session, in_words
from ops.models import Run


@dataclass
class Swept:
    """What came of a run: its outcome in a word, and why it is not done, if it is not; `exc` is what was raised."""

    run: int
    job: str
    outcome: str
    message: str = ""
    exc: Exception | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {"run": self.run, "job": self.job, "outcome": self.outcome, "message": self.message}


Send = Callable[[Run], None]
"""Sends a message that nudges a run; raises Undelivered where there is no broker."""


class Undelivered(Exception):
    """The broker took no message; the run stays queued, and a sweep sends it once the broker is back."""


def stale(alias: str) -> list[Run]:
    """Return the runs whose owner is gone: killed, disconnected, or silent for longer than its lease."""
    session = Session(alias)
    with trouble("Looking for stale runs"):
        runs = Run.objects.using(alias).filter(state=Run.State.RUNNING).order_by("pk")
        return [run for run in runs if not owner.live_holder(session, run)]


def queued(alias: str) -> list[Run]:
    """Return the runs that wait for a worker or a sweep, oldest first."""
    with trouble("Looking for queued runs"):
        return list(Run.objects.using(alias).filter(state=Run.State.QUEUED).order_by("pk"))


TURN = 30.0
"""Seconds for which a sweep of a project with workers carries a run of a shell on, before it looks around again."""


class _Turn(threading.Event):
    """An event that is set once a turn is over, or whoever sweeps is to stop."""

    def __init__(self, parent: threading.Event) -> None:
        super().__init__()
        self.parent = parent
        self.until = clock.monotonic() + TURN

    def is_set(self) -> bool:
        return self.parent.is_set() or clock.monotonic() > self.until

    def wait(self, timeout: float | None = None) -> bool:
        return self.parent.wait(timeout) or self.is_set()


def sweep(alias: str, options: Options, send: Send | None = None) -> list[Swept]:
    """Carry each stale run on; one that nobody has said yes to is cancelled, having changed nothing.

    A run of the workers is queued again instead, where there is a way to `send` it. Staging tables whose run has ended
    without dropping them are dropped; what writers have added to the versions of tables is merged.
    """
    found = stale(alias) + [run for run in queued(alias) if not run.queue]
    swept = []
    for run in found:
        if options.stop.is_set():
            break
        if run.queue and send and _goes_on(run):
            swept.append(_requeue(alias, run, options, send))
            continue
        # Where there are messages to be sent again, none waits for hours while a run of a shell is carried on.
        swept.append(nudge(alias, run, replace(options, stop=_Turn(options.stop)) if send else options))
    retention.drop_staging_left(alias)
    retention.merge_versions(alias)
    return swept


def _goes_on(run: Run) -> bool:
    return run.consent and not run.wish and run.verb != Run.Verb.PLAN


def _requeue(alias: str, run: Run, options: Options, send: Send) -> Swept:
    """Queue a run of the workers again, whose worker is gone."""
    session = Session(alias)
    try:
        if lost := _lost(session, run, options):
            return lost
        control.settle(session, run, Run.State.QUEUED, "Its worker is gone.")
        send(run)
    except owner.Taken:
        return Swept(run.pk, run.job, "taken", "another process was faster")
    except (Refused, Undelivered, DatabaseTrouble) as exc:
        return Swept(run.pk, run.job, "refused", str(exc), exc)
    return Swept(run.pk, run.job, "queued", "its worker is gone")


def _lost(session: Session, run: Run, options: Options) -> Swept | None:
    """Record that a run has lost its process; stop it where that happens again and again in the same place."""
    return _again(session, run, options, "lost") if run.state == Run.State.RUNNING else None


WORDS = {
    "lost": "lost its process",
    "interrupted": "reached the time limit of its task",
    "unknown": "met a worker that knows no such job",
}


def _place(session: Session, run: Run) -> str:
    """Return where a run stands, as its events tell it."""
    windows = run.windows.using(session.alias).aggregate(batches=Sum("batches"))["batches"] or 0
    told = json.dumps([run.cursor, run.plan is None, run.consent, run.changed], sort_keys=True)
    return f"after {max(run.batches, windows)} batches, at {hashlib.sha256(told.encode()).hexdigest()[:8]}"


def is_given_up(session: Session, run: Run, options: Options) -> bool:
    """Tell whether a run was stopped because it got no further however often it was carried on."""
    found = run.events.using(session.alias).filter(what__in=WORDS, detail=_place(session, run))
    return found.count() >= options.losses


def _again(session: Session, run: Run, options: Options, what: str) -> Swept | None:
    """Record what keeps a run from going on, and where; stop it where that has happened there too often."""
    place = _place(session, run)
    event(session, run, what, place)
    if run.events.using(session.alias).filter(what=what, detail=place).count() < options.losses:
        return None
    message = (
        f"Run {run.pk} {WORDS[what]} {options.losses} times in the same place, {place}: it may be what ends it "
        f"(memory, a time limit). '{run.calls('resume')}' carries it on from a shell, '{run.calls('cancel')}' gives "
        "it up."
    )
    control.settle(session, run, Run.State.STOPPED, message)
    return Swept(run.pk, run.job, "stopped", message, Stopped(message))


def nudge(alias: str, run: Run, options: Options) -> Swept:
    """Carry a queued or stale run on to its end, or until `options.stop`; lend a hand to one that is shared.

    Raises nothing that a run can come to: the outcome is done, stopped, queued, paused, cancelled, refused, failed,
    taken or held (somebody else carries it out), or the state that it has ended in before.
    """
    session = Session(alias)
    fence = run.fence
    try:
        with trouble(f"Looking at run {run.pk}"):
            run.refresh_from_db(using=alias)
            if run.state not in (Run.State.QUEUED, Run.State.RUNNING):
                return Swept(run.pk, run.job, run.state, run.message)
            fence = run.fence
            holder = owner.live_holder(session, run)
        if holder:
            return _lend(alias, run, options, holder)
        return _carry(session, run, options)
    except owner.Taken:
        return Swept(run.pk, run.job, "taken", "another process was faster")
    except Refused as exc:
        _stop(session, run, fence, str(exc))
        return Swept(run.pk, run.job, "refused", str(exc), exc)
    except Stopped as exc:
        rests = options.rests_as == Run.State.QUEUED and options.stop.is_set()
        return Swept(run.pk, run.job, "queued" if rests else "stopped", str(exc), exc)
    except (Declined, Cancelled) as exc:
        return Swept(run.pk, run.job, "cancelled", str(exc), exc)
    except (Failed, DatabaseTrouble) as exc:
        return Swept(run.pk, run.job, "failed", str(exc), exc)
    except registry.UnknownJob as exc:
        # While something is deployed, another worker may know it.
        run.refresh_from_db(using=alias)
        waits = run.state == Run.State.QUEUED and run.fence == fence
        return (_again(session, run, options, "unknown") if waits else None) or Swept(
            run.pk, run.job, "failed", str(exc), exc
        )
    except options.interrupts:
        run.refresh_from_db(using=alias)
        if run.state == Run.State.QUEUED and (stopped := _again(session, run, options, "interrupted")):
            return stopped
        raise
    except Error as exc:
        # The connection was lost between two statements; the next look connects anew.
        return Swept(run.pk, run.job, "failed", str(in_words(exc, f"Carrying on run {run.pk}")), exc)
    except Exception as exc:
        # Unusable, or whatever a job's own code raises: who sweeps goes on with the next run.
        _stop(session, run, fence, f"{type(exc).__name__}: {exc}")
        return Swept(run.pk, run.job, "failed", str(exc), exc)


def _lend(alias: str, run: Run, options: Options, holder: str) -> Swept:
    """Share the work of a run that another process carries out, where it has work to share and hands to spare."""
    hands = run.windows.using(alias).filter(done=False).values("host", "pid").distinct().count()
    if run.workers < 2 or run.cursor is None or hands >= run.workers or run.verb != Run.Verb.APPLY or run.atomic:
        return Swept(run.pk, run.job, "held", f"it is being carried out by {holder}")
    rows = engine.join(run, options.as_begun(run))
    return Swept(run.pk, run.job, "joined", f"{rows:,} rows were written by this hand")


def _carry(session: Session, run: Run, options: Options) -> Swept:
    alias = session.alias
    if run.verb == Run.Verb.PLAN:
        Run.objects.using(alias).filter(pk=run.pk, state=Run.State.RUNNING).update(
            state=Run.State.FAILED, message="Its process is gone."
        )
        return Swept(run.pk, run.job, "failed", "a plan whose process is gone")
    if run.wish == Run.Wish.PAUSE:
        control.pause(alias, run)
        return Swept(run.pk, run.job, "paused", "as it had been asked to")
    if run.wish == Run.Wish.CANCEL or not run.consent:
        control.cancel(alias, run)
        return Swept(run.pk, run.job, "cancelled", "" if run.consent else "nobody had said yes to its plan")
    if lost := _lost(session, run, options):
        return lost
    if options.task_id:
        Run.objects.using(alias).filter(pk=run.pk).update(task_id=options.task_id)
    control.carry_on(run, options, asked=False)
    return Swept(run.pk, run.job, "done")


def _stop(session: Session, run: Run, fence: int, message: str) -> None:
    """Stop a run that can't be carried on without somebody's choice, so that it is not tried for ever."""
    try:
        run.refresh_from_db(using=session.alias)
        idle = run.state in (Run.State.QUEUED, Run.State.RUNNING) and run.fence == fence
        if idle and not owner.live_holder(session, run):
            control.settle(session, run, Run.State.STOPPED, message)
    except (owner.Taken, Refused, Error):
        return
