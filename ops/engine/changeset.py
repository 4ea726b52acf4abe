"""What runs changed: the history of one row, and taking a run back by compare-and-set.

A changeset keeps keys and values as text, column after column: `keys` of a key of two columns and three rows is
a1 a2 a3 b1 b2 b3. Slot, lowest and highest key say which few changesets can hold a row, so no other array is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Model
from psycopg2.sql import SQL, Composable, Literal

from ops.engine import jobs
from ops.engine.compiler import SLOTS, Compiler, comma, ident
from ops.engine.jobs import Params, Reconcile
from ops.engine.lifecycle import Options, Stopped, checkpoint, event, open_run, outcome, server_now, take_over, trouble
from ops.engine.plan import Refused
from ops.engine.session import Session
from ops.models import Hold, Run

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
    """How many rows of a run can go back, and how many were edited or deleted since and will be left alone."""

    rows: int = 0
    back: int = 0
    edited: list[list[str]] = field(default_factory=list)

    @property
    def left_alone(self) -> int:
        """Return how many rows no longer hold what the run wrote."""
        return self.rows - self.back


class _Unpacked:
    """SQL fragments that turn changesets `c` back into typed rows."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        keys, values = len(compiler.keys), len(compiler.columns)
        slices = [SQL("c.keys[{0} * c.rows + 1:{1} * c.rows]").format(Literal(i), Literal(i + 1)) for i in range(keys)]
        for name in ("before", "after"):
            slices += [
                SQL("c.{2}[{0} * c.rows + 1:{1} * c.rows]").format(Literal(i), Literal(i + 1), ident(name))
                for i in range(values)
            ]
        names = [f"key_{i}" for i in range(keys)]
        names += [f"old_{i}" for i in range(values)] + [f"new_{i}" for i in range(values)]
        self.source = SQL("ops_changeset AS c CROSS JOIN LATERAL unnest({}) AS u ({})").format(
            comma(slices), comma([ident(name) for name in names])
        )
        self.key_texts = [ident("u", f"key_{i}") for i in range(keys)]
        self.keys = [SQL("{}::{}").format(k, t) for k, t in zip(self.key_texts, compiler.key_types, strict=True)]
        self.old_texts = [ident("u", f"old_{i}") for i in range(values)]
        self.new_texts = [ident("u", f"new_{i}") for i in range(values)]
        self.old = [SQL("{}::{}").format(v, t) for v, t in zip(self.old_texts, compiler.types, strict=True)]
        self.new = [SQL("{}::{}").format(v, t) for v, t in zip(self.new_texts, compiler.types, strict=True)]

    def match(self) -> Composable:
        """Return the join of a changeset's row with the target `t`."""
        return _all_equal(self.compiler.key_of("t"), self.keys)

    def still(self) -> Composable:
        """Return the condition that the target still holds what the run wrote."""
        return SQL(" AND ").join(
            SQL("t.{} IS NOT DISTINCT FROM {}").format(column, new)
            for column, new in zip(self.compiler.columns, self.new, strict=True)
        )


def _all_equal(left: Sequence[Composable], right: Sequence[Composable]) -> Composable:
    return SQL(" AND ").join(SQL("{} = {}").format(a, b) for a, b in zip(left, right, strict=True))


def history(alias: str, model: type[Model], key: Sequence[str]) -> list[Entry]:
    """Return every change that runs made to one row, oldest first; `key` is the primary key, column by column."""
    session = Session(alias)
    entries = []
    for name in jobs.names():
        job = jobs.find(name)
        if job.target is not model:
            continue
        compiler = Compiler(job, {}, session.connection)
        unpacked = _Unpacked(compiler)
        typed = [SQL("%(key_{})s::{}").format(Literal(i), t) for i, t in enumerate(compiler.key_types)]
        low = [SQL("c.low[{}]::{}").format(Literal(i + 1), t) for i, t in enumerate(compiler.key_types)]
        high = [SQL("c.high[{}]::{}").format(Literal(i + 1), t) for i, t in enumerate(compiler.key_types)]
        statement = SQL(
            "SELECT r.id, r.verb, r.job, c.committed_at, r.started_by, ARRAY[{old}], ARRAY[{new}] "
            "FROM {source} INNER JOIN ops_run AS r ON r.id = c.run_id "
            "WHERE r.job = %(job)s AND (hash_record_extended(ROW({key}), 0) & {slots})::integer >= c.slot_from "
            "AND (hash_record_extended(ROW({key}), 0) & {slots})::integer < c.slot_upto "
            "AND ROW({low}) <= ROW({key}) AND ROW({high}) >= ROW({key}) AND {match} ORDER BY c.id"
        ).format(
            old=comma(unpacked.old_texts),
            new=comma(unpacked.new_texts),
            source=unpacked.source,
            key=comma(typed),
            slots=Literal(SLOTS - 1),
            low=comma(low),
            high=comma(high),
            match=_all_equal(unpacked.keys, typed),
        )
        values: dict[str, Any] = {"job": name, **{f"key_{i}": part for i, part in enumerate(key)}}
        with trouble(f"Reading the history of {model._meta.label} {', '.join(key)}"):
            for run, verb, of, at, who, old, new in session.execute(statement, values):
                before, after = (dict(zip(job.columns, v, strict=True)) for v in (old, new))
                entries.append(Entry(run, verb, of, at, who, before, after))
    return sorted(entries, key=lambda entry: entry.at)


