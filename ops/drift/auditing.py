"""What repairs leave behind: a row for each repair and each of its steps, in two tables that apply makes by itself.

`ops_repair` and `ops_repair_entry` lie beside django_migrations; both can be read by hand, and runs that are pruned
leave them alone. A step and its entry commit together, except where the step commits by itself (CONCURRENTLY): then
its entry says 'begun' before, and 'done' once the catalogue has what it made.
"""

import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg2

from ops.drift.guarding import Direct, Guard, said
from ops.drift.model import Attributes, Objects, Step
from ops.engine import owner
from ops.engine.plan import Refused

GONE: Attributes = {"gone": True}
"""What is kept of an object that a step took away."""

State = Literal["begun", "done", "failed", "left"]


@dataclass
class Entry:
    """One step of a repair as the audit has it."""

    step: int
    code: str
    object: str
    title: str
    kind: str
    state: str
    detail: str
    statements: list[str]
    undo: list[str]
    transactional: bool
    row_before: dict[str, Any] | None
    row_after: dict[str, Any] | None
    made: Attributes | None
    reverted_by: str | None


@dataclass
class Record:
    """A repair as the audit has it."""

    uuid: UUID
    state: str
    who: str
    snapshot: str
    run: int | None
    reverts: UUID | None
    message: str
    begun: Any = None
    ended: Any = None
    choices: dict[str, Any] = field(default_factory=dict)


def must_be_there(worker: Direct, guard: Guard) -> None:
    """Make the two tables where they are not there yet, and commit; raise Refused where this role may not."""
    if guard.audited:
        return
    try:
        worker.execute("ops/create_repair.sql", repair=(guard.schema, "ops_repair"))
        worker.execute("ops/create_repair_entry.sql", entry=(guard.schema, "ops_repair_entry"))
    except psycopg2.Error as exc:
        raise Refused(
            f"The audit of the repair could not be made in schema {guard.schema!r} ({said(exc)}), and without it "
            "nothing is repaired: grant this role CREATE on the schema, or use the role that owns the tables."
        ) from exc


class Audit:
    """The record of one repair that is being carried out."""

    def __init__(self, worker: Direct, uuid: UUID | None = None) -> None:
        self.worker = worker
        self.uuid = uuid or uuid4()
        self.steps = 0
        # Steps that are done, by what the catalogue has to be asked for.
        self.unread: list[tuple[int, str]] = []

    def open(
        self, guard: Guard, *, snapshot: str, mode: str, started_from: str, choices: Mapping[str, Any],
        reverts: UUID | None = None,
    ) -> None:  # fmt: skip
        """Record that the repair begins; commits."""
        self.worker.execute(
            "ops/open_repair.sql",
            {
                "repair": str(self.uuid), "who": owner.who(), "started_from": started_from,
                "host": socket.gethostname(), "pid": os.getpid(),
                "guard_pid": guard.direct.pid, "guard_start": guard.direct.started,
                "worker_pid": self.worker.pid, "worker_start": self.worker.started,
                "plan_snapshot": snapshot, "plan_mode": mode, "choices": json.dumps(choices, default=str),
                "code_version": owner.code_version(), "reverts": str(reverts) if reverts else None,
            },
        )  # fmt: skip

    def write(
        self, step: Step, state: State, *, detail: str = "", at: int = 0, on: Direct | None = None,
        kind: str = "statement", row_before: object = None, row_after: object = None,
    ) -> int:  # fmt: skip
        """Write the entry of a step, in the open transaction if there is one, and return its number.

        `at` is the number of an entry that is there already: that it was begun, say.
        """
        number = at or self.steps + 1
        self.steps = max(self.steps, number)
        (on or self.worker).execute(
            "ops/merge_repair_entry.sql",
            {
                "repair": str(self.uuid), "step": number, "code": step.code, "object_key": step.object,
                "title": step.title, "kind": kind, "state": state, "detail": detail,
                "statements": list(step.sql), "undo_statements": list(step.undo),
                "transactional": step.transactional,
                "row_before": _text(row_before), "row_after": _text(row_after),
            },
        )  # fmt: skip
        if state == "done" and kind == "statement":
            self.unread.append((number, step.object))
        return number

    def keep_made(self, have: Objects) -> None:
        """Keep what the catalogue has of the objects of the steps that are done; commits."""
        keep_made(self.worker, self.uuid, self.unread, have)
        self.unread = []

    def close(self, state: str, message: str, run: int | None = None) -> None:
        """Record how the repair ended, or while it runs, which run it is; commits."""
        values = {"repair": str(self.uuid), "state": state, "message": message, "run": run}
        self.worker.execute("ops/finish_repair.sql", values)


