"""What is recorded in django_migrations, and whether that table can take another row.

It is read as it is, whatever it lacks, in one transaction that waits for no lock longer than two seconds and writes
nothing, so that a role that may only read can do it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from ops import clock, sql
from ops.drift.model import Node, Row, key
from ops.engine.session import LOCK_NOT_AVAILABLE, STATEMENT_TIMEOUT, sqlstate

TABLE = "django_migrations"
COLUMNS = ("id", "app", "name", "applied")
_WAIT = "2s"
_LONGEST = "20s"
# Of how many other tables of that name the rows are read: a project may have a schema for each of its customers.
_OTHERS = 20


class HistoryLocked(Exception):
    """Another session holds django_migrations; the message says what to do."""


@dataclass(frozen=True)
class Column:
    """A column of django_migrations, with the sequence that fills it."""

    name: str
    data_type: str
    length: int | None
    not_null: bool
    default: str | None
    identity: str
    generated: str
    sequence: tuple[str, str] | None = None
    may_use: bool = True
    step: int = 1
    maximum: int | None = None
    cycles: bool = False
    # What the sequence gives next; None where there is none, or where this role may not look.
    next_key: int | None = None

    @property
    def fills_itself(self) -> bool:
        return bool(self.default or self.identity or self.generated)


@dataclass(frozen=True)
class Guard:
    """What may stand in the way of a row: a trigger, rule, unique index, check."""

    kind: str
    name: str
    definition: str
    columns: tuple[str | None, ...] = ()


@dataclass
class Other:
    """Another table of the same name; `place` is that of its schema in the search_path, None outside of it."""

    schema: str
    place: int | None
    # None where they were not read: this role may not, or there are too many such tables.
    rows: list[Row] | None = None


@dataclass
class History:
    """The recorded migrations of one database, and the health of the table that holds them."""

    alias: str = "default"
    schema: str = ""
    exists: bool = False
    kind: str = "r"
    temporary: bool = False
    role: str = ""
    owns: bool = True
    may_make: bool = True
    may_read: bool = True
    may_insert: bool = True
    may_change: bool = True
    guarded: bool = False
    search_path: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    guards: list[Guard] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    # Rows without an app or a name, which say nothing.
    nameless: int = 0
    # Why no rows could be read although there is a table: nothing can be said of the history then.
    unreadable: str = ""
    others: list[Other] = field(default_factory=list)
    # Every table there is, as (schema, name).
    tables: set[tuple[str, str]] = field(default_factory=set)
    # What makes the table as Django does, where there is none.
    creation: list[str] = field(default_factory=list)
    now: datetime = field(default_factory=clock.now)

    @property
    def key(self) -> str:
        """Return the key of the table, or of the one that would be made."""
        return key("table", self.schema, TABLE)

    @cached_property
    def nodes(self) -> dict[Node, list[Row]]:
        """Return the rows by what they record, more than one where it is recorded twice."""
        found: dict[Node, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.node].append(row)
        return dict(found)

    @property
    def duplicates(self) -> dict[Node, list[Row]]:
        """Return what is recorded more than once, the oldest row first."""
        far = datetime.max.replace(tzinfo=UTC)
        return {
            node: sorted(rows, key=lambda row: (row.applied or far, row.id if row.id is not None else 0))
            for node, rows in self.nodes.items()
            if len(rows) > 1
        }

    def applied(self, node: Node) -> datetime | None:
        """Return when a migration was recorded, first if it was more than once."""
        return min((row.applied for row in self.nodes.get(node, ()) if row.applied), default=None)


def _instant(text: str | None) -> datetime | None:
    """Read an instant as JSON has it; infinity and what is before our era are None."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


