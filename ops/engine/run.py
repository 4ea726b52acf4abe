"""Plan, apply, resume and join: the engine's doors for commands, tasks and Python.

Each raises Refused (a guard, or another owner), Declined, Stopped, Failed or DatabaseTrouble, and records the run
with its outcome in each case.
"""

from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from django.db import DatabaseError, transaction
from psycopg2.sql import SQL, Composable

from ops import clock, sql
from ops.engine import owner, parameters, registry
from ops.engine.batches import Batches
from ops.engine.carrier import Carrier
from ops.engine.jobs import Job, Params
from ops.engine.lifecycle import (
    Busy,
    Cancelled,
    Declined,
    Failed,
    Options,
    SlotTaken,
    Stopped,
    Unusable,
    leaving_at_once,
    open_run,
    outcome,
    record,
    server_now,
    take_over,
    trouble,
)
from ops.engine.plan import Plan, Refused
from ops.engine.session import Session
from ops.engine.staging import stage
from ops.models import Run, Source

__all__ = [
    "Busy",
    "Cancelled",
    "Declined",
    "Failed",
    "Options",
    "Refused",
    "SlotTaken",
    "Stopped",
    "Unusable",
    "apply",
    "enqueue",
    "join",
    "plan_only",
    "resume",
    "statements",
]


def plan_only(job: Job, params: Params, options: Options, as_of: datetime | None = None) -> tuple[Run, Plan]:
    """Make a plan as of any instant and record it as a run of its own; write nothing else."""
    session = Session(options.database)
    with trouble(f"Planning {job.name}"), closing(job):
        job.examine(options.database, params)
        job = job.bind(params)
        as_of = as_of or server_now(session)
        scope = f"plan {uuid4().hex}"
        with transaction.atomic(using=session.alias):
            run = record(session, job, params, options, as_of, verb=Run.Verb.PLAN, scope=scope)
            run.fence = owner.take(session, run)  # else a sweep takes a plan that is being made for one left behind
        try:
            found = carrier_of(session, job, params, run, options).plan(claimed=False, estimate=True)
            run.state, run.plan = Run.State.PLANNED, found.as_json()
        except BaseException as exc:
            run.state, run.message = Run.State.FAILED, str(exc)
            raise
        finally:
            _finish_plan(session, run)
    return run, found


def apply(job: Job, params: Params, options: Options, as_of: datetime | None = None) -> tuple[Run, Plan]:
    """Bring the rows in line, or carry on the run that was doing so; return the run, done, and its plan.

    `as_of` may lie in the past, but then the run claims no marks (and may leave some); it may not lie in the future.
    """
    session = Session(options.database)
    with trouble(f"Applying {job.name}"), closing(job):
        job, run = _opened(session, job, params, options, as_of)
        return _carry(carrier_of(session, job, params, run, options))


def enqueue(job: Job, params: Params, options: Options, as_of: datetime | None = None) -> Run:
    """Open a run that a worker, or a sweep, carries out, and return it; no message is sent.

    Raises Refused where it can't be handed on, and Busy where an unfinished run is in its way.
    """
    session = Session(options.database)
    with trouble(f"Queueing {job.name}"), closing(job):
        if reason := job.stays(params):
            raise Refused(f"{job.name} can't be handed to a worker: {reason}.")
        return _opened(session, job, params, replace(options, fresh=True), as_of, queued=True)[1]


def _opened(
    session: Session, job: Job, params: Params, options: Options, as_of: datetime | None, *, queued: bool = False
) -> tuple[Job, Run]:
    """Open a run that writes, with what it claims; return the job, bound to the parameters, and the run."""
    job.examine(options.database, params)
    job = job.bind(params)
    now = server_now(session)
    if as_of is not None and as_of > now:
        raise Refused(
            f"{clock.shown(as_of)} lies in the future, and an instant in the future is for plans only: "
            "add --dry-run, or leave --as-of out."
        )
    if as_of is not None and job.needs_claim(params):
        raise Refused(f"{job.describe(params)}: this takes what is marked as of now: leave --as-of out.")
    claim = job.claim(params)
    opening = job.backdated(params) if as_of else claim.take if claim else ()
    run = open_run(
        session,
        job,
        params,
        options,
        as_of or now,
        verb=Run.Verb.APPLY,
        opening=opening,
        fixed=as_of is not None,
        queued=queued,
    )
    return job, run


def resume(job: Job, run: Run, options: Options, *, as_begun: bool = False, asked: bool = True) -> tuple[Run, Plan]:
    """Carry an unfinished apply on to its end; `as_begun` under the SQL that it began with."""
    session = Session(options.database)
    with trouble(f"Resuming run {run.pk}"), as_it_began(session, run, as_begun=as_begun):
        bound = job.bind(run.params)
        _must_know_secrets(bound, run)
        taken = take_over(session, bound, run, resuming=asked)
        return _carry(carrier_of(session, bound, run.params, taken, options))


