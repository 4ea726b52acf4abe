"""Findings of what was probably renamed by hand: what is missing and what is extra are alike, and the extra holds data.

To make the missing one would leave the data behind in the other, so that a person has to say which it is.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from ops.drift import comparing
from ops.drift.making_words import ident
from ops.drift.mending_indexes import taken
from ops.drift.mending_work import Mended, altering, parts_of, relation, table_of
from ops.drift.model import Attributes, Choice, Difference, Finding, Objects, Step, key
from ops.drift.schema_findings_look import Look, shown


def renamed(look: Look) -> Iterator[Finding]:
    """Tell of types, tables and columns that are probably there under another name."""
    yield from _types(look)
    yield from _tables(look)
    yield from _columns(look)


def without_table(have: Objects, old: str, will: Attributes) -> Objects:
    """Return a catalogue as it would be once a table had another name, or were in another schema."""
    was = have[old]
    found: Objects = {}

    def named(text: str) -> str:
        if was["schema"] == will["schema"]:
            return comparing.renaming(text, was["name"], will["name"])
        return text.replace(relation_text(was), relation_text(will))

    for name, one in have.items():
        changed = {
            part: named(value) if isinstance(value, str) else value
            for part, value in one.items()
            if part in ("definition", "index_definition", "references")
        }
        if name == old:
            found[key("table", will["schema"], will["name"])] = {**one, "schema": will["schema"], "name": will["name"]}
        elif one.get("table") == was["name"] and one["schema"] == was["schema"]:
            of = [] if one["kind"] == "index" else [will["name"]]
            there = {**one, **changed, "schema": will["schema"], "table": will["name"]}
            found[key(one["kind"], will["schema"], *of, one["name"])] = there
        else:
            text = str(one.get("definition") or "")
            reads = one.get("references") == old or relation_text(was) in text
            found[name] = {**one, **changed} if reads else one
    return found


def relation_text(table: Attributes) -> str:
    """Return a table as the server spells it in a definition."""
    return key("", table["schema"], table["name"]).strip()


def without_column(have: Objects, column: str, new: str) -> Objects:
    """Return a catalogue as it would be once a column had another name."""
    was = have[column]
    found: Objects = {}
    for name, one in have.items():
        if name == column:
            found[key("column", was["schema"], was["table"], new)] = {**one, "name": new}
            continue
        mine = table_of(one) == table_of(was) and one.get("table")
        where = {"schema": was["schema"], "name": was["table"]}
        if one["kind"].endswith("view") and relation_text(where) in str(one.get("definition")):
            text = comparing.renaming(str(one["definition"]), was["name"], new)
            # A view keeps the names of its own columns.
            found[name] = {**one, "definition": re.sub(rf'("?{re.escape(new)}"?) AS \1(?!\w)', r"\1", text)}
            continue
        if not mine and one.get("references") != table_of(was):
            found[name] = one
            continue
        texts = ("definition", "index_definition", "predicate", "expression")
        changed = {
            part: comparing.renaming(one[part], was["name"], new) for part in texts if isinstance(one.get(part), str)
        }
        found[name] = {**one, **changed}
    return found


def _types(look: Look) -> Iterator[Finding]:
    """Tell of types that are missing, where the columns that ought to be of them are of another that is extra."""
    extras = [one for one in look.beyond("type") if one.have and not _known(look, one.key)]
    for one in look.missing("type"):
        ought = one.want or {}
        alike = [other for other in extras if _in_use(look, ought, other.have or {})]
        if alike:
            yield _type(look, one, alike[0])


def _in_use(look: Look, ought: Attributes, have: Attributes) -> bool:
    """Say whether some column is of the one type that ought to be of the other."""
    names = [(relation_text(have) + many, relation_text(ought) + many) for many in ("", "[]")]
    return any(
        (look.have[name].get("type"), column.get("type")) in names
        for name, column in look.want.items()
        if column["kind"] == "column" and name in look.have
    )


def _type(look: Look, one: Difference, other: Difference) -> Finding:
    ought, have = one.want or {}, other.have or {}
    after = {name: _respelled(each, relation_text(have), relation_text(ought)) for name, each in look.have.items()}
    after[one.key] = {**after.pop(other.key), "name": ought["name"], "schema": ought["schema"]}
    said = _option(ought, have)
    found = f"{shown(ought)} is missing, and columns that ought to be of it are of {have['name']}: probably renamed."
    mended = Mended(
        refused="Say whether it was renamed.",
        choices=[Choice(f"--rename '{said}'", _words(ought, have)), _apart(other.key, "make the missing one")],
    )
    if said in look.choices.rename:
        steps = [_naming(have, ought), _naming(ought, have)]
        sql, undo = (text.replace("ALTER TABLE", "ALTER TYPE", 1) for text in steps)
        mended = Mended(steps=[_step(one.key, "type", _words(ought, have), sql, undo)])
    return look.finding("S04", "error", one.key, found, mended, sorted(_claims(look, after, one.key) | {other.key}))


def _respelled(one: Attributes, old: str, new: str) -> Attributes:
    """Return an object of which all texts name something otherwise."""
    name = re.compile(rf'(?<![\w".]){re.escape(old)}(?![\w"])')
    return {part: name.sub(lambda _: new, value) if isinstance(value, str) else value for part, value in one.items()}


def _tables(look: Look) -> Iterator[Finding]:
    extras = [one for one in look.beyond("table") if one.have and not _known(look, one.key)]
    pairs = _pairs(look, extras, look.missing("table"))
    for one in look.missing("table"):
        ought = one.want or {}
        near = [
            other for other in extras if _may_be(ought, other.have or {}) and pairs.get(other.key, one.key) == one.key
        ]
        alike = [other for other in near if _shape(look.have, other.key) == _shape(look.want, one.key)]
        alike = alike or [other for other in near if _resembles(look, one, other) and _has_rows(look, other)]
        if alike and _shape(look.want, one.key):
            yield _table(look, one, alike)


def _pairs(look: Look, extras: list[Difference], missing: list[Difference]) -> dict[str, str]:
    """Return what the operator says was renamed: the extra one, and the missing one that it is."""
    found = {}
    for one in missing:
        ought = one.want or {}
        for other in extras:
            have = other.have or {}
            of = f"{ought['table']}." if ought.get("table") else ""
            mine = have["schema"] == ought["schema"] and have.get("table") == ought.get("table")
            if (mine and _asked(look, f"{of}{have['name']}", str(ought["name"]), ought["schema"])) or (
                ought["kind"] == "table" and _option(ought, have) in look.choices.rename
            ):
                found[other.key] = one.key
    return found


def _may_be(ought: Attributes, have: Attributes) -> bool:
    """Say whether a table may be one that is missing: it is in its schema, or has its name in another."""
    return bool(have["schema"] == ought["schema"] or have["name"] == ought["name"])


def _option(ought: Attributes, have: Attributes) -> str:
    """Return how an operator says that a table is the one that is missing."""
    if have["schema"] == ought["schema"]:
        return f"{have['name']}={ought['name']}"
    return f"{have['schema']}.{have['name']}={ought['schema']}.{ought['name']}"


def _known(look: Look, name: str) -> bool:
    """Say whether an extra object is explained: by a pending migration, or by the operator, who knows it as extra."""
    return name in look.pending or any(fnmatchcase(f"S24:{name}", line) for line in look.choices.ignore)


def _resembles(look: Look, one: Difference, other: Difference) -> bool:
    """Say whether a table has all columns of one that is missing and more, or keys, indexes or pointers of it.

    A table that is renamed keeps the names of its constraints and indexes, and nothing else can have them.
    """
    names, there = (
        {name for name, _ in _shape(objects, found)}
        for objects, found in ((look.want, one.key), (look.have, other.key))
    )
    if len(names) > 1 and names <= there:
        return True
    if _kept_names(look.want, one.key) & _kept_names(look.have, other.key):
        return True
    pointing = {
        (table_of(ought), tuple(ought["columns"])) for ought in look.want.values() if ought.get("references") == one.key
    }
    return any(
        (table_of(have), tuple(have["columns"])) in pointing
        for have in look.have.values()
        if have.get("references") == other.key
    )


def _kept_names(objects: Objects, table: str) -> set[str]:
    parts = (objects[name] for name in parts_of(objects, table))
    return {one["name"] for one in parts if one["kind"] == "index" or one.get("index_definition")}


def _has_rows(look: Look, other: Difference) -> bool:
    return look.measure.rows(other.have or {}).count != 0


def _apart(name: str, words: str) -> Choice:
    return Choice(f"--ignore 'S24:{name}'", f"it was not renamed: {words}, and leave the other as it is")


def _table(look: Look, one: Difference, alike: list[Difference]) -> Finding:
    ought = one.want or {}
    there = [other.have or {} for other in alike]
    chosen = [
        have
        for have in there
        if _option(ought, have) in look.choices.rename
        or (have["schema"] == ought["schema"] and _asked(look, have["name"], ought["name"], ought["schema"]))
    ]
    after = without_table(look.have, alike[0].key, ought)
    claims = _claims(look, after, one.key) | set(parts_of(look.want, one.key))
    for other in alike:
        claims |= {other.key, *parts_of(look.have, other.key)}
    moved = there[0]["schema"] != ought["schema"]
    names = [_option(ought, have).partition("=")[0] for have in there]
    same = _shape(look.want, one.key) == _shape(look.have, alike[0].key)
    why = "has the same columns" if same else "has its columns, its indexes, or foreign keys that ought to point to it"
    was = "moved" if moved else "renamed"
    found = f"{shown(ought)} is missing, and {', '.join(names)} {why}: probably {was}."
    options = [
        Choice(
            f"--rename '{_option(ought, have)}'" if moved else f"--rename {_option(ought, have)}", _words(ought, have)
        )
        for have in there
    ]
    options += [_apart(other.key, "make the missing one") for other in alike]
    mended = Mended(refused=f"Say whether it was {was}.", choices=options)
    if chosen and (why := taken(look.work(one.key, "S04"))):
        mended = Mended(refused=why)
    elif chosen:
        sql, undo = _naming(chosen[0], ought), _naming(ought, chosen[0])
        mended = Mended(steps=[_step(one.key, "table", _words(ought, chosen[0]), sql, undo)])
    return look.finding("S04", "error", one.key, found, mended, sorted(claims))


def _words(ought: Attributes, have: Attributes) -> str:
    if have["schema"] == ought["schema"]:
        return f"rename {have['name']} to {ought['name']}"
    return f"move {have['schema']}.{have['name']} to the schema {ought['schema']}"


def _naming(there: Attributes, to: Attributes) -> str:
    """Return the statement that gives a table another name, or puts it into another schema."""
    if there["schema"] != to["schema"]:
        return f"ALTER TABLE {relation(there)} SET SCHEMA {ident(to['schema'])}"
    return f"ALTER TABLE {relation(there)} RENAME TO {ident(to['name'])}"


def _columns(look: Look) -> Iterator[Finding]:
    missing = look.missing("column")
    extras = [one for one in look.beyond("column") if one.have and not _known(look, one.key)]
    pairs = _pairs(look, extras, missing)
    exact = {other.key for other in extras for one in missing if _fits(one, other)}
    for one in missing:
        if _valued(look, one):
            continue
        near = [
            other
            for other in extras
            if table_of(other.have or {}) == table_of(one.want or {}) and pairs.get(other.key, one.key) == one.key
        ]
        alike = [other for other in near if _fits(one, other)]
        if not alike and not (one.want or {}).get("generated"):
            # It may have been altered as well; what another missing one is just like is that one rather.
            alike = [
                other
                for other in near
                if (other.key not in exact or other.key in pairs) and not (other.have or {}).get("generated")
            ]
        alike = [other for other in alike if look.measure.holds(other.have or {}) is not False]
        if alike:
            yield _column(look, one, alike)


def _fits(one: Difference, other: Difference) -> bool:
    ought, have = one.want or {}, other.have or {}
    return table_of(ought) == table_of(have) and _like(ought, have)


def _valued(look: Look, one: Difference) -> bool:
    """Say whether the operator gave a value for the rows, and so takes the column to be lost."""
    ought = one.want or {}
    name = f"{ought['table']}.{ought['name']}"
    return name in look.choices.value or f"{ought['schema']}.{name}" in look.choices.value


def _column(look: Look, one: Difference, alike: list[Difference]) -> Finding:
    ought = one.want or {}
    table = ought["table"]
    chosen = [
        other
        for other in alike
        if _asked(look, f"{table}.{(other.have or {})['name']}", str(ought["name"]), ought["schema"])
    ]
    names = [str((other.have or {})["name"]) for other in alike]
    after = without_column(look.have, (chosen or alike)[0].key, ought["name"])
    claims = _claims(look, after, one.key) | {other.key for other in (chosen[:1] or alike)}
    same = _fits(one, alike[0])
    types = ", ".join(str((other.have or {})["type"]) for other in alike)
    why = "of the same type holds data: probably renamed" if same else f"({types}) holds data: possibly renamed"
    found = f"{shown(ought)} is missing, and {', '.join(names)} {why} ({ought['type']})."
    options = [
        Choice(f"--rename {table}.{name}={ought['name']}", f"rename {name} to {ought['name']}") for name in names
    ]
    options += [_apart(other.key, "add the missing one") for other in alike]
    mended = Mended(
        refused="Say whether it was renamed; to add the missing one would leave the data behind in the other.",
        choices=options,
    )
    if chosen:
        there = chosen[0].have or {}
        sql = altering(ought, f"RENAME COLUMN {ident(there['name'])} TO {ident(ought['name'])}")
        undo = altering(ought, f"RENAME COLUMN {ident(ought['name'])} TO {ident(there['name'])}")
        mended = Mended(steps=[_step(one.key, "column", f"rename {there['name']} to {ought['name']}", sql, undo)])
    return look.finding("S04", "error", one.key, found, mended, sorted(claims))


def _claims(look: Look, after: Objects, name: str) -> set[str]:
    """Return what differs now and would not, once something had its name."""
    still = {one.key for one in comparing.compare(look.want, after)}
    return {one for one in look.differences if one not in still} | {name}


def _step(name: str, phase: str, title: str, sql: str, undo: str) -> Step:
    return Step(code="S04", object=name, phase=phase, title=title, sql=[sql], undo=[undo])


def _like(ought: Attributes, there: Attributes) -> bool:
    return bool(
        ought["type"] == there["type"]
        and ought["not_null"] == there["not_null"]
        and ought.get("generated", "") == there.get("generated", "")
        and comparing.numbered(ought) == comparing.numbered(there)
    )


def _shape(objects: Objects, table: str) -> list[tuple[str, str]]:
    columns = (objects[name] for name in parts_of(objects, table))
    return sorted((one["name"], one["type"]) for one in columns if one["kind"] == "column")


def _asked(look: Look, old: str, new: str, schema: str) -> bool:
    return any(f"{before}{old}={new}" in look.choices.rename for before in ("", f"{schema}."))