def plan_revert(session: Session, compiler: Compiler, run: Run) -> RevertPlan:
    """Count which rows of a run can go back, and list the first that can't."""
    unpacked = _Unpacked(compiler)
    rows, back = session.execute(
        SQL(
            "SELECT count(*), count(*) FILTER (WHERE {present} IS NOT NULL AND {still}) "
            "FROM {source} LEFT JOIN {target} AS t ON {match} WHERE c.run_id = %(run)s"
        ).format(
            present=compiler.key_of("t")[0],
            still=unpacked.still(),
            source=unpacked.source,
            target=compiler.target,
            match=unpacked.match(),
        ),
        {"run": run.pk},
    )[0]
    plan = RevertPlan(rows, back)
    if plan.left_alone:
        listed = session.execute(
            SQL(
                "SELECT ARRAY[{keys}] FROM {source} LEFT JOIN {target} AS t ON {match} "
                "WHERE c.run_id = %(run)s AND ({present} IS NULL OR NOT ({still})) ORDER BY {order} LIMIT {limit}"
            ).format(
                keys=comma(unpacked.key_texts),
                source=unpacked.source,
                target=compiler.target,
                match=unpacked.match(),
                present=compiler.key_of("t")[0],
                still=unpacked.still(),
                order=comma(unpacked.keys),
                limit=Literal(LISTED),
            ),
            {"run": run.pk},
        )
        plan.edited = [row[0] for row in listed]
    return plan


def find_revert_plan(alias: str, run: Run) -> RevertPlan:
    """Plan a revert without recording anything."""
    session = Session(alias)
    with trouble(f"Planning to revert run {run.pk}"):
        return plan_revert(session, _compiler(session, run), run)


def _compiler(session: Session, run: Run) -> Compiler:
    return Compiler(jobs.find(run.job), run.params, session.connection)


def revert(run: Run, options: Options) -> tuple[Run, RevertPlan]:
    """Set the rows of a run back where they still hold what it wrote; return the run that did so, and its plan.

    Itself a run: batched, resumable, and revertible. What it took back is held: sweeps leave it alone until other
    values are wanted, or the hold is lifted. Raises as `apply` does.
    """
    session = Session(options.database)
    job = jobs.find(run.job)
    with trouble(f"Reverting run {run.pk}"):
        if run.verb == Run.Verb.PLAN:
            raise Refused(f"Run {run.pk} was a plan: it wrote nothing that could be reverted.")
        if run.state in Run.UNFINISHED:
            raise Refused(
                f"Run {run.pk} is {run.get_state_display()}: finish it with 'manage.py runs resume {run.pk}' or "
                f"give it up with 'manage.py runs cancel {run.pk}', then revert it."
            )
        params: Params = run.params
        now = server_now(session)
        back = open_run(session, job, params, options, now, verb=Run.Verb.REVERT, reverts=run)
        return _carry_back(session, job, back, run, options)


def resume_revert(back: Run, options: Options) -> tuple[Run, RevertPlan]:
    """Carry an unfinished revert on to its end."""
    session = Session(options.database)
    job = jobs.find(back.job)
    assert back.reverts is not None  # every revert names its run
    with trouble(f"Resuming run {back.pk}"):
        return _carry_back(session, job, take_over(session, job, back), back.reverts, options)


