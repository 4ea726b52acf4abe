"""One step of a repair: its statements with their entry in one transaction, or alone, CONCURRENTLY, with proof.

What is blocked is tried again after a while; a helper index (`setwise_`) that an ended repair has left is taken away
where it is not valid, and used where it is.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import psycopg2
from psycopg2.sql import SQL, Identifier

from ops.drift.auditing import Audit
from ops.drift.guarding import Direct, Lost, milliseconds, said, told_session
from ops.drift.model import Step
from ops.engine.session import DEADLOCK, LOCK_NOT_AVAILABLE, STATEMENT_TIMEOUT

WANTING = ("42P01", "42883", "42703", "42704", "3F000")
"""Undefined table, function, column, object and schema: what another step may make."""

BLOCKED = (LOCK_NOT_AVAILABLE, DEADLOCK, STATEMENT_TIMEOUT)

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_PART = re.compile(_NAME)
_CREATE = re.compile(rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?({_NAME}) ON (?:ONLY )?(\S+)")
_DROP = re.compile(rf"DROP INDEX CONCURRENTLY (?:IF EXISTS )?({_NAME}(?:\.{_NAME})?)")
_REINDEX = re.compile(rf"REINDEX (?:\([^)]*\) )?INDEX CONCURRENTLY ({_NAME}(?:\.{_NAME})?)")


class Left(Exception):
    """The step is left out; the message says why."""


class Wanting(Exception):
    """The step needs an object that is not there yet; the message says which."""


class Failed(Exception):
    """The step failed, and nothing of it stays; the message says why."""


class Blocked(Failed):
    """The step failed since a lock was not to be had, however often it was tried."""


@dataclass
class Limits:
    """How long a repair waits, in seconds, and how often it tries what is blocked."""

    lock_timeout: float = 2.0
    retries: int = 8
    concurrent: float = 300.0
    """The same for one wait of a statement that stands in nobody's way (CONCURRENTLY): old transactions have to end."""
    stop: Event = field(default_factory=Event)


def names_of(key: str) -> list[str]:
    """Return the names in a key, or in a qualified name, without their quotes."""
    return [bare(part) for part in _PART.findall(key)]