def keep_made(worker: Direct, uuid: UUID, steps: Sequence[tuple[int, str]], have: Objects) -> None:
    """Keep of each step (its number, its object's key) what the catalogue has by now; commits."""
    if steps:
        made = [_text(have.get(name, GONE)) for _, name in steps]
        values = {"repair": str(uuid), "steps": [number for number, _ in steps], "made": made}
        worker.execute("ops/set_repair_made.sql", values)


def _text(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _value(found: Any) -> Any:
    return json.loads(found) if isinstance(found, str) else found


def entries(direct: Direct, uuid: UUID) -> list[Entry]:
    """Return what a repair did, in its order."""
    found = []
    for row in direct.execute("ops/list_repair_entries.sql", {"repair": str(uuid)}):
        step, _, code, name, title, kind, state, detail, statements, undo, transactional = row[:11]
        before, after, made = (_value(one) for one in row[11:14])
        found.append(
            Entry(
                step, code, name, title, kind, state, detail, statements, undo, transactional, before, after, made,
                row[14] and str(row[14]),
            )
        )  # fmt: skip
    return found


def made_last(direct: Direct, uuid: UUID) -> dict[str, Attributes | None]:
    """Return of each object what a repair, or what took some of it back, left of it; None where that is not known."""
    rows = direct.execute("ops/list_repair_made.sql", {"repair": str(uuid)})
    return {name: _value(made) for name, made in rows}


def find(direct: Direct, *, uuid: UUID | None = None, run: int | None = None) -> Record | None:
    """Return a repair by its own name or its run's; None where the audit has none."""
    if not direct.execute("ops/find_repair_place.sql")[0][4]:
        return None
    rows = direct.execute("ops/find_repair.sql", {"repair": str(uuid) if uuid else None, "run": run})
    if not rows:
        return None
    name, begun, ended, state, who, _, snapshot, _, choices, number, reverts, message = rows[0]
    return Record(
        UUID(str(name)), state, who, snapshot, number, UUID(str(reverts)) if reverts else None, message, begun, ended,
        _value(choices),
    )  # fmt: skip


def settle_left(audit: Audit, read: Callable[[], Objects]) -> list[tuple[UUID, int | None]]:
    """Mark the repairs whose process was ended; return them with their runs. The caller holds the guard.

    Raises Refused where the server still works on a step of one: it hears within a second that its client is gone.
    """
    worker = audit.worker
    rows = worker.execute("ops/list_repairs_left.sql", {"but": str(audit.uuid)})
    for uuid, _, who, _, pid, busy in rows:
        if busy:
            raise Refused(
                f"Repair {uuid} of {who} was ended, but the server still works on its last step (process {pid}): "
                "wait a moment, then start again."
            )
    settled = []
    have = read() if rows else {}
    for uuid, run, *_ in rows:
        one = UUID(str(uuid))
        _settle_entries(worker, one, have)
        values = {"repair": str(one), "state": "interrupted", "message": "Its process was ended.", "run": None}
        worker.execute("ops/finish_repair.sql", values)
        settled.append((one, run))
    return settled


def _settle_entries(worker: Direct, uuid: UUID, have: Objects) -> None:
    """Bring the entries of an interrupted repair up to what the catalogue says of them."""
    found = entries(worker, uuid)
    audit = Audit(worker, uuid)
    for entry in found:
        if entry.state == "begun":
            drops = bool(entry.statements) and entry.statements[0].startswith("DROP ")
            there = have.get(entry.object, {}).get("valid", entry.object in have)
            did = entry.object not in have if drops else there
            state: State = "done" if did else "failed"
            detail = "its process was ended; the catalogue shows that it was done" if did else "its process was ended"
            audit.write(as_step(entry), state, detail=detail, at=entry.step)
            entry.state = state
    lacking = [(e.step, e.object) for e in found if e.kind == "statement" and e.state == "done" and e.made is None]
    keep_made(worker, uuid, lacking, have)


def as_step(entry: Entry) -> Step:
    """Return an entry as the step that it was."""
    return Step(
        entry.code, entry.object, "other", entry.title, sql=entry.statements, undo=entry.undo,
        transactional=entry.transactional,
    )  # fmt: skip


def summed(states: Iterable[str]) -> dict[str, int]:
    """Return how many there are of each state."""
    counts: dict[str, int] = {}
    for state in states:
        counts[state] = counts.get(state, 0) + 1
    return counts
