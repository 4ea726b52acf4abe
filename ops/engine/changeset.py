"""What runs changed: the history of one row, and taking a run back by compare-and-set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError
from django.db.models import Max, Model

from ops.engine import catalog, registry
from ops.engine.jobs import BrokenJob, Job
from ops.engine.lifecycle import (
    Options,
    Stopped,
    advance,
    checkpoint,
    event,
    heed,
    leaving_at_once,
    left_at_once,
    open_run,
    outcome,
    server_now,
    take_over,
    trouble,
)
from ops.engine.plan import Refused
from ops.engine.session import RETRYABLE, Session, in_words, sqlstate
from ops.engine.shape import Shape
from ops.engine.unpacking import Unpacking
from ops.models import Changeset, Hold, Run

Kind = Changeset.Kind

LISTED = 20


@dataclass
class Entry:
    """One change of one row: by which run, when, by whom, from what to what (by column, as text)."""

    run: int
    verb: str
    kind: str
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
    deleted: int = 0
    """How many of those that go back are deleted: the run had inserted them."""
    edited: list[list[str]] = field(default_factory=list)

    @property
    def left_alone(self) -> int:
        """Return how many rows no longer hold what the run wrote; `edited` names the first of them."""
        return self.rows - self.back

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON takes it."""
        return {
            "rows": self.rows, "back": self.back, "deleted": self.deleted,
            "left_alone": self.left_alone, "edited": self.edited,
        }  # fmt: skip


def history(alias: str, model: type[Model], key: Sequence[str]) -> list[Entry]:
    """Return every change that runs made to one row, oldest first; `key` is the primary key, column by column."""
    session = Session(alias)
    entries = []
    label = model._meta.label
    with trouble(f"Reading the history of {label} {', '.join(key)}"):
        written = Run.objects.using(alias).filter(target=label).exclude(verb=Run.Verb.PLAN)
        for columns in {tuple(found) for found in written.values_list("columns", flat=True) if found}:
            table = catalog.read(session, model._meta.db_table)
            statement = Unpacking(_shape(session, model, columns), table).history()
            values: dict[str, Any] = {f"key_{i}": part for i, part in enumerate(key)}
            rows = session.execute(statement, {**values, "target": label, "columns": list(columns)})
            for run, verb, kind, job, at, who, old, new in rows:
                before, after = (dict(zip(columns, texts, strict=True)) for texts in (old, new))
                entries.append(Entry(run, verb, kind, job, at, who, before, after))
    return sorted(entries, key=lambda entry: (entry.at, entry.run))


def _shape(session: Session, model: type[Model], columns: Sequence[str]) -> Shape:
    try:
        return Shape(model, columns, session.connection)
    except FieldDoesNotExist as exc:
        raise BrokenJob(f"{exc} Its changesets can be read by the code that had it.") from exc


def find_revert_plan(alias: str, run: Run) -> RevertPlan:
    """Plan a revert without recording anything."""
    session = Session(alias)
    with trouble(f"Planning to revert run {run.pk}"):
        return _plan(session, _unpacking(session, run), run)


def _unpacking(session: Session, run: Run) -> Unpacking:
    try:
        model = apps.get_model(run.target)
    except (LookupError, ValueError) as exc:
        raise BrokenJob(f"Run {run.pk} wrote to {run.target or 'a model'} that is not installed any more.") from exc
    digested = (run.cursor or {}).get("digested")
    return Unpacking(_shape(session, model, run.columns), catalog.read(session, model._meta.db_table), digested)


def _plan(session: Session, unpacking: Unpacking, run: Run) -> RevertPlan:
    asked = {"run": run.pk}
    kinds = set(run.changesets.using(session.alias).order_by().values_list("kind", flat=True).distinct())
    plan = RevertPlan()
    if Kind.UPDATE in kinds:
        plan.rows, plan.back = session.execute(unpacking.count_revertible(), asked)[0]
        if plan.left_alone:
            plan.edited = [row[0] for row in session.execute(unpacking.list_edited(LISTED), asked)]
    if Kind.INSERT in kinds:
        rows, plan.deleted = session.execute(unpacking.count_inserted(), asked)[0]
        plan.rows, plan.back = plan.rows + rows, plan.back + plan.deleted
        if rows > plan.deleted and len(plan.edited) < LISTED:
            touched = session.execute(unpacking.list_touched(LISTED - len(plan.edited)), asked)
            plan.edited += [row[0] for row in touched]
    if Kind.DELETE in kinds:
        rows, back = session.execute(unpacking.count_deleted(), asked)[0]
        plan.rows, plan.back = plan.rows + rows, plan.back + back
    return plan


def check_revertible(run: Run) -> None:
    """Raise Refused for a run that can't be taken back: a plan, or one that is unfinished."""
    if run.verb == Run.Verb.PLAN:
        raise Refused(f"Run {run.pk} was a plan: it wrote nothing that could be reverted.")
    if run.state in Run.UNFINISHED:
        raise Refused(
            f"Run {run.pk} is {run.get_state_display()}: finish it with '{run.calls('resume')}' or "
            f"give it up with '{run.calls('cancel')}', then revert it."
        )
    if not run.columns and not run.changesets.using(run.alias).exists():
        raise Refused(f"Run {run.pk}: the job {run.job} declares no columns, so nothing was kept to revert it by.")
    masked = registry.find(run.job).bind(run.params).masked if run.job in registry.names() else ()
    hidden = sorted(set(masked) & set(run.columns))
    if hidden:
        raise Refused(f"Run {run.pk} wrote {', '.join(hidden)}, whose values are masked: what they were is not kept.")


