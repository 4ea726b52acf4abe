"""The versions of tables: numbers that each committed write moves, by whatever road it came.

`read` returns them in one round trip. A version only grows, in the order of commits, and two states of a table that
were ever committed have different ones; so a value that was computed after its version was read is never older than
that version says. Triggers move them (ops/cache/triggers.py, sql/ops/create_move_version.sql); where no trigger does,
`read` raises Unversioned. docs/cache.md says how it works and what it does not see.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import Error, connections
from django.db.models import Model
from psycopg2.sql import SQL, Composable

from ops.engine.lifecycle import trouble
from ops.engine.session import Session, in_words, sqlstate
from ops.engine.shape import quoted, text

PSEUDO = "cache:"
"""What begins the name of something that has a version but is no table; only `bump` moves it."""

TAG_LENGTH = 200
"""Characters of a tag that count: longer ones that begin alike are one."""

_PARTS = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
_UNDEFINED_FUNCTION = "42883"
# Names are constants of it: to plan a subquery over an array of them takes as long as to read the versions.
_READ = SQL(
    "SELECT v.kind, v.place, v.relation, v.stored, v.version, v.identity, v.dirty "
    "FROM ops_versions(ARRAY[{}]::text[], ARRAY[{}]::text[], ARRAY[{}]::text[]) AS v"
)


Tags = Mapping[type[Model] | str, Sequence[str]]
"""Tags of rows by the table that they are of."""


class Unversioned(Exception):
    """Tables whose version nothing moves, so nothing read from them can be known to be up to date."""

    def __init__(self, tables: Sequence[str], database: str) -> None:
        self.tables = tuple(tables)
        super().__init__(
            f"No trigger of database {database!r} moves the version of {', '.join(tables)}: declare what is read "
            f"(cached(.., tables=..), a report, or SETWISE_VERSIONED_TABLES) and run 'manage.py migrate'; "
            f"'manage.py doctor' tells what keeps a trigger from being there."
        )


@dataclass(frozen=True)
class Versions:
    """The versions of some tables and tags as of one moment."""

    identity: str
    """What they are versions of: server, timeline, database, and each table's identity. Only versions of one identity
    can be compared."""
    by_table: Mapping[str, int]
    """By name as `table_name` returns it, and "name#tag"; each grows only."""
    dirty: bool
    """Whether this transaction has written something, or is SERIALIZABLE: what it reads must neither be taken from a
    cache nor be put there."""

    @property
    def key(self) -> str:
        """Return one text for all of it, for keys."""
        return "|".join([self.identity, *(f"{name}={version}" for name, version in self.by_table.items())])

    def of(self, tables: Sequence[type[Model] | str], tags: Tags | None = None) -> "Versions":
        """Return the part of it that `read` would have returned for these alone; KeyError where some are missing."""
        names, tagged = _named(tables, tags)
        server, *parts = self.identity.split("|")
        known = {part.rpartition(":")[0]: part for part in parts}
        all_names = [name for name in (*names, *(name for name, _ in tagged)) if not name.startswith(PSEUDO)]
        identity = dict.fromkeys([server, *(known[name] for name in all_names)])
        found = sorted([*names, *("#".join(pair) for pair in tagged)])
        return Versions("|".join(identity), {name: self.by_table[name] for name in found}, self.dirty)


def parts(table: type[Model] | str) -> list[str]:
    """Return the names that a table's name consists of: itself, after that of its schema where that is given."""
    if not isinstance(table, str):
        name = table._meta.db_table
        if not (name.startswith('"') and name.endswith('"')):
            return [name]
    else:
        name = table
    return [match[1].replace('""', '"') if match[1] is not None else match[2] for match in _PARTS.finditer(name)]


def table_name(table: type[Model] | str) -> str:
    """Return the name of a table as it is used here: "billing_order", or "schema.table" where the schema is given.

    Without a schema it is found by the connection's search_path, as Django finds it. A part with a dot or a quote in it
    is quoted. What begins with "cache:" is no table and stays as it is.
    """
    if isinstance(table, str) and table.startswith(PSEUDO):
        return table
    return ".".join(quoted(part) if {'"', "."} & set(part) else part for part in parts(table))


