"""What Django's state says of a model, as objects of a catalogue, worked out without a database.

A model's state is not rendered for it: its fields are cloned, and what they refer to is looked up in the state. So each
of hundreds of migrations can be followed in a moment. What only a server could spell is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps as installed
from django.conf import settings
from django.db import models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import split_identifier, truncate_name
from django.db.migrations.state import ModelState
from django.db.migrations.utils import resolve_relation
from django.db.models import Field
from django.utils.module_loading import import_string

from ops.drift import reduced_types
from ops.drift.model import Attributes, Objects, key

Label = tuple[str, str]
States = Mapping[Label, ModelState]

LONGEST = 63
"""Bytes of a name that PostgreSQL keeps."""

AUTO = ("AutoField", "BigAutoField", "SmallAutoField")


@dataclass(frozen=True)
class Place:
    """A table: its schema and its name."""

    schema: str
    name: str

    @property
    def key(self) -> str:
        return key("table", self.schema, self.name)


@dataclass
class World:
    """What shapes depend on besides the state: the connection, where tables are, which words have to be quoted."""

    connection: BaseDatabaseWrapper
    schema_of: Callable[[str], str]
    reserved: frozenset[str]
    full_type: Callable[[str], str | None]
    _clones: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    _editor: Any = None

    def quote(self, name: str) -> str:
        """Return a name as quote_ident does."""
        plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit() and name == name.lower()
        return name if plain and name not in self.reserved else '"' + name.replace('"', '""') + '"'

    def bound(self, name: str, given: Any) -> Any:
        """Return a field of a state with its name, attribute and column."""
        known = self._clones.get(id(given))
        # The field is kept beside its clone, so that no other can come to have the same address.
        if known is None or known[0] is not given or known[1].name != name:
            clone = given.clone()
            clone.set_attributes_from_name(name)
            known = self._clones[id(given)] = (given, clone)
        return known[1]

    def editor(self) -> Any:
        """Return Django's editor of schemas, which makes names; it is never entered, so that it sends nothing."""
        if self._editor is None:
            self._editor = self.connection.SchemaEditorClass(self.connection, collect_sql=True)
            # What entering it would have set: a constraint that is made later is put there.
            self._editor.deferred_sql = []
        return self._editor

    def named(self, table: str, columns: list[str], suffix: str) -> str:
        """Return the name that Django gives an index or a constraint."""
        name: str = self.editor()._create_index_name(table, columns, suffix)  # noqa: SLF001 - no public way to its names
        return name

    def place(self, db_table: str) -> Place:
        """Return where a table is, by what Meta.db_table says; some put a schema into it: `stock"."item`."""
        schema, name = split_identifier(db_table)
        schema, name = schema.strip('"'), cut(name.strip('"'))
        return Place(schema or self.schema_of(name), name)


def cut(name: str) -> str:
    """Return a name as PostgreSQL keeps it."""
    return name.encode()[:LONGEST].decode(errors="ignore")


def managed(label: Label, state: ModelState, connection: BaseDatabaseWrapper) -> bool:
    """Return whether migrations make a table for a model in this database."""
    options = state.options
    if options.get("proxy") or not options.get("managed", True) or options.get("abstract"):
        return False
    if options.get("required_db_vendor", connection.vendor) != connection.vendor:
        return False
    swappable = options.get("swappable")
    if swappable and getattr(settings, swappable, "").lower() not in ("", ".".join(label)):
        return False
    return bool(router.allow_migrate(connection.alias, label[0], model_name=label[1]))


def db_table(label: Label, state: ModelState, connection: BaseDatabaseWrapper) -> str:
    """Return what Meta.db_table says, or what Django makes of the model's name."""
    given = state.options.get("db_table")
    return given or truncate_name("_".join(label), connection.ops.max_name_length())


