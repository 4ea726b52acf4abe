"""A run's life: opened, taken over, checkpointed, stopped or ended, each step recorded in one transaction.

A run that was killed is carried on by whoever starts the same job next: from its cursor, as of its first instant.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction

from ops.engine import owner
from ops.engine.jobs import Params, Reconcile
from ops.engine.plan import Guards, Plan, Refused
from ops.engine.session import Session, in_words
from ops.models import Run, RunEvent

WHOLE_JOB = "*"
"""The scope of a job whose runs may overlap: they exclude each other."""


class Stopped(Exception):
    """The run stopped before its end and can be carried on; the message says why and how."""


class Failed(Exception):
    """The run is done but unverified; the message says what was found and what to do."""


class Declined(Exception):
    """Whoever was asked said no; nothing was changed."""


@dataclass(frozen=True)
class Options:
    """How to carry a run on. Times are in milliseconds, sizes in rows."""

    database: str = "default"
    batch_size: int = 25_000
    window: int = 1_000_000
    lock_timeout: int = 2_000
    attempts: int = 5
    statement_timeout: int = 60_000
    atomic: bool = False
    verify: bool = False
    guards: Guards = field(default_factory=Guards)
    confirm: Callable[[Plan], bool] | None = None
    progress: Callable[[int, int], None] = lambda done, total: None
    note: Callable[[str], None] = lambda text: None
    stop: threading.Event = field(default_factory=threading.Event)
    started_from: str = "Python"


@contextmanager
def trouble(tried: str) -> Iterator[None]:
    """Turn database errors into DatabaseTrouble, one sentence."""
    try:
        yield
    except DatabaseError as exc:
        raise in_words(exc, tried) from exc


def server_now(session: Session) -> datetime:
    """Return the server's clock: hosts may disagree, the server's instant is the one all runs share."""
    return session.execute("ops/find_clock.sql")[0][0]  # type: ignore[no-any-return]  # a timestamptz


def event(session: Session, run: Run, what: str, detail: str = "") -> None:
    """Append to what happened to a run."""
    RunEvent.objects.using(session.alias).create(run=run, what=what, who=owner.who(), detail=detail)


def record(session: Session, job: Reconcile, params: Params, options: Options, as_of: datetime, **more: Any) -> Run:
    """Insert the row of a new run: who, from where, with what, under which SQL and code."""
    return Run.objects.using(session.alias).create(
        job=job.name,
        state=Run.State.RUNNING,
        params=dict(params),
        as_of=as_of,
        sql_digest=job.digest(params),
        code_version=owner.code_version(),
        started_by=owner.who(),
        started_from=options.started_from,
        batch_size=options.batch_size,
        atomic=options.atomic,
        **more,
    )


def open_run(
    session: Session,
    job: Reconcile,
    params: Params,
    options: Options,
    as_of: datetime,
    *,
    verb: Run.Verb,
    opening: Sequence[str] = (),
    fixed: bool = False,
    reverts: Run | None = None,
) -> Run:
    """Open a run in one transaction with its opening statements, or take over the unfinished one that is the same.

    The same is a run with the same verb and parameters, and the same instant where it is `fixed` by who asks. Raises
    Refused where another run of the job is unfinished.
    """
    for _ in range(3):
        try:
            # What a claim waits for (a catalogue or service that somebody is editing) is bounded like a batch's locks.
            with session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0):
                run = record(session, job, params, options, as_of, verb=verb, scope=WHOLE_JOB, reverts=reverts)
                for name in opening:
                    session.execute(name, {"run": run.pk, "as_of": as_of})
                event(session, run, "opened", options.started_from)
                run.fence = owner.take(session, run)
            return run
        except IntegrityError as exc:
            if owner.constraint(exc) != "ops_run_one_unfinished":
                raise
        runs = Run.objects.using(session.alias)
        found = runs.filter(job=job.name, scope=WHOLE_JOB, state__in=Run.UNFINISHED).first()
        if found is not None:
            same = found.verb == verb and found.params == dict(params) and found.reverts_id == (reverts and reverts.pk)
            return take_over(session, job, found, same=same and (not fixed or found.as_of == as_of))
        # It ended between the two statements: try again.
    raise Refused(f"Runs of {job.name} start and end too fast to open one: try again.")


def take_over(session: Session, job: Reconcile, found: Run, *, same: bool = True) -> Run:
    """Become the owner of an unfinished run; raise Refused where it has a live one or is not the same work."""
    holder = owner.live_holder(session, found)
    if holder:
        raise Refused(f"Run {found.pk} of {job.name} is being carried out by {holder}: wait for its end, or stop it.")
    if not same:
        raise Refused(
            f"Run {found.pk} ({found.verb} of {job.name}, {job.describe(found.params)}) is unfinished and excludes "
            f"this one: 'manage.py runs resume {found.pk}' carries it on, "
            f"'manage.py runs cancel {found.pk}' gives it up."
        )
    if found.sql_digest != job.digest(found.params):
        raise Refused(
            f"Run {found.pk} of {job.name} began under other code or SQL than is installed now: install that version "
            f"to go on, or give the run up with 'manage.py runs cancel {found.pk}' and start anew."
        )
    with transaction.atomic(using=session.alias):
        found.fence = owner.take(session, found)
        event(session, found, "resumed", f"after {found.batches} batches, fence {found.fence}")
    # What its last owner committed just before it went is read under the new fence.
    found.refresh_from_db(using=session.alias)
    return found


def checkpoint(
    session: Session, run: Run, cursor: Mapping[str, Any], *, changed: int, batches: int, left_alone: int = 0
) -> None:
    """Write cursor and counters under the fence, in the batch's transaction; raise Stopped where it moved."""
    values = {
        "run": run.pk,
        "fence": run.fence,
        "cursor": json.dumps(cursor),
        "changed": changed,
        "batches": batches,
        "left_alone": left_alone,
    }
    if not session.execute("ops/checkpoint_run.sql", values):
        raise Stopped(f"Run {run.pk} was taken over or stopped by someone else; this owner's batch was rolled back.")


