"""One hand of a run: claims windows and writes them batch by batch, each batch one transaction with its checkpoint."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError

from ops import clock
from ops.engine import owner
from ops.engine.lifecycle import Options, Stopped, decoded, encoded, event, heed, left_at_once, taken_over
from ops.engine.pacing import Pace
from ops.engine.session import RETRYABLE, SERIALIZATION, STATEMENT_TIMEOUT, Session, in_words, sqlstate
from ops.engine.shape import SLOTS
from ops.engine.writing import SMALLEST_SPREAD, SPREAD, Claimed, Cut, Writing
from ops.models import Run, Window


class LostWindow(Exception):
    """Another hand has taken the window over, or the run has another owner: the batch was rolled back."""


class Hand:
    """Carries windows of a run under its fence. Raises Stopped where the run is stopped, paused or taken over."""

    def __init__(self, session: Session, run: Run, options: Options, writing: Writing) -> None:
        self.session = session
        self.run = run
        self.options = options
        self.writing = writing
        # A transaction that has begun before can't be made to read as of one moment.
        self.must_lock = run.atomic or session.connection.in_atomic_block
        self.writing.locks = self.must_lock
        self.total = 0
        self.wrote = 0
        self.pace = Pace(run.target_time / 1000, run.batch_size)
        # Whether the rows of the first window are staged already (by the plan), and are all there are.
        self.staged: Callable[[], bool] = lambda: False
        self.heard: Callable[[int], None] = lambda workers: None

    def work(self) -> None:
        """Carry windows until there is none to claim: all are done, or in other hands."""
        while (window := self._claim()) is not None:
            self._carry(window)

    # Claims

    def _claim(self) -> Claimed | None:
        """Take over a window whose hand is gone, or make the next one; None where neither is left."""
        for attempt in range(1, self.options.attempts + 1):
            try:
                with self._limits():
                    return self._claim_once()
            except DatabaseError as exc:
                if sqlstate(exc) not in RETRYABLE or self.run.atomic or attempt == self.options.attempts:
                    raise
                left_at_once(self.run, self.options, exc)
                self.options.stop.wait(0.1 * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _claim_once(self) -> Claimed | None:
        run = self.run
        me = {"run": run.pk, "fence": run.fence, "host": socket.gethostname(), "pid": os.getpid()}
        found = self.session.execute("ops/lock_orphan.sql", {**me, "lease": owner.LEASE})
        if found:
            key, number, after, upto, slot, batches, size, fence = found[0]
            event(self.session, run, "window taken", f"window {number} at slot {slot}: its hand is gone")
            return Claimed(key, number, decoded(after), decoded(upto), slot, batches, size, fence)
        rows = self.session.execute("ops/lock_frontier.sql", me)
        if not rows:
            raise taken_over(self.run)
        cursor, high_water, wish = decoded(rows[0][0]), decoded(rows[0][1]), rows[0][2]
        heed(self.run, wish)
        if cursor["after"] == high_water:
            return None
        upto = self._boundary(cursor, high_water)
        moved = {**cursor, "after": upto, "number": cursor.get("number", 0) + 1}
        if cursor.get("most"):
            moved["rows"] = min(cursor["rows"] * 2, cursor["most"])
        opening = {**me, "after": encoded(cursor["after"]), "upto": encoded(upto), "cursor": encoded(moved)}
        key, number = self.session.execute("ops/open_window.sql", opening)[0]
        return Claimed(key, number, cursor["after"], upto, 0, 0, None, 1)

    def _boundary(self, cursor: dict[str, Any], high_water: list[str]) -> list[str]:
        if not cursor.get("rows"):
            return high_water
        return self.writing.boundary(cursor["after"], high_water, cursor["rows"])

    @contextmanager
    def _limits(self, *, ordered: bool = False, batch: bool = False, snapshot: bool = False) -> Iterator[None]:
        with self.session.transaction(
            lock_timeout=self.options.lock_timeout,
            statement_timeout=self._timeout(batch=batch),
            ordered=ordered,
            snapshot=snapshot,
        ):
            yield

    def _timeout(self, *, batch: bool) -> int:
        """Return the longest a statement may take: a batch's, a small multiple of the target time."""
        most = self.options.statement_timeout
        return min(most, 20 * self.run.target_time) if batch and self.pace.fixed is None else most

    # Windows and batches

    def _carry(self, window: Claimed) -> None:
        """Write one window, batch by batch."""
        with self._limits():
            rows = self.writing.begin(window, staged=self.staged() and window.slot == 0)
        most = max(SMALLEST_SPREAD, rows // SPREAD)
        self.staged = lambda: False
        if window.size and self.pace.fixed is None:
            self.pace.size = window.size
        attempt, done = 0, False
        while not done:
            try:
                done = self._write(window, most)
            except LostWindow:
                if not self.session.execute("ops/find_progress.sql", {"run": self.run.pk, "fence": self.run.fence}):
                    raise taken_over(self.run) from None
                event(self.session, self.run, "window lost", f"window {window.number}: another hand has it")
                return
            except DatabaseError as exc:
                if sqlstate(exc) not in RETRYABLE or self.run.atomic:
                    raise
                if sqlstate(exc) != STATEMENT_TIMEOUT or self.pace.size == 1:
                    attempt += 1  # one that takes too long is no reason to give up before it is a single row
                self._come_back(exc, window, attempt)
                # Fewer rows meet fewer locks: halve at once, double only while it goes well.
                self.pace.blocked(min(most, rows))
                self.writing.locks = self.must_lock or sqlstate(exc) == SERIALIZATION
                continue
            attempt, self.writing.locks = 0, self.must_lock
            if self.options.stop.is_set() and not (done and window.upto == self.run.high_water):
                raise Stopped(
                    f"Run {self.run.pk} stopped after {self.run.changed:,} rows, as asked: "
                    f"'{self.run.calls('resume')}' carries it on."
                )

    def _write(self, window: Claimed, most: int) -> bool:
        """Write one batch and commit it with its checkpoint; return whether it was the window's last."""
        run = self.run
        size = SLOTS if run.atomic else self.pace.size if self.pace.fixed else min(self.pace.size, most)
        with self._limits(ordered=True, batch=True, snapshot=self.writing.as_of_one_moment):
            cut = self.writing.cut(window, size)
            batch = {"run": run.pk, "month": run.month, "window": window.number, "batch": window.batches + 1}
            start = clock.monotonic()
            changed, batches = self.writing.write({**batch, **cut.values}, cut.rows) if cut.rows != 0 else (0, 0)
            seconds = clock.monotonic() - start
            self.pace.took(changed if cut.rows is None else cut.rows, seconds, most)
            self._checkpoint(window, cut, changed, batches)
        window.after, window.slot = cut.after, cut.slot
        window.batches += batches
        self.wrote += changed
        # A wish that is heard with the run's last batch comes too late: all is written.
        self._settle(changed, batches, last=cut.done and window.upto == run.high_water)
        return cut.done

    def _checkpoint(self, window: Claimed, cut: Cut, changed: int, batches: int) -> None:
        """Write cursor and counters under the fences, in the batch's transaction; raise LostWindow where one moved."""
        values = {
            "window": window.id,
            "window_fence": window.fence,
            "run": self.run.pk,
            "fence": self.run.fence,
            "after": encoded(cut.after),
            "slot": cut.slot,
            "size": self.pace.size,
            "changed": changed,
            "batches": batches,
            "done": cut.done,
        }
        if not self.session.execute("ops/checkpoint_window.sql", values):
            raise LostWindow

    def _settle(self, changed: int, batches: int, *, last: bool) -> None:
        """Bring the run's counters up to its windows', and heed what is wished of it; nobody sees an atomic run's."""
        run = self.run
        if run.atomic:
            run.changed += changed
            run.batches += batches
            self.options.progress(run.changed, max(self.total, run.changed))
            return
        found = self.session.execute("ops/settle_progress.sql", {"run": run.pk, "fence": run.fence})
        if not found:
            raise taken_over(run)
        run.changed, run.batches, wish, run.batch_size, run.target_time, run.workers, _ = found[0]
        self.pace.retune(run.batch_size, run.target_time / 1000)
        self.options.progress(run.changed, max(self.total, run.changed))
        self.heard(run.workers)
        if not last:
            heed(run, wish)

    # Trouble

    def _come_back(self, exc: DatabaseError, window: Claimed, attempt: int) -> None:
        """Say who blocked a batch and wait a little before it is tried again; raise Stopped after the last attempt."""
        left_at_once(self.run, self.options, exc)
        mine = Window.objects.using(self.session.alias).filter(
            pk=window.id, fence=window.fence, run__fence=self.run.fence, run__state=Run.State.RUNNING
        )
        if not mine.exists():
            raise taken_over(self.run) from exc  # a late hand may hear of it as of a serialization failure
        blocked = self._who_blocks(window) or str(in_words(exc, "The batch"))
        event(self.session, self.run, "blocked", blocked)
        self.options.note(f"Attempt {max(attempt, 1)} of {self.options.attempts}: {blocked}")
        if attempt < self.options.attempts and not self.options.stop.wait(min(0.1 * 2**attempt, 5)):
            found = self.session.execute("ops/find_progress.sql", {"run": self.run.pk, "fence": self.run.fence})
            heed(self.run, found[0][1] if found else "")
            return
        raise Stopped(
            f"Run {self.run.pk} stopped after {self.run.changed:,} rows, its next batch being blocked. {blocked} "
            f"End what blocks it, then '{self.run.calls('resume')}' carries it on."
        ) from exc

    def _who_blocks(self, window: Claimed) -> str:
        try:
            with self._limits():
                found = self.writing.blockers(window, self.pace.size)
        except DatabaseError:
            return ""
        if not found:
            return ""
        pid, user, host, name, seconds, state, query, key = found[0]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = f"Row {', '.join(key)} is locked" if key else "Rows of the batch are locked"
        return (
            f"{what} against {self.run.job} by process {pid}{more} (user {user}, {host}, "
            f"{name or 'no name'}, in a transaction for {seconds} s, {state}, last: {' '.join(query.split())})."
        )
