"""Rows of pg_catalog as the objects of a snapshot: their keys, and the keys of what they refer to."""

from collections.abc import Iterable, Sequence
from typing import Any

from ops.drift.model import Attributes, Objects, key, quoted

# In which catalogue of the server the objects of a kind are.
_CATALOGUES = {
    "table": "pg_class",
    "view": "pg_class",
    "materialized view": "pg_class",
    "sequence": "pg_class",
    "index": "pg_class",
    "type": "pg_type",
    "collation": "pg_collation",
    "function": "pg_proc",
    "trigger": "pg_trigger",
    "policy": "pg_policy",
    "rule": "pg_rewrite",
}
_DEPENDENT = ("view", "materialized view", "function", "trigger", "type", "policy", "rule")

_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_OPTIONS = ("start", "increment", "min", "max", "cache", "cycle")


class Incomplete(Exception):
    """An object was dropped while the catalogue was read, so that the server no longer knows its definition."""


def function_key(schema: str, name: str, args: str) -> str:
    """Return the key of a function: its argument types tell it from others of its name."""
    return f"function {quoted(schema)}.{quoted(name)}({args})"


def key_of(attributes: Attributes) -> str:
    """Return the key of an object by its attributes."""
    kind, schema, name = attributes["kind"], attributes["schema"], attributes["name"]
    if kind == "function":
        return function_key(schema, name, attributes["args"])
    if kind in ("schema", "extension"):
        return key(kind, name)
    if "table" in attributes and kind not in ("index", "statistics"):
        return key(kind, schema, attributes["table"], name)
    return key(kind, schema, name)


def unusual(type_: str, values: Sequence[int]) -> dict[str, Any]:
    """Return what a sequence has that one of its type would not have by itself: its options by name."""
    given = dict(zip(_OPTIONS, values, strict=True))
    largest = _LARGEST.get(type_, _LARGEST["bigint"])
    up = given["increment"] > 0
    least, most = (1, largest) if up else (-largest - 1, -1)
    usual = {"increment": 1, "min": least, "max": most, "start": given["min"] if up else given["max"], "cache": 1}
    odd: dict[str, Any] = {name: given[name] for name, value in usual.items() if given[name] != value}
    return odd | ({"cycle": True} if given["cycle"] else {})


class Places:
    """The names of relations and of their columns, by the numbers that the server has given them."""

    def __init__(self, rows: Iterable[Attributes]) -> None:
        self._tables: dict[int, tuple[str, str]] = {}
        self._columns: dict[int, dict[int, str]] = {}
        for row in rows:
            self._tables[row["relation"]] = row["schema"], row["name"]
            self._columns[row["relation"]] = dict(zip(row["places"], row["columns"], strict=True))

    def table(self, relation: int) -> tuple[str, str]:
        """Return the schema and name of a relation; raise Incomplete where it is gone."""
        if relation not in self._tables:
            raise Incomplete(f"the relation numbered {relation}")
        return self._tables[relation]

    def columns(self, relation: int, places: Iterable[int]) -> list[str | None]:
        """Return the names of columns by their places, None for an expression."""
        return [self._columns[relation].get(place) for place in places]


def _name_index(row: Attributes, places: Places, relation: int) -> None:
    row["columns"] = places.columns(relation, row["columns"])
    row["include"] = places.columns(relation, row["include"])
    row["definition"] = _on_all(row["definition"])


def _name_constraint(row: Attributes, places: Places, relation: int) -> None:
    # Of an exclusion constraint over an expression the place is 0.
    row["columns"] = [name for name in places.columns(relation, row["columns"] or ()) if name is not None]
    row["index_definition"] = _on_all(row["index_definition"])
    if row["references"]:
        row["reference_columns"] = places.columns(row["references"], row["reference_columns"])
        row["references"] = key("table", *places.table(row["references"]))


def _on_all(definition: str | None) -> str | None:
    """Return the definition of an index on a table and its partitions: ONLY is how the server writes each of them."""
    return definition.replace("? ON ONLY ", "? ON ", 1) if definition else definition


def _shape(row: Attributes, places: Places) -> Attributes:
    """Give an object names instead of numbers, and the keys of what it refers to."""
    kind = row["kind"]
    if "relation" in row:
        relation = row.pop("relation")
        schema, table = places.table(relation)
        row = {"kind": kind, "schema": schema, "table": table, **row}
        if kind == "index":
            _name_index(row, places, relation)
        elif kind == "constraint":
            _name_constraint(row, places, relation)
    if kind == "table":
        row["partition_of"] = key("table", *row["partition_of"][0]) if row["partition_of"] else None
        row["inherits"] = [key("table", *one) for one in row["inherits"] or ()]
    elif kind == "column" and row["sequence_options"]:
        row["sequence_options"] = unusual(row["sequence_type"], row["sequence_options"])
    elif kind == "trigger":
        row["function"] = function_key(*row["function"])
    if "definition" in row and row["definition"] is None and kind != "type":
        raise Incomplete(key_of(row))
    return row


def _owned(objects: Objects) -> set[str]:
    """Return the keys of the sequences that are a part of their column."""
    return {key("sequence", one["schema"], one["sequence"]) for one in objects.values() if one.get("sequence")}


def gathered(rows: Iterable[Attributes], needs: Iterable[Attributes], places: Places) -> Objects:
    """Return objects by key, given rows of all kinds, what they need, and the names behind their numbers.

    Raise Incomplete where one of them is gone by now.
    """
    objects: Objects = {}
    by_number: dict[tuple[str, int], str] = {}
    for row in rows:
        number = row.pop("object", None)
        shaped = _shape(row, places)
        name = key_of(shaped)
        objects[name] = shaped
        if row["kind"] in _CATALOGUES:
            by_number[_CATALOGUES[row["kind"]], number] = name
        if row["kind"] in _DEPENDENT:
            shaped["depends"] = []
    for name in _owned(objects):
        objects.pop(name, None)
    for need in needs:
        user = by_number.get((need["catalogue"], need["object"]), "")
        needed = by_number.get((need["needed_catalogue"], need["needed"]), "")
        if "depends" in objects.get(user, ()) and needed:
            objects[user]["depends"].append(needed)
    for one in objects.values():
        if "depends" in one:
            # The numbers that the server gave them differ from database to database.
            one["depends"].sort()
    return objects
