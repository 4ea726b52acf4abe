"""A run's life: opened, taken over, checkpointed, stopped or ended, each step recorded in one transaction.

A run that was killed is carried on by whoever starts the same job next: from its cursor, as of its first instant.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from django.db import DatabaseError, Error, IntegrityError, transaction
from django.db.models.functions import Now

from ops import logs, sql
from ops.engine import owner, parameters
from ops.engine.jobs import Job, Params
from ops.engine.options import Options as Options  # noqa: PLC0414 - so that others may import it from here
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble, Session, in_words
from ops.models import Run, RunEvent, Source


class Stopped(Exception):
    """The run stopped before its end and can be carried on; the message says why and how."""

    def __init__(self, message: str, state: Run.State = Run.State.STOPPED) -> None:
        super().__init__(message)
        self.state = state


class Busy(Refused):
    """An unfinished run is in the way of a fresh one; `held` is that run."""

    def __init__(self, message: str, held: Run) -> None:
        super().__init__(message)
        self.held = held


class SlotTaken(Exception):
    """The slot has its run already."""


class Failed(Exception):
    """The run is done but unverified; the message says what was found and what to do."""


class Unusable(Exception):
    """What a run was to work from can't be used, a file say. The message says what to do."""


class Declined(Exception):
    """Whoever was asked said no; nothing was changed."""


class Cancelled(Declined):
    """An operator gave the run up while it was being carried out; what it wrote stays."""


def encoded(value: Any) -> str:
    """Return a value as the text of a jsonb parameter."""
    return json.dumps(value)


def decoded(value: Any) -> Any:
    """Return a jsonb column's value; Django leaves it as text where no field reads it."""
    return json.loads(value) if isinstance(value, str) else value


@contextmanager
def trouble(tried: str) -> Iterator[None]:
    """Turn database errors into DatabaseTrouble, one sentence."""
    try:
        yield
    except Error as exc:  # an InterfaceError, too: a connection that was lost before
        raise in_words(exc, tried) from exc


def server_now(session: Session) -> datetime:
    """Return the server's clock: hosts may disagree, the server's instant is the one all runs share."""
    return session.execute("ops/find_clock.sql")[0][0]  # type: ignore[no-any-return]  # a timestamptz


def event(session: Session, run: Run, what: str, detail: str = "") -> None:
    """Append to what happened to a run."""
    RunEvent.objects.using(session.alias).create(run=run, what=what, who=owner.who(), detail=detail)
    # Said once it is true: an event of a batch that is rolled back did not happen.
    transaction.on_commit(partial(logs.happened, run, what, detail), using=session.alias)


def record(
    session: Session,
    job: Job,
    params: Params,
    options: Options,
    as_of: datetime,
    *,
    reverts: Run | None = None,
    **more: Any,
) -> Run:
    """Insert the row of a new run: who, from where, with what, under which SQL and code."""
    sources = list(job.statements(params))
    run = Run.objects.using(session.alias).create(
        job=job.name,
        state=Run.State.RUNNING,
        params=parameters.shown(job.params, params),
        target=job.target._meta.label,
        columns=list(reverts.columns if reverts else job.columns),
        as_of=as_of,
        sql_digest=job.digest(params),
        statements=_digests(sources),
        code_version=owner.code_version(),
        started_by=owner.who(),
        started_from=options.started_from,
        options=options.kept(),
        consent=options.confirm is None or options.agreed,
        schedule=options.schedule,
        slot=options.slot,
        queue=options.queue,
        task_id=options.task_id,
        batch_size=options.batch_size,
        target_time=options.target_time,
        workers=options.workers,
        atomic=options.atomic,
        reverts=reverts,
        **more,
    )
    _keep(session, sources)
    return run


def open_run(
    session: Session,
    job: Job,
    params: Params,
    options: Options,
    as_of: datetime,
    *,
    verb: Run.Verb,
    opening: Sequence[str] = (),
    fixed: bool = False,
    reverts: Run | None = None,
    queued: bool = False,
) -> Run:
    """Open a run in one transaction with its opening statements, or take over the unfinished one that is the same.

    The same is a run with the same verb and parameters, and the same instant where it is `fixed` by who asks. A
    `queued` one has no owner yet. Raises Refused where another run of the job is unfinished (Busy, where a `fresh`
    one is wanted) and SlotTaken where the slot has its run.
    """
    # A revert excludes what the run that it takes back excluded.
    scope = reverts.scope if reverts else job.scope(params)
    for _ in range(3):
        try:
            # What a claim waits for (a catalogue or service that somebody is editing) is bounded like a batch's locks.
            with session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0):
                run = record(session, job, params, options, as_of, verb=verb, scope=scope, reverts=reverts)
                session.execute("ops/open_month.sql", {"month": run.month})
                for name in opening:
                    session.execute(name, {"run": run.pk, "as_of": as_of})
                options.opened(run)
                event(session, run, "queued" if queued else "opened", options.started_from)
                if queued:
                    Run.objects.using(session.alias).filter(pk=run.pk).update(state=Run.State.QUEUED)
                    run.state = Run.State.QUEUED
                else:
                    run.fence = owner.take(session, run)
            return run
        except IntegrityError as exc:
            if owner.constraint(exc) == "ops_run_one_for_slot":
                raise SlotTaken(f"{options.schedule} has its run for {options.slot}.") from exc
            if owner.constraint(exc) != "ops_run_one_unfinished":
                raise
        runs = Run.objects.using(session.alias)
        found = runs.filter(job=job.name, scope=scope, state__in=Run.UNFINISHED).first()
        if found is not None and options.fresh:
            raise Busy(
                f"Run {found.pk} of {job.name} is {found.get_state_display()} and excludes this one: "
                f"'{found.calls('watch')}' follows it, '{found.calls('cancel')}' gives it up.",
                found,
            )
        if found is not None:
            same = found.verb == verb and found.params == parameters.shown(job.params, params)
            same = same and found.reverts_id == (reverts and reverts.pk)
            return take_over(session, job, found, same=same and (not fixed or found.as_of == as_of))
        # It ended between the two statements: try again.
    raise Refused(f"Runs of {job.name} start and end too fast to open one: try again.")