def _carry_back(session: Session, job: Reconcile, back: Run, run: Run, options: Options) -> tuple[Run, RevertPlan]:
    compiler = Compiler(job, run.params, session.connection)
    with outcome(session, job, back):
        plan = plan_revert(session, compiler, run)
        if back.plan is None:
            back.plan = {"rows": plan.rows, "back": plan.back, "left_alone": plan.left_alone, "edited": plan.edited}
            back.save(using=session.alias, update_fields=["plan"])
            if plan.left_alone:
                event(session, back, "left alone", f"{plan.left_alone} rows edited or deleted since run {run.pk}")
        # From the newest batch to the oldest; the cursor is the last one taken back.
        last = back.cursor["batch"] if back.cursor else None
        batches = run.changesets.using(session.alias).order_by("-batch")
        if last is not None:
            batches = batches.filter(batch__lt=last)
        for number, rows in batches.values_list("batch", "rows"):
            _take_back(session, compiler, back, run, number, rows, options)
            options.progress(back.changed + back.left_alone, plan.rows)
            if options.stop.is_set():
                raise Stopped(
                    f"Run {back.pk} stopped after {back.changed:,} rows, as asked: "
                    f"'manage.py runs resume {back.pk}' carries it on."
                )
    return back, plan


def _take_back(
    session: Session, compiler: Compiler, back: Run, run: Run, number: int, rows: int, options: Options
) -> None:
    """Take one batch back in one transaction, with its own changeset, its holds and the checkpoint."""
    unpacked = _Unpacked(compiler)
    given = [SQL("{} AS {}").format(key, name) for key, name in zip(unpacked.keys, compiler.keys, strict=True)]
    given += [SQL("{} AS {}").format(new, name) for new, name in zip(unpacked.new, compiler.before, strict=True)]
    given += [SQL("{} AS {}").format(old, name) for old, name in zip(unpacked.old, compiler.after, strict=True)]
    statement = compiler.write_back(
        SQL("SELECT {} FROM {} WHERE c.run_id = %(reverted)s AND c.batch = %(number)s ORDER BY {}").format(
            comma(given), unpacked.source, comma(unpacked.keys)
        )
    )
    slots = run.changesets.using(session.alias).filter(batch=number).values("slot_from", "slot_upto")[0]
    values = {"run": back.pk, "batch": back.batches + 1, "reverted": run.pk, "number": number, **slots}
    with session.transaction(
        lock_timeout=options.lock_timeout, statement_timeout=options.statement_timeout, ordered=True
    ):
        written = session.execute(statement, values)
        changed = written[0][0] if written else 0
        if changed:
            _hold(session, compiler, back, run)
        checkpoint(
            session, back, {"batch": number}, changed=changed, batches=1 if changed else 0, left_alone=rows - changed
        )
    back.cursor = {"batch": number}
    back.changed += changed
    back.batches += 1 if changed else 0
    back.left_alone += rows - changed


def _hold(session: Session, compiler: Compiler, back: Run, run: Run) -> None:
    """Hold what was just taken back; taking back a revert lifts the holds that it had made."""
    unpacked = _Unpacked(compiler)
    values = {"job": compiler.job.name, "run": back.pk, "batch": back.batches + 1, "reverted": run.pk}
    rows = SQL("{} WHERE c.run_id = %(run)s AND c.batch = %(batch)s").format(unpacked.source)
    key = SQL("ARRAY[{}]").format(comma(unpacked.key_texts))
    if run.verb == Run.Verb.REVERT:
        session.execute(
            SQL(
                "DELETE FROM ops_hold AS h USING {} AND h.job = %(job)s AND h.run_id = %(reverted)s AND h.key = {}"
            ).format(rows, key),
            values,
        )
    else:
        session.execute(
            SQL(
                "INSERT INTO ops_hold (job, key, wanted, run_id) SELECT %(job)s, {}, ARRAY[{}], %(run)s FROM {} "
                "ORDER BY 2 ON CONFLICT (job, key) DO UPDATE SET wanted = excluded.wanted, run_id = excluded.run_id"
            ).format(key, comma(unpacked.old_texts), rows),
            values,
        )


def lift(alias: str, run: Run) -> int:
    """Lift the holds of a revert: the next sweep brings its rows in line again. Returns how many there were."""
    with trouble(f"Lifting the holds of run {run.pk}"):
        return Hold.objects.using(alias).filter(run=run).delete()[0]
