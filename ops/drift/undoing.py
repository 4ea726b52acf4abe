"""Take a repair back: history as it was, and what was made, where nothing is lost by that.

It is itself a repair, under the same guard and with its own audit. What is no longer as the repair left it stays and is
listed: a row that was changed, a table that has rows by now, a column that holds values, an index that is another one.
No sequence goes backwards. It may be killed, and started again; done twice it finds nothing to do.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from uuid import UUID

import psycopg2
from django.db import Error
from psycopg2.sql import SQL, Identifier

from ops.drift import auditing
from ops.drift.applying import of_history
from ops.drift.auditing import GONE, Entry, Record
from ops.drift.carrying import Asked, Outcome, Progress, Stop, Work, quiet, working
from ops.drift.guarding import WAIT, Direct, said
from ops.drift.mending_work import over
from ops.drift.model import Attributes, Node, Objects, Step, key
from ops.drift.recording import Found, Recorder
from ops.drift.stepping import Failed, Left, Limits, Wanting, names_of
from ops.engine.lifecycle import Declined
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble

_NEVER = (
    (r"\bCASCADE\b", "taking it back would take others with it"),
    (r"\bDROP EXTENSION\b", "an extension stays: what was made since may need it"),
    (r"\bDROP SEQUENCE\b", "a sequence stays, with the keys that it has given"),
    (r"^\s*(UPDATE|DELETE|TRUNCATE|INSERT)\b", "taking it back would change rows"),
    (r"^\s*SELECT\b.*\bsetval\b", "a sequence never goes backwards"),
    (r"\bALTER COLUMN\b.*\bTYPE\b", "values may not fit the former type any more"),
)


class UnknownRepair(Refused):
    """The audit has no repair of that number."""


@dataclass
class RevertPlan:
    """What of a repair can go back, in the order in which that is done, and what stays, with why."""

    record: Record
    back: list[Entry] = field(default_factory=list)
    stays: list[tuple[Entry, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "repair": str(self.record.uuid), "run": self.record.run, "state": self.record.state,
            "back": [{"code": one.code, "object": one.object, "title": one.title} for one in self.back],
            "left_alone": [
                {"code": one.code, "object": one.object, "title": one.title, "why": why} for one, why in self.stays
            ],
        }  # fmt: skip


def plan_revert(
    alias: str, *, run: int | None = None, uuid: UUID | None = None, read: Callable[[str], Objects] | None = None
) -> RevertPlan:
    """Say what of a repair, by its run or its own name, can go back; write and lock nothing.

    Raises Refused where the audit has no such repair, or it was one that took another back.
    """
    direct = Direct.open(alias, "setwise repair", WAIT)
    try:
        record = _found(direct, alias, run, uuid)
        return _plan(direct, record, Asked(read=read).objects(alias))
    except psycopg2.Error as exc:
        raise DatabaseTrouble(f"Planning to take a repair of database {alias!r} back: {said(exc)}.") from exc
    finally:
        direct.close()


def revert(
    alias: str,
    *,
    run: int | None = None,
    uuid: UUID | None = None,
    lock_timeout: float = 2.0,
    retries: int = 8,
    concurrent: float = 300.0,
    stop: Event | None = None,
    leave: Event | None = None,
    progress: Progress = quiet,
    note: Callable[[str], None] = quiet,
    confirm: Callable[[RevertPlan], bool] | None = None,
    started_from: str = "Python",
    read: Callable[[str], Objects] | None = None,
) -> Outcome:
    """Take a repair back, by its run or its own name; return what came of it, with all that was left alone.

    `confirm` is asked before anything is locked. Raises Refused, Declined, and DatabaseTrouble for a lost connection.
    """
    if confirm and not confirm(plan_revert(alias, run=run, uuid=uuid, read=read)):
        raise Declined("Declined: the repair stays as it is.")
    limits = Limits(lock_timeout, retries, concurrent, stop or Event())
    with working(alias, Asked(started_from, limits, progress, note, read, leave)) as work:
        record = _found(work.worker, alias, run, uuid)
        work.open(record.snapshot, "revert", {"reverts": str(record.uuid)}, reverts=record)
        # By now an interrupted one is settled: what it had begun is done or failed.
        plan = _plan(work.worker, record, work.asked.objects(alias))
        return _Back(work, plan).carry()


def _found(direct: Direct, alias: str, run: int | None, uuid: UUID | None) -> Record:
    record = auditing.find(direct, uuid=uuid, run=run)
    named = f"repair {uuid}" if uuid else f"repair of run {run}"
    if record is None:
        raise (UnknownRepair if uuid else Refused)(
            f"There is no {named} in database {alias!r}: the tables ops_repair and ops_repair_entry have those there "
            "are."
        )
    if record.reverts:
        raise Refused(
            f"The {named} took another one back: 'manage.py repair_migrations' plans anew what is missing, and "
            "--apply makes it again."
        )
    return record


def _plan(direct: Direct, record: Record, have: Objects) -> RevertPlan:
    plan = RevertPlan(record)
    made = auditing.made_last(direct, record.uuid)
    for entry in reversed(auditing.entries(direct, record.uuid)):
        if entry.state != "done" or entry.reverted_by:
            continue
        if entry.kind == "history":
            # Rows that went after this one are put back before it.
            back = [one for one in plan.back if _of(one) == _of(entry) and _went(one)]
            why = why_not_history(direct, entry, len(back))
        else:
            why = _why_not(direct, entry, made, have)
        if why:
            plan.stays.append((entry, why))
        else:
            plan.back.append(entry)
    return _with_parts(plan, have)


def _with_parts(plan: RevertPlan, have: Objects) -> RevertPlan:
    """Let what belongs to a table or a column that stays, its keys and indexes, stay with it."""
    dropped = [one for one, _ in plan.stays if any(re.search(r"\bDROP (TABLE|COLUMN)\b", text) for text in one.undo)]
    staying = {one.object: names_of(one.object.partition(" ")[2])[-1] for one in dropped}
    back, plan.back = plan.back, []
    for entry in back:
        one = have.get(entry.object, GONE)
        of = staying.keys() & _wholes(entry.object, one)
        of |= {name for name in staying if _is_over(one, have.get(name, GONE)) and name != entry.object}
        if of:
            plan.stays.append((entry, f"it belongs to {staying[min(of)]}, which stays"))
        else:
            plan.back.append(entry)
    return plan


def _wholes(name: str, one: Attributes) -> set[str]:
    """Return the keys of the table and the columns that an object belongs to, and of the table that it refers to."""
    schema, table = one.get("schema"), one.get("table")
    if not schema or not table:
        return set()
    columns = [one["name"]] if one["kind"] == "column" else one.get("columns") or []
    found = {key("table", schema, table), *(key("column", schema, table, str(column)) for column in columns)}
    return (found | {str(one.get("references"))}) - {name}


def _is_over(one: Attributes, column: Attributes) -> bool:
    """Say whether an object of a table is over a column of it, be it in an expression or a predicate."""
    mine = one.get("table") and (one["schema"], one["table"]) == (column.get("schema"), column.get("table"))
    return bool(mine and column["kind"] == "column" and over(one, str(column["name"])))


def _of(entry: Entry) -> tuple[Any, Any]:
    row = entry.row_before or entry.row_after or {}
    return row.get("app"), row.get("name")


def _went(entry: Entry) -> bool:
    """Tell whether an entry took a row out of history."""
    return entry.row_before is not None and "rows" in (entry.row_after or {})


# What was made


def _why_not(direct: Direct, entry: Entry, made: dict[str, Attributes | None], have: Objects) -> str:
    """Say why what a statement made stays; "" where it can go."""
    if not entry.undo:
        sequence = any("setval" in text for text in entry.statements)
        return "a sequence never goes backwards" if sequence else "there is nothing to take back"
    for text in entry.undo:
        for pattern, why in _NEVER:
            if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
                return why
    left = made.get(entry.object)
    if left is None:
        return "how the repair left it is not known: it was ended too early to look"
    if _plain(have.get(entry.object, GONE)) != left:
        return "it is no longer as the repair left it"
    try:
        return why_kept(direct, entry)
    except psycopg2.Error as exc:
        return said(exc)


def _plain(attributes: Attributes) -> Attributes:
    """Return attributes as JSON brings them back."""
    found: Attributes = json.loads(json.dumps(attributes, default=str))
    return found


def why_kept(direct: Direct, entry: Entry) -> str:
    """Say what would be lost if an object were taken away: the rows of a table, the values of a column; or ""."""
    drops = " ".join(entry.undo).upper()
    kind, _, rest = entry.object.partition(" ")
    names = names_of(rest)
    drops_table = kind == "table" and "DROP TABLE" in drops
    if drops_table and direct.execute("ops/find_repair_rows.sql", relation=tuple(names))[0][0]:
        return "it has rows by now"
    if kind == "column" and "DROP COLUMN" in drops:
        relation = SQL("{}").format(Identifier(*names[:2])).as_string(direct.opened)
        values = {"relation_name": relation, "column_name": names[2]}
        if direct.execute("ops/find_repair_values.sql", values, relation=tuple(names[:2]))[0][0]:
            return "it holds values by now"
    return ""


def _proof(entry: Entry) -> Callable[[Direct], None]:
    """Return what looks again, with everybody kept from the table, before something is dropped."""

    def look(direct: Direct) -> None:
        kind, _, rest = entry.object.partition(" ")
        drops = " ".join(entry.undo).upper()
        if (kind, "DROP TABLE" in drops) == ("table", True) or (kind, "DROP COLUMN" in drops) == ("column", True):
            direct.execute("ops/lock_repair_table.sql", relation=tuple(names_of(rest)[:2]))
            if why := why_kept(direct, entry):
                raise Left(why)

    return look


def step_back(entry: Entry) -> Step:
    """Return the step that takes an entry back; it can itself be read as what was done and how it is undone."""
    alone = len(entry.undo) == 1 and " CONCURRENTLY " in entry.undo[0]
    undo = entry.undo if alone else [text.replace(" CONCURRENTLY ", " ") for text in entry.undo]
    return Step(
        entry.code, entry.object, "other", f"take back: {entry.title}", sql=list(undo), undo=list(entry.statements),
        transactional=not alone,
    )  # fmt: skip


# History


def why_not_history(direct: Direct, entry: Entry, back: int = 0) -> str:
    """Say why a row of history stays as it is; "" where it can be put back, after so many others of its migration."""
    try:
        _matching(direct, entry, back)
    except Left as exc:
        return str(exc)
    except psycopg2.Error as exc:
        return said(exc)
    return ""


def _rows(direct: Direct, row: Found) -> list[Found]:
    found = direct.execute("ops/list_repair_history.sql", {"app": row["app"], "name": row["name"]})
    return [json.loads(one[0]) if isinstance(one[0], str) else one[0] for one in found]


def _matching(direct: Direct, entry: Entry, back: int = 0) -> Found:
    """Return the row that is still as the repair left it, or, where it took one out, what goes back."""
    before, after = entry.row_before, entry.row_after or {}
    if before is not None and "rows" in after:
        stay = len(_rows(direct, before)) + back
        if stay != after["rows"]:
            raise Left(f"{before['app']}.{before['name']} was recorded (or removed) again since")
        return before
    # Columns that the table got since do not matter.
    same = [row for row in _rows(direct, after) if all(row.get(name) == value for name, value in after.items())]
    if not same:
        raise Left(f"the row of {after.get('app')}.{after.get('name')} was changed since")
    return same[0]


class _Back:
    """What takes a repair back: statements on the working connection, history last and on the guard's."""

    def __init__(self, work: Work, plan: RevertPlan) -> None:
        self.work = work
        self.plan = plan

    def carry(self) -> Outcome:
        work, history = self.work, self.work.guard.history
        last = [one for one in self.plan.back if one.kind == "history" or of_history(step_back(one), history)]
        first = [one for one in self.plan.back if one not in last]
        work.total = len(self.plan.back)
        state, message = "done", ""
        try:
            for entry in first:
                work.must_go_on()
                self._take_back(entry)
            work.audit.keep_made(work.asked.objects(work.alias))
            work.must_go_on()
            self._write_history(last)
        except Stop as exc:
            work.worker.rollback()
            work.audit.keep_made(work.asked.objects(work.alias))
            state = "stopped"
            message = f"Stopped after {len(work.told)} of {len(self.plan.back)} steps, {exc}: revert it again to go on."
        for entry, why in self.plan.stays:
            work.tell(step_back(entry), "left", why)
        return work.close(state, message)

    def _mark(self, entry: Entry) -> Callable[[Direct, int], None]:
        values = {
            "repair": str(self.plan.record.uuid), "step": entry.step, "reverted_by": str(self.work.audit.uuid)
        }  # fmt: skip
        return lambda direct, _: (direct.execute("ops/set_repair_reverted.sql", values), None)[1]

    def _take_back(self, entry: Entry) -> None:
        step = step_back(entry)
        try:
            self.work.stepper.do(step, _proof(entry), self._mark(entry))
            self.work.tell(step, "done")
        except Wanting as exc:
            # A revert that was ended had done it, and could not say so any more.
            self._mark(entry)(self.work.worker, entry.step)
            self.work.tell(step, "done", f"it was gone already ({exc})")
        except (Failed, Left) as exc:
            if step.transactional:
                self.work.audit.write(step, "left", detail=str(exc))
            self.work.tell(step, "left", str(exc))

    def _write_history(self, entries: Sequence[Entry]) -> None:
        """Put history back in one transaction; each row whole or not at all."""
        recorder = self.work.recorder
        for entry in entries:
            step = step_back(entry)
            try:
                recorder.whole(lambda entry=entry, step=step: self._put_back(recorder, entry, step))  # type: ignore[misc]  # mypy can't infer a lambda with defaults
                self.work.tell(step, "done")
            except (Failed, Left) as exc:
                recorder.note(step, "left", str(exc))
                self.work.tell(step, "left", str(exc))
        try:
            self.work.guard.release()
        except (psycopg2.Error, Error) as exc:
            self.work.guard.check()
            raise DatabaseTrouble("Putting history back: the commit failed, and nothing of it stays.") from exc
        if self.work.audit.unread:
            self.work.audit.keep_made(self.work.asked.objects(self.work.alias))

    def _put_back(self, recorder: Recorder, entry: Entry, step: Step) -> None:
        direct = recorder.direct
        if entry.kind == "statement":
            for text in step.sql:
                direct.run(text)
            self.work.audit.write(step, "done", on=direct)
        else:
            self._put_row_back(recorder, entry, step)
        self._mark(entry)(direct, entry.step)

    def _put_row_back(self, recorder: Recorder, entry: Entry, step: Step) -> None:
        row, before = _matching(recorder.direct, entry), entry.row_before
        if before is None:
            recorder.delete(step, row)
        elif "rows" in (entry.row_after or {}):
            recorder.insert(step, Node(before["app"], before["name"]), before.get("applied"), before.get("id"))
        else:
            recorder.rename(step, row, before["name"])
