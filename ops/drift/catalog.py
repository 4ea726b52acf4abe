"""A snapshot of pg_catalog: every object of some schemas with its attributes, as of one moment.

A few statements read it whole, however many tables there are. Nothing is waited for long, nothing is written, and a
transaction of the caller's is left as it was. Every role may read the catalogue.

Left out are what extensions made, temporary and internal objects, the tables of a repair (`ops_repair*`), NOT NULL
constraints (the column says it), indexes that back a constraint, and what a partition or child has from its parent.
Privileges, foreign tables, operators, text search configurations, event triggers and publications are not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ops import sql
from ops.drift.catalog_kept import Kept
from ops.drift.catalog_rows import Incomplete, Places, gathered
from ops.drift.model import Attributes, Objects
from ops.engine.session import LOCK_NOT_AVAILABLE, STATEMENT_TIMEOUT, DatabaseTrouble, in_words, sqlstate

LOCK_SECONDS = 2
STATEMENT_SECONDS = 30

# An object went away between the statement that saw it and the function that was to write its definition. It is as
# likely the next time where somebody makes and drops tables all the time, as some reports do.
_CACHE_LOOKUP_FAILED = "XX000"
_ATTEMPTS = 10
# Numbers below are the server's own objects: FirstNormalObjectId.
_FIRST_OF_USERS = 16384

_OF_SCHEMAS = (
    "ops/list_catalog_extensions.sql",
    "ops/list_catalog_types.sql",
    "ops/list_catalog_collations.sql",
    "ops/list_catalog_functions.sql",
    "ops/list_catalog_sequences.sql",
)
_OF_RELATIONS = (
    "ops/list_catalog_columns.sql",
    "ops/list_catalog_constraints.sql",
    "ops/list_catalog_indexes.sql",
    "ops/list_catalog_triggers.sql",
    "ops/list_catalog_policies.sql",
    "ops/list_catalog_rules.sql",
    "ops/list_catalog_statistics.sql",
)


class CatalogLocked(DatabaseTrouble):
    """A definition could not be read, for another session holds its table in ACCESS EXCLUSIVE mode."""


def _execute(connection: BaseDatabaseWrapper, name: str, values: Mapping[str, Any]) -> list[Attributes]:
    """Return the rows of a statement of sql/ by the names in its header, without the underscore of keywords."""
    statement = sql.load(name)
    columns = [column.removesuffix("_") for column in statement.returns]
    with connection.cursor() as cursor:
        cursor.execute(statement.compose(), {one: values[one] for one in statement.params})
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def wake(connection: BaseDatabaseWrapper) -> None:
    """Let a connection that was ended while it rested be opened anew; within a transaction it is left as it is."""
    # A replay takes long, and so may the answer to a question: idle_session_timeout, a pooler, a restart.
    if connection.connection is None or connection.in_atomic_block or not connection.get_autocommit():
        return
    if not connection.is_usable():
        connection.close()


@contextmanager
def reading(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Read as of one moment, with names in full and short waits; leave settings and transaction as they were.

    Within a transaction of the caller's a savepoint is rolled back to, so that its settings are what they were; what
    is read is then as of each statement, or as of that transaction where it is REPEATABLE READ.
    """
    wake(connection)
    # Not transaction.atomic(): it takes an alias, and the connection may be one that Django does not list.
    own = connection.get_autocommit() and not connection.in_atomic_block
    savepoint = None
    if own:
        connection.set_autocommit(False)
    else:
        savepoint = connection.savepoint()
    try:
        if own:
            with connection.cursor() as cursor:
                cursor.execute(sql.load("ops/set_snapshot.sql").compose())
        values = {"lock_timeout": f"{LOCK_SECONDS}s", "statement_timeout": f"{STATEMENT_SECONDS}s"}
        _execute(connection, "ops/set_catalog_reading.sql", values)
        yield
    finally:
        if own:
            connection.rollback()
            connection.set_autocommit(True)
        elif savepoint is not None:
            connection.savepoint_rollback(savepoint)
            connection.savepoint_commit(savepoint)


