"""Tables and columns from their attributes: with sequences, identity, partitions, row security and comments."""

from typing import Any

from ops.drift.making_words import comment, ident, literal, name_of, qualified, table_of, whole
from ops.drift.model import Attributes, Objects
from ops.drift.model import key as key_for

_OPTIONS = {"start": "START WITH", "increment": "INCREMENT BY", "min": "MINVALUE", "max": "MAXVALUE", "cache": "CACHE"}
_IDENTITIES = {"a": "ALWAYS", "d": "BY DEFAULT"}
_REPLICA = {"n": "NOTHING", "f": "FULL"}


def columns_of(objects: Objects, key: str) -> list[str]:
    """Return the keys of a table's columns, in their order."""
    table = objects[key]
    return [
        name
        for name, one in objects.items()
        if one["kind"] == "column" and one["schema"] == table["schema"] and one["table"] == table["name"]
    ]


def sequence_options(options: dict[str, Any] | None) -> str:
    """Return the options of a sequence as SQL, each with a blank before it."""
    given = options or {}
    words = [f" {word} {int(given[name])}" for name, word in _OPTIONS.items() if given.get(name) is not None]
    return "".join(words) + (" CYCLE" if given.get("cycle") else "")


def _sequence_of(column: Attributes) -> str:
    return qualified(column["schema"], column["sequence"])


def default_of(column: Attributes) -> str | None:
    """Return the expression of a column's default; of a serial one, that of its sequence."""
    column = whole(column)
    if column["serial"]:
        return f"nextval({literal(_sequence_of(column))}::regclass)"
    return column["default"]  # type: ignore[no-any-return] # attributes are JSON


def identity_of(column: Attributes) -> str:
    """Return the identity of a column as ADD and CREATE TABLE want it, "" where it has none of its own.

    A partition has the sequence of its parent; where nothing is known of a sequence, the server names it.
    """
    column = whole(column)
    if not column["identity"]:
        return ""
    words = f"GENERATED {_IDENTITIES[column['identity']]} AS IDENTITY"
    if not column["sequence"]:
        return words
    return f"{words} (SEQUENCE NAME {_sequence_of(column)}{sequence_options(column['sequence_options'])})"


def column_definition(column: Attributes, *, default: str | None = None) -> str:
    """Return a column as CREATE TABLE and ADD COLUMN want it.

    A default that is given takes the place of its own: that of a moment, for the rows that are there.
    """
    column = whole(column)
    words = [ident(column["name"]), column["type"]]
    if column["collation"]:
        words.append(f"COLLATE {column['collation']}")
    given = default or default_of(column)
    if column["generated"]:
        stored = "STORED" if column["generated"] == "s" else "VIRTUAL"
        words.append(f"GENERATED ALWAYS AS ({column['expression']}) {stored}")
    elif identity := identity_of(column):
        words.append(identity)
    elif given:
        words.append(f"DEFAULT {given}")
    if column["not_null"] and column["not_null_valid"]:
        words.append("NOT NULL")
    return " ".join(words)


def _sequence_before(column: Attributes) -> list[str]:
    """Return what makes the sequence of a serial column, or one that a column owns and does not use."""
    if not column["sequence"] or column["identity"]:
        return []
    options = f" AS {column['sequence_type']}{sequence_options(column['sequence_options'])}"
    return [f"CREATE SEQUENCE {_sequence_of(column)}{options}"]


def _column_after(objects: Objects, key: str) -> list[str]:
    """Return what is said of a column once it is there."""
    column = whole(objects[key])
    made = []
    if column["sequence"] and not column["identity"]:
        made.append(f"ALTER SEQUENCE {_sequence_of(column)} OWNED BY {table_of(column)}.{ident(column['name'])}")
    if column["not_null"] and not column["not_null_valid"]:
        constraint = ident(f"{column['name']}_not_null")
        made.append(
            f"ALTER TABLE {table_of(column)} ADD CONSTRAINT {constraint} NOT NULL {ident(column['name'])} NOT VALID"
        )
    return made + comment(objects, key)


