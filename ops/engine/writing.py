"""The three ways to cut a window into batches and to write one: what a `Reconcile` wants, and a `Job`'s own statement.

What is to be written of a window is staged and cut in ranges of slots, so that a batch's rows lie spread over the
window's pages: dead rows of one batch are pruned when the next one comes by, updates stay HOT, the table hardly grows.
A statement that takes a range of keys needs no staging; its batches are dense.
"""

from dataclasses import dataclass
from typing import Any

from ops import sql
from ops.engine.batches import Batches, values_of
from ops.engine.jobs import Written
from ops.engine.session import Session
from ops.engine.shape import SLOTS
from ops.engine.staging import count_difference, find_slot, stage_difference

SPREAD = 16
"""At least so many batches to a window: the fewer there are, the less the next one finds pruned."""

SMALLEST_SPREAD = 1_000
"""Rows that a batch may have however small its window is."""


@dataclass
class Claimed:
    """A window that a hand carries: keys in (after, upto], from a slot on."""

    id: int
    number: int
    after: list[str] | None
    upto: list[str]
    slot: int
    batches: int
    size: int | None
    fence: int


@dataclass
class Cut:
    """One batch: how many rows it is known to have, where its window stands after it, and what its statements take."""

    rows: int | None
    after: list[str] | None
    slot: int
    done: bool
    values: dict[str, Any]


class Writing:
    """Writes what a Reconcile wants, in ranges of slots of the staged difference."""

    def __init__(self, session: Session, compiler: Batches, run: int, values: dict[str, Any], *, holds: bool) -> None:
        self.session = session
        self.compiler = compiler
        self.run = run
        self.values = values
        self.holds = holds
        # Rows are locked before they are read only once reading as of one moment has failed.
        self.locks = False

    @property
    def as_of_one_moment(self) -> bool:
        """Tell whether a batch's transaction must read as of its beginning (REPEATABLE READ)."""
        return False

    def begin(self, window: Claimed, *, staged: bool) -> int:
        """Stage a window, unless that is done; return how many rows are to be written, SLOTS where that is open."""
        if not staged:
            stage_difference(
                self.session,
                self.compiler,
                self.values,
                holds=self.holds,
                after=window.after,
                upto=window.upto,
                slot=window.slot,
            )
        return count_difference(self.session, window.slot, SLOTS)

    def boundary(self, after: list[str] | None, upto: list[str], rows: int) -> list[str]:
        """Return the key that ends the next window, of so many rows; `upto` where fewer are left."""
        found = self.session.execute(self.compiler.boundary(after, upto, rows))
        return list(found[0][0]) if found else upto

    def cut(self, window: Claimed, size: int) -> Cut:
        """Return the next batch of a window, of about so many rows."""
        upto = find_slot(self.session, window.slot, size)
        rows = count_difference(self.session, window.slot, upto)
        return Cut(rows, window.after, upto, upto == SLOTS, {"slot_from": window.slot, "slot_upto": upto})

    def write(self, batch: dict[str, Any], rows: int | None) -> tuple[int, int]:
        """Write one batch; return how many rows it changed, and in how many changesets that is kept."""
        changed = self._kept(self.session.execute(self.compiler.batch(), batch))
        if rows is not None and rows > changed:
            late = self._write_stragglers({**batch, "number": batch["batch"], "batch": batch["batch"] + 1})
            return changed + late, (1 if changed else 0) + (1 if late else 0)
        return changed, 1

    def _write_stragglers(self, batch: dict[str, Any]) -> int:
        """Write the rows of a batch that somebody else wrote since the window was staged, from what they are now."""
        # They are found by comparing arrays of keys; row by row that would take the square of a batch's rows.
        self.session.unordered()
        moved = self.session.execute(self.compiler.lock_stragglers(), batch)
        if not moved:
            return 0
        statement = self.compiler.stragglers([row[0] for row in moved], holds=self.holds)
        return self._kept(self.session.execute(statement, {**self.values, **batch}))

    def blockers(self, window: Claimed, size: int) -> list[tuple[Any, ...]]:
        """Return who holds rows of the next batch."""
        values = self.cut(window, size).values
        return self.session.execute(self.compiler.blockers(), values)

    def _kept(self, rows: list[tuple[Any, ...]]) -> int:
        """Return how many rows a changeset keeps, and let the job hear of their keys."""
        if not rows:
            return 0
        if self.compiler.hears:
            self._tell(values_of(self.compiler, rows[0][1]))
        return int(rows[0][0])

    def _tell(self, keys: list[tuple[Any, ...]]) -> None:
        self.compiler.job.after_batch(Written(self.session.alias, self.run, keys))


