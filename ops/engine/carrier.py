"""Carry one owned run from its plan to its proof: what every way to start a run does, once."""

from typing import Any

from django.db import transaction

from ops import clock, sql
from ops.engine import inflight, plan, sample
from ops.engine.batches import Batches
from ops.engine.crew import Crew
from ops.engine.hand import Hand
from ops.engine.jobs import Job, Params
from ops.engine.lifecycle import Declined, Failed, Options, Stopped, advance, event, heed, taken_over
from ops.engine.plan import Plan
from ops.engine.session import Session
from ops.engine.staging import stage, stage_own_batch
from ops.engine.writing import writing_of
from ops.models import Hold, Run

WINDOW = 1_000_000
"""Rows of a window that one worker carries alone."""

FIRST_WINDOW = 125_000
"""Rows of the first window of several; each is twice the last, up to WINDOW or a worker's share."""

SHARES = 4
"""Windows to a worker, so that none waits long for the slowest."""

SMALLEST_WINDOW = 20_000

STAGED_FOR = 10.0
"""Seconds for which a run writes from the difference that its plan has staged."""

ABOVE_SHOWN = 10_000
"""As many rows above the high-water mark are counted."""


class Carrier:
    """One run in this process: its job bound to its parameters, its statements and its session."""

    def __init__(self, session: Session, job: Job, params: Params, run: Run, options: Options) -> None:
        self.session = session
        self.job = job
        self.params = params
        self.run = run
        self.options = options
        self.compiler = Batches(job, params, session.connection)
        self.held = True

    @staticmethod
    def shown(session: Session, job: Job, params: Params, *, explain: bool) -> str:
        """Return the statements of a kind of run that has a carrier of its own, or the server's plan of them."""
        raise NotImplementedError

    def values(self, *, claimed: bool) -> dict[str, Any]:
        """Return the values for the job's statements."""
        return self.job.sql_params(self.params, self.run.as_of, self.run.pk if claimed else None)

    def holds(self) -> bool:
        """Tell whether any row is held against the job."""
        return Hold.objects.using(self.session.alias).filter(job=self.compiler.hold_name).exists()

    def plan(self, *, claimed: bool, upto: list[str] | None = None, estimate: bool = False) -> Plan:
        """Stage and count in one snapshot, so that all figures of a plan agree; keys above `upto` are left out."""
        session, values = self.session, self.values(claimed=claimed)
        # A plan may read for as long as it takes; it holds no lock that a writer waits for.
        with session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0, snapshot=True):
            stage(session, self.job, self.params, values)
            if estimate:
                estimated = sample.estimate(session, self.compiler, values, self.options)
                if estimated is not None:
                    return estimated
            one_window = self.options.window or WINDOW if claimed and self.options.workers == 1 else 0
            self.held = self.holds()
            return plan.make(session, self.compiler, values, holds=self.held, window=one_window, upto=upto)

    def stage(self) -> None:
        """Stage what the job's statements read, for a run whose plan was made before."""
        with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0, snapshot=True):
            stage(self.session, self.job, self.params, self.values(claimed=True))

    def hand(self) -> Hand:
        """Return this process's own hand in the run."""
        if not self.job.reconciles:
            with transaction.atomic(using=self.session.alias):
                stage_own_batch(self.session, self.compiler)
        values = self.values(claimed=True)
        writing = writing_of(self.session, self.compiler, self.run.pk, values, holds=self.holds())
        return Hand(self.session, self.run, self.options, writing)

    def carry(self) -> Plan:
        """Carry the run from where it is to its proof."""
        if self.run.cursor is None:
            found = self.begin()
        else:
            self.options.note(f"Carrying on run {self.run.pk}, opened {clock.shown(self.run.created_at)}.")
            found = Plan.from_json(self.run.plan or {})
            self.stage()
        if self.run.cursor is not None:
            self.write(found)
            self.tell_above()
        self.prove(found)
        return found

    def begin(self) -> Plan:
        """Fix how far the run goes, plan, guard, ask. Nothing has been written before the answer."""
        run, options = self.run, self.options
        if run.plan is not None:
            # Whoever was killed at the question has not said yes.
            options.note(f"Carrying on run {run.pk}, opened {clock.shown(run.created_at)}.")
        mark = self._mark()
        found = self.plan(claimed=True, upto=mark if self.job.waits_for_writers else None, estimate=True)
        advance(self.session, run, plan=found.as_json())
        plan.guard(found, options.guards, str(self.job.target._meta.verbose_name_plural))
        # A task whose time its plan has taken writes a batch all the same, or the next would plan for as long again.
        if options.stop.is_set() and options.rests_as == Run.State.STOPPED:
            raise Stopped(f"Run {run.pk} wrote nothing yet: '{run.calls('resume')}' carries it on.")
        if found.changes and options.confirm and not options.confirm(found):
            raise Declined(f"Declined: run {run.pk} changed nothing.")
        if not run.consent:
            advance(self.session, run, consent=True)
        self._lift_moot_holds()
        if found.changes and mark:
            most = self._window_rows(found)
            # The first windows are small, so that the first batch does not wait for a million rows to be staged.
            first = most and (options.window or min(most, FIRST_WINDOW))
            cursor = {"after": None, "number": 0, "rows": first, "most": most}
            advance(self.session, run, high_water=mark, cursor=cursor)
        return found

    def _mark(self) -> list[str] | None:
        """Return the last key that the run will look at; None where there is no row.

        Rows whose transactions are writing now are the run's: they are waited out first, and again for keys below the
        mark that began meanwhile. So whatever is planned after this sees all of them.
        """
        if self.job.waits_for_writers:
            inflight.wait_out(self.session, self.run, self.compiler.table, self.options)
        rows = self.session.execute(self.compiler.high_water())
        if self.job.waits_for_writers:
            inflight.wait_out(self.session, self.run, self.compiler.table, self.options)
        return rows[0][0] if rows else None

    def _window_rows(self, found: Plan) -> int | None:
        """Return the rows of a window; None where one window holds all."""
        options = self.options
        if options.atomic or (options.workers == 1 and self.job.reconciles):
            window = options.window or WINDOW
            return None if found.looked_at <= window else window
        if options.workers == 1:
            return options.window or WINDOW  # nothing was staged by the plan that one window could use
        relation = {"relation": self.session.connection.ops.quote_name(self.compiler.table)}
        estimated = self.session.execute("ops/count_estimated.sql", relation)[0][0] or 0
        share = max(estimated, found.looked_at) // (SHARES * options.workers)
        return options.window or max(SMALLEST_WINDOW, min(WINDOW, share))

    def _lift_moot_holds(self) -> None:
        """Forget the holds of rows for which something else is wanted by now: their inputs have changed."""
        if self.job.reconciles and self.held and self.holds():
            with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0):
                self.session.execute(self.compiler.lift_moot_holds(), self.values(claimed=True))

    def write(self, found: Plan) -> None:
        """Write all that is left of the run, with as many hands as it has; return when no window is open."""
        hand = self.hand()
        hand.total = found.changes
        # An answer at a prompt takes longer than the staged difference is fresh.
        hand.staged = lambda: found.staged_at is not None and clock.monotonic() - found.staged_at < STAGED_FOR
        if self.run.atomic:
            with transaction.atomic(using=self.session.alias):
                hand.work()
            return
        self._write_with_crew(hand, found)
        # What other hands wrote is counted there, too.
        self.run.refresh_from_db(using=self.session.alias, fields=["changed", "batches"])

    def _write_with_crew(self, hand: Hand, found: Plan) -> None:
        with Crew(self.session, self.run, self.options) as crew:
            hand.heard = crew.tend
            crew.tend(self.run.workers)
            while True:
                hand.work()
                done = self.session.execute("ops/find_progress.sql", {"run": self.run.pk, "fence": self.run.fence})
                if not done:
                    raise taken_over(self.run)
                self.run.changed, wish, workers, windows = done[0]
                self.options.progress(self.run.changed, max(found.changes, self.run.changed))
                if not windows:
                    return
                heed(self.run, wish)
                if self.options.stop.is_set():
                    raise Stopped(
                        f"Run {self.run.pk} stopped after {self.run.changed:,} rows, as asked: "
                        f"'{self.run.calls('resume')}' carries it on."
                    )
                crew.tend(workers)
                clock.pause(0.05)

    def prove(self, found: Plan) -> None:
        """Plan again where that was asked for, and execute the job's post-checks; raise Failed where one finds rows."""
        run = self.run
        if self.options.verify and self.job.reconciles and found.changes:
            left = self.plan(claimed=True, upto=run.high_water)
            if left.changes:
                raise Failed(
                    f"Run {run.pk} is done, but {left.changes:,} rows differ again, changed meanwhile: run it again."
                )
        for name in self.job.post_checks:
            with self.session.transaction(lock_timeout=self.options.lock_timeout, statement_timeout=0):
                rows = self.session.execute(name, self.values(claimed=True))
            if rows:
                columns = sql.load(name).returns
                first = ", ".join(f"{column} {value}" for column, value in zip(columns, rows[0], strict=False))
                raise Failed(
                    f"Run {run.pk} is done, but its post-check {name} found {len(rows):,} row{'s'[: len(rows) > 1]}, "
                    f"the first being {first or rows[0]}: look into it, or take the run back with "
                    f"'{run.calls('revert')}'."
                )

    def tell_above(self) -> None:
        """Say how many rows came after the mark: they are the next run's."""
        run = self.run
        if not run.high_water:
            return
        above = self.session.execute(self.compiler.count_above(run.high_water, ABOVE_SHOWN))[0][0]
        if above:
            many = "1 row came" if above == 1 else f"{above:,}{' or more' if above == ABOVE_SHOWN else ''} rows came"
            said = f"{many} after the last key of this run ({', '.join(run.high_water)}): left to the next run."
            event(self.session, run, "left above", said)
            self.options.note(said)
