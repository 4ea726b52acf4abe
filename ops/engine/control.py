"""What an operator does to a run from elsewhere: pause, cancel, retune, carry on.

A run that is being carried out is told by its row: its hands look at each commit.
"""

from django.db import transaction

from ops.engine import changeset, owner, registry
from ops.engine import run as engine
from ops.engine.jobs import Job
from ops.engine.lifecycle import Options, end, event, trouble
from ops.engine.plan import Refused
from ops.engine.session import Session
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
        settle(session, run, STATES[wish], f"{_past(wish).capitalize()} by {owner.who()}.")
        return True


def settle(session: Session, run: Run, state: Run.State, message: str) -> None:
    """Bring a run that nobody carries out into a state; raise Taken or Refused where somebody does by now."""
    # One transaction: a run that is taken and not ended would be carried on by the next sweep.
    with transaction.atomic(using=session.alias):
        run.fence = owner.take(session, run)
        end(session, _job(run), run, state, message)
        if not Run.objects.using(session.alias).filter(pk=run.pk, state=state).exists():
            raise Refused(f"Run {run.pk} could not become {state.label}; nothing was changed: try again.")


STATES = {Run.Wish.PAUSE: Run.State.PAUSED, Run.Wish.CANCEL: Run.State.CANCELLED}


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


def carry_on(run: Run, options: Options, *, as_begun: bool = False, asked: bool = True) -> None:
    """Carry an unfinished run on to its end, whatever its verb is, bound by what it began with.

    Where somebody has `asked` for that, a pause or end that was wished for before is void.
    """
    bound = options.as_begun(run)
    if run.verb == Run.Verb.REVERT and not (run.job in registry.names() and registry.find(run.job).reverts_itself):
        changeset.resume_revert(run, bound, asked=asked)
    else:
        engine.resume(registry.find(run.job), run, bound, as_begun=as_begun, asked=asked)
