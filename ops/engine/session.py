"""The engine's way to the database: statements of sql/, limits for one transaction, and errors in words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg2
from django.db import DatabaseError, Error, connections, transaction
from psycopg2.sql import Composable

from ops import sql

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
SERIALIZATION = "40001"
STATEMENT_TIMEOUT = "57014"
INSUFFICIENT_PRIVILEGE = "42501"
RETRYABLE = (LOCK_NOT_AVAILABLE, DEADLOCK, SERIALIZATION, STATEMENT_TIMEOUT)

_ADVICE = {
    "42501": "the database role lacks a privilege: grant it what docs/install.md lists, or use the job's own role",
    "25006": "the server or this role is read-only: connect to the primary with a role that may write",
    "42P01": "a table is missing: run 'manage.py migrate' first",
    "42703": "a column is missing: correct the job's statement and its '-- returns:' line, or run 'manage.py migrate'",
    "42883": "a function is missing: run 'manage.py migrate' first",
    "53100": "the disk is full: free space on the server, then start the same command again",
    "53200": "the server is out of memory: lower --batch-size or work_mem, then start again",
    "53300": "the server has no free connection: end idle ones or raise max_connections",
    "53400": "a limit of the server was reached: raise it (such as temp_file_limit), then start the same command again",
    "57014": "the statement took too long: lower --batch-size, then start again",
    "57P01": "the server ended the connection: start the same command again, it goes on",
    "22003": "a number does not fit its column: correct what the rows concerned are computed from",
    LOCK_NOT_AVAILABLE: "another session holds a lock",
    DEADLOCK: "another session locks rows in another order",
}


class DatabaseTrouble(Exception):
    """The server refused or failed; the message says what was tried, what was found and what to do."""


class Session:
    """One connection of a run, by Django's alias."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.connection = connections[alias]
        self.rowcount = 0
        self._limits = (0, 0)
        self._held: Any = None

    @property
    def version(self) -> int:
        """Return the server's version, as 180004 for 18.4."""
        return int(self.connection.pg_version)  # type: ignore[attr-defined]  # only PostgreSQL's connections have it

    def hold(self) -> None:
        """Remember which connection this is: a run is owned by it, and no more once it is lost."""
        self._held = self.connection.connection

    def is_lost(self) -> bool:
        """Tell whether the connection that was held is gone, even if Django has opened another since."""
        return self.connection.connection is not self._held or not self.connection.is_usable()

    def execute(self, statement: str | Composable, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Execute a statement of sql/ (by name) or of the compiler, and return its rows."""
        values: Mapping[str, Any] = params or {}
        if isinstance(statement, str):
            loaded = sql.load(statement)
            values = {name: values[name] for name in loaded.params}
            statement = loaded.compose()
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            self.rowcount = cursor.rowcount
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def transaction(
        self,
        *,
        lock_timeout: int,
        statement_timeout: int,
        ordered: bool = False,
        snapshot: bool = False,
        committed: bool = False,
    ) -> Iterator[None]:
        """Open one transaction with limits in milliseconds; `snapshot` reads everything as of one moment.

        With `committed` each statement reads what is committed by then, whatever the connection's setting is.
        """
        with transaction.atomic(using=self.alias):
            if len(self.connection.atomic_blocks) == 1 and (snapshot or committed):
                self.execute("ops/set_snapshot.sql" if snapshot else "ops/set_read_committed.sql")
            self._limit(lock_timeout, statement_timeout, ordered=ordered)
            yield

    def _limit(self, lock_timeout: int, statement_timeout: int, *, ordered: bool) -> None:
        self._limits = (lock_timeout, statement_timeout)
        values = {
            "lock_timeout": f"{lock_timeout}ms",
            "statement_timeout": f"{statement_timeout}ms",
            "ordered": ordered,
        }
        self.execute("ops/set_limits.sql", values)

    def unordered(self) -> None:
        """Let the rest of an ordered transaction join as the planner likes."""
        self._limit(*self._limits, ordered=False)


def sqlstate(exc: BaseException) -> str:
    """Return the SQLSTATE of a database error, or '' where there is none (a lost connection)."""
    cause = exc.__cause__ if isinstance(exc, DatabaseError) else exc
    return (cause.pgcode or "") if isinstance(cause, psycopg2.Error) else ""


def in_words(exc: Error, tried: str, advice: Mapping[str, str] = MappingProxyType({})) -> DatabaseTrouble:
    """Turn a database error into one sentence: what was tried, what was found, what to do.

    `advice` has what to do by SQLSTATE ('' for a lost connection), where that is not what is to be done about a run.
    """
    code = sqlstate(exc)
    cause = exc.__cause__
    found = (cause.diag.message_primary if isinstance(cause, psycopg2.Error) else None) or str(exc)
    # libpq explains itself at length below its first line.
    found = " ".join((found if code else found.strip().partition("\n")[0]).split()).rstrip(".")
    if code in advice:
        mends = advice[code]
    elif code:
        mends = _ADVICE.get(code, f"see SQLSTATE {code} in PostgreSQL's documentation")
    else:
        # Never had or lost: a database error without a SQLSTATE is one of the connection.
        mends = (
            "see that the server runs and that DATABASES (DATABASE_URL) names it, then start the same command again: "
            "a run that had begun goes on"
        )
    return DatabaseTrouble(f"{tried}: {found}; {mends}.")