def bare(name: str) -> str:
    """Return a name as the catalogue has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def table_of(key: str) -> str:
    """Return the qualified name of the table that an object is or belongs to; "" where its key does not tell."""
    kind, _, rest = key.partition(" ")
    parts = _PART.findall(rest)
    wanted = {"table": 2, "column": 3, "constraint": 3, "trigger": 3, "policy": 3}.get(kind)
    return ".".join(parts[:2]) if wanted == len(parts) else ""


class Stepper:
    """What does steps, one after another, on the working connection of a repair."""

    def __init__(
        self, worker: Direct, audit: Audit, limits: Limits, note: Callable[[str], None], seer: Direct | None = None
    ) -> None:
        self.worker = worker
        self.audit = audit
        self.limits = limits
        self.note = note
        # What tells for whom the worker waits, while that is busy.
        self.seer = seer
        # Indexes that statements of the present step made and did not finish.
        self.unfinished: set[int] = set()

    def do(
        self,
        step: Step,
        proof: Callable[[Direct], None] | None = None,
        after: Callable[[Direct, int], None] | None = None,
    ) -> None:
        """Do one step and commit it with its entry; raise Left, Wanting or Failed, with nothing of it left.

        `proof` is called in the step's transaction before its statements and may raise Left; `after` hears of the
        number of the entry in the same transaction.
        """
        if step.transactional:
            self._patiently(step, lambda: self._together(step, proof, after))
        else:
            number, self.unfinished = self.audit.write(step, "begun"), set()
            try:
                with self._watched(step):
                    detail = self._patiently(step, lambda: self._alone(step))
            except (Left, Wanting, Failed) as exc:
                if self.unfinished:
                    kind = Blocked if isinstance(exc, Blocked) else Failed
                    exc = kind(f"{exc}; what it left, an index that is not valid, could not be dropped yet")
                self.audit.write(step, "failed", detail=str(exc), at=number)
                raise exc from None
            self.audit.write(step, "done", detail=detail or "", at=number)
            if after:
                after(self.worker, number)

    def _patiently(self, step: Step, act: Callable[[], Any]) -> Any:
        """Try until it is not blocked; raise Failed after the last attempt, and Lost with the connection."""
        for attempt in range(1, self.limits.retries + 2):
            try:
                return act()
            except psycopg2.Error as exc:
                self._settle(step, exc)
                why = f"{said(exc)}{self._who(step, exc)}"
                if attempt > self.limits.retries:
                    raise Blocked(f"{why}; tried {attempt} times") from exc
                self.note(f"Attempt {attempt} of {self.limits.retries + 1} at {step.title}: {why}.")
                if self.limits.stop.wait(min(0.1 * 2**attempt, 5)):
                    raise Failed(f"{why}; stopped, as asked") from exc
        raise AssertionError("the last attempt returns or raises")

    def _settle(self, step: Step, exc: psycopg2.Error) -> None:
        """Return where an error is worth another attempt; else raise what it means."""
        if self.worker.is_lost:
            raise Lost(
                f"The repair's connection was lost at {step.title} ({said(exc)}): what committed is in "
                "ops_repair_entry. Start 'manage.py repair_migrations' again: it goes on with what is left."
            ) from exc
        if exc.pgcode in WANTING:
            raise Wanting(said(exc)) from exc
        if exc.pgcode not in BLOCKED:
            detail = exc.diag.message_detail
            raise Failed(f"{said(exc)}{f' ({detail.rstrip(chr(46))})' if detail else ''}") from exc

    def _who(self, step: Step, exc: psycopg2.Error) -> str:
        """Say who holds the table that a step waited for."""
        table = table_of(step.object)
        if exc.pgcode != LOCK_NOT_AVAILABLE or not table:
            return ""
        found = self.worker.execute("ops/list_repair_blockers.sql", {"relation": table})
        return f", held by {'; '.join(told_session(*row) for row in found[:3])}" if found else ""

    # In one transaction

    def _together(
        self, step: Step, proof: Callable[[Direct], None] | None, after: Callable[[Direct, int], None] | None
    ) -> None:
        worker, before = self.worker, (self.audit.steps, list(self.audit.unread))
        worker.begin()
        try:
            worker.execute("ops/set_repair_limit.sql", {"lock_timeout": milliseconds(self.limits.lock_timeout)})
            if proof:
                proof(worker)
            for text in step.sql:
                worker.run(text)
            number = self.audit.write(step, "done")
            if after:
                after(worker, number)
            worker.commit()
        except BaseException:
            worker.rollback()
            self.audit.steps, self.audit.unread = before
            raise

    # By itself

    @contextmanager
    def _watched(self, step: Step) -> Iterator[None]:
        """Say for whom a statement waits that no lock_timeout ends soon: an index waits for older transactions."""
        over, said_of = Event(), set[int]()

        def watch(seer: Direct) -> None:
            pause = max(self.limits.lock_timeout, 0.5)
            while not over.wait(pause):
                try:
                    found = seer.execute("ops/list_repair_waited.sql", {"pid": self.worker.pid})
                except psycopg2.Error:
                    return
                new = [row for row in found if row[0] not in said_of]
                said_of.update(row[0] for row in new)
                if new:
                    who = "; ".join(told_session(*row) for row in new[:3])
                    self.note(f"{step.title} waits until {who} has ended its transaction.")

        thread = Thread(target=watch, args=(self.seer,), daemon=True, name="waiting")
        if self.seer is not None:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self.seer is not None:
                thread.join()

    def _alone(self, step: Step) -> str:
        self.worker.execute("ops/set_repair_lock_timeout.sql", {"lock_timeout": milliseconds(self.limits.concurrent)})
        try:
            for text in step.sql:
                if found := _CREATE.match(text):
                    return self._create_index(text, bare(found[1]), _schema(step, found[2]))
                if found := _REINDEX.match(text):
                    return self._reindex(text, *_split(found[1]))
                if found := _DROP.match(text):
                    return self._drop_index(text, *_split(found[1]))
                self.worker.run(text)
            return ""
        finally:
            if not self.worker.opened.closed:
                values = {"lock_timeout": milliseconds(self.limits.lock_timeout)}
                self.worker.execute("ops/set_repair_lock_timeout.sql", values)

    def _indexes(self, name: str, schema: str | None, pattern: str = "") -> dict[int, tuple[str, bool, bool, str]]:
        rows = self.worker.execute("ops/list_repair_indexes.sql", {"name": re.escape(name) + pattern, "schema": schema})
        return {row[0]: row[1:] for row in rows}

    def _create_index(self, text: str, name: str, schema: str | None) -> str:
        for oid, (there, valid, building, definition) in self._indexes(name, schema).items():
            if oid not in self.unfinished and not name.startswith("setwise_"):
                break  # the server's word on it will do: it is not the repair's own
            if building:
                raise Failed(f"index {name} is being built by another session")
            if valid and definition == text.replace(" CONCURRENTLY", ""):
                return "it was there, left by a repair that was ended"
            if valid:
                raise Failed(f"index {name} is there and is another one: look what it is, then drop or rename it")
            self._drop_own(there, name)
            self.unfinished.discard(oid)
        before = self._indexes(name, schema)
        try:
            self.worker.run(text)
        except psycopg2.Error:
            self._drop_new(before, name, schema)
            raise
        made = {oid: row for oid, row in self._indexes(name, schema).items() if oid not in before}
        if not any(row[1] for row in made.values()):
            self._drop_new(before, name, schema)
            raise Failed(f"index {name} was not valid afterwards, and was dropped again")
        return ""

    def _reindex(self, text: str, schema: str | None, name: str) -> str:
        before = self._indexes(name, schema, "_cc(new|old)[0-9]*")
        try:
            self.worker.run(text)
        except psycopg2.Error:
            self._drop_new(before, name, schema, "_cc(new|old)[0-9]*")
            raise
        if not any(row[1] for row in self._indexes(name, schema).values()):
            raise Failed(f"index {name} is still not valid")
        return ""

    def _drop_index(self, text: str, schema: str | None, name: str) -> str:
        self.worker.run(text)
        if self._indexes(name, schema):
            raise Failed(f"index {name} is still there")
        return ""

    def _drop_new(self, before: dict[int, Any], name: str, schema: str | None, pattern: str = "") -> None:
        """Drop what a statement that failed has left: an index that is not valid, and was not there before."""
        if self.worker.is_lost:
            return
        for oid, (there, valid, building, definition) in self._indexes(name, schema, pattern).items():
            if oid not in before and not valid and not building:
                self.unfinished.add(oid)
                try:
                    self._drop_own(there, _index_name(definition))
                except psycopg2.Error as exc:
                    # What the build waited for keeps it from being dropped, too; the next attempt begins with that.
                    self.note(f"Index {name} of a build that failed stays for now: {said(exc)}.")
                else:
                    self.unfinished.discard(oid)

    def _drop_own(self, schema: str, name: str) -> None:
        """Drop an index of the repair's own that is not valid."""
        drop = SQL("DROP INDEX CONCURRENTLY {}").format(Identifier(schema, name))
        self.worker.run(drop.as_string(self.worker.opened))


def _index_name(definition: str) -> str:
    found = re.match(rf"CREATE (?:UNIQUE )?INDEX ({_NAME}) ON ", definition)
    assert found is not None  # as pg_get_indexdef writes it
    return bare(found[1])


def _split(name: str) -> tuple[str | None, str]:
    parts = names_of(name)
    return (parts[0] if len(parts) > 1 else None), parts[-1]


def _schema(step: Step, table: str) -> str | None:
    """Return the schema of an index that is made: its table's, which the statement or the step's key names."""
    parts = names_of(table.partition("(")[0])
    if len(parts) > 1:
        return parts[0]
    kind, _, rest = step.object.partition(" ")
    return names_of(rest)[0] if kind == "index" and len(names_of(rest)) > 1 else None