@contextmanager
def _reading(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Read as of one moment, with short waits; leave settings and a transaction of the caller's as they were."""
    # Not transaction.atomic(): it takes an alias, and the connection may be one that Django does not list.
    own = connection.get_autocommit() and not connection.in_atomic_block
    savepoint = "" if own else connection.savepoint() or ""
    if own:
        connection.set_autocommit(False)
    try:
        if own:
            with connection.cursor() as cursor:
                cursor.execute(sql.load("ops/set_snapshot.sql").compose())
        limits = {"lock_timeout": _WAIT, "statement_timeout": _LONGEST}
        _as_dicts(connection, "ops/set_history_reading.sql", limits)
        yield
    finally:
        if own:
            connection.rollback()
            connection.set_autocommit(True)
        else:
            connection.savepoint_rollback(savepoint)
            connection.savepoint_commit(savepoint)


def _as_dicts(
    connection: BaseDatabaseWrapper, name: str, values: Mapping[str, Any], **idents: tuple[str, ...]
) -> list[dict[str, Any]]:
    loaded = sql.load(name)
    with connection.cursor() as cursor:
        cursor.execute(loaded.compose(**idents), values)
        return [dict(zip(loaded.returns, row, strict=True)) for row in cursor.fetchall()]


def _rows(connection: BaseDatabaseWrapper, schema: str) -> tuple[list[Row], int]:
    """Return the rows of a table by id, then by time, and how many say nothing."""
    found = _as_dicts(connection, "ops/list_history_rows.sql", {}, relation=(schema, TABLE))
    rows = [
        Row(_number(one["id"]), one["app"], one["name"], _instant(one["applied"]))
        for one in found
        if one["app"] is not None and one["name"] is not None
    ]
    far = datetime.max.replace(tzinfo=UTC)
    rows.sort(key=lambda row: (row.id is None, row.id or 0, row.applied or far, row.app, row.name))
    return rows, len(found) - len(rows)


def _next_key(connection: BaseDatabaseWrapper, one: Mapping[str, Any]) -> int | None:
    if not one["may_look"]:
        return None
    sequence = (one["sequence_schema"], one["sequence_name"])
    [stands] = _as_dicts(connection, "ops/find_history_sequence.sql", {}, sequence=sequence)
    last = int(stands["last_value"])
    return last + int(one["step"]) if stands["is_called"] == "true" else last


def _columns(connection: BaseDatabaseWrapper, relation: int) -> dict[str, Column]:
    found = {}
    for one in _as_dicts(connection, "ops/list_history_columns.sql", {"relation": relation}):
        sequence = (one["sequence_schema"], one["sequence_name"]) if one["sequence_name"] else None
        found[one["name"]] = Column(
            name=one["name"],
            data_type=one["data_type"],
            length=one["length"],
            not_null=one["not_null"],
            default=one["given"],
            identity=one["identity"],
            generated=one["generated"],
            sequence=sequence,
            may_use=one["may_use"] is not False,
            step=one["step"] or 1,
            maximum=one["maximum"],
            cycles=bool(one["cycles"]),
            next_key=_next_key(connection, one),
        )
    return found


def _guards(connection: BaseDatabaseWrapper, relation: int) -> list[Guard]:
    return [
        Guard(one["kind"], one["name"], one["definition"], tuple(one["keys"] or ()))
        for one in _as_dicts(connection, "ops/list_history_guards.sql", {"relation": relation})
    ]


def _others(connection: BaseDatabaseWrapper, schema: str, found: Iterable[Mapping[str, Any]]) -> list[Other]:
    """Return the other tables of that name, those of the search_path first, with the rows of the first few."""
    named = [one for one in found if one["name"] == TABLE and one["schema_name"] != schema and one["kind"] in "rp"]
    named.sort(key=lambda one: (one["place"] is None, one["place"] or 0, one["schema_name"]))
    others = []
    for number, one in enumerate(named):
        wanted = number < _OTHERS and one["may_read"]
        rows = _rows(connection, one["schema_name"])[0] if wanted else None
        others.append(Other(one["schema_name"], one["place"], rows))
    return others


def _creation(connection: BaseDatabaseWrapper) -> list[str]:
    """Return what Django's recorder would make the table by."""
    editor = connection.schema_editor(collect_sql=True, atomic=False)
    with editor:
        editor.create_model(MigrationRecorder.Migration)
    return [statement.rstrip(";") for statement in editor.collected_sql]


def _why_not(known: History) -> str:
    """Return why the rows of a table can't be read, in a clause, or ''."""
    if not known.may_read:
        return f"the role {known.role!r} may not read it: grant it SELECT on {known.schema}.{TABLE}"
    lacks = [name for name in ("app", "name") if name not in known.columns]
    if lacks:
        return f"it has no column {' and no column '.join(repr(name) for name in lacks)}"
    return ""


def _read(connection: BaseDatabaseWrapper) -> History:
    [seen] = _as_dicts(connection, "ops/find_history_table.sql", {})
    listed = _as_dicts(connection, "ops/list_history_tables.sql", {})
    known = History(
        alias=connection.alias,
        schema=seen["schema_name"] or seen["makes_in"] or "public",
        search_path=list(seen["search_path"]),
        role=seen["who"],
        may_make=seen["may_make"],
        tables={(one["schema_name"], one["name"]) for one in listed},
    )
    if seen["oid"] is not None:
        known.exists = True
        known.kind = seen["kind"]
        known.temporary = seen["is_temp"]
        known.owns = seen["owns"]
        known.may_read = seen["may_read"]
        known.may_insert = seen["may_insert"]
        known.may_change = seen["may_update"] and seen["may_delete"]
        known.guarded = bool(seen["guarded"])
        known.columns = _columns(connection, seen["oid"])
        known.guards = _guards(connection, seen["oid"])
        known.unreadable = _why_not(known)
        if not known.unreadable:
            known.rows, known.nameless = _rows(connection, known.schema)
    known.others = _others(connection, known.schema, listed)
    return known


def read(connection: BaseDatabaseWrapper) -> History:
    """Return what a database has recorded; raise HistoryLocked where another session keeps it from being read."""
    try:
        with _reading(connection):
            known = _read(connection)
    except Error as exc:
        if sqlstate(exc) not in (LOCK_NOT_AVAILABLE, STATEMENT_TIMEOUT):
            raise
        raise HistoryLocked(
            f"Read {TABLE} of database {connection.alias!r}: another session has held a lock on it for "
            f"{_WAIT}, a migrate or a repair it may be; wait until it ends, or find it in "
            "pg_stat_activity, then start the same command again."
        ) from exc
    if not known.exists:
        known.creation = _creation(connection)
    return known
