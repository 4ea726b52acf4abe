"""The shape of a target's rows: its key and columns with their types, and how both are compared and kept as text.

Values that come and go as text (keys and values in cursors and changesets) are cast to the target's own types.
"""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from psycopg2.sql import SQL, Composable, Identifier, Literal

from ops.engine.jobs import column_of

SLOTS = 2**30
"""A key's slot is its hash modulo this. A batch takes a range of slots of a window: rows spread over all its pages."""

DIFFERENCE = "ops_difference"
"""The temporary table of the rows of one window that differ, or that a job's own statement is to treat."""


def comma(parts: Sequence[Composable]) -> Composable:
    """Join with commas."""
    return SQL(", ").join(parts)


def ident(*parts: str) -> Composable:
    """Quote a (qualified) name; a percent sign in it survives psycopg2's interpolation."""
    return Identifier(*(part.replace("%", "%%") for part in parts))


def quoted(table: str) -> str:
    """Return a model's table as SQL writes it; one that is quoted already, with its schema, stays as it is."""
    return table if table.startswith('"') and table.endswith('"') else '"' + table.replace('"', '""') + '"'


def table_ident(table: str) -> Composable:
    """Quote a model's table; a percent sign in it survives psycopg2's interpolation."""
    return SQL(quoted(table).replace("%", "%%"))


def text(value: str) -> Composable:
    """Quote a text; a percent sign in it survives psycopg2's interpolation."""
    return Literal(value.replace("%", "%%"))


def body(text: str) -> Composable:
    """Return a statement without identifiers as a part of another; its %(name)s stay."""
    return SQL(text.replace("{{", "{").replace("}}", "}"))


def row(parts: Sequence[Composable]) -> Composable:
    """Return one value, or several as a row."""
    return parts[0] if len(parts) == 1 else SQL("({})").format(comma(parts))


STAGED = ident("pg_temp", DIFFERENCE)


