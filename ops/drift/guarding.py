"""The guard of a repair: a second, direct connection that keeps out other repairs and Django's own `migrate`.

It holds an advisory lock, which repairs and `safe_migrate` take, and a lock on django_migrations in a transaction that
stays open: reading goes on, but `migrate` waits with its first row. All changes of history are made in that
transaction, so that its commit is both their end and the release. It holds no snapshot: CONCURRENTLY does not wait for
it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2
from django.db import Error, connections

from ops import clock, sql
from ops.drift.direct import direct_params
from ops.engine.lifecycle import trouble
from ops.engine.plan import Refused
from ops.engine.session import INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, DatabaseTrouble

WAIT = 2.0
"""Seconds for which the guard waits for its locks: autovacuum, say, goes away by itself."""

_KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


class Lost(DatabaseTrouble):
    """A connection of the repair was lost; what it had committed is in the audit, the rest was rolled back."""


def lock_key() -> int:
    """Return the key of the advisory lock under which histories of one database are changed, one at a time."""
    return int.from_bytes(hashlib.sha256(b"setwise: the migrations of this database").digest()[:8], "big") >> 1


def said(exc: psycopg2.Error) -> str:
    """Return what the server says of an error, in one line and without a full stop."""
    found = (exc.diag.message_primary if exc.diag else None) or str(exc).strip().partition("\n")[0]
    return " ".join(found.split()).rstrip(".") or type(exc).__name__


class Direct:
    """A connection of a repair's own, past any pooler; in autocommit but between `begin` and `commit`."""

    def __init__(self, opened: Any, name: str) -> None:
        self.opened = opened
        self.name = name
        self.pid = 0
        self.started: datetime | None = None

    @classmethod
    def open(cls, alias: str, name: str, lock_timeout: float) -> "Direct":
        """Connect as Django does, or where OPS_DIRECT_DATABASES says; raise Refused where a pooler is in between."""
        params = direct_params(alias)
        try:
            opened = psycopg2.connect(**{**_KEEPALIVES, **params, "application_name": name})
        except psycopg2.Error as exc:
            raise DatabaseTrouble(
                f"Connecting to database {alias!r} for {name}: {said(exc)}; see that the server runs, has a free "
                "connection, and that DATABASES (and OPS_DIRECT_DATABASES) name it."
            ) from exc
        direct = cls(opened, name)
        try:
            opened.autocommit = True
            direct._set_up(alias, lock_timeout)
        except BaseException:
            direct.close()
            raise
        return direct

    def _set_up(self, alias: str, lock_timeout: float) -> None:
        with trouble("Reading the search_path"), connections[alias].cursor() as cursor:
            cursor.execute("SHOW search_path")
            path = cursor.fetchone()[0]
        told = self.opened.info.backend_pid
        self.pid, self.started = self.execute("ops/find_repair_place.sql")[0][:2]
        again = self.execute("ops/find_repair_place.sql")[0][0]
        if told not in (self.pid, 0) or again != self.pid:
            raise Refused(
                f"Database {alias!r} is reached through a pooler (libpq was told of server process {told}, and "
                f"{again} answers), where locks of a session do not hold: set OPS_DIRECT_DATABASES = "
                f'{{"{alias}": {{"HOST": .., "PORT": ..}}}} to where PostgreSQL itself listens.'
            )
        role = connections[alias].settings_dict["OPTIONS"].get("assume_role") or ""
        values = {"lock_timeout": milliseconds(lock_timeout), "search_path": path, "role": role}
        self.execute("ops/set_repair_session.sql", values)

    def execute(self, name: str, values: Mapping[str, Any] | None = None, **idents: Any) -> list[tuple[Any, ...]]:
        """Execute a statement of sql/ and return its rows; raises psycopg2.Error as it comes."""
        loaded = sql.load(name)
        wanted = {one: (values or {})[one] for one in loaded.params}
        with self.opened.cursor() as cursor:
            cursor.execute(loaded.compose(**idents), wanted)
            return cursor.fetchall() if cursor.description else []

    def run(self, text: str) -> list[tuple[Any, ...]]:
        """Execute a text as it is: percent signs in it are no placeholders."""
        with self.opened.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []

    def begin(self) -> None:
        """Open a transaction."""
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")

    def commit(self) -> None:
        """Commit the open transaction."""
        self.run("COMMIT")

    def rollback(self) -> None:
        """Roll the open transaction back, if there is one and a connection."""
        with suppress(psycopg2.Error):
            self.run("ROLLBACK")

    @property
    def is_lost(self) -> bool:
        """Tell whether the server answers no more."""
        try:
            return bool(self.opened.closed) or self.run("SELECT 1") != [(1,)]
        except psycopg2.errors.InFailedSqlTransaction:
            return False
        except psycopg2.Error:
            return True

    def cancel(self) -> None:
        """Cancel what runs now, from another thread."""
        with suppress(psycopg2.Error):
            self.opened.cancel()

    def close(self) -> None:
        """Close; what was not committed is rolled back, and the session's locks go."""
        with suppress(psycopg2.Error):
            self.opened.close()