class OwnWriting(Writing):
    """Executes a job's own statement over the keys of a range of slots, which pg_temp.ops_batch holds."""

    @property
    def as_of_one_moment(self) -> bool:
        # What is kept as before must be what the statement found: a row that somebody changed in between fails the
        # batch (SQLSTATE 40001), and it is tried again.
        return bool(self.compiler.job.columns) and not self.locks

    def write(self, batch: dict[str, Any], rows: int | None) -> tuple[int, int]:
        compiler, session, job = self.compiler, self.session, self.compiler.job
        if len(session.connection.atomic_blocks) > 1:
            # Within a caller's transaction, or an atomic run's, no commit has emptied it.
            session.execute(compiler.empty_own_batch())
        session.execute(compiler.fill_own_batch(lock=self.locks), batch)
        session.unordered()
        session.execute(job.batch, {**self.values, **batch})
        if job.columns:
            changed = self._kept(session.execute(compiler.keep_own_batch(), batch))
            return changed, 1 if changed else 0
        changed = max(session.rowcount, 0)
        if compiler.hears and changed:
            self._tell([compiler.key_values(row[0]) for row in session.execute(compiler.list_own_batch())])
        return changed, 1


class RangeWriting(Writing):
    """Executes a job's own statement over a range of keys: %(first)s to %(last)s, both included."""

    @property
    def as_of_one_moment(self) -> bool:
        return self.compiler.reads_before and not self.locks

    def begin(self, window: Claimed, *, staged: bool) -> int:
        return SLOTS

    def cut(self, window: Claimed, size: int) -> Cut:
        first = self.session.execute(self.compiler.boundary(window.after, window.upto, 1))
        if not first:
            return Cut(0, window.upto, 0, True, {})
        last = self.session.execute(self.compiler.boundary(window.after, window.upto, size))
        end = last[0][0] if last else window.upto
        # A changeset's slots narrow nothing down here, its lowest and highest key do.
        values = {"slot_from": 0, "slot_upto": SLOTS, "first": first[0][0][0], "last": end[0]}
        return Cut(size if last else None, end, 0, end == window.upto, values)

    def write(self, batch: dict[str, Any], rows: int | None) -> tuple[int, int]:
        compiler, session, job = self.compiler, self.session, self.compiler.job
        session.unordered()
        if self.locks and compiler.reads_before:
            session.execute(compiler.lock_range(), batch)
        if not job.columns and compiler.hears:
            returned = session.execute(job.batch, {**self.values, **batch})
            if returned:
                self._tell([compiler.key_values([str(row[0])]) for row in returned])
            return len(returned), 1
        if not job.columns and sql.load(job.batch).returns:
            return int(session.execute(compiler.count_range(), {**self.values, **batch})[0][0]), 1
        if not job.columns:
            session.execute(job.batch, {**self.values, **batch})
            return max(session.rowcount, 0), 1
        changed = self._kept(session.execute(compiler.write_range(), {**self.values, **batch}))
        return changed, 1 if changed else 0

    def blockers(self, window: Claimed, size: int) -> list[tuple[Any, ...]]:
        return []  # the rows are not staged; the error says what there is to say


def writing_of(session: Session, compiler: Batches, run: int, values: dict[str, Any], *, holds: bool) -> Writing:
    """Return the way in which a job's batches are written."""
    job = compiler.job
    kind = Writing if job.reconciles else RangeWriting if job.takes_range() else OwnWriting
    return kind(session, compiler, run, values, holds=holds)