def tag(column: str, value: object) -> str:
    """Return the tag of the rows of a table whose column has a value; raise TypeError for one that is of no plain type.

    The value is the one that is stored: "5" is not "05".
    """
    if value is None:
        return column[:TAG_LENGTH]
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, int | str | UUID):
        raise TypeError(f"{column}: rows are told apart by whole numbers, texts, UUIDs and booleans, not by {value!r}.")
    return f"{column}={value}"[:TAG_LENGTH]


def regclass(name: str) -> str:
    """Return a name as the server reads it: quoted."""
    return name if name.startswith(PSEUDO) else ".".join(quoted(part) for part in parts(name))


def read(
    tables: Sequence[type[Model] | str],
    tags: Tags | None = None,
    database: str = "default",
) -> Versions:
    """Return the versions of tables, and of tags of rows of tables, as of one moment, in one round trip.

    Raise Unversioned where no trigger moves one of them: it is missing, disabled or altered, or there is no such table.
    """
    return made_of(_rows(*_named(tables, tags), database), tables, tags, database)


def statement(tables: Sequence[type[Model] | str], tags: Tags | None = None) -> Composable:
    """Return the statement of `read`, for who reads something else in the same snapshot; `made_of` takes its rows."""
    return _statement(*_named(tables, tags))


def made_of(
    rows: Iterable[Sequence[Any]],
    tables: Sequence[type[Model] | str],
    tags: Tags | None = None,
    database: str = "default",
) -> Versions:
    """Return the versions that the rows of `statement` tell; raise Unversioned as `read` does."""
    names, tagged = _named(tables, tags)
    rows = iter(rows)
    _, _, _, _, beginning, server, dirty = next(rows)
    before = int(beginning or 0) << 64
    identity = [f"{database}:{server}"]
    found: dict[str, int] = {}
    missing: list[str] = []
    for kind, place, relation, stored, version, parts, _ in rows:
        name = names[place - 1] if kind == "table" else tagged[place - 1][0]
        if relation is None:
            missing.append(name)
            continue
        if not name.startswith(PSEUDO):
            identity.append(f"{name}:{relation}.{stored}{f'.{parts}' if parts else ''}")
        found[name if kind == "table" else "#".join(tagged[place - 1])] = before + int(version)
    if missing:
        raise Unversioned(sorted(set(missing)), database)
    return Versions("|".join(dict.fromkeys(identity)), dict(sorted(found.items())), dirty)


def _named(tables: Sequence[type[Model] | str], tags: Tags | None) -> tuple[list[str], list[tuple[str, str]]]:
    names = [table_name(table) for table in tables]
    return names, [(table_name(table), one) for table, ones in (tags or {}).items() for one in ones]


def _statement(names: list[str], tagged: list[tuple[str, str]]) -> Composable:
    return _READ.format(
        SQL(", ").join(map(_oid, names)),
        SQL(", ").join(_oid(name) for name, _ in tagged),
        SQL(", ").join(text(one) for _, one in tagged),
    )


def _rows(names: list[str], tagged: list[tuple[str, str]], database: str) -> Iterator[tuple[Any, ...]]:
    try:
        yield from Session(database).execute(_statement(names, tagged))
    except Error as exc:
        if sqlstate(exc) == _UNDEFINED_FUNCTION:
            raise Unversioned(names or [name for name, _ in tagged], database) from exc
        raise in_words(exc, "Reading the versions of tables") from exc


def _oid(name: str) -> Composable:
    """Let the server look up a table by the search_path of the session, which the function does not know."""
    return text(name) if name.startswith(PSEUDO) else SQL("to_regclass({})::oid::text").format(text(regclass(name)))


def is_dirty(database: str = "default") -> bool:
    """Tell whether this transaction has written something by now, or is SERIALIZABLE; outside of one, never."""
    if not connections[database].in_atomic_block:
        return False
    return next(_rows([], [], database))[-1]  # type: ignore[no-any-return]  # a boolean of the server


def bump(name: type[Model] | str, tag: str = "", database: str = "default") -> None:
    """Move the version of a pseudo-table ("cache:..") or of a table, and of all its tags; or that of one tag only."""
    known = table_name(name)
    with trouble(f"Moving the version of {known}"):
        Session(database).execute("ops/find_bumped.sql", {"name": regclass(known), "tag": tag})
