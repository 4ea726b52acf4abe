"""Write what a plan found: window by window, batch by batch, each batch one transaction with its checkpoint.

A window is so many rows by key; the rows of it that differ are staged once and written in ranges of slots, so that a
batch's rows lie spread over the window's pages. Dead rows of one batch are pruned when the next one comes by, updates
stay HOT and the table hardly grows: the writes take about half the time of one UPDATE of all rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError

from ops import clock
from ops.engine.compiler import SLOTS, Compiler
from ops.engine.lifecycle import Options, Stopped, checkpoint, event
from ops.engine.plan import Plan
from ops.engine.session import RETRYABLE, Session, in_words, sqlstate
from ops.engine.staging import count_difference, stage_difference
from ops.models import Run

STAGED_FOR = 10.0
"""Seconds for which a run writes from the difference that its plan has staged."""


class Writer:
    """Carries one owned run from its cursor to the high-water mark. Raises Stopped where it cannot go on."""

    def __init__(
        self,
        session: Session,
        compiler: Compiler,
        run: Run,
        plan: Plan,
        options: Options,
        values: dict[str, Any],
        holds: bool,
    ) -> None:
        self.session = session
        self.compiler = compiler
        self.run = run
        self.plan = plan
        self.options = options
        self.values = values
        self.holds = holds
        self.total = run.changed + plan.changes

    def write(self) -> None:
        """Write all batches that are left; each commits by itself, or all with the caller's transaction."""
        run = self.run
        if run.high_water is None:
            rows = self.session.execute(self.compiler.high_water())
            if not rows:
                return  # all rows were deleted since the plan
            run.high_water = rows[0][0]
            run.save(using=self.session.alias, update_fields=["high_water"])
        assert run.high_water is not None
        cursor = run.cursor or {"after": None, "upto": None, "slot": 0}
        while cursor["after"] != run.high_water:
            if cursor["upto"] is None:
                cursor = {"after": cursor["after"], "upto": self._boundary(cursor["after"]), "slot": 0}
            self._window(cursor)
            cursor = {"after": cursor["upto"], "upto": None, "slot": 0}

    def _boundary(self, after: list[str] | None) -> list[str]:
        high_water: list[str] = self.run.high_water  # type: ignore[assignment]  # a text array, set by write()
        if self.plan.looked_at <= self.options.window:
            # The rows looked at fit one window, however many others the table has.
            return high_water
        with self._limits():
            rows = self.session.execute(self.compiler.boundary(after, high_water, self.options.window))
        return rows[0][0] if rows else high_water

    @contextmanager
    def _limits(self, *, ordered: bool = False) -> Iterator[None]:
        options = self.options
        with self.session.transaction(
            lock_timeout=options.lock_timeout, statement_timeout=options.statement_timeout, ordered=ordered
        ):
            yield

    def _window(self, cursor: dict[str, Any]) -> None:
        """Stage the rows of one window that differ, then write them slot range by slot range."""
        if cursor["after"] is None and cursor["slot"] == 0 and self._staged_by_plan():
            rows = self.plan.changes
        else:
            with self._limits():
                stage_difference(self.session, self.compiler, self.values, holds=self.holds, **cursor)
                rows = count_difference(self.session, cursor["slot"], SLOTS)
        slots = SLOTS - cursor["slot"]
        most = SLOTS if self.run.atomic else max(1, slots * self.options.batch_size // max(rows, 1))
        slot, size, attempt = cursor["slot"], most, 0
        while slot < SLOTS:
            upto = min(slot + size, SLOTS)
            if upto == SLOTS:
                after = {"after": cursor["upto"], "upto": None, "slot": 0}
            else:
                after = {"after": cursor["after"], "upto": cursor["upto"], "slot": upto}
            try:
                self._write(slot, upto, after)
            except DatabaseError as exc:
                if sqlstate(exc) not in RETRYABLE or self.run.atomic:
                    raise
                attempt += 1
                self._come_back(exc, slot, upto, attempt)
                # Fewer rows meet fewer locks: halve at once, double only while it goes well.
                size = max(1, size // 2)
                continue
            slot, size, attempt = upto, min(size * 2, most), 0
            if self.options.stop.is_set() and after["after"] != self.run.high_water:
                raise Stopped(
                    f"Run {self.run.pk} stopped after {self.run.changed:,} rows, as asked: "
                    f"'manage.py runs resume {self.run.pk}' carries it on."
                )

    def _staged_by_plan(self) -> bool:
        """Tell whether the plan has staged all rows that differ, just now: an answer at a prompt takes longer."""
        at = self.plan.staged_at
        return at is not None and clock.monotonic() - at < STAGED_FOR

    def _come_back(self, exc: DatabaseError, slot: int, upto: int, attempt: int) -> None:
        """Say who blocked a batch and wait a little before it is tried again; raise Stopped after the last attempt."""
        blocked = self._who_blocks(slot, upto) or str(in_words(exc, "The batch"))
        event(self.session, self.run, "blocked", blocked)
        self.options.note(f"Attempt {attempt} of {self.options.attempts}: {blocked}")
        if attempt < self.options.attempts and not self.options.stop.wait(min(0.1 * 2**attempt, 5)):
            return
        raise Stopped(
            f"Run {self.run.pk} stopped after {self.run.changed:,} rows, its next batch being blocked. {blocked} "
            f"End what blocks it, then 'manage.py runs resume {self.run.pk}' carries it on."
        ) from exc

    def _who_blocks(self, slot: int, upto: int) -> str:
        try:
            with self._limits():
                found = self.session.execute(self.compiler.blockers(), {"slot_from": slot, "slot_upto": upto})
        except DatabaseError:
            return ""
        if not found:
            return ""
        pid, user, host, name, seconds, state, query, key = found[0]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        label = self.run.job
        return (
            f"Row {', '.join(key)} is locked against {label} by process {pid}{more} (user {user}, {host}, "
            f"{name or 'no name'}, in a transaction for {seconds} s, {state}, last: {' '.join(query.split())})."
        )

    def _write(self, slot: int, upto: int, cursor: dict[str, Any]) -> None:
        run, session = self.run, self.session
        batch = {"run": run.pk, "batch": run.batches + 1, "slot_from": slot, "slot_upto": upto}
        with self._limits(ordered=True):
            rows = session.execute(self.compiler.batch(), batch)
            changed, batches = (rows[0][0], 1) if rows else (0, 0)
            if count_difference(session, slot, upto) > changed:
                late = self._write_stragglers({**batch, "number": run.batches + 1, "batch": run.batches + 1 + batches})
                changed += late
                batches += 1 if late else 0
            checkpoint(session, run, cursor, changed=changed, batches=batches)
        run.cursor = cursor
        run.changed += changed
        run.batches += batches
        self.options.progress(run.changed, max(self.total, run.changed))

    def _write_stragglers(self, batch: dict[str, Any]) -> int:
        """Write the rows of a batch that somebody else wrote since the window was staged, from what they are now."""
        options = self.options
        # They are found by comparing arrays of keys; row by row that would take the square of a batch's rows.
        self.session.unordered(lock_timeout=options.lock_timeout, statement_timeout=options.statement_timeout)
        moved = self.session.execute(self.compiler.lock_stragglers(), batch)
        if not moved:
            return 0
        statement = self.compiler.stragglers([row[0] for row in moved], holds=self.holds)
        written = self.session.execute(statement, {**self.values, **batch})
        return int(written[0][0]) if written else 0
