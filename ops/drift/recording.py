"""Changes of django_migrations, on the guard's connection: in its one transaction, each row with its audit.

A row goes only into the audit, and only while it is what it is taken for; what is recorded already is not recorded
twice.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg2

from ops import clock
from ops.drift.auditing import Audit
from ops.drift.guarding import Guard, Lost, said
from ops.drift.model import HistoryChange, Node, Step, told
from ops.drift.stepping import BLOCKED, Failed, Left

Found = dict[str, Any]
"""A row of history, whole, as the audit keeps it."""

ATTEMPTS = 5


class Recorder:
    """What changes history under the guard; nothing of it is there before the guard's transaction commits."""

    def __init__(self, guard: Guard, audit: Audit) -> None:
        self.guard = guard
        self.direct = guard.direct
        self.audit = audit

    def do(self, step: Step) -> None:
        """Do a step of history and its table, whole or not at all; raise Left or Failed."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._whole():
                    for text in step.sql:
                        self.direct.run(text)
                    if step.sql:
                        self.audit.write(step, "done", on=self.direct)
                    for change in step.history:
                        self.change(step, change)
                return
            except psycopg2.Error as exc:
                if exc.pgcode not in BLOCKED or attempt == ATTEMPTS:
                    raise Failed(said(exc)) from exc
                clock.pause(0.1 * 2**attempt)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Take back what is done within where it does not come to its end; the locks stay."""
        before = (self.audit.steps, list(self.audit.unread))
        self.direct.run("SAVEPOINT setwise_step")
        try:
            yield
        except BaseException:
            self.audit.steps, self.audit.unread = before
            try:
                self.direct.run("ROLLBACK TO SAVEPOINT setwise_step")
            except psycopg2.Error as exc:
                raise lost(exc) from exc
            raise
        self.direct.run("RELEASE SAVEPOINT setwise_step")

    def note(self, step: Step, state: Any, detail: str) -> None:
        """Write the entry of a step that was not done."""
        kind = "history" if step.history and not step.sql else "statement"
        self.audit.write(step, state, detail=detail, on=self.direct, kind=kind)

    def whole(self, act: Callable[[], None]) -> None:
        """Do what changes history, whole or not at all; raise Left or Failed."""
        try:
            with self._whole():
                act()
        except psycopg2.Error as exc:
            raise Failed(said(exc)) from exc

    # One change

    def change(self, step: Step, change: HistoryChange) -> None:
        """Do one change of history with its entry."""
        one = replace(step, sql=[told(change)], undo=[], history=[change])
        rows = self.rows(change.node)
        if change.what == "insert":
            if rows:
                raise Left(f"{change.node} is recorded already")
            if waiting := self.guard.waiting():
                raise Left(
                    f"server process {waiting[0]} waits to write history, a migrate that may record {change.node} "
                    "itself: plan again after it"
                )
            self.insert(one, change.node, change.applied, None)
            return
        if change.id is not None:
            rows = [row for row in rows if row.get("id") == change.id]
        if not rows:
            raise Left(f"history has no such row of {change.node} (any more)")
        for row in rows:
            if change.what == "rename":
                self.rename(one, row, change.new_name)
            else:
                self.delete(one, row)

    def rows(self, node: Node) -> list[Found]:
        """Return the rows of a migration, the oldest first."""
        values = {"app": node.app, "name": node.name}
        return [_found(row[0]) for row in self.direct.execute("ops/list_repair_history.sql", values)]

    def insert(self, step: Step, node: Node, applied: datetime | str | None, number: int | None) -> None:
        """Record a migration, under a number where that is given and free."""
        values = {"app": node.app, "name": node.name, "applied": applied, "id": number}
        made = self.direct.execute("ops/merge_repair_history_row.sql", values) if number is not None else []
        made = made or self.direct.execute("ops/merge_repair_history.sql", values)
        self.audit.write(step, "done", on=self.direct, kind="history", row_after=_found(made[0][0]))

    def rename(self, step: Step, row: Found, name: str) -> None:
        """Give a row that is still so another name."""
        made = self.direct.execute("ops/set_repair_history.sql", {"was": json.dumps(row), "new_name": name})
        after = _found(made[0][0]) if made else None
        self.audit.write(step, "done", on=self.direct, kind="history", row_before=row, row_after=after)

    def delete(self, step: Step, row: Found) -> None:
        """Take a row that is still so out of history; how many of its name stay is kept with it."""
        self.direct.execute("ops/delete_repair_history.sql", {"was": json.dumps(row)})
        stay = len(self.rows(Node(row["app"], row["name"])))
        self.audit.write(step, "done", on=self.direct, kind="history", row_before=row, row_after={"rows": stay})


def _found(value: Any) -> Found:
    return json.loads(value) if isinstance(value, str) else dict(value)


def lost(exc: psycopg2.Error) -> Lost:
    """Return what is said when the guard is lost in the middle of its transaction."""
    return Lost(
        f"The repair's guard was lost while it wrote history ({said(exc)}), and nothing of that stays: start "
        "'manage.py repair_migrations' again."
    )