def _must_know_secrets(job: Job, run: Run) -> None:
    secret = sorted(name for name in parameters.secrets(job.params) if run.params.get(name))
    if secret:
        raise Refused(
            f"Run {run.pk} of {job.name} has the secret parameter {', '.join(secret)}, which is not kept: start the "
            "job again with it, and the run goes on."
        )


def as_it_began(session: Session, run: Run, *, as_begun: bool) -> AbstractContextManager[None]:
    """Return a context in which statements are those that a run began with; raise Refused where they can't be had."""
    if not as_begun:
        return sql.using({})
    if not run.statements:
        raise Refused(
            f"Run {run.pk} began under Setwise 0.1, which kept no SQL: give it up with "
            f"'{run.calls('cancel')}' and start anew."
        )
    job = registry.find(run.job)
    functions = {name: run.statements.get(name) for name in job.uses}
    changed = [name for name, digest in functions.items() if digest != sql.load(name).digest]
    if changed:
        raise Refused(
            f"Run {run.pk} uses {changed[0]}, a function in the database, which a migration has changed since: "
            f"give the run up with '{run.calls('cancel')}' and start anew."
        )
    return sql.using(kept_sources(session, run))


def kept_sources(session: Session, run: Run) -> dict[str, sql.Statement]:
    """Return the statements that a run began with, by name."""
    texts = dict(
        Source.objects.using(session.alias)
        .filter(digest__in=list(run.statements.values()))
        .values_list("digest", "text")
    )
    if missing := sorted(name for name, digest in run.statements.items() if digest not in texts):
        raise Refused(f"The text of {missing[0]} as run {run.pk} began with it is not kept: cancel it and start anew.")
    return {name: sql.parse(name, texts[digest]) for name, digest in run.statements.items()}


def carrier_of(session: Session, job: Job, params: Params, run: Run, options: Options) -> Carrier:
    """Return what carries a run of this job."""
    return (job.carrier() or Carrier)(session, job, params, run, options)


def _carry(carrier: Carrier) -> tuple[Run, Plan]:
    with (
        outcome(carrier.session, carrier.job, carrier.run, carrier.options),
        leaving_at_once(carrier.run, carrier.options),
    ):
        return carrier.run, carrier.carry()


def join(run: Run, options: Options) -> int:
    """Lend a hand to a run that another process carries out; return how many rows this hand wrote.

    It leaves when no window is left to claim, or the run has another owner, is paused, stopped or done.
    """
    session = Session(options.database)
    with trouble(f"Joining run {run.pk}"), sql.using(kept_sources(session, run) if run.statements else {}):
        if run.state != Run.State.RUNNING or run.cursor is None or run.verb != Run.Verb.APPLY or run.atomic:
            raise Refused(
                f"Run {run.pk} is {run.get_state_display()} and has no work to share: only a run that writes has."
            )
        job = registry.find(run.job).bind(run.params)
        _must_know_secrets(job, run)
        carrier = carrier_of(session, job, run.params, run, options)
        carrier.stage()
        hand = carrier.hand()
        try:
            hand.work()
        except Stopped:
            run.refresh_from_db(using=session.alias)
            if run.state in Run.UNFINISHED:
                raise
            # It has come to its end without this hand, which came too late.
        return hand.wrote


def _finish_plan(session: Session, run: Run) -> None:
    """Record a plan's end, unless the connection is what failed."""
    try:
        run.finished_at = clock.now()
        run.save(using=session.alias, update_fields=["state", "plan", "message", "finished_at"])
    except DatabaseError:
        if run.state == Run.State.PLANNED:
            raise


def statements(job: Job, params: Params, options: Options, as_of: datetime | None, *, explain: bool) -> str:
    """Return a run's statements in their order, or the server's plan of the one that reads; write nothing."""
    session = Session(options.database)
    with trouble(f"Reading {job.name}"), closing(job):
        job.examine(options.database, params)
        job = job.bind(params)
        as_of = as_of or server_now(session)
        session.connection.ensure_connection()
        if carrier := job.carrier():
            return carrier.shown(session, job, params, explain=explain)
        compiler = Batches(job, params, session.connection)
        values = job.sql_params(params, as_of, None)
        if explain:
            with session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0, snapshot=True):
                stage(session, job, params, values)
                reading = compiler.rows(holds=False) if job.reconciles else compiler.totals(holds=False)
                return "\n".join(row[0] for row in session.execute(SQL("EXPLAIN {}").format(reading), values))
        parts: list[tuple[str, Composable]] = [
            (staged.statement, sql.load(staged.statement).compose()) for staged in job.staged(params)
        ]
        parts += [
            ("plan", compiler.totals(holds=False)),
            ("the rows of one window that are to be written", compiler.difference(holds=False)),
        ]
        if job.reconciles:
            parts.append(("one batch", compiler.batch()))
        else:
            parts = [] if job.takes_range() else [*parts, ("one batch", compiler.fill_own_batch(lock=False))]
            parts.append((f"one batch: {job.batch}", sql.load(job.batch).compose()))
        texts = [f"-- {name}\n{part.as_string(session.connection.connection)};" for name, part in parts]
        # To be read: a percent sign is doubled for the driver only.
        return "\n\n".join(texts).replace("%%", "%")