def revert(run: Run, options: Options) -> tuple[Run, RevertPlan]:
    """Set the rows of a run back where they still hold what it wrote; return the run that did so, and its plan.

    Itself a run: batched, resumable, and revertible. What it took back is held: sweeps leave it alone until other
    values are wanted, or the hold is lifted. Raises as `run.apply` does.
    """
    session = Session(options.database)
    job = registry.find(run.job).bind(run.params)
    with trouble(f"Reverting run {run.pk}"):
        check_revertible(run)
        now = server_now(session)
        back = open_run(session, job, run.params, options, now, verb=Run.Verb.REVERT, reverts=run)
        return _carry_back(session, job, back, run, options)


def resume_revert(back: Run, options: Options, *, asked: bool = True) -> tuple[Run, RevertPlan]:
    """Carry an unfinished revert on to its end."""
    session = Session(options.database)
    job = registry.find(back.job).bind(back.params)
    assert back.reverts is not None  # every revert names its run
    with trouble(f"Resuming run {back.pk}"):
        taken = take_over(session, job, back, resuming=asked)
        return _carry_back(session, job, taken, back.reverts, options)


def _carry_back(session: Session, job: Job, back: Run, run: Run, options: Options) -> tuple[Run, RevertPlan]:
    unpacking = _unpacking(session, run)
    with outcome(session, job, back, options), leaving_at_once(back, options):
        plan = _plan(session, unpacking, run)
        if back.plan is None:
            advance(session, back, plan=plan.as_json(), consent=True)
            if plan.left_alone:
                what = "edited, deleted or referred to" if plan.deleted else "edited or deleted"
                event(session, back, "left alone", f"{plan.left_alone} rows {what} since run {run.pk}")
        kept = run.changesets.using(session.alias)
        if back.cursor is None:
            advance(session, back, cursor={"before": (kept.aggregate(last=Max("id"))["last"] or 0) + 1})
        assert back.cursor is not None  # advance has set it
        # From the newest batch to the oldest; the cursor is the last one taken back.
        unread = ("keys", "before", "after", "digests", "images")
        for batch in kept.filter(id__lt=back.cursor["before"]).order_by("-id").defer(*unread):
            heed(back, _take_back_patiently(session, job, unpacking, back, run, batch, options))
            options.progress(back.changed + back.left_alone, plan.rows)
            if options.stop.is_set():
                raise Stopped(
                    f"Run {back.pk} stopped after {back.changed:,} rows, as asked: "
                    f"'{back.calls('resume')}' carries it on."
                )
    return back, plan


def _take_back_patiently(
    session: Session, job: Job, unpacking: Unpacking, back: Run, run: Run, batch: Changeset, options: Options
) -> str:
    """Take one batch back; one that is blocked is tried again a few times, then the revert stops resumably."""
    for attempt in range(1, options.attempts + 1):
        try:
            return _take_back(session, job, unpacking, back, run, batch, options)
        except DatabaseError as exc:
            if sqlstate(exc) not in RETRYABLE:
                raise
            left_at_once(back, options, exc)
            blocked = str(in_words(exc, f"Taking batch {batch.batch} back"))
            event(session, back, "blocked", blocked)
            options.note(f"Attempt {attempt} of {options.attempts}: {blocked}")
            if attempt == options.attempts or options.stop.wait(min(0.1 * 2**attempt, 5)):
                raise Stopped(
                    f"Run {back.pk} stopped after {back.changed:,} rows, its next batch being blocked. {blocked} "
                    f"'{back.calls('resume')}' carries it on."
                ) from exc
    raise AssertionError("the last attempt returns or raises")


def _take_back(
    session: Session, job: Job, unpacking: Unpacking, back: Run, run: Run, batch: Changeset, options: Options
) -> str:
    """Take one batch back in one transaction, with its own changeset, its holds and the checkpoint.

    Returns what an operator wishes of the run meanwhile.
    """
    values = {
        "run": back.pk,
        "month": back.month,
        "window": 0,
        "batch": back.batches + 1,
        "slot_from": batch.slot_from,
        "slot_upto": batch.slot_upto,
        "reverted": run.pk,
        "reverted_month": run.month,
        "changeset": batch.pk,
        "job": job.hold_name(run.params),
    }
    cursor = {"before": batch.pk}
    with session.transaction(
        lock_timeout=options.lock_timeout, statement_timeout=options.statement_timeout, ordered=True
    ):
        session.execute("ops/set_constraints.sql")  # at the commit, a violation could not be told of a row
        undo = {Kind.INSERT: unpacking.delete_inserted, Kind.DELETE: unpacking.put_back}
        written = session.execute(undo.get(Kind(batch.kind), unpacking.take_back)(), values)
        changed = written[0][0] if written else 0
        if changed and job.reconciles:
            # Taking back a revert lifts the holds that it had made.
            session.execute(unpacking.lift() if run.verb == Run.Verb.REVERT else unpacking.hold(), values)
        left = batch.rows - changed
        wish = checkpoint(session, back, cursor, changed=changed, batches=1 if changed else 0, left_alone=left)
    back.cursor = cursor
    back.changed += changed
    back.batches += 1 if changed else 0
    back.left_alone += left
    return wish


def lift(alias: str, run: Run) -> int:
    """Lift the holds of a revert: the next sweep brings its rows in line again. Returns how many there were."""
    with trouble(f"Lifting the holds of run {run.pk}"):
        return Hold.objects.using(alias).filter(run=run).delete()[0]