def milliseconds(seconds: float) -> str:
    """Return a time as the server's settings take it; 0 is without end."""
    return f"{round(seconds * 1_000)}ms"


@dataclass
class Guard:
    """What keeps others out; `history` is schema and name of django_migrations, None where there is none."""

    alias: str
    direct: Direct
    history: tuple[str, str] | None
    schema: str
    """Where audit tables are made: beside the history, or first in the search path."""
    audited: bool

    def check(self) -> None:
        """Raise Lost where the guard is gone: nothing keeps anybody out then."""
        if self.direct.is_lost:
            raise Lost(
                f"The repair's guard (server process {self.direct.pid}) was lost, and nothing keeps a second repair or "
                "migrate out any more: it stopped before its next step; what it had done is in ops_repair_entry. "
                "Start 'manage.py repair_migrations' again."
            )

    def release(self) -> None:
        """Commit what was done to history, and let others write it; other repairs are kept out until the end."""
        self.direct.commit()

    def waiting(self) -> list[int]:
        """Return the server processes that wait to write history."""
        return [row[0] for row in self.direct.execute("ops/list_repair_waiters.sql")]


@contextmanager
def guard(
    alias: str, *, wait: float = WAIT, history: bool = True, name: str = "setwise repair guard"
) -> Iterator[Guard]:
    """Keep others out within this context; raise Refused, naming them, where they are at it already.

    Without `history` only the advisory lock is taken, as `safe_migrate` needs it: its own migrate has to write.
    """
    direct = Direct.open(alias, name, wait)
    try:
        yield _locked(alias, direct, history=history)
    finally:
        direct.close()


def _locked(alias: str, direct: Direct, *, history: bool) -> Guard:
    try:
        direct.execute("ops/lock_repair.sql", {"key": lock_key()})
        schema, table, audited, first = direct.execute("ops/find_repair_place.sql")[0][2:]
        direct.begin()
        if history and table:
            direct.execute("ops/lock_repair_history.sql")
        elif not history:
            direct.commit()
    except psycopg2.Error as exc:
        direct.rollback()
        raise _refusal(alias, direct, exc) from exc
    found = (schema, table) if table else None
    return Guard(alias, direct, found, schema or first or "public", audited)


def _refusal(alias: str, direct: Direct, exc: psycopg2.Error) -> Exception:
    if exc.pgcode == LOCK_NOT_AVAILABLE:
        return Refused(
            f"The migrations of database {alias!r} are being worked on by somebody else: {holders(direct)}. Wait for "
            "its end, or end it, then start again."
        )
    if exc.pgcode == INSUFFICIENT_PRIVILEGE:
        return Refused(
            f"This role may not write django_migrations in database {alias!r} ({said(exc)}), so it can plan only: use "
            "the role that owns the tables, the one with which migrate is run."
        )
    return DatabaseTrouble(f"Locking the migrations of database {alias!r}: {said(exc)}; then start again.")


def holders(direct: Direct) -> str:
    """Say who holds what the guard wants."""
    try:
        found = direct.execute("ops/list_repair_holders.sql", {"key": lock_key()})
    except (psycopg2.Error, Error):
        found = []
    return "; ".join(told_session(*row) for row in found) or "who it is can't be seen (a prepared transaction?)"


def told_session(pid: int, application: str, username: str, since: datetime, state: str, query: str) -> str:
    """Say of a session of the server who it is, and what it does."""
    words = " ".join((query or "").split())
    words = f"{words[:117]}..." if len(words) > 120 else words
    return (
        f"process {pid} ({application or 'no name'}, user {username}, since {clock.shown(since)}, "
        f"{state or 'state hidden'}, last: {words or 'hidden'})"
    )
