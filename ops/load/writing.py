"""Merge one range of a load's rows after the other, each in one transaction with its changesets and rejects.

A range that the server refuses (a constraint, a trigger) is halved until the row is alone that it refuses; that one is
set aside, and the others are merged.
"""

from collections.abc import Mapping
from typing import Any

import psycopg2
from django.db import DatabaseError, transaction

from ops.engine import owner
from ops.engine.plan import Refused
from ops.engine.session import RETRYABLE, Session, sqlstate
from ops.engine.shape import SLOTS
from ops.engine.writing import Claimed, Cut, Writing
from ops.load.merging import Merging
from ops.models import Reject

RETURNS_OLD = 180000
"""From this version of PostgreSQL on, a statement returns what was there before."""


class TooMany(Exception):
    """More records are bad than was agreed to, which only their merge has shown."""


class Merge(Writing):
    """Writes a load's rows by ranges of their numbers."""

    def __init__(
        self,
        session: Session,
        road: Merging,
        run: int,
        *,
        fresh: bool,
        whole: bool,
        strict: bool,
        words: Mapping[str, str],
        bearable: int | None,
    ) -> None:
        self.session = session
        self.road = road
        self.run = run
        # Whether so many rows are equal to the target's that it pays to look first.
        self.fresh = fresh
        # Rows of the input that refer to one another are merged by one statement.
        self.whole = whole
        self.strict = strict
        self.words = words
        self.bearable = bearable
        self.locks = False
        self.returns_old = session.version >= RETURNS_OLD

    @property
    def as_of_one_moment(self) -> bool:
        # Before PostgreSQL 18, what was there before is read first: it must be what the write finds.
        return not self.returns_old and not self.locks

    def begin(self, window: Claimed, *, staged: bool) -> int:
        """Return how many rows the window has left."""
        return _number(window.upto) - _number(window.after)

    def boundary(self, after: list[str] | None, upto: list[str], rows: int) -> list[str]:
        """Return number and key of the row that ends the next window."""
        last = _number(after) + rows
        return upto if last >= _number(upto) else self.place(last)

    def place(self, number: int) -> list[str]:
        """Return a row's number with its key: that finds the place again, should the merge table be filled anew."""
        found = self.session.execute(self.road.key_at(), {"n": number})
        return [str(number), *(found[0][0] if found else [])]

    def cut(self, window: Claimed, size: int) -> Cut:
        """Return the next range of a window, of so many rows."""
        first, end = _number(window.after), _number(window.upto)
        last = end if self.whole else min(first + size, end)
        values = {"slot_from": 0, "slot_upto": SLOTS, "first": first, "last": last}
        return Cut(last - first, self.place(last), 0, last == end, values)

    def write(self, batch: dict[str, Any], rows: int | None) -> tuple[int, int]:
        """Merge one range; return how many rows it changed, and by how many statements that is kept."""
        # Each row is looked up by the key in the order of the ranges: so are all locks taken.
        self.session.execute("ops/set_constraints.sql")
        return self._merge(batch, batch["first"], batch["last"])

    def _merge(self, values: dict[str, Any], first: int, last: int) -> tuple[int, int]:
        given = {**values, "first": first, "last": last}
        try:
            with transaction.atomic(using=self.session.alias):
                inserted, updated = self._execute(given)
        except DatabaseError as exc:
            if not _is_of_a_row(sqlstate(exc)):
                raise
            if last - first == 1:
                self._reject(last, exc)
                return 0, 0
        else:
            changed = inserted + updated
            return changed, 1 if changed else 0
        middle = (first + last) // 2
        changed, batches = self._merge(values, first, middle)
        more, others = self._merge({**values, "batch": values["batch"] + batches}, middle, last)
        return changed + more, batches + others

    def _execute(self, values: dict[str, Any]) -> tuple[int, int]:
        road, execute = self.road, self.session.execute
        if self.returns_old:
            inserted, updated = execute(road.merge_range(fresh=self.fresh), values)[0]
        elif not self.locks:
            inserted, updated = execute(road.merge_range_as_of(fresh=self.fresh), values)[0]
        else:
            found = execute(road.insert_and_lock(), values)
            inserted, keys = found[0] if found else (0, [])
            updated = 0
            if road.spec.wanted:
                width = len(road.keys)
                each = [keys[i * inserted : (i + 1) * inserted] for i in range(width)]
                # All rows are locked by now, in their order: let the planner join as it likes.
                self.session.unordered()
                joined = ["\x1f".join(key) for key in zip(*each, strict=True)]
                found = execute(road.update_locked(), {**values, "inserted": joined})
                updated = found[0][0] if found else 0
        return inserted, updated

    def _reject(self, number: int, exc: DatabaseError) -> None:
        """Set a row aside that the server refused, with its reason in words."""
        cause = exc.__cause__
        primary = cause.diag.message_primary if isinstance(cause, psycopg2.Error) else str(exc)
        reason = self.words.get(owner.constraint(exc)) or f"refused by the database: {primary}"
        line, fields = self.session.execute(self.road.record_at(), {"n": number})[0]
        if self.strict:
            raise Refused(f"Line {line} is bad ({reason}), and --strict refuses the whole input: nothing was changed.")
        rejects = Reject.objects.using(self.session.alias)
        if self.bearable is not None and rejects.filter(run_id=self.run).count() >= self.bearable:
            raise TooMany(f"line {line} is bad, too ({reason})")
        rejects.create(run_id=self.run, found=Reject.Found.MERGED, line=line, reason=reason, fields=fields)

    def blockers(self, window: Claimed, size: int) -> list[tuple[Any, ...]]:
        """Return the transactions that may be writing to the table: a row that one inserts can't be seen yet."""
        found = self.session.execute("ops/list_writers.sql", {"relation": self.road.spec.table.relation})
        return [(*row[1:], None) for row in found if row[1] is not None]


def _number(place: list[str] | None) -> int:
    return int(place[0]) if place else 0


def _is_of_a_row(state: str) -> bool:
    """Tell whether an error is about a row: its data, a constraint, or a trigger that refused it."""
    return state not in RETRYABLE and (state[:2] in ("22", "23") or state in ("P0001", "44000"))
