"""What an operator does to a run from elsewhere: pause, cancel, retune; and what carries stale runs on.

A run that is being carried out is told by its row: its hands look at each commit.
"""

from dataclasses import dataclass

from django.db import transaction

from ops.engine import changeset, owner, registry, retention
from ops.engine import run as engine
from ops.engine.jobs import Job
from ops.engine.lifecycle import Declined, Failed, Options, Stopped, Unusable, end, event, trouble
from ops.engine.parameters import BadParameters
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble, Session
from ops.models import Run


def pause(alias: str, run: Run) -> bool:
    """Pause an unfinished run; return whether it is paused already, and not only once its batch has ended."""
    return _wish(alias, run, Run.Wish.PAUSE)


def cancel(alias: str, run: Run) -> bool:
    """Give an unfinished run up: what it wrote stays (and can be reverted), what it claimed is given back.

    Returns whether that is done already, and not only once its batch has ended.
    """
    return _wish(alias, run, Run.Wish.CANCEL)


def _wish(alias: str, run: Run, wish: Run.Wish) -> bool:
    session = Session(alias)
    with trouble(f"Telling run {run.pk} to {wish}"):
        run.refresh_from_db(using=alias)
        if run.state not in Run.UNFINISHED:
            raise Refused(f"Run {run.pk} is {run.get_state_display()}: only an unfinished run can be {_past(wish)}.")
        holder = owner.live_holder(session, run)
        if holder and run.verb == Run.Verb.PLAN:
            raise Refused(f"Run {run.pk} is a plan, which writes nothing and does not pause: end {holder}.")
        if holder:
            rows = Run.objects.using(alias).filter(pk=run.pk, state=Run.State.RUNNING, fence=run.fence)
            if rows.update(wish=wish):
                event(session, run, f"asked to {wish}")
                return False
            run.refresh_from_db(using=alias)
        if wish == Run.Wish.PAUSE and run.state == Run.State.PAUSED:
            return True
        state = Run.State.PAUSED if wish == Run.Wish.PAUSE else Run.State.CANCELLED
        # One transaction: a run that is taken and not ended would be carried on by the next sweep.
        with transaction.atomic(using=alias):
            run.fence = owner.take(session, run)
            end(session, _job(run), run, state, f"{_past(wish).capitalize()} by {owner.who()}.")
            if not Run.objects.using(alias).filter(pk=run.pk, state=state).exists():
                raise Refused(f"Run {run.pk} could not be {_past(wish)}; nothing was changed: try again.")
        return True


def _past(wish: Run.Wish) -> str:
    return "paused" if wish == Run.Wish.PAUSE else "cancelled"


def _job(run: Run) -> Job | None:
    """Return a run's job, or None where it is gone; then there is nothing that its claim could be given back by."""
    return registry.find(run.job).bind(run.params) if run.job in registry.names() else None


def retune(
    alias: str,
    run: Run,
    *,
    batch_size: int | None = None,
    target_time: int | None = None,
    workers: int | None = None,
) -> None:
    """Change how an unfinished run goes on, from its next batch: rows of a batch, or its target time (ms); workers."""
    session = Session(alias)
    with trouble(f"Retuning run {run.pk}"):
        if run.atomic or run.verb != Run.Verb.APPLY:
            what = "is atomic: one batch" if run.atomic else f"is a {run.verb}: its batches are not its own"
            raise Refused(f"Run {run.pk} {what}; there is nothing to retune.")
        fields: dict[str, int | None] = {}
        if batch_size is not None:
            fields["batch_size"] = batch_size
        if target_time is not None:
            fields |= {"target_time": target_time, "batch_size": None}
        if workers is not None:
            fields["workers"] = workers
        if not Run.objects.using(alias).filter(pk=run.pk, state__in=Run.UNFINISHED).update(**fields):
            run.refresh_from_db(using=alias)
            raise Refused(f"Run {run.pk} is {run.get_state_display()}: only an unfinished run can be retuned.")
        event(session, run, "retuned", ", ".join(f"{name} {value or 'by time'}" for name, value in fields.items()))
        run.refresh_from_db(using=alias)


def carry_on(run: Run, options: Options, *, as_begun: bool = False) -> None:
    """Carry an unfinished run on to its end, whatever its verb is, bound by what it began with."""
    bound = options.as_begun(run)
    if run.verb == Run.Verb.REVERT:
        changeset.resume_revert(run, bound)
    else:
        engine.resume(registry.find(run.job), run, bound, as_begun=as_begun)


@dataclass
class Swept:
    """What a sweep did with a stale run: its outcome in a word, and why it is not done, if it is not."""

    run: int
    job: str
    outcome: str
    message: str = ""


def stale(alias: str) -> list[Run]:
    """Return the runs whose owner is gone: killed, disconnected, or silent for longer than its lease."""
    session = Session(alias)
    with trouble("Looking for stale runs"):
        runs = Run.objects.using(alias).filter(state=Run.State.RUNNING).order_by("pk")
        return [run for run in runs if not owner.live_holder(session, run)]


def sweep(alias: str, options: Options) -> list[Swept]:
    """Carry each stale run on; one that nobody has said yes to is cancelled, having changed nothing.

    Staging tables whose run has ended without dropping them are dropped.
    """
    swept = [_sweep_one(alias, run, options) for run in stale(alias) if not options.stop.is_set()]
    retention.drop_staging_left(alias)
    return swept


def _sweep_one(alias: str, run: Run, options: Options) -> Swept:
    try:
        if run.verb == Run.Verb.PLAN:
            Run.objects.using(alias).filter(pk=run.pk, state=Run.State.RUNNING).update(
                state=Run.State.FAILED, message="Its process is gone."
            )
            return Swept(run.pk, run.job, "failed", "a plan whose process is gone")
        if run.wish == Run.Wish.PAUSE:
            pause(alias, run)
            return Swept(run.pk, run.job, "paused", "as it had been asked to")
        if run.wish == Run.Wish.CANCEL or not run.consent:
            cancel(alias, run)
            return Swept(run.pk, run.job, "cancelled", "" if run.consent else "nobody had said yes to its plan")
        carry_on(run, options)
    except owner.Taken:
        return Swept(run.pk, run.job, "taken", "another process was faster")
    except Refused as exc:
        return Swept(run.pk, run.job, "refused", str(exc))
    except (Stopped, Declined) as exc:
        if options.stop.is_set():
            # It is the sweeper that was asked to leave, not the run: the next sweep carries it on.
            stopped = Run.objects.using(alias).filter(pk=run.pk, fence=run.fence, state=Run.State.STOPPED)
            stopped.update(state=Run.State.RUNNING)
        return Swept(run.pk, run.job, "stopped", str(exc))
    except (Failed, Unusable, BadParameters, DatabaseTrouble, registry.UnknownJob) as exc:
        return Swept(run.pk, run.job, "failed", str(exc))
    return Swept(run.pk, run.job, "done")
