"""One row, one round trip, no run: for counters and the like, where a request writes what it has just seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connections
from django.db.models import Field, ForeignKey, Model
from psycopg2.sql import SQL, Composable

from ops.engine import parameters
from ops.engine.parameters import BadParameters
from ops.engine.session import Session
from ops.engine.shape import comma, ident
from ops.load.compiler import cast
from ops.load.form import ROWS, UpsertForm
from ops.load.merging import Merging
from ops.load.resolving import Resolver


@dataclass(frozen=True)
class _One:
    statement: str
    look: str
    """What finds the key of a row that was there already and equal."""
    fields: tuple["Field[Any, Any]", ...]


class _Row(Merging):
    """The statement for one row, of the same parts as that of a load."""

    def one_row(self) -> Composable:
        values = self._given()
        values += [self.inserted_value(name) for name in self.spec.inserted]
        # From 18 on officially; before, a row that was updated has the mark of its lock.
        new = "old.{} IS NULL" if self.returns_old else "target.xmax = 0"
        returned = comma([SQL(f"({new})").format(self.keys[0]), *self._key("new" if self.returns_old else "target")])
        return SQL("INSERT INTO {} AS target {} VALUES ({}) ON CONFLICT {} {} RETURNING {}").format(
            self.target, self._columns(), comma(values), self._conflict(), self._update(), returned
        )

    def look(self) -> Composable:
        """Return the statement that finds the key of the row that has the given one's."""
        given = [
            SQL("{} AS {}").format(value, ident(name)) for value, name in zip(self._given(), self.spec.fed, strict=True)
        ]
        loaded = self.with_keys(self.with_defaults(SQL("(SELECT {})").format(comma(given))), "excluded")
        return SQL("SELECT NULL::boolean, {} FROM {} INNER JOIN {} ON {}").format(
            comma(self._key("target")), loaded, self._target(), self._same_key()
        )

    def _given(self) -> list[Composable]:
        return [
            SQL("%(v{})s::{}").format(SQL(str(place)), cast(self.spec.table.columns[name]))
            for name, place in self.spec.fed.items()
        ]

    @property
    def returns_old(self) -> bool:
        return int(self.version) >= 180000

    version: int = 0


@lru_cache(maxsize=512)
def _compiled(
    model: type[Model],
    names: tuple[str, ...],
    on: tuple[str, ...],
    on_conflict: str,
    expressions: tuple[tuple[str, str], ...],
    newest_by: str,
    alias: str,
) -> _One:
    given = {
        "model": model._meta.label, "file": ROWS, "on": list(on), "on_conflict": on_conflict,
        "expr": [f"{name} = {text}" for name, text in expressions], "newest_by": newest_by,
    }  # fmt: skip
    params = parameters.clean(UpsertForm, given, alias)
    resolver = Resolver(Session(alias), params, given="value")
    spec = resolver.resolve(names)
    if spec.lookups:
        raise BadParameters("A single row takes the keys of other tables themselves, no natural keys.")
    connection: Any = connections[alias]
    row = _Row(spec, 0, params, connection, null=())
    row.version = connection.pg_version
    by_column = {one.column: one for one in spec.model._meta.local_concrete_fields}
    with connection.cursor() as cursor:
        statement, look = (one.as_string(cursor.cursor) for one in (row.one_row(), row.look()))
    return _One(statement, look, tuple(by_column[name] for name in spec.fed))


def upsert_one(
    model: type[Model],
    values: Mapping[str, Any],
    *,
    on: Sequence[str] = (),
    on_conflict: str = "replace",
    expressions: Mapping[str, str] | None = None,
    newest_by: str = "",
    database: str = "default",
) -> tuple[str, Any]:
    """Insert one row, or update the one that has its key, in one round trip; return what was done and its primary key.

    `values` are by field. What was done is "inserted", "updated" or "unchanged"; the key of an unchanged row takes a
    second look, and is None where the row is gone by then. The other arguments are those of `upsert`.
    Raises BadParameters for what no statement can be made of, and Django's database errors.
    """
    one = _compiled(
        model,
        tuple(values),
        (on,) if isinstance(on, str) else tuple(on),
        on_conflict,
        tuple((expressions or {}).items()),
        newest_by,
        database,
    )
    connection = connections[database]
    given = {
        f"v{place}": field.get_db_prep_save(_key_of(field, value), connection)
        for place, (field, value) in enumerate(zip(one.fields, values.values(), strict=True))
    }
    with connection.cursor() as cursor:
        cursor.execute(one.statement, given)
        found = cursor.fetchone()
        if found is None:
            cursor.execute(one.look, given)
            found = cursor.fetchone()
    if found is None:
        return "unchanged", None
    state = {True: "inserted", False: "updated", None: "unchanged"}[found[0]]
    return state, found[1] if len(found) == 2 else found[1:]


def _key_of(field: "Field[Any, Any]", value: Any) -> Any:
    """Return what a field keeps of a value: of an object of another model its key, as Django does."""
    if isinstance(field, ForeignKey) and isinstance(value, Model):
        return getattr(value, field.target_field.attname)
    return value