def create_column(objects: Objects, key: str, *, default: str | None = None) -> list[str]:
    """Return what adds a column; a default that is given is for the rows that are there, and is then taken away."""
    column = whole(objects[key])
    made = _sequence_before(column)
    made.append(f"ALTER TABLE {table_of(column)} ADD COLUMN {column_definition(column, default=default)}")
    if default:
        own = default_of(column)
        what = f"SET DEFAULT {own}" if own else "DROP DEFAULT"
        made.append(f"ALTER TABLE {table_of(column)} ALTER COLUMN {ident(column['name'])} {what}")
    return made + _column_after(objects, key)


def _inherited(column: Attributes, parent: Attributes | None) -> list[str]:
    """Return what makes a column that came from a parent table what it is here."""
    alter = f"ALTER TABLE ONLY {table_of(column)} ALTER COLUMN {ident(column['name'])}"
    made = []
    if column["identity"] and column["sequence"]:
        made += [f"{alter} SET NOT NULL", f"{alter} ADD {identity_of(column)}"]
    elif not column["generated"] and default_of(column) != (default_of(parent) if parent else None):
        own = default_of(column)
        made.append(f"{alter} SET DEFAULT {own}" if own else f"{alter} DROP DEFAULT")
    if column["not_null"] and not (parent and parent["not_null"]):
        made.append(f"{alter} SET NOT NULL")
    return made


def _parent_column(objects: Objects, table: Attributes, column: Attributes) -> Attributes | None:
    """Return the column of the first parent that has one of this name."""
    for parent in [table["partition_of"]] if table["partition_of"] else table["inherits"]:
        above = objects.get(parent)
        if above and (found := objects.get(key_for("column", above["schema"], above["name"], column["name"]))):
            return whole(found)
    return None


def _names_of(objects: Objects, keys: list[str]) -> str:
    """Return tables by key as SQL writes them; KeyError where a parent is not among the objects."""
    return ", ".join(table_of(objects[key]) for key in keys)


def _created(objects: Objects, table: Attributes, own: list[Attributes]) -> str:
    words = "CREATE UNLOGGED TABLE" if table["persistence"] == "u" else "CREATE TABLE"
    statement = f"{words} {table_of(table)}"
    if table["partition_of"]:
        statement += f" PARTITION OF {_names_of(objects, [table['partition_of']])} {table['partition_bound']}"
    else:
        statement += f" ({', '.join(map(column_definition, own))})"
        if table["inherits"]:
            statement += f" INHERITS ({_names_of(objects, table['inherits'])})"
    if table["partition_key"]:
        statement += f" PARTITION BY {table['partition_key']}"
    if table["options"]:
        statement += f" WITH ({', '.join(table['options'])})"
    return statement


def create_table(objects: Objects, key: str) -> list[str]:
    """Return what makes a table with its columns; its constraints, indexes and triggers have keys of their own."""
    table = whole(objects[key])
    names = columns_of(objects, key)
    columns = [whole(objects[name]) for name in names]
    given = [one for one in columns if one["inherited"] or table["partition_of"]]
    made = [statement for one in columns for statement in _sequence_before(one)]
    made.append(_created(objects, table, [one for one in columns if one not in given]))
    for one in given:
        made += _inherited(one, _parent_column(objects, table, one))
    made += [statement for name in names for statement in _column_after(objects, name)]
    alter = f"ALTER TABLE {table_of(table)}"
    if table["rls"]:
        made.append(f"{alter} ENABLE ROW LEVEL SECURITY")
    if table["force_rls"]:
        made.append(f"{alter} FORCE ROW LEVEL SECURITY")
    if table["replica_identity"] in _REPLICA:
        made.append(f"{alter} REPLICA IDENTITY {_REPLICA[table['replica_identity']]}")
    return made + comment(objects, key)


def create_sequence(objects: Objects, key: str) -> list[str]:
    """Return what makes a sequence that is no column's."""
    one = whole(objects[key])
    words = "CREATE UNLOGGED SEQUENCE" if one["persistence"] == "u" else "CREATE SEQUENCE"
    made = [f"{words} {name_of(one)} AS {one['type']}{sequence_options(one)}"]
    if one["owned_by"]:
        table, column = one["owned_by"]
        made.append(f"ALTER SEQUENCE {name_of(one)} OWNED BY {qualified(one['schema'], table, column)}")
    return made + comment(objects, key)
