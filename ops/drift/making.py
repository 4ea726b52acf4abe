"""From the attributes of an object to the statements that make it, and those that take it away again.

The statements are to be executed without parameters: what they hold of percent signs means itself. Names are written
in full and in quotes, so that they mean the same whatever the search_path is. A statement fails where what it needs is
not there yet; who makes several objects goes by PHASES (see `phase`) and tries again what failed.
"""

import re
from collections.abc import Callable

from ops.drift.making_tables import (
    column_definition,
    columns_of,
    create_column,
    create_sequence,
    create_table,
    default_of,
    identity_of,
    sequence_options,
)
from ops.drift.making_words import comment, ident, literal, name_of, phase, qualified, spoken, table_of, whole
from ops.drift.model import Attributes, Objects

__all__ = (
    "add_constraint",
    "column_definition",
    "columns_of",
    "comment",
    "create",
    "create_column",
    "create_index",
    "default_of",
    "drop",
    "ident",
    "identity_of",
    "literal",
    "name_of",
    "owned_by",
    "phase",
    "qualified",
    "sequence_options",
    "spoken",
    "table_of",
    "whole",
)

# Bodies are checked when they run: a body may name what is made only after it.
_UNCHECKED = "SET LOCAL check_function_bodies = off"
_ENABLED = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_OWNED = ("schema", "table")


def _schema(objects: Objects, key: str) -> list[str]:
    return [f"CREATE SCHEMA {name_of(objects[key])}", *comment(objects, key)]


def _extension(objects: Objects, key: str) -> list[str]:
    """Return what makes an extension in its schema, of the server's version; its comment comes with it."""
    one = whole(objects[key])
    return [f"CREATE EXTENSION {name_of(one)} SCHEMA {ident(one['schema'])}"]


def _type(objects: Objects, key: str) -> list[str]:
    one = whole(objects[key])
    form = one["form"]
    if form == "enum":
        made = [f"CREATE TYPE {name_of(one)} AS ENUM ({', '.join(map(literal, one['labels']))})"]
    elif form == "domain":
        made = [f"CREATE DOMAIN {name_of(one)} AS {one['definition']}"]
        made += [f"ALTER DOMAIN {name_of(one)} ADD {constraint}" for constraint in one["constraints"]]
    else:
        words = "AS RANGE" if form == "range" else "AS"
        made = [f"CREATE TYPE {name_of(one)} {words} ({one['definition'] or ''})"]
    return made + comment(objects, key)


def _collation(objects: Objects, key: str) -> list[str]:
    return [f"CREATE COLLATION {name_of(objects[key])} ({objects[key]['definition']})", *comment(objects, key)]


def _options(one: Attributes) -> str:
    return f" WITH ({', '.join(one['options'])})" if one["options"] else ""


def _view(objects: Objects, key: str) -> list[str]:
    one = whole(objects[key])
    return [f"CREATE VIEW {name_of(one)}{_options(one)} AS {one['definition']}", *comment(objects, key)]


def _materialized_view(objects: Objects, key: str) -> list[str]:
    one = whole(objects[key])
    made = f"CREATE MATERIALIZED VIEW {name_of(one)}{_options(one)} AS {one['definition']}"
    return [made if one["populated"] else f"{made} WITH NO DATA", *comment(objects, key)]


def _function(objects: Objects, key: str) -> list[str]:
    return [_UNCHECKED, objects[key]["definition"], *comment(objects, key)]


def _fired(objects: Objects, key: str) -> list[str]:
    """Return what makes a trigger or a rule, and when it fires where that is not as usual."""
    one = whole(objects[key])
    made = [one["definition"].rstrip(";")]
    if one["enabled"] in _ENABLED:
        made.append(
            f"ALTER TABLE {table_of(one)} {_ENABLED[one['enabled']]} {one['kind'].upper()} {ident(one['name'])}"
        )
    return made + comment(objects, key)


def _policy(objects: Objects, key: str) -> list[str]:
    one = whole(objects[key])
    made = f"CREATE POLICY {name_of(one)} ON {table_of(one)}"
    if not one["permissive"]:
        made += " AS RESTRICTIVE"
    made += f" FOR {one['command']} TO {', '.join(map(ident, one['roles'])) or 'PUBLIC'}"
    if one["using"]:
        made += f" USING ({one['using']})"
    if one["check"]:
        made += f" WITH CHECK ({one['check']})"
    return [made, *comment(objects, key)]