@contextmanager
def outcome(session: Session, job: Reconcile, run: Run) -> Iterator[None]:
    """Carry an owned run to its end: record how it ended, whatever that is, and let the exception go on."""
    try:
        yield
    except Refused as exc:
        end(session, job, run, Run.State.REFUSED, str(exc))
        raise
    except Declined as exc:
        end(session, job, run, Run.State.CANCELLED, str(exc))
        raise
    except Failed as exc:
        end(session, job, run, Run.State.UNVERIFIED, str(exc))
        raise
    except Stopped as exc:
        end(session, job, run, Run.State.STOPPED, str(exc))
        raise
    except DatabaseError as exc:
        # Nothing of the batch is kept; what earlier batches committed is, and from there the run can go on.
        begun = run.cursor is not None and not run.atomic
        state = Run.State.STOPPED if begun else Run.State.FAILED
        end(session, job, run, state, str(in_words(exc, f"Run {run.pk} of {job.name}")))
        raise
    except BaseException as exc:
        end(session, job, run, Run.State.STOPPED, f"{type(exc).__name__}: {exc}")
        raise
    end(session, job, run, Run.State.DONE, "")


def end(session: Session, job: Reconcile, run: Run, state: Run.State, message: str) -> None:
    """Record the outcome and settle or release what the run claimed, unless the connection is what failed."""
    run.state, run.message = state, message
    values = {"run": run.pk, "fence": run.fence, "state": state.value, "message": message}
    try:
        with transaction.atomic(using=session.alias):
            if session.execute("ops/finish_run.sql", values):
                _settle(session, job, run, state)
                event(session, run, state.value, message)
    except DatabaseError:
        # A run that failed because its server is gone stays 'running'; the next start sees that its owner is gone.
        if state in (Run.State.DONE, Run.State.UNVERIFIED):
            raise


def _settle(session: Session, job: Reconcile, run: Run, state: Run.State) -> None:
    """Forget the claims of a run that is done, give them back where it ended otherwise, keep them where it stopped."""
    claim = job.claim(run.params) if run.verb == Run.Verb.APPLY else None
    if claim is None or state == Run.State.STOPPED:
        return
    done = state in (Run.State.DONE, Run.State.UNVERIFIED)
    session.execute(claim.settle if done else claim.release, {"run": run.pk})


def cancel(alias: str, job: Reconcile, run: Run) -> None:
    """Give an unfinished run up: what it wrote stays (and can be reverted), what it claimed is given back."""
    session = Session(alias)
    with trouble(f"Cancelling run {run.pk}"):
        if run.state not in Run.UNFINISHED:
            raise Refused(f"Run {run.pk} is {run.get_state_display()}: only an unfinished run can be cancelled.")
        holder = owner.live_holder(session, run)
        if holder:
            raise Refused(f"Run {run.pk} is being carried out by {holder}: stop it there first (Ctrl-C), then cancel.")
        with transaction.atomic(using=alias):
            run.fence = owner.take(session, run)
        end(session, job, run, Run.State.CANCELLED, f"Cancelled by {owner.who()}.")