class Shapes:
    """The objects of models at one moment of the history."""

    def __init__(self, world: World, states: States) -> None:
        self.world = world
        self.states = states

    def state(self, label: Label) -> ModelState | None:
        """Return a model's state, also that of an app without migrations."""
        if label in self.states:
            return self.states[label]
        try:
            return ModelState.from_model(installed.get_model(*label))
        except LookupError:
            return None

    def place(self, label: Label, state: ModelState) -> Place:
        return self.world.place(db_table(label, state, self.world.connection))

    def fields(self, label: Label, state: ModelState) -> list[Any]:
        """Return a model's fields with their names and columns."""
        found = [self.world.bound(name, given) for name, given in state.fields.items()]
        if state.options.get("order_with_respect_to"):
            order = models.IntegerField()
            order.set_attributes_from_name("_order")
            found.append(order)
        return found

    def references(self, label: Label, state: ModelState) -> set[Label]:
        """Return the models that a model's fields refer to."""
        found = set()
        for given in state.fields.values():
            to = getattr(getattr(given, "remote_field", None), "model", None)
            if to is not None:
                found.add(resolve_relation(to, *label))
        return found

    def target(self, label: Label, given: Any) -> tuple[Label, ModelState, Any] | None:
        """Return the model that a foreign key refers to, and the field."""
        to = resolve_relation(given.remote_field.model, *label)
        state = self.state(to)
        if state is None:
            return None
        name = getattr(given.remote_field, "field_name", None)
        found = self.primary(to, state) if name is None else None
        if name is not None and name in state.fields:
            found = self.world.bound(name, state.fields[name])
        return (to, state, found) if found is not None else None

    def primary(self, label: Label, state: ModelState) -> Any | None:
        """Return the field that is a model's primary key, also where it is its parent's."""
        for name, given in state.fields.items():
            if given.primary_key:
                return self.world.bound(name, given)
        for base in state.bases:
            above = self.state(resolve_relation(base, *label)) if isinstance(base, str) else None
            if above is not None:
                return self.primary(resolve_relation(base, *label), above)
        return None

    def raw_type(self, label: Label, given: Any) -> str | None:
        """Return a column's type as Django writes it; None where there is no column, or it can't be told."""
        connection = self.world.connection
        try:
            if isinstance(given, models.ForeignKey):
                found = self.target(label, given)
                if found is None:
                    return None
                to, _, target = found
                return self.related_type(to, target)
            return str(given.db_type(connection) or "") or None
        except Exception:
            return None

    def spelled(self, raw: str | None) -> str | None:
        if raw is None:
            return None
        return reduced_types.spelled(raw) or self.world.full_type(raw)

    def of(self, label: Label) -> Objects:
        """Return the objects of one model: its table with all that belongs to it, and its M2M tables."""
        state = self.states[label]
        if not managed(label, state, self.world.connection):
            return {}
        found: Objects = {}
        place = self.place(label, state)
        table: Attributes = {"kind": "table", "schema": place.schema, "name": place.name, "persistence": "p"}
        if state.options.get("db_table_comment"):
            table["comment"] = state.options["db_table_comment"]
        found[place.key] = table
        for given in self.fields(label, state):
            if isinstance(given, models.ManyToManyField):
                found |= self.through(label, state, given)
            elif given.column is not None:
                found |= self.column(label, place, given)
        return found

    def column(self, label: Label, place: Place, given: Any) -> Objects:
        """Return a column; nothing for a field that has none."""
        raw = self.raw_type(label, given)
        own = key("column", place.schema, place.name, cut(given.column))
        if raw is None and not isinstance(given, models.ForeignKey) and not has_column(given, self.world.connection):
            return {}
        one: Attributes = {"kind": "column", "schema": place.schema, "table": place.name, "name": cut(given.column)}
        kind = self.typed(one, raw)
        generated = bool(getattr(given, "generated", False))
        if not generated:
            one["not_null"] = bool(given.primary_key or not given.null)
        one["generated"] = "s" if generated else ""
        one["identity"] = "d" if given.get_internal_type() in AUTO else ""
        if not (generated or one["identity"] or has_db_default(given)):
            one["default"] = None
        if not getattr(given, "db_collation", None) and kind is not None and not isinstance(given, models.ForeignKey):
            one["collation"] = None
        elif getattr(given, "db_collation", None):
            one.setdefault("django", {})["collation"] = self.world.quote(given.db_collation)
        if getattr(given, "db_comment", None):
            one["comment"] = given.db_comment
        return {own: one}

    def typed(self, one: Attributes, raw: str | None) -> str | None:
        """Give a column its type; one that the server alone can spell is noted as Django writes it."""
        kind = self.spelled(raw)
        if kind is not None:
            one["type"] = kind
        elif raw is not None:
            one["django"] = {"type": raw}
        return kind

    def through(self, label: Label, state: ModelState, given: Any) -> Objects:
        """Return the table that a ManyToManyField makes for itself, without what ties it to others."""
        ends = self.ends(label, given)
        if ends is None:
            return {}
        place = self.through_place(label, state, given)
        found: Objects = {place.key: {"kind": "table", "schema": place.schema, "name": place.name, "persistence": "p"}}
        # The type of its id is that of DEFAULT_AUTO_FIELD when it was made, which no file says; today's makes it.
        common = {"kind": "column", "schema": place.schema, "table": place.name, "generated": ""}
        own = key("column", place.schema, place.name, "id")
        raw = import_string(settings.DEFAULT_AUTO_FIELD)().rel_db_type(self.world.connection)
        found[own] = {**common, "name": "id", "not_null": True, "identity": "d", "django": {"type": raw}}
        for column, _, raw in ends:
            one = {**common, "name": column, "not_null": True, "identity": "", "default": None}
            self.typed(one, raw)
            found[key("column", place.schema, place.name, column)] = one
        return found

    def through_place(self, label: Label, state: ModelState, given: Any) -> Place:
        """Return where the table of a ManyToManyField is."""
        connection = self.world.connection
        if given.db_table:
            return self.world.place(given.db_table)
        schema, name = split_identifier(db_table(label, state, connection))
        made = truncate_name(f"{name.strip(chr(34))}_{given.name}", connection.ops.max_name_length())
        place = self.world.place(made)
        return Place(schema.strip('"'), place.name) if schema else place

    def ends(self, label: Label, given: Any) -> list[tuple[str, Label, str | None]] | None:
        """Return both columns of a ManyToManyField's own table: name, model referred to, type; None if it has none."""
        if given.remote_field.through is not None:
            return None
        to = resolve_relation(given.remote_field.model, *label)
        # Django compares the models' names without their apps.
        if to[1] == label[1]:
            names = [f"from_{label[1]}", f"to_{label[1]}"]
        else:
            names = [label[1], to[1]]
        found = []
        for name, model in zip(names, (label, to), strict=True):
            state = self.state(model)
            primary = self.primary(model, state) if state is not None else None
            raw = self.related_type(model, primary) if primary is not None else None
            found.append((cut(f"{name}_id"), model, raw))
        return found

    def related_type(self, label: Label, primary: Any) -> str | None:
        """Return the type of a column that refers to a primary key."""
        if primary.is_relation:
            return self.raw_type(label, primary)
        try:
            raw: str | None = primary.rel_db_type(self.world.connection)
        except Exception:
            return None
        return raw


def has_column(given: "Field[Any, Any]", connection: BaseDatabaseWrapper) -> bool:
    """Return whether a field whose type could not be told has a column all the same."""
    try:
        return given.db_type(connection) is not None
    except Exception:
        return True


def has_db_default(given: Any) -> bool:
    """Return whether the database gives a default, in every Django that is supported."""
    return bool(given.has_db_default()) if hasattr(given, "has_db_default") else False
