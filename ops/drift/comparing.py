"""Hold what ought to be in a catalogue against what is there.

It is loose where a healthy old database differs without harm: the order of columns, owners, versions of extensions,
names of constraints and indexes that are otherwise alike, `serial` for an identity, how the server spells a cast. What
only differs so is a difference still, but `harmless`. Nothing that `want` does not say is compared.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from ops.drift.model import Attributes, Difference, Objects, quoted

COMPARED: Mapping[str, tuple[str, ...]] = {
    "schema": (),
    "extension": (),
    "type": ("form", "labels", "definition"),
    "sequence": ("type", "increment", "min", "max", "cycle"),
    "table": ("persistence", "rls", "force_rls", "comment", "partition_key", "partition_of", "inherits"),
    "column": (
        "type",
        "collation",
        "not_null",
        "not_null_valid",
        "default",
        "identity",
        "generated",
        "expression",
        "comment",
    ),
    "constraint": ("definition", "enforced", "valid", "comment"),
    "index": ("table", "definition", "valid", "comment"),
    "view": ("definition", "options", "comment"),
    "materialized view": ("definition", "options", "populated", "comment"),
    "function": ("definition", "comment"),
    "trigger": ("definition", "enabled", "comment"),
}
"""The attributes that count, by kind; of every other kind all do but those of NEVER."""

NEVER = {"kind", "schema", "name", "table", "owner", "django", "version", "depends"}

HARMLESS = {"name", "serial", "made as"}
"""What a difference may consist of and still be none: another name, a serial, a unique index for the constraint."""

# Casts between the types of text, which a dump and its restore move from an array to its members and back.
_CAST = re.compile(r"::(?:pg_catalog\.)?(?:character varying|text|bpchar|varchar|character)(?:\(\d+\))?(?:\[\])?")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_PLAIN = re.compile(r'"[a-z_][a-z0-9_]*"')
_KEPT = re.compile("\0(\\d+)\0")
# One word in parentheses that are not those of a call.
_ALONE = re.compile(r"(?<![\w\0])\(\s*([\w.\0]+)\s*\)")

Structure = tuple[str, ...]


def compare(want: Objects, have: Objects) -> list[Difference]:
    """Return what is missing, extra or other, by key; what has only another name is one difference, not two."""
    missing = {name: one for name, one in want.items() if name not in have}
    extra = {name: one for name, one in have.items() if name not in want}
    renamed = _renamed(missing, extra)
    taken = set(renamed.values())
    found = []
    for name, one in want.items():
        other = have.get(renamed.get(name, name))
        if other is None:
            found.append(Difference(name, one, None))
            continue
        attributes = differing(one, other)
        if name in renamed:
            attributes = ["name", *attributes]
        if attributes:
            found.append(Difference(name, one, other, attributes))
    found += [Difference(name, None, one) for name, one in extra.items() if name not in taken]
    return sorted(found, key=lambda one: one.key)


def differing(want: Attributes, have: Attributes) -> list[str]:
    """Return the names of the attributes that differ between two objects that go by one name."""
    if want["kind"] != have["kind"]:
        return ["made as"]
    kind = want["kind"]
    names: Iterable[str] = COMPARED.get(kind, [name for name in want if name not in NEVER])
    found = (
        []
        if want == have
        else [name for name in names if name in want and not _alike(name, want[name], have.get(name))]
    )
    if kind == "index" and want.get("valid", True) and not usable(have):
        found = [*(name for name in found if name != "valid"), "valid"]
    if kind == "materialized view" and have.get("populated") and "populated" in found:
        found.remove("populated")
    if kind == "constraint" and have.get("valid") and "valid" in found:
        found.remove("valid")
    if kind == "constraint" and "valid" in found and "definition" in found and bare(want) != bare(have):
        # It is another one: whether that is validated is nobody's business.
        found.remove("valid")
    if kind == "constraint" and have.get("disabled") and not want.get("disabled"):
        found.append("disabled")
    return _numbered(want, have, found) if kind == "column" else found


def bare(constraint: Attributes) -> str:
    """Return what a constraint says, without when it is checked."""
    return loose(str(constraint.get("definition")).partition(" DEFERRABLE")[0])


def same(want: Attributes, have: Attributes) -> bool:
    """Say whether an object is what it ought to be, as far as it matters."""
    return set(differing(want, have)) <= HARMLESS


def harmless(difference: Difference) -> bool:
    """Say whether a difference changes nothing for those who use the object; an extra object is another matter."""
    return difference.want is not None and difference.have is not None and set(difference.attributes) <= HARMLESS


def counterpart(name: str, want: Objects, have: Objects) -> str | None:
    """Return the key under which an object is there, be it under another name; None where it is not."""
    if name in have:
        return name
    return _renamed({name: want[name]}, {key: one for key, one in have.items() if key not in want}).get(name)


def usable(index: Attributes) -> bool:
    """Say whether the server may use an index, and keeps it."""
    return bool(index.get("valid", True) and index.get("ready", True) and index.get("live", True))


def numbered(column: Attributes) -> bool:
    """Say whether a column gets its keys from a sequence, as an identity, a serial, or by a plain default."""
    default = column.get("default") or ""
    return bool(column.get("identity") or column.get("serial") or default.startswith("nextval("))


def structure(one: Attributes) -> Structure | None:
    """Return what an index or constraint comes to without its name; None for other kinds."""
    if one["kind"] == "constraint" and one.get("definition"):
        return ("constraint", one["schema"], one["table"], loose(one["definition"]))
    if one["kind"] == "index" and one.get("definition"):
        return ("index", one["schema"], one["table"], loose(one["definition"]))
    return None


def as_index(one: Attributes) -> Structure | None:
    """Return what the index behind a unique constraint comes to, or a unique index: either keeps rows unique."""
    if one["kind"] == "index" and one.get("unique") and one.get("definition") and usable(one):
        return ("index", one["schema"], one["table"], loose(one["definition"]))
    if one["kind"] == "constraint" and one.get("contype") == "u" and not one.get("deferrable"):
        text = one.get("index_definition")
        return ("index", one["schema"], one["table"], loose(text)) if text else None
    return None


def loose(text: str) -> str:
    """Return an expression as it is compared: without the casts and parentheses that say nothing.

    The server spells `status IN ('a')` in one way when it is made and in another once it was dumped and restored.
    """
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        # Some names are quoted for being words of SQL.
        kept.append(match.group()[1:-1] if _PLAIN.fullmatch(match.group()) else match.group())
        return f"\0{len(kept) - 1}\0"

    text = " ".join(_CAST.sub("", _QUOTED.sub(keep, text)).split())
    before = ""
    while before != text:
        before = text
        text = _undoubled(_ALONE.sub(r"\1", text))
    return _KEPT.sub(lambda match: kept[int(match[1])], text).strip()


def renaming(text: str, old: str, new: str) -> str:
    """Return a definition with a name replaced, as the server would spell it after a RENAME."""
    bare = old.replace('"', '""')
    return re.sub(rf'"{re.escape(bare)}"|(?<![\w"]){re.escape(bare)}(?![\w"])', lambda _: quoted(new), text)


def _undoubled(text: str) -> str:
    """Return a text with one of each two pairs of parentheses that lie around the same."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for place, letter in enumerate(text):
        if letter == "(":
            opened.append(place)
        elif letter == ")" and opened:
            closing[opened.pop()] = place
    gone = {
        at
        for place, end in closing.items()
        if closing.get(place + 1) == end - 1
        for at in (place + 1, end - 1)
    }  # fmt: skip
    return "".join(letter for place, letter in enumerate(text) if place not in gone)