def take_over(session: Session, job: Job, found: Run, *, same: bool = True, resuming: bool = False) -> Run:
    """Become the owner of an unfinished run; raise Refused where it has a live one or is not the same work."""
    holder = owner.live_holder(session, found)
    if holder:
        raise Refused(
            f"Run {found.pk} of {job.name} is being carried out by {holder}: wait for its end, or stop it with "
            f"'{found.calls('pause')}'."
        )
    if found.state == Run.State.PAUSED and not resuming:
        raise Refused(
            f"Run {found.pk} of {job.name} is paused: '{found.calls('resume')}' carries it on, "
            f"'{found.calls('cancel')}' gives it up."
        )
    if not same:
        raise Refused(
            f"Run {found.pk} ({found.verb} of {job.name}, {job.describe(found.params)}) is unfinished and excludes "
            f"this one: '{found.calls('resume')}' carries it on, "
            f"'{found.calls('cancel')}' gives it up."
        )
    # What a run wrote is taken back the same, whatever the job's SQL is by now.
    renewed = found.state == Run.State.QUEUED and found.plan is None and found.sql_digest != job.digest(found.params)
    if renewed:
        # It waited while something else was deployed, and has done nothing yet.
        _renew(session, job, found)
    elif found.verb != Run.Verb.REVERT and found.sql_digest != job.digest(found.params):
        raise Refused(
            f"Run {found.pk} of {job.name} began under other code or SQL than is installed now: "
            f"'{found.calls('resume')} --as-begun' goes on under the SQL that it began with, "
            f"'{found.calls('cancel')}' gives it up, to start anew."
        )
    with transaction.atomic(using=session.alias):
        found.fence = owner.take(session, found)
        if resuming:
            # Whoever resumes a run wants it to go on; a start or a sweep leaves a pause that was asked for in force.
            Run.objects.using(session.alias).filter(pk=found.pk).update(wish=Run.Wish.NONE)
        event(session, found, "resumed", f"after {found.batches} batches, fence {found.fence}")
    # What its last owner committed just before it went is read under the new fence.
    found.refresh_from_db(using=session.alias)
    return found


def _renew(session: Session, job: Job, found: Run) -> None:
    """Let a run that has only been queued begin under the SQL that is installed now."""
    sources = list(job.statements(found.params))
    _keep(session, sources)
    Run.objects.using(session.alias).filter(pk=found.pk, fence=found.fence, state=Run.State.QUEUED).update(
        sql_digest=job.digest(found.params), statements=_digests(sources), code_version=owner.code_version()
    )
    event(session, found, "renewed", "other SQL was installed while it waited")


def _digests(sources: Sequence[sql.Statement]) -> dict[str, str]:
    return {source.name: source.digest for source in sources}


def _keep(session: Session, sources: Sequence[sql.Statement]) -> None:
    """Keep the texts under which a run begins."""
    Source.objects.using(session.alias).bulk_create(
        [Source(digest=source.digest, name=source.name, text=source.text) for source in sources], ignore_conflicts=True
    )


def checkpoint(
    session: Session, run: Run, cursor: Mapping[str, Any], *, changed: int, batches: int, left_alone: int = 0
) -> str:
    """Write cursor and counters under the fence, in the batch's transaction; raise Stopped where it moved.

    Returns what an operator wishes of the run meanwhile.
    """
    values = {
        "run": run.pk,
        "fence": run.fence,
        "cursor": json.dumps(cursor),
        "changed": changed,
        "batches": batches,
        "left_alone": left_alone,
    }
    found = session.execute("ops/checkpoint_run.sql", values)
    if not found:
        raise taken_over(run)
    return str(found[0][0])


def taken_over(run: Run) -> Stopped:
    """Return what a late owner is told."""
    return Stopped(f"Run {run.pk} was taken over or stopped by someone else; this owner's batch was rolled back.")