class Shape:
    """Key and columns of a model, for one connection's types."""

    def __init__(self, target: type[Model], columns: Sequence[str], connection: Any) -> None:
        self.table = target._meta.db_table
        self.target = table_ident(self.table)
        self.key_fields: tuple[Field[Any, Any], ...] = tuple(target._meta.pk_fields)
        self.keys = [ident(column_of(field)) for field in self.key_fields]
        self.key_types = [_type(field, connection) for field in self.key_fields]
        # Keys that were text are compared under the column's own collation, as the column's order is.
        self.key_orders = [
            SQL("{} COLLATE {}").format(kind, ident(collation)) if collation else kind
            for field, kind in zip(self.key_fields, self.key_types, strict=True)
            for collation in [field.db_parameters(connection).get("collation")]
        ]
        fields = [_field(target, column) for column in columns]
        self.names = tuple(columns)
        self.columns = [ident(column_of(field)) for field in fields]
        self.types = [_type(field, connection) for field in fields]
        self.before = [ident(f"before_{i}") for i in range(len(fields))]
        self.after = [ident(f"after_{i}") for i in range(len(fields))]

    def key_of(self, alias: str) -> list[Composable]:
        """Return the key's columns, qualified."""
        return [ident(alias, column_of(field)) for field in self.key_fields]

    def key_literal(self, key: Sequence[str]) -> Composable:
        """Return a key that was kept as text, as typed literals."""
        return row([SQL("{}::{}").format(text(v), t) for v, t in zip(key, self.key_types, strict=True)])

    def key_text(self, alias: str) -> Composable:
        """Return the key as text[]."""
        return SQL("ARRAY[{}]").format(comma([SQL("{}::text").format(column) for column in self.key_of(alias)]))

    def key_values(self, key: Sequence[str]) -> tuple[Any, ...]:
        """Return a key that was kept as text as Python values."""
        return tuple(field.to_python(part) for field, part in zip(self.key_fields, key, strict=True))

    def within(self, alias: str, after: Sequence[str] | None, upto: Sequence[str] | None) -> Composable:
        """Return the condition that keys lie in the half-open (after, upto]."""
        bounds = []
        for sign, key in ((">", after), ("<=", upto)):
            if key is not None:
                bounds.append(SQL("{} {} {}").format(row(self.key_of(alias)), SQL(sign), self.key_literal(key)))
        return SQL(" AND ").join(bounds) if bounds else SQL("true")

    def slot(self, alias: str) -> Composable:
        """Return the slot of a row: a hash that works for keys of any type and any number of columns."""
        return slot_of(self.key_of(alias))

    def match(self, left: str, right: str) -> Composable:
        """Return the join of two aliases by key."""
        pairs = zip(self.key_of(left), self.key_of(right), strict=True)
        return SQL(" AND ").join(SQL("{} = {}").format(a, b) for a, b in pairs)

    def sets(self) -> Composable:
        """Return the SET list that writes after_i of `d`."""
        pairs = zip(self.columns, self.after, strict=True)
        return comma([SQL("{} = d.{}").format(column, after) for column, after in pairs])

    def returned(self) -> Composable:
        """Return key, before_i and after_i of `d`: what a changeset keeps."""
        return comma([*self.key_of("d"), *(SQL("d.{}").format(c) for c in (*self.before, *self.after))])

    # Where the target's rows end and divide

    def high_water(self) -> Composable:
        """Return the last key of the target."""
        return SQL("SELECT {} FROM {} AS t ORDER BY {} LIMIT 1").format(
            self.key_text("t"), self.target, comma([SQL("{} DESC").format(key) for key in self.key_of("t")])
        )

    def boundary(self, after: Sequence[str] | None, upto: Sequence[str], rows: int) -> Composable:
        """Return the last key of the next window of so many rows, found by counting rows, not by key arithmetic."""
        return SQL("SELECT {} FROM {} AS t WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
            self.key_text("t"), self.target, self.within("t", after, upto), comma(self.key_of("t")), Literal(rows - 1)
        )

    def count_above(self, mark: Sequence[str], limit: int) -> Composable:
        """Return how many rows lie above the high-water mark, at most so many."""
        return SQL("SELECT count(*) FROM (SELECT 1 FROM {} AS t WHERE {} LIMIT {}) AS q").format(
            self.target, self.within("t", mark, None), Literal(limit)
        )

    def spread_keys(self, percent: float, limit: int) -> Composable:
        """Return the keys of random pages, so many percent of them, thinned out evenly in key order to so many keys."""
        return SQL(
            "SELECT q.key FROM (SELECT {} AS key, row_number() OVER (ORDER BY {}) AS n, count(*) OVER () AS found "
            "FROM {} AS t TABLESAMPLE SYSTEM ({})) AS q "
            "WHERE q.n %% greatest(1, q.found / {limit}) = 0 ORDER BY q.n LIMIT {limit}"
        ).format(self.key_text("t"), comma(self.key_of("t")), self.target, Literal(percent), limit=Literal(limit))


def slot_of(key: Sequence[Composable]) -> Composable:
    """Return the slot of a key."""
    return SQL("(hash_record_extended(ROW({}), 0) & {})::integer").format(comma(key), Literal(SLOTS - 1))


def digest_of(columns: Sequence[tuple[str, bool]], alias: str) -> Composable:
    """Return the hash of a row by its columns: each with whether its type has a hash; others are hashed as text."""
    parts = [
        SQL("{}.{}{}").format(SQL(alias), ident(name), SQL("" if hashable else "::text")) for name, hashable in columns
    ]
    return SQL("hash_record_extended(ROW({}), 0)").format(comma(parts))


def _type(field: "Field[Any, Any]", connection: Any) -> Composable:
    name = field.db_type(connection)
    assert name is not None  # a field without a column is refused by Job.column_fields
    return SQL(name)


def _field(target: type[Model], column: str) -> "Field[Any, Any]":
    field = target._meta.get_field(column)
    if not isinstance(field, Field):
        raise FieldDoesNotExist(f"{column!r} is no column of {target._meta.label}.")
    return field
