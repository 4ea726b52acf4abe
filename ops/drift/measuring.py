"""Careful reads of the rows themselves: how many are null, double, orphaned, or would not fit.

Each read is bounded in time, waits for no lock for long, and is made once. What could not be read, because the role may
not or because it took too long, is said so (`trouble`) and never guessed: `count` is None then.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2 import errors
from psycopg2.sql import SQL, Composable, Composed, Identifier, Literal

from ops import sql
from ops.drift import catalog
from ops.drift.measuring_fitting import unfit
from ops.drift.model import Attributes, Objects, digest

SAMPLES = 5
EXACT_UP_TO = 100_000
PG16 = 160000

_OPERATOR = re.compile(r" WITH (OPERATOR\([^)]+\)|[^\s,()]+)")


@dataclass
class Measured:
    """What a read found: a number and some samples, or why there is none."""

    count: int | None
    exact: bool = True
    samples: list[str] = field(default_factory=list)
    trouble: str = ""

    def __str__(self) -> str:
        if self.count is None:
            return "an unknown number of"
        return f"{self.count:,}" if self.exact else f"about {self.count:,}"

    @property
    def none(self) -> bool:
        """Say whether it is known that there are none."""
        return self.count == 0


@dataclass(frozen=True)
class Added:
    """A column that is not there yet, and the expression that the rows which are there get; None is null."""

    name: str
    type: str
    value: str | None


class Measure:
    """Read one database's rows, each thing once; `seconds` bounds every statement."""

    def __init__(self, connection: BaseDatabaseWrapper, seconds: float = 10.0) -> None:
        self.connection = connection
        self.seconds = seconds
        self._kept: dict[str, Any] = {}

    def rows(self, table: Attributes) -> Measured:
        """Count the rows of a table exactly up to a bound; beyond it they are those of the last ANALYZE."""
        counted = self._count(_from(table, SQL("TRUE")), bound=EXACT_UP_TO)
        if counted.count is not None and counted.count <= EXACT_UP_TO:
            return counted
        found = self._rows(sql.load("ops/count_estimated.sql").compose(), {"relation": _regclass(table)})
        estimate = found[0][0] if isinstance(found, list) and found else None
        if counted.count is None and estimate is None:
            return counted
        return Measured(max(estimate or 0, counted.count or 0), exact=False)

    def nulls(self, column: Attributes) -> Measured:
        """Count the rows in which a column is null."""
        return self._count(_from(_table(column), SQL("{} IS NULL").format(Identifier(column["name"]))))

    def holds(self, column: Attributes) -> bool | None:
        """Say whether any row has a value in a column; None where that can't be read."""
        query = _from(_table(column), SQL("{} IS NOT NULL").format(Identifier(column["name"])))
        found = self._rows(SQL("SELECT EXISTS ({})").format(query))
        return bool(found[0][0]) if isinstance(found, list) else None

    def orphans(self, constraint: Attributes, have: Objects, added: Sequence["Added"] = ()) -> Measured:
        """Count the rows that a foreign key would not let in, with some of the keys that they point to.

        Here and in what follows `added` are columns that the table does not have yet, and what rows get there.
        """
        columns, table = constraint["columns"], _table(constraint)
        keys = SQL(", ").join(SQL("c.{}").format(Identifier(name)) for name in columns)
        given = SQL(" AND ").join(SQL("c.{} IS NOT NULL").format(Identifier(name)) for name in columns)
        where = given
        parent = have.get(constraint["references"])
        if parent is not None:
            on = SQL(" AND ").join(
                SQL("p.{} = c.{}").format(Identifier(theirs), Identifier(ours))
                for ours, theirs in zip(columns, constraint["reference_columns"], strict=True)
            )
            where = SQL("{} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})").format(given, _relation(parent), on)
        query = SQL("SELECT {} FROM {} AS c WHERE {}").format(keys, _filled(table, added), where)
        return self._counted(query, columns)

    def duplicates(self, one: Attributes, added: Sequence["Added"] = ()) -> Measured:
        """Count the groups of rows that a unique index or constraint would not let stand, with some of them."""
        definition = one.get("index_definition") or one["definition"]
        keys, distinct = _keys(definition), "NULLS NOT DISTINCT" not in definition
        named = [_raw(f"({key})") for key in keys]
        where: list[Composable] = [_raw(f"({one.get('predicate') or 'TRUE'})")]
        if distinct or one.get("contype") == "p":
            where += [SQL("{} IS NOT NULL").format(key) for key in named]
        query = SQL("SELECT {} FROM {} AS t WHERE {} GROUP BY {} HAVING count(*) > 1").format(
            SQL(", ").join(named), _filled(_table(one), added), SQL(" AND ").join(where), SQL(", ").join(named)
        )
        return self._counted(query, keys)

    def overlaps(self, constraint: Attributes, added: Sequence["Added"] = ()) -> Measured:
        """Count the pairs of rows that an exclusion constraint would not let stand, with some of them."""
        definition = str(constraint["index_definition"])
        keys, operators = _keys(definition), _OPERATOR.findall(str(constraint["definition"]))
        if len(keys) != len(operators):
            return Measured(None, trouble="how it compares can't be told")
        columns = SQL(", ").join(SQL("({}) AS k{}").format(_raw(one), SQL(str(n))) for n, one in enumerate(keys))
        where = definition.partition(" WHERE ")[2] or "TRUE"
        rows = SQL("(SELECT t.tableoid AS part, t.ctid AS place, {} FROM {} AS t WHERE {})").format(
            columns, _filled(_table(constraint), added, ("tableoid", "ctid")), _raw(where)
        )
        alike = SQL(" AND ").join(
            SQL("a.k{0} {1} b.k{0}").format(SQL(str(n)), _raw(one)) for n, one in enumerate(operators)
        )
        shown = SQL(", ").join(SQL("a.k{}").format(SQL(str(n))) for n in range(len(keys)))
        query = SQL("SELECT {} FROM {} AS a INNER JOIN {} AS b ON (a.part, a.place) < (b.part, b.place) AND {}").format(
            shown, rows, rows, alike
        )
        return self._counted(query, keys)

    def violations(self, constraint: Attributes, added: Sequence["Added"] = ()) -> Measured:
        """Count the rows that a check would not let in, with their first columns."""
        body = constraint["definition"].removeprefix("CHECK ").removesuffix(" NO INHERIT")
        # The reduced mode knows no columns of a check.
        names = (constraint.get("columns") or [])[:3]
        keys = SQL(", ").join(map(Identifier, names)) if names else SQL("1")
        relation = _filled(_table(constraint), added)
        query = SQL("SELECT {} FROM {} AS t WHERE NOT ({})").format(keys, relation, _raw(body))
        return self._counted(query, names) if names else self._count(query)

    def misfits(self, column: Attributes, type_: str) -> Measured:
        """Count the values of a column that would not be the same in another type."""
        name = Identifier(column["name"])
        version = self.connection.pg_version  # type: ignore[attr-defined] # only PostgreSQL's connections have it
        wrong = unfit(column["type"], type_, name, checked=version >= PG16)
        query = SQL("SELECT {} FROM {} WHERE {}").format(name, _relation(_table(column)), wrong)
        return self._counted(query, [column["name"]])

    def largest(self, column: Attributes) -> Measured:
        """Return the largest value of a column of whole numbers; one of text counts where it is a number."""
        return self.many_largest([column])[0]

    def many_largest(self, columns: Sequence[Attributes]) -> list[Measured]:
        """Return the largest value of each of some columns, in few statements."""
        found: list[Measured] = []
        for start in range(0, len(columns), 100):
            some = columns[start : start + 100]
            asked = [SQL("({})").format(_largest(one)) for one in some]
            read = self._rows(SQL("SELECT {}").format(SQL(", ").join(asked)))
            if isinstance(read, list):
                found += [Measured(None if value is None else int(value)) for value in read[0]]
            elif len(some) > 1:
                found += [self.many_largest([one])[0] for one in some]
            else:
                found.append(Measured(None, trouble=read))
        return found

    def sequences(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return every sequence by schema and name, with the value that it gave last: read anew each time.

        Who compares it with the rows has to read those first.
        """
        statement = sql.load("ops/list_sequence_values.sql")
        found = self._read(statement.compose())
        if not isinstance(found, list):
            return {}
        names = statement.returns
        return {(row[0], row[1]): dict(zip(names, row, strict=True)) for row in found}

    def sequence(self, column: Attributes) -> Measured:
        """Return the value that the sequence of a column gave last, 0 before the first."""
        one = self.sequences().get((column["schema"], column.get("sequence") or ""))
        if one is None:
            return Measured(None, trouble="its sequence can't be read")
        return Measured(one["last_value"] or 0)

    def may_act_as(self, owner: str) -> bool:
        """Say whether the role of the connection may alter what another owns."""
        found = self._rows(SQL("SELECT pg_has_role({}::name, 'USAGE')").format(Literal(owner)))
        return isinstance(found, list) and bool(found[0][0])

    def is_superuser(self) -> bool:
        """Say whether the role of the connection may do what only superusers may."""
        found = self._rows(SQL("SELECT current_setting('is_superuser') = 'on'"))
        return isinstance(found, list) and bool(found[0][0])

    def installable(self, extension: str) -> bool:
        """Say whether the server has the files of an extension."""
        query = SQL("SELECT EXISTS (SELECT 1 FROM pg_available_extensions AS e WHERE e.name = {})")
        found = self._rows(query.format(Literal(extension)))
        return isinstance(found, list) and bool(found[0][0])

    def dependents(self, column: Attributes) -> list[str]:
        """Return the views and rules that read a column, which keep its type from being changed."""
        values = {"relation": _regclass(_table(column)), "name": column["name"]}
        found = self._rows(sql.load("ops/list_column_dependents.sql").compose(), values)
        return [row[0] for row in found] if isinstance(found, list) else []

    def registered(self, label: str, types: Attributes, permissions: Attributes | None) -> tuple[Measured, Measured]:
        """Count the content types of a model (`app.Name`), and the permissions on it."""
        app, _, model = label.lower().partition(".")
        where = SQL("t.app_label = {} AND t.model = {}").format(Literal(app), Literal(model))
        own = SQL("SELECT t.id FROM {} AS t WHERE {}").format(_relation(types), where)
        if permissions is None:
            return self._count(own), Measured(0)
        over = SQL("SELECT 1 FROM {} AS p WHERE p.content_type_id IN ({})").format(_relation(permissions), own)
        return self._count(own), self._count(over)

    def _count(self, query: Composable, bound: int | None = None) -> Measured:
        limited = query if bound is None else SQL("{} LIMIT {}").format(query, Literal(bound + 1))
        found = self._rows(SQL("SELECT count(*) FROM ({}) AS found").format(limited))
        return Measured(found[0][0]) if isinstance(found, list) else Measured(None, trouble=found)

    def _counted(self, query: Composable, names: Sequence[str]) -> Measured:
        """Count what a query finds, and keep a few of its rows."""
        whole = self._count(query)
        if not whole.count:
            return whole
        found = self._rows(SQL("{} LIMIT {}").format(query, Literal(SAMPLES)))
        for row in found if isinstance(found, list) else []:
            values = ", ".join(f"{name}={_shown(value)}" for name, value in zip(names, row, strict=True))
            whole.samples.append(values)
        return whole

    def _rows(self, query: Composable, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]] | str:
        """Return the rows of a statement, or why there are none; the same one is read once."""
        with self.connection.cursor() as cursor:
            text = cursor.mogrify(query, values)
        kept = digest(text.decode() if isinstance(text, bytes) else text)
        if kept not in self._kept:
            self._kept[kept] = self._read(text)
        found: list[tuple[Any, ...]] | str = self._kept[kept]
        return found

    def _read(self, text: Any) -> list[tuple[Any, ...]] | str:
        try:
            with catalog.reading(self.connection), self.connection.cursor() as cursor:
                statement = sql.load("ops/set_measuring.sql")
                cursor.execute(statement.compose(), {"statement_timeout": f"{int(self.seconds * 1000)}ms"})
                cursor.execute(text.decode() if isinstance(text, bytes) else text)
                return list(cursor.fetchall())
        except Error as exc:
            return _trouble(exc, self.seconds)


def _trouble(exc: Error, seconds: float) -> str:
    cause = exc.__cause__
    if isinstance(cause, errors.InsufficientPrivilege):
        return "the role may not read it"
    if isinstance(cause, errors.QueryCanceled):
        return f"it takes longer than {seconds:g} s to read"
    if isinstance(cause, errors.LockNotAvailable):
        return "another transaction holds a lock on it"
    return str(exc).strip().splitlines()[0]


def _shown(value: Any) -> str:
    return "null" if value is None else value if isinstance(value, str) else json.dumps(value, default=str).strip('"')


def _raw(text: str) -> Composable:
    # It is the server's own spelling of an expression of the catalogue; sent without values, so "%" is only itself.
    return SQL(text)


def _table(one: Attributes) -> Attributes:
    return {"schema": one["schema"], "name": one["table"]}


def _relation(table: Attributes) -> Composable:
    return Identifier(table["schema"], table["name"])


def _filled(table: Attributes, added: Sequence[Added], hidden: Sequence[str] = ()) -> Composable:
    """Return a table as it would be with some columns more, each of which may be computed from those before it."""
    found = _relation(table)
    more = SQL("").join(SQL(", t.{}").format(Identifier(one)) for one in hidden)
    for number, one in enumerate(added):
        value = SQL("({})::{}").format(_raw(one.value or "NULL"), _raw(one.type))
        columns = SQL("t.*") + (more if number == 0 else SQL(""))
        found = SQL("(SELECT {}, {} AS {} FROM {} AS t)").format(columns, value, Identifier(one.name), found)
    return found


def _regclass(table: Attributes) -> str:
    return ".".join('"' + table[part].replace('"', '""') + '"' for part in ("schema", "name"))


def _from(table: Attributes, where: Composable) -> Composed:
    return SQL("SELECT 1 FROM {} WHERE {}").format(_relation(table), where)


def _largest(column: Attributes) -> Composable:
    name, relation = Identifier(column["name"]), _relation(_table(column))
    where = column.get("where") or SQL("TRUE")
    if column.get("type") in ("smallint", "integer", "bigint"):
        return SQL("SELECT max({}) FROM {} WHERE {}").format(name, relation, where)
    number = SQL("{}::text ~ '^[0-9]{{1,18}}$'").format(name)
    return SQL("SELECT max(CASE WHEN {} THEN {}::text::bigint END) FROM {} WHERE {}").format(
        number, name, relation, where
    )


def _keys(definition: str) -> list[str]:
    """Return the columns and expressions of an index, as its definition spells them, without their order."""
    start = definition.index("(", definition.index(" USING "))
    parts, depth, current, quote = [], 0, "", ""
    for letter in definition[start + 1 :]:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth < 0:
                break
        if letter == "," and depth == 0 and not quote:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [_bare(part.strip()) for part in [*parts, current]]


def _bare(key: str) -> str:
    """Return a key of an index without its collation, operator class and order."""
    if key.startswith("("):
        return key[: key.rindex(")") + 1]
    depth, quote = 0, False
    for place, letter in enumerate(key):
        if letter == '"':
            quote = not quote
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == " " and depth == 0 and not quote:
            return key[:place]
    return key