def _statistics(objects: Objects, key: str) -> list[str]:
    return [objects[key]["definition"], *comment(objects, key)]


def _constraint(objects: Objects, key: str) -> list[str]:
    """Return what makes a constraint as it is, proven or not."""
    return add_constraint(objects, key, not_valid=not whole(objects[key])["valid"])


def _with_options(one: Attributes) -> str:
    """Return the definition of a primary key or unique constraint with the options of its index."""
    definition: str = one["definition"]
    if not one["options"] or one["contype"] not in "pu":
        return definition
    late = re.search(r"(?: DEFERRABLE)?(?: INITIALLY DEFERRED)?\Z", definition)
    assert late is not None
    return f"{definition[: late.start()]} WITH ({', '.join(one['options'])}){late.group()}"


def _replica_identity(one: Attributes) -> list[str]:
    """Return what makes an index, or that of a constraint, the replica identity of its table where it was."""
    if not one["replica_identity"]:
        return []
    return [f"ALTER TABLE {table_of(one)} REPLICA IDENTITY USING INDEX {ident(one['name'])}"]


def add_constraint(objects: Objects, key: str, *, not_valid: bool = False) -> list[str]:
    """Return what adds a constraint; with `not_valid` a check or foreign key that holds for new rows only, as yet."""
    one = whole(objects[key])
    made = f"ALTER TABLE {table_of(one)} ADD CONSTRAINT {ident(one['name'])} {_with_options(one)}"
    if not one["enforced"]:
        made += " NOT ENFORCED"
    elif not_valid and one["contype"] in "fc":
        made += " NOT VALID"
    return [made, *_replica_identity(one), *comment(objects, key)]


def create_index(objects: Objects, key: str, *, concurrently: bool = False, name: str | None = None) -> list[str]:
    """Return what makes an index, under another name if one is given.

    With `concurrently` it is one statement, for it can't be in a transaction: the comment is left to `comment`. On a
    partitioned table the server knows no such form, and it is made with locks.
    """
    one = whole(objects[key])
    words, _, rest = one["definition"].partition("?")
    if concurrently and not one["partitioned"]:
        words += "CONCURRENTLY "
    if one["partitioned"] and not one["valid"]:
        # One that lacks an index on some partition: it becomes valid when that is attached.
        rest = rest.replace(" ON ", " ON ONLY ", 1)
    made = [f"{words}{ident(name or one['name'])}{rest}"]
    if concurrently or name:
        return made
    return [*made, *_replica_identity(one), *comment(objects, key)]


_CREATE: dict[str, Callable[[Objects, str], list[str]]] = {
    "schema": _schema,
    "extension": _extension,
    "type": _type,
    "collation": _collation,
    "function": _function,
    "sequence": create_sequence,
    "table": create_table,
    "column": create_column,
    "constraint": _constraint,
    "index": create_index,
    "view": _view,
    "materialized view": _materialized_view,
    "trigger": _fired,
    "rule": _fired,
    "policy": _policy,
    "statistics": _statistics,
}


def create(objects: Objects, key: str) -> list[str]:
    """Return the statements that make an object as its attributes say, its owner aside.

    A table comes with its columns and without constraints, indexes and triggers, which have keys of their own. Its
    parents have to be among the objects.
    """
    return _CREATE[objects[key]["kind"]](objects, key)


def owned_by(objects: Objects, key: str) -> list[str]:
    """Return what gives a schema or table its owner, nothing for other kinds."""
    one = whole(objects[key])
    if one["kind"] not in _OWNED:
        return []
    return [f"ALTER {spoken(one)} OWNER TO {ident(one['owner'])}"]


def drop(objects: Objects, key: str) -> list[str]:
    """Return the statement that takes an object away again: without CASCADE, so that nothing else goes with it."""
    one = whole(objects[key])
    if one["kind"] == "column":
        return [f"ALTER TABLE {table_of(one)} DROP COLUMN {ident(one['name'])}"]
    if one["kind"] == "constraint":
        return [f"ALTER TABLE {table_of(one)} DROP CONSTRAINT {ident(one['name'])}"]
    return [f"DROP {spoken(one)}"]