def _read(connection: BaseDatabaseWrapper, schemas: Sequence[str] | None, kept: Kept | None) -> Objects:
    """Return the objects as they are now; raise Incomplete where one went away meanwhile."""
    values: dict[str, Any] = {
        "schemas": None if schemas is None else list(schemas),
        "system_schema": "pg_catalog",
        "least": _FIRST_OF_USERS,
    }

    def listed(name: str, values: Mapping[str, Any] = values) -> list[Attributes]:
        return _execute(connection, name, values)

    with reading(connection):
        rows = listed("ops/list_catalog_schemas.sql")
        values["schemas"] = [row["name"] for row in rows]
        tables, views = listed("ops/list_catalog_tables.sql"), listed("ops/list_catalog_views.sql")
        values["tables"] = [row["object"] for row in tables]
        values["relations"] = [row["object"] for row in (*tables, *views)]
        rows += [row for name in _OF_SCHEMAS for row in listed(name)]
        rows += tables + views
        if kept is None:
            rows += [row for name in _OF_RELATIONS for row in listed(name)]
        else:
            kept.look(listed, values["relations"])
            rows += [row for name in _OF_RELATIONS for row in kept.rows(name, listed, values)]
        places = Places(listed("ops/list_catalog_places.sql"))
        needs = listed("ops/list_catalog_dependencies.sql")
    return gathered(rows, needs, places)


def read(connection: BaseDatabaseWrapper, schemas: Sequence[str] | None = None, *, kept: Kept | None = None) -> Objects:
    """Return the objects of some schemas, or of all that are not the server's own, by key.

    The columns of a table come in their order. With what was `kept` only what has changed since is asked for. Raise
    CatalogLocked where a table stays locked for two seconds, and DatabaseTrouble for whatever else the server refuses.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return _read(connection, schemas, kept)
        except Incomplete as exc:
            if kept is not None:
                kept.forget()
            if attempt == _ATTEMPTS:
                raise DatabaseTrouble(_moving(connection, str(exc))) from exc
        except Error as exc:
            if kept is not None:
                kept.forget()
            if sqlstate(exc) != _CACHE_LOOKUP_FAILED or attempt == _ATTEMPTS:
                raise _trouble(connection, exc) from exc


def _tried(connection: BaseDatabaseWrapper) -> str:
    return f"Reading the catalogue of database {str(connection.settings_dict['NAME'])!r}"


def _moving(connection: BaseDatabaseWrapper, name: str) -> str:
    return (
        f"{_tried(connection)}: {name} was dropped while it was read, {_ATTEMPTS} times in a row; see who changes the "
        f"schema just now (pg_stat_activity), then start again."
    )


def _trouble(connection: BaseDatabaseWrapper, exc: Error) -> DatabaseTrouble:
    """Return the error in words; where a lock was waited for, with who holds it."""
    code = sqlstate(exc)
    if code == LOCK_NOT_AVAILABLE:
        return CatalogLocked(
            f"{_tried(connection)}: waited {LOCK_SECONDS} s for {_locked(connection)}; let that transaction end, "
            f"or end it by pg_terminate_backend(), then start again."
        )
    slow = f"a statement took longer than {STATEMENT_SECONDS} s: start again when the server is less busy"
    return in_words(exc, _tried(connection), {STATEMENT_TIMEOUT: slow})


def _locked(connection: BaseDatabaseWrapper) -> str:
    """Say which table is locked and by whom, as far as it can be found."""
    holders: list[Attributes] = []
    with suppress(Error):
        holders = _execute(connection, "ops/list_catalog_lockers.sql", {"mode": "AccessExclusiveLock"})
    if not holders:
        return "a table that was locked (ACCESS EXCLUSIVE) by a session that is no longer to be seen"
    first = holders[0]
    names = [f"{one['schema']}.{one['name']}" for one in holders if one["pid"] == first["pid"]]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    if first["pid"] is None:
        return f"{names[0]}{more}, locked (ACCESS EXCLUSIVE) by a prepared transaction (see pg_prepared_xacts)"
    told = [f"user {first['holder']!r}", f"application {first['application']!r}"]
    if first["state"]:
        told.append(first["state"])
    if first["seconds"] is not None:
        told.append(f"for {first['seconds']:.0f} s")
    return f"{names[0]}{more}, locked (ACCESS EXCLUSIVE) by process {first['pid']} ({', '.join(told)})"


def schemas_of(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the schemas of a connection's search_path that there are, in its order, the server's own left out."""
    wake(connection)
    return [row["name"] for row in _execute(connection, "ops/list_catalog_path.sql", {})]
