"""Plan, apply and resume: the engine's doors for commands, tasks and Python.

Each raises Refused (a guard, or another owner), Declined, Stopped, Failed or DatabaseTrouble, and records the run
with its outcome in each case.
"""

from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, transaction
from psycopg2.sql import SQL, Composable

from ops import clock, sql
from ops.engine.compiler import Compiler
from ops.engine.jobs import Params, Reconcile
from ops.engine.lifecycle import (
    Declined,
    Failed,
    Options,
    Stopped,
    cancel,
    open_run,
    outcome,
    record,
    server_now,
    take_over,
    trouble,
)
from ops.engine.plan import Plan, Refused, guard, make
from ops.engine.session import Session
from ops.engine.staging import stage
from ops.engine.writer import Writer
from ops.models import Hold, Run

__all__ = [
    "Declined",
    "Failed",
    "Options",
    "Refused",
    "Stopped",
    "apply",
    "cancel",
    "plan_only",
    "resume",
    "statements",
]


def plan_only(job: Reconcile, params: Params, options: Options, as_of: datetime | None = None) -> tuple[Run, Plan]:
    """Make a plan as of any instant and record it as a run of its own; write nothing else."""
    session = Session(options.database)
    with trouble(f"Planning {job.name}"):
        as_of = as_of or server_now(session)
        scope = f"plan {uuid4().hex}"
        run = record(session, job, params, options, as_of, verb=Run.Verb.PLAN, scope=scope)
        try:
            plan = _plan(session, job, run, options, claimed=False)
            run.state, run.plan = Run.State.PLANNED, plan.as_json()
        except BaseException as exc:
            run.state, run.message = Run.State.FAILED, str(exc)
            raise
        finally:
            _finish_plan(session, run)
    return run, plan


def apply(job: Reconcile, params: Params, options: Options, as_of: datetime | None = None) -> tuple[Run, Plan]:
    """Bring the rows in line, or carry on the run that was doing so; return the run, done, and its plan.

    `as_of` may lie in the past, but then the run claims no marks (and may leave some); it may not lie in the future.
    """
    session = Session(options.database)
    with trouble(f"Applying {job.name}"):
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
            session, job, params, options, as_of or now, verb=Run.Verb.APPLY, opening=opening, fixed=as_of is not None
        )
        return _carry(session, job, run, options)


def resume(job: Reconcile, run: Run, options: Options) -> tuple[Run, Plan]:
    """Carry an unfinished apply on to its end."""
    session = Session(options.database)
    with trouble(f"Resuming run {run.pk}"):
        return _carry(session, job, take_over(session, job, run), options)


def _carry(session: Session, job: Reconcile, run: Run, options: Options) -> tuple[Run, Plan]:
    with outcome(session, job, run):
        plan = _plan(session, job, run, options, claimed=True)
        if run.plan is not None:
            options.note(f"Carrying on run {run.pk}, opened {clock.shown(run.created_at)}.")
        if run.cursor is None:
            # Whoever was killed at the question has not said yes.
            run.plan = plan.as_json()
            run.save(using=session.alias, update_fields=["plan"])
            guard(plan, options.guards, job)
            if plan.changes and options.confirm and not options.confirm(plan):
                raise Declined(f"Declined: run {run.pk} changed nothing.")
        _lift_moot_holds(session, job, run, options)
        if plan.changes and run.atomic:
            with transaction.atomic(using=session.alias):
                _writer(session, job, run, plan, options).write()
        elif plan.changes:
            _writer(session, job, run, plan, options).write()
        if options.verify and plan.changes:
            left = _plan(session, job, run, options, claimed=True)
            if left.changes:
                raise Failed(
                    f"Run {run.pk} is done, but {left.changes:,} rows differ again, changed meanwhile: run it again."
                )
    return run, plan


def _values(job: Reconcile, run: Run, *, claimed: bool) -> dict[str, Any]:
    return job.sql_params(run.params, run.as_of, run.pk if claimed else None)


def _holds(session: Session, job: Reconcile) -> bool:
    return Hold.objects.using(session.alias).filter(job=job.name).exists()


def _plan(session: Session, job: Reconcile, run: Run, options: Options, *, claimed: bool) -> Plan:
    """Stage and count in one snapshot, so that all figures of a plan agree."""
    compiler = Compiler(job, run.params, session.connection)
    values = _values(job, run, claimed=claimed)
    # A plan may read for as long as it takes; it holds no lock that a writer waits for.
    with session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0, snapshot=True):
        stage(session, job, run.params, values)
        return make(session, compiler, values, holds=_holds(session, job), window=options.window if claimed else 0)


def _writer(session: Session, job: Reconcile, run: Run, plan: Plan, options: Options) -> Writer:
    values = _values(job, run, claimed=True)
    return Writer(
        session, Compiler(job, run.params, session.connection), run, plan, options, values, _holds(session, job)
    )


def _lift_moot_holds(session: Session, job: Reconcile, run: Run, options: Options) -> None:
    """Forget the holds of rows for which something else is wanted by now: their inputs have changed."""
    if _holds(session, job):
        compiler = Compiler(job, run.params, session.connection)
        with session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0):
            session.execute(compiler.lift_moot_holds(), _values(job, run, claimed=True))


def _finish_plan(session: Session, run: Run) -> None:
    """Record a plan's end, unless the connection is what failed."""
    try:
        run.finished_at = clock.now()
        run.save(using=session.alias, update_fields=["state", "plan", "message", "finished_at"])
    except DatabaseError:
        if run.state == Run.State.PLANNED:
            raise


def statements(job: Reconcile, params: Params, options: Options, as_of: datetime | None, *, explain: bool) -> str:
    """Return a run's statements in their order, or the server's plan of the one that reads; write nothing."""
    session = Session(options.database)
    with trouble(f"Reading {job.name}"):
        as_of = as_of or server_now(session)
        compiler = Compiler(job, params, session.connection)
        values = job.sql_params(params, as_of, None)
        if explain:
            with session.transaction(lock_timeout=options.lock_timeout, statement_timeout=0, snapshot=True):
                stage(session, job, params, values)
                reading = SQL("EXPLAIN {}").format(compiler.rows(holds=False))
                return "\n".join(row[0] for row in session.execute(reading, values))
        session.connection.ensure_connection()
        parts: list[tuple[str, Composable]] = [
            (staged.statement, sql.load(staged.statement).compose()) for staged in job.staged(params)
        ]
        parts += [
            ("plan", compiler.totals(holds=False)),
            ("the rows of one window that differ", compiler.difference(holds=False, after=None, upto=None, slot=0)),
            ("one batch", compiler.batch()),
        ]
        texts = [f"-- {name}\n{part.as_string(session.connection.connection)};" for name, part in parts]
        # To be read: a percent sign is doubled for the driver only.
        return "\n\n".join(texts).replace("%%", "%")