def _alike(name: str, want: object, have: object) -> bool:
    if want == have or (want in (None, "", []) and have in (None, "", [])):
        return True
    if name in ("definition", "default", "expression") and isinstance(want, str) and isinstance(have, str):
        return loose(want) == loose(have)
    return name in ("enabled", "enforced", "not_null_valid") and have is None


def _numbered(want: Attributes, have: Attributes, found: list[str]) -> list[str]:
    """Return the differences of two columns, of which one or both get their keys from a sequence."""
    if not numbered(want):
        return found
    rest = [name for name in found if name not in ("identity", "default")]
    if not numbered(have):
        return [*rest, "identity"]
    if want.get("identity") and have.get("identity"):
        return found
    return rest if _spelled(want) == _spelled(have) else [*rest, "serial"]


def _spelled(column: Attributes) -> str:
    return "identity" if column.get("identity") else "serial" if column.get("serial") else "default"


def _renamed(missing: Objects, extra: Objects) -> dict[str, str]:
    """Return, for missing objects, the extra one that is the same under another name."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for told in (structure, as_index):
        there: dict[Structure, list[str]] = defaultdict(list)
        for name, one in extra.items():
            known = told(one)
            # What a build left behind that failed does nothing for anybody.
            if known is not None and name not in taken and (one["kind"] != "index" or usable(one)):
                there[known].append(name)
        for name, one in missing.items():
            known = told(one)
            if known is None or name in found or not there[known]:
                continue
            found[name] = there[known].pop(0)
            taken.add(found[name])
    return found