def heed(run: Run, wish: str) -> None:
    """Raise what an operator wishes of a run that is being carried out: a pause or the end."""
    if wish == Run.Wish.PAUSE:
        raise Stopped(f"Run {run.pk} was paused: '{run.calls('resume')}' carries it on.", state=Run.State.PAUSED)
    if wish == Run.Wish.CANCEL:
        raise Cancelled(f"Run {run.pk} was cancelled: what it wrote stays, and can be reverted.")


def left_at_once(run: Run, options: Options, exc: DatabaseError) -> None:
    """Raise Stopped where the statement that failed was cancelled to leave at once."""
    if options.leave.is_set():
        raise Stopped(
            f"Run {run.pk} was left at once after {run.changed:,} rows, its last batch rolled back: "
            f"'{run.calls('resume')}' carries it on."
        ) from exc


@contextmanager
def leaving_at_once(run: Run, options: Options) -> Iterator[None]:
    """Turn the error of any statement that was cancelled to leave at once into Stopped: the run can go on."""
    try:
        yield
    except DatabaseError as exc:
        left_at_once(run, options, exc)
        raise


@contextmanager
def outcome(session: Session, job: Job, run: Run, options: Options) -> Iterator[None]:
    """Carry an owned run to its end: record how it ended, whatever that is, and let the exception go on."""
    try:
        with logs.about(run=run.pk, schedule=run.schedule, task=options.task_id):
            yield
    except Refused as exc:
        exc.run = run.pk
        end(session, job, run, Run.State.REFUSED, str(exc))
        raise
    except Declined as exc:
        end(session, job, run, Run.State.CANCELLED, str(exc))
        raise
    except (Unusable, parameters.BadParameters) as exc:
        end(session, job, run, Run.State.FAILED, str(exc))
        raise
    except Failed as exc:
        end(session, job, run, Run.State.UNVERIFIED, str(exc))
        raise
    except Stopped as exc:
        # Whoever was asked to leave, a sweep or a task whose time is up, leaves the run to the next one.
        resting = options.stop.is_set() and not options.leave.is_set() and exc.state == Run.State.STOPPED
        if resting and options.rests_as == Run.State.QUEUED:
            told = f"Run {run.pk} rests after {run.changed:,} rows: the next message or sweep carries it on."
            end(session, job, run, Run.State.QUEUED, told)
        else:
            end(session, job, run, exc.state, str(exc))
        raise
    except DatabaseError as exc:
        # Nothing of the batch is kept; what earlier batches committed is, and from there the run can go on.
        begun = run.cursor is not None and not run.atomic
        state = Run.State.STOPPED if begun else Run.State.FAILED
        said = in_words(exc, f"Run {run.pk} of {job.name}")
        end(session, job, run, state, str(said))
        if not begun or session.is_lost():
            raise
        raise DatabaseTrouble(
            f"{said} It stopped after {run.changed:,} rows: '{run.calls('resume')}' carries it on, "
            f"'{run.calls('cancel')}' gives it up."
        ) from exc
    except BaseException as exc:
        state = options.rests_as if isinstance(exc, options.interrupts) else Run.State.STOPPED
        end(session, job, run, state, f"{type(exc).__name__}: {exc}")
        raise
    end(session, job, run, Run.State.DONE, "")


def end(session: Session, job: Job | None, run: Run, state: Run.State, message: str) -> None:
    """Record the outcome and settle or release what the run claimed, unless the connection is what failed."""
    run.state, run.message = state, message
    if state not in (Run.State.DONE, Run.State.UNVERIFIED) and session.is_lost():
        # Django connects anew by itself, and a run would be stopped that nobody has stopped. So it stays 'running', its
        # owner gone, and the next sweep or start carries it on; what a lost COMMIT did is read then.
        return
    values = {"run": run.pk, "fence": run.fence, "state": state.value, "message": message}
    try:
        with transaction.atomic(using=session.alias):
            if session.execute("ops/finish_run.sql", values):
                _settle(session, job, run, state)
                event(session, run, state.value, message)
                if job and run.state not in Run.UNFINISHED and run.verb != Run.Verb.REVERT:
                    job.ended(session.alias, run.pk)
    except DatabaseError:
        if state in (Run.State.DONE, Run.State.UNVERIFIED):
            raise


def _settle(session: Session, job: Job | None, run: Run, state: Run.State) -> None:
    """Forget the claims of a run that is done, give them back where it ended otherwise, keep them where it stopped."""
    claim = job.claim(run.params) if job and run.verb == Run.Verb.APPLY else None
    if claim is None or state in Run.UNFINISHED:
        return
    done = state in (Run.State.DONE, Run.State.UNVERIFIED)
    session.execute(claim.settle if done else claim.release, {"run": run.pk})


def advance(session: Session, run: Run, **fields: Any) -> None:
    """Write fields of a run, and that its owner lives, under its fence; raise Stopped where it has another by now."""
    rows = Run.objects.using(session.alias).filter(pk=run.pk, fence=run.fence, state=Run.State.RUNNING)
    if not rows.update(heartbeat_at=Now(), **fields):
        raise Stopped(f"Run {run.pk} was taken over or stopped by someone else; nothing more was written.")
    for name, value in fields.items():
        setattr(run, name, value)
