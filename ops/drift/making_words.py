"""Names and texts as SQL writes them, and what belongs to any object: its comment, its phase."""

import re

from ops.drift.model import Attributes, Objects

FROM_SEQUENCE = re.compile(r"nextval\(('((?:[^']|'')+)'::regclass)\)")
"""A default that is the next value of a sequence: its name as the default has it, and what stands within the quotes."""

# The kinds whose comment names the table too: COMMENT ON TRIGGER name ON table.
_ON_TABLE = {"constraint": "CONSTRAINT", "trigger": "TRIGGER", "policy": "POLICY", "rule": "RULE"}

_PHASES = {
    "schema": "schema",
    "extension": "extension",
    "type": "type",
    "collation": "type",
    "function": "function",
    "sequence": "sequence",
    "table": "table",
    "column": "column",
    "constraint": "constraint",
    "index": "index",
    "view": "view",
    "materialized view": "view",
    "trigger": "trigger",
}

# What an object has as a rule: of one that no server was asked about (the reduced mode) only the rest is known.
_USUAL: dict[str, Attributes] = {
    "table": {
        "persistence": "p", "rls": False, "force_rls": False, "partition_key": None, "partition_of": None,
        "inherits": [], "options": [], "replica_identity": "d",
    },
    "column": {
        "collation": None, "not_null": False, "not_null_valid": True, "default": None, "identity": "", "generated": "",
        "expression": None, "serial": False, "sequence": None, "sequence_options": {}, "inherited": False,
    },
    "constraint": {"valid": True, "enforced": True, "options": [], "replica_identity": False},
    "index": {"valid": True, "replica_identity": False, "partitioned": False},
    "view": {"options": []},
    "materialized view": {"options": [], "populated": True},
    "function": {"form": "function"},
    "trigger": {"enabled": "O"},
    "rule": {"enabled": "O"},
    "type": {"constraints": [], "definition": None},
    "sequence": {"persistence": "p", "owned_by": None},
    "policy": {"permissive": True, "command": "ALL", "roles": [], "using": None, "check": None},
}  # fmt: skip


def whole(attributes: Attributes) -> Attributes:
    """Return an object's attributes with what is usual for those that are not known.

    Where only Django's own spelling of a definition, default or expression is known (`django`), it is as good to make
    the object by, though not to compare it by.
    """
    return {**_USUAL.get(attributes["kind"], {}), **attributes.get("django", {}), **attributes}


def ident(name: str) -> str:
    """Return a name in double quotes, whatever it is: a keyword may be the name of a table."""
    return '"' + name.replace('"', '""') + '"'


def qualified(*names: str) -> str:
    """Return a schema, and a name in it, as SQL writes it."""
    return ".".join(map(ident, names))


def literal(text: str) -> str:
    """Return a text as a constant of SQL; a backslash means itself, whatever the server's settings say."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'" if "\\" not in text else "E'" + quoted.replace("\\", "\\\\") + "'"


def name_of(attributes: Attributes) -> str:
    """Return an object's name with its schema; of what belongs to a table, the bare name."""
    kind, name = attributes["kind"], attributes["name"]
    if kind in ("schema", "extension", "column", *_ON_TABLE):
        return ident(name)
    written = qualified(attributes["schema"], name)
    if kind != "function":
        return written
    return f"{written}({attributes['args'] or ('*' if attributes.get('form') == 'aggregate' else '')})"


def table_of(attributes: Attributes) -> str:
    """Return the table of an object, itself for a table, with its schema."""
    return qualified(attributes["schema"], attributes["table" if "table" in attributes else "name"])


def phase(attributes: Attributes) -> str:
    """Return the phase of PHASES in which an object is made."""
    if attributes.get("contype") == "f":
        return "foreign key"
    return _PHASES.get(attributes["kind"], "other")


def spoken(attributes: Attributes) -> str:
    """Return an object as COMMENT ON and DROP name it: its kind, its name, and ON its table where it has to be said."""
    kind = attributes["kind"]
    if kind == "column":
        return f"COLUMN {table_of(attributes)}.{name_of(attributes)}"
    if kind in _ON_TABLE:
        return f"{_ON_TABLE[kind]} {name_of(attributes)} ON {table_of(attributes)}"
    if kind == "function" or attributes.get("form") == "domain":
        kind = whole(attributes)["form"]
    return f"{kind.upper()} {name_of(attributes)}"


def comment(objects: Objects, key: str) -> list[str]:
    """Return what gives an object its comment, nothing where it has none."""
    text = objects[key].get("comment")
    return [f"COMMENT ON {spoken(objects[key])} IS {literal(text)}"] if text else []
