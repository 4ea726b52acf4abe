"""Names as the database has them, for what Django's state knows by its shape only.

The name of a foreign key, an index or a unique constraint is made of the names that its table and columns had when it
was made, so a table that has been renamed since keeps the old ones. What is there under another name and is otherwise
what is wanted lends its name.
"""

from collections import defaultdict
from collections.abc import Iterable

from ops.drift.model import Attributes, Objects, key

Shape = tuple[object, ...]


def lent(want: Iterable[tuple[str, Attributes]], have: Objects, kept: set[str]) -> dict[str, str]:
    """Return the keys that the database has, by the keys of what is wanted and not there under its own.

    `kept` are the keys that are wanted at the recorded migrations: what goes by one of them is not lent to another.
    """
    there: dict[Shape, list[str]] = defaultdict(list)
    for name, one in have.items():
        shape = shape_of(one)
        if shape is not None and name not in kept:
            there[shape].append(name)
    found: dict[str, str] = {}
    for name, one in want:
        shape = shape_of(one)
        if name not in have and name not in found and shape is not None and there[shape]:
            found[name] = there[shape].pop(0)
    return found


def shape_of(one: Attributes) -> Shape | None:
    """Return what tells a constraint or an index without its name; None where only a name does."""
    if one["kind"] == "constraint" and one.get("columns"):
        # The deferrability of a unique constraint is what it may have lost: then it is another one.
        return (
            "constraint", one["schema"], one["table"], one.get("contype"), tuple(one["columns"]), one.get("references"),
            bool(one.get("deferrable")),
        )  # fmt: skip
    if one["kind"] == "index" and one.get("columns") and None not in one["columns"]:
        if one.get("definition") is None:
            return None
        return ("index", one["schema"], one["table"], one["definition"])
    return None


def renamed(delta: dict[str, Attributes | None], names: dict[str, str]) -> dict[str, Attributes | None]:
    """Return a delta under the names that the database has."""
    found: dict[str, Attributes | None] = {}
    for name, one in delta.items():
        new = names.get(name, name)
        if one is not None and new != name:
            one = {**one, "name": _last(new)}
        found[new] = one
    return found


def _last(name: str) -> str:
    """Return the name of an object from its key."""
    _, _, path = name.partition(" ")
    found, quoting = "", False
    for letter in path:
        if letter == '"':
            quoting = not quoting
        found = "" if letter == "." and not quoting else found + letter
    return found[1:-1].replace('""', '"') if found.startswith('"') else found


def table_of(one: Attributes) -> str:
    """Return the key of the table that an object belongs to, or is."""
    return key("table", one["schema"], one.get("table") or one["name"])
