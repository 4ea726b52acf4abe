"""How Django writes what only a server could spell: checks, conditions, expressions, defaults of the database.

It can't be compared with a catalogue, where `price >= 0` reads `((price >= (0)::numeric))`: what is there is taken to
be as it ought to be in these, and what is missing is made by Django's words.
"""

from collections.abc import Iterator
from typing import Any

from django.apps.registry import Apps
from django.db import models

from ops.drift.fielding import models_of
from ops.drift.model import Attributes, Made, Objects, key
from ops.drift.reduced_names import table_of
from ops.drift.reduced_shape import Place, World, cut


def spellings(apps: Apps, world: World) -> Iterator[tuple[str, Attributes]]:
    """Yield the key of an object, and how Django writes what its attributes leave out."""
    world.connection.ensure_connection()
    for model in models_of(apps, world.connection):
        place = world.place(model._meta.db_table)
        for given in model._meta.local_concrete_fields:
            if (words := _tried(_column, given, world)) is not None:
                yield key("column", place.schema, place.name, cut(str(given.column))), words
        for one in (*model._meta.constraints, *model._meta.indexes):
            if (words := _tried(_made, one, model, world, place)) is not None:
                yield words.pop("key"), words


def _tried(work: Any, *arguments: Any) -> Attributes | None:
    """Return what a project's own field, constraint or expression comes to; None where it raises."""
    try:
        words: Attributes | None = work(*arguments)
    except Exception:
        return None
    return words


def _composed(statement: tuple[str, Any], connection: Any) -> str:
    text, values = statement
    return str(connection.ops.compose_sql(str(text), list(values))) if values else str(text)


def _column(given: Any, world: World) -> Attributes | None:
    connection = world.connection
    if getattr(given, "generated", False):
        return {"expression": _composed(given.generated_sql(connection), connection)}
    if given.has_db_default():
        return {"default": _composed(world.editor().db_default_sql(given), connection)}
    return None


def _made(one: Any, model: type[models.Model], world: World, place: Place) -> Attributes | None:
    editor, name = world.editor(), cut(one.name)
    as_constraint = key("constraint", place.schema, place.name, name)
    quoted = editor.quote_name(one.name)
    if isinstance(one, models.Index):
        return _index(str(one.create_sql(model, editor)), quoted, world, place, name)
    # The constraint's own words; what PostgreSQL has as an index only is sent later, and leaves none here.
    text = one.constraint_sql(model, editor)
    editor.deferred_sql.clear()
    if text:
        return {"key": as_constraint, "definition": str(text).removeprefix(f"CONSTRAINT {quoted} ")}
    text = str(one.create_sql(model, editor) or "")
    return _index(text, quoted, world, place, name) if text.startswith("CREATE ") else None


def _index(text: str, quoted: str, world: World, place: Place, name: str) -> Attributes:
    """Return a statement that makes an index with its name left out, and with its table's schema."""
    head, _, rest = text.partition(f" {quoted} ON ")
    table, using, tail = rest.partition(" USING ") if " USING " in rest.split("(")[0] else rest.partition(" (")
    del table
    full = f"{world.quote(place.schema)}.{world.quote(place.name)}"
    method = "" if using.strip() == "USING" else "USING btree"
    made = f"{head} ? ON {full} {method}{using}{tail}" if method else f"{head} ? ON {full}{using}{tail}"
    return {"key": key("index", place.schema, name), "definition": made}


# What a server spells, by the kind of object.
_SPELLED = {
    "column": ("type", "collation", "default", "expression"),
    "constraint": ("definition",),
    "index": ("definition",),
}


def fill(made: list[Made], have: Objects) -> list[str]:
    """Give objects what a server spells: as it is there, else in Django's words; return what can't be made by them."""
    lacking: set[str] = set()
    for one in made:
        for name, attributes in one.delta.items():
            if attributes is not None:
                one.delta[name] = found = _filled(attributes, have.get(name))
                if found["kind"] == "column" and "type" not in found:
                    lacking.add(name)
    # A table can't be made without one of its columns.
    lacking |= {
        table
        for one in made
        for name in lacking & one.delta.keys()
        if (table := table_of(one.delta[name] or {})) not in have
    }
    for one in made:
        one.delta = {
            name: attributes
            for name, attributes in one.delta.items()
            if attributes is None or (name not in lacking and table_of(attributes) not in lacking)
        }
    return sorted(lacking)


def _filled(one: Attributes, there: Attributes | None) -> Attributes:
    words: Attributes = one.get("django", {})
    found = {name: value for name, value in one.items() if name != "django"}
    for name in _SPELLED.get(one["kind"], ()):
        if name in found:
            continue
        if there is not None and there.get(name) is not None:
            found[name] = there[name]
        elif name in words:
            found[name] = words[name]
    if one["kind"] == "column" and "not_null" not in found:
        # Django makes a generated column without NOT NULL, whatever its field says.
        found["not_null"] = bool(there and there.get("not_null"))
    return found
