"""The constraints and indexes of a model in Django's state, with the names that Django would give them today.

A definition is given where it is plain: columns, their order, INCLUDE. Conditions, expressions and checks are left out,
since a server spells them; `reduced_spelling` says how Django writes them.
"""

from typing import Any

from django.db import models
from django.db.migrations.state import ModelState
from django.db.models.constraints import BaseConstraint, Deferrable

from ops.drift.model import Attributes, Objects, key
from ops.drift.reduced_shape import Label, Place, Shapes, cut

METHODS = frozenset(("gin", "gist", "brin", "hash", "spgist"))
# Operator classes of the index that serves LIKE; Django makes it beside the other.
_LIKE = {"varchar": "varchar_pattern_ops", "text": "text_pattern_ops"}


class Rules:
    """Makes the constraints and indexes of one model."""

    def __init__(self, shapes: Shapes, label: Label) -> None:
        self.shapes, self.world, self.label = shapes, shapes.world, label
        self.state: ModelState = shapes.states[label]
        self.place: Place = shapes.place(label, self.state)
        self.columns = {one.name: cut(one.column) for one in shapes.fields(label, self.state) if one.column is not None}
        self.found: Objects = {}
        # Keys of what Django makes by itself, without a name in the models: it is not certain to be in an old database.
        self.implicit: set[str] = set()

    def make(self) -> Objects:
        """Return all of them, those of M2M tables too."""
        for given in self.shapes.fields(self.label, self.state):
            if isinstance(given, models.ManyToManyField):
                self._through(given)
            elif given.name in self.columns:
                self._of_field(given)
            elif hasattr(given, "field_names"):
                self._primary(self.place, [self.columns[name] for name in given.field_names if name in self.columns])
        for together in self.state.options.get("unique_together") or ():
            if (columns := self._columns(together)) is not None:
                self._unique(self.place, columns, self.world.named(self.place.name, columns, "_uniq"))
        for together in self.state.options.get("index_together") or ():
            if (columns := self._columns(together)) is not None:
                self._index(self.place, columns, self.world.named(self.place.name, columns, "_idx"))
        for one in self.state.options.get("constraints") or ():
            self._constraint(one)
        for index in self.state.options.get("indexes") or ():
            self._given_index(index)
        return self.found

    def _columns(self, names: Any) -> list[str] | None:
        found = [self.columns.get(name) for name in names]
        return [one for one in found if one is not None] if None not in found else None

    def _quoted(self, columns: list[str]) -> str:
        return ", ".join(self.world.quote(one) for one in columns)

    def _full(self, place: Place) -> str:
        return f"{self.world.quote(place.schema)}.{self.world.quote(place.name)}"

    def _add(self, place: Place, name: str, contype: str, **more: Any) -> str:
        name = cut(name)
        own = key("constraint", place.schema, place.name, name)
        self.found[own] = {
            "kind": "constraint", "schema": place.schema, "table": place.name, "name": name, "contype": contype,
            "valid": True, "deferrable": False, "deferred": False, **more,
        }  # fmt: skip
        return own

    def _of_field(self, given: Any) -> None:
        column = self.columns[given.name]
        unique = bool(given.unique) and not given.primary_key
        if given.primary_key:
            self._primary(self.place, [column])
        elif unique:
            self._unique(self.place, [column], f"{self.place.name}_{column}_key")
        raw = self.shapes.raw_type(self.label, given)
        if given.db_index and not given.unique:
            self._index(self.place, [column], self.world.named(self.place.name, [column], ""))
        if given.db_index or given.unique:
            self._like(self.place, column, raw, getattr(given, "db_collation", None))
        if isinstance(given, models.ForeignKey) and getattr(given, "db_constraint", True):
            self._reference(self.place, column, given)
        if self._checked(given):
            own = self._add(self.place, f"{self.place.name}_{column}_check", "c", columns=[column])
            self.found[own]["django"] = {"definition": f'CHECK (("{column}" >= 0))'}
            self.implicit.add(own)

    def _checked(self, given: Any) -> bool:
        try:
            return bool(given.db_check(self.world.connection))
        except Exception:
            return False

    def _primary(self, place: Place, columns: list[str]) -> None:
        if columns:
            text = f"PRIMARY KEY ({self._quoted(columns)})"
            index = f"{self._head(place, 'UNIQUE INDEX')} ({self._quoted(columns)})"
            name = f"{place.name[:58]}_pkey"
            self._add(place, name, "p", columns=columns, definition=text, index_definition=index)

    def _unique(self, place: Place, columns: list[str], name: str, deferrable: str = "", nulls: str = "") -> None:
        text = f"UNIQUE {nulls}({self._quoted(columns)}){deferrable}"
        self._add(
            place, name, "u", columns=columns, definition=text, deferrable=bool(deferrable),
            deferred=deferrable.endswith("INITIALLY DEFERRED"), nulls_not_distinct=bool(nulls),
            index_definition=f"{self._head(place, 'UNIQUE INDEX')} ({self._quoted(columns)})"
            + (" NULLS NOT DISTINCT" if nulls else ""),
        )  # fmt: skip

    def _reference(self, place: Place, column: str, given: Any) -> None:
        found = self.shapes.target(self.label, given)
        if found is None:
            return
        to, state, target = found
        self._refer(place, column, self.shapes.place(to, state), cut(target.column))

    def _refer(self, place: Place, column: str, there: Place, target: str) -> None:
        name = self.world.named(place.name, [column], f"_fk_{there.name}_{target}")
        text = (
            f"FOREIGN KEY ({self.world.quote(column)}) REFERENCES {self._full(there)}({self.world.quote(target)}) "
            "DEFERRABLE INITIALLY DEFERRED"
        )
        self._add(
            place, name, "f", columns=[column], definition=text, deferrable=True, deferred=True, references=there.key,
            reference_columns=[target],
        )  # fmt: skip

    def _like(self, place: Place, column: str, raw: str | None, collation: str | None) -> None:
        # Under a collation that is not deterministic Django makes none; whether it is, only the server knows.
        word = next((one for one in _LIKE if raw is not None and raw.startswith(one) and "[" not in raw), None)
        if word is None or collation:
            return
        text = f"{self._head(place)} ({self.world.quote(column)} {_LIKE[word]})"
        self.implicit.add(self._index(place, [column], self.world.named(place.name, [column], "_like"), text))

    def _index(self, place: Place, columns: Any, name: str, definition: Any = "", **more: Any) -> str:
        """Add an index; an attribute that is given as ... can't be known, and is left out."""
        name = cut(name)
        own = key("index", place.schema, name)
        one: Attributes = {
            "kind": "index", "schema": place.schema, "table": place.name, "name": name, "columns": columns,
            "unique": False, "valid": True, "ready": True, "live": True, "method": "btree", "predicate": None,
            "include": [], "definition": definition or f"{self._head(place)} ({self._quoted(columns)})", **more,
        }  # fmt: skip
        self.found[own] = {name: value for name, value in one.items() if value is not ...}
        return own

    def _head(self, place: Place, kind: str = "INDEX") -> str:
        return f"CREATE {kind} ? ON {self._full(place)} USING btree"

    def _through(self, given: Any) -> None:
        """Add what ties the table of a ManyToManyField to the models on both of its sides."""
        ends = self.shapes.ends(self.label, given)
        if ends is None:
            return
        place = self.shapes.through_place(self.label, self.state, given)
        names = [column for column, _, _ in ends]
        self._primary(place, ["id"])
        self._unique(place, names, self.world.named(place.name, names, "_uniq"))
        for column, model, raw in ends:
            self._index(place, [column], self.world.named(place.name, [column], ""))
            self._like(place, column, raw, None)
            state = self.shapes.state(model)
            primary = self.shapes.primary(model, state) if state is not None else None
            if state is not None and primary is not None and given.remote_field.db_constraint:
                self._refer(place, column, self.shapes.place(model, state), cut(primary.column))

    def _constraint(self, one: BaseConstraint) -> None:
        if isinstance(one, models.CheckConstraint):
            self._add(self.place, one.name, "c")
        elif isinstance(one, models.UniqueConstraint):
            self._unique_constraint(one)
        elif type(one).__name__ == "ExclusionConstraint":
            deferrable = getattr(one, "deferrable", None)
            self._add(
                self.place, one.name, "x", deferrable=deferrable is not None,
                deferred=deferrable == Deferrable.DEFERRED,
            )  # fmt: skip

    def _unique_constraint(self, one: Any) -> None:
        columns = self._columns(one.fields)
        if columns is None:
            return
        include = self._columns(one.include or ())
        if one.expressions or one.condition or one.include or one.opclasses:
            # PostgreSQL has these as indexes only.
            plain = not (one.expressions or one.condition or one.opclasses)
            more = f" INCLUDE ({self._quoted(include)})" if include else ""
            more += " NULLS NOT DISTINCT" if getattr(one, "nulls_distinct", None) is False else ""
            text = f"{self._head(self.place, 'UNIQUE INDEX')} ({self._quoted(columns)}){more}"
            self._index(
                self.place, columns if not one.expressions else ..., one.name, unique=True,
                include=include or [], predicate=... if one.condition else None, definition=text if plain else ...,
            )  # fmt: skip
            return
        words = {Deferrable.DEFERRED: " DEFERRABLE INITIALLY DEFERRED", Deferrable.IMMEDIATE: " DEFERRABLE"}
        nulls = "NULLS NOT DISTINCT " if getattr(one, "nulls_distinct", None) is False else ""
        self._unique(self.place, columns, one.name, words[one.deferrable] if one.deferrable else "", nulls)

    def _given_index(self, index: models.Index) -> None:
        names = [name for name, _ in index.fields_orders]
        columns = self._columns(names)
        if columns is None:
            return
        method: Any = "btree" if type(index) is models.Index else index.suffix if index.suffix in METHODS else ...
        include = self._columns(index.include or ()) or []
        plain = method == "btree" and not (index.expressions or index.condition or index.opclasses)
        ordered = ", ".join(
            self.world.quote(column) + (f" {order}" if order else "")
            for column, (_, order) in zip(columns, index.fields_orders, strict=True)
        )
        more = f" INCLUDE ({self._quoted(include)})" if include else ""
        text = f"{self._head(self.place)} ({ordered}){more}"
        self._index(
            self.place, columns if not index.expressions else ..., index.name, method=method, include=include,
            predicate=... if index.condition else None, definition=text if plain else ...,
        )  # fmt: skip
