"""What runs changed: the history of one row, and taking a run back by compare-and-set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Model

from ops.engine import jobs
from ops.engine.compiler import Compiler
from ops.engine.jobs import Reconcile
from ops.engine.lifecycle import Options, Stopped, checkpoint, event, open_run, outcome, server_now, take_over, trouble
from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.engine.unpacking import Unpacking
from ops.models import Changeset, Hold, Run

LISTED = 20


@dataclass
class Entry:
    """One change of one row: by which run, when, by whom, from what to what (by column, as text)."""

    run: int
    verb: str
    job: str
    at: datetime
    who: str
    before: dict[str, str | None]
    after: dict[str, str | None]


@dataclass
class RevertPlan:
    """How many rows of a run can go back, and which were edited or deleted since and will be left alone."""

    rows: int = 0
    back: int = 0
    edited: list[list[str]] = field(default_factory=list)

    @property
    def left_alone(self) -> int:
        """Return how many rows no longer hold what the run wrote; `edited` names the first of them."""
        return self.rows - self.back

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON takes it."""
        return {"rows": self.rows, "back": self.back, "left_alone": self.left_alone, "edited": self.edited}


def history(alias: str, model: type[Model], key: Sequence[str]) -> list[Entry]:
    """Return every change that runs made to one row, oldest first; `key` is the primary key, column by column."""
    session = Session(alias)
    entries = []
    for name in jobs.names():
        job = jobs.find(name)
        if job.target is not model:
            continue
        statement = Unpacking(Compiler(job, {}, session.connection)).history()
        values: dict[str, Any] = {"job": name, **{f"key_{i}": part for i, part in enumerate(key)}}
        with trouble(f"Reading the history of {model._meta.label} {', '.join(key)}"):
            for run, verb, of, at, who, old, new in session.execute(statement, values):
                before, after = (dict(zip(job.columns, texts, strict=True)) for texts in (old, new))
                entries.append(Entry(run, verb, of, at, who, before, after))
    return sorted(entries, key=lambda entry: (entry.at, entry.run))


def find_revert_plan(alias: str, run: Run) -> RevertPlan:
    """Plan a revert without recording anything."""
    session = Session(alias)
    with trouble(f"Planning to revert run {run.pk}"):
        return _plan(session, _unpacking(session, jobs.find(run.job), run), run)


def _unpacking(session: Session, job: Reconcile, run: Run) -> Unpacking:
    return Unpacking(Compiler(job, run.params, session.connection))


def _plan(session: Session, unpacking: Unpacking, run: Run) -> RevertPlan:
    rows, back = session.execute(unpacking.count_revertible(), {"run": run.pk})[0]
    plan = RevertPlan(rows, back)
    if plan.left_alone:
        plan.edited = [row[0] for row in session.execute(unpacking.list_edited(LISTED), {"run": run.pk})]
    return plan


def check_revertible(run: Run) -> None:
    """Raise Refused for a run that can't be taken back: a plan, or one that is unfinished."""
    if run.verb == Run.Verb.PLAN:
        raise Refused(f"Run {run.pk} was a plan: it wrote nothing that could be reverted.")
    if run.state in Run.UNFINISHED:
        raise Refused(
            f"Run {run.pk} is {run.get_state_display()}: finish it with 'manage.py runs resume {run.pk}' or "
            f"give it up with 'manage.py runs cancel {run.pk}', then revert it."
        )


def revert(run: Run, options: Options) -> tuple[Run, RevertPlan]:
    """Set the rows of a run back where they still hold what it wrote; return the run that did so, and its plan.

    Itself a run: batched, resumable, and revertible. What it took back is held: sweeps leave it alone until other
    values are wanted, or the hold is lifted. Raises as `run.apply` does.
    """
    session = Session(options.database)
    job = jobs.find(run.job)
    with trouble(f"Reverting run {run.pk}"):
        check_revertible(run)
        now = server_now(session)
        back = open_run(session, job, run.params, options, now, verb=Run.Verb.REVERT, reverts=run)
        return _carry_back(session, job, back, run, options)


def resume_revert(back: Run, options: Options) -> tuple[Run, RevertPlan]:
    """Carry an unfinished revert on to its end."""
    session = Session(options.database)
    job = jobs.find(back.job)
    assert back.reverts is not None  # every revert names its run
    with trouble(f"Resuming run {back.pk}"):
        return _carry_back(session, job, take_over(session, job, back), back.reverts, options)


def _carry_back(session: Session, job: Reconcile, back: Run, run: Run, options: Options) -> tuple[Run, RevertPlan]:
    unpacking = _unpacking(session, job, run)
    with outcome(session, job, back):
        plan = _plan(session, unpacking, run)
        if back.plan is None:
            back.plan = plan.as_json()
            back.save(using=session.alias, update_fields=["plan"])
            if plan.left_alone:
                event(session, back, "left alone", f"{plan.left_alone} rows edited or deleted since run {run.pk}")
        # From the newest batch to the oldest; the cursor is the last one taken back.
        batches = run.changesets.using(session.alias).order_by("-batch")
        if back.cursor:
            batches = batches.filter(batch__lt=back.cursor["batch"])
        for batch in batches.defer("keys", "before", "after"):
            _take_back(session, unpacking, back, run, batch, options)
            options.progress(back.changed + back.left_alone, plan.rows)
            if options.stop.is_set():
                raise Stopped(
                    f"Run {back.pk} stopped after {back.changed:,} rows, as asked: "
                    f"'manage.py runs resume {back.pk}' carries it on."
                )
    return back, plan


def _take_back(session: Session, unpacking: Unpacking, back: Run, run: Run, batch: Changeset, options: Options) -> None:
    """Take one batch back in one transaction, with its own changeset, its holds and the checkpoint."""
    values = {
        "run": back.pk,
        "batch": back.batches + 1,
        "slot_from": batch.slot_from,
        "slot_upto": batch.slot_upto,
        "reverted": run.pk,
        "number": batch.batch,
        "job": back.job,
    }
    cursor = {"batch": batch.batch}
    with session.transaction(
        lock_timeout=options.lock_timeout, statement_timeout=options.statement_timeout, ordered=True
    ):
        written = session.execute(unpacking.take_back(), values)
        changed = written[0][0] if written else 0
        if changed:
            # Taking back a revert lifts the holds that it had made.
            session.execute(unpacking.lift() if run.verb == Run.Verb.REVERT else unpacking.hold(), values)
        left = batch.rows - changed
        checkpoint(session, back, cursor, changed=changed, batches=1 if changed else 0, left_alone=left)
    back.cursor = cursor
    back.changed += changed
    back.batches += 1 if changed else 0
    back.left_alone += left


def lift(alias: str, run: Run) -> int:
    """Lift the holds of a revert: the next sweep brings its rows in line again. Returns how many there were."""
    with trouble(f"Lifting the holds of run {run.pk}"):
        return Hold.objects.using(alias).filter(run=run).delete()[0]
