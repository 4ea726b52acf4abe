"""What brings one object of a catalogue to what it ought to be: steps that block little, each with its undo.

Nothing is dropped that holds data or keeps a promise, and no row is changed. What needs a person's decision is refused,
with the choices. A repair that was killed is gone on with: what it left behind is known by its name.
"""

from collections.abc import Callable

from ops.drift import comparing, making
from ops.drift.making_words import ident, literal, qualified
from ops.drift.measuring import Measure
from ops.drift.mending_columns import REWRITE, column
from ops.drift.mending_constraints import constraint
from ops.drift.mending_indexes import index, taken
from ops.drift.mending_values import generic, holders, no_room, numbered_columns, serial_of, started
from ops.drift.mending_work import (
    Mended,
    Work,
    altering,
    comment,
    guarded,
    parts_of,
    relation,
    table_of,
)
from ops.drift.model import Attributes, Choice, Choices, Expected, Objects, key

__all__ = ["Mended", "Work", "make"]

_FIRING = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_ORDER = ("column", "constraint", "index", "trigger", "policy", "rule", "statistics")


def make(
    key: str,
    want: Objects,
    have: Objects,
    *,
    code: str,
    measure: Measure,
    choices: Choices,
    expected: Expected | None = None,
) -> Mended:
    """Return the steps that bring one object of `want` to what it ought to be, or why they are left to a person.

    A table comes with all that belongs to it. What is there already, be it under another name, needs no step.
    """
    return mend(Work(key, want, have, code, measure, choices, expected))


def mend(work: Work) -> Mended:
    """Return what brings the object of a work to what it ought to be."""
    there = comparing.counterpart(work.key, work.want, work.have)
    if there is not None and there != work.key and not _own_index(work, there):
        return Mended(notes=[f"It is there under another name, as {there}."])
    if work.key in work.have and not work.differing:
        return Mended()
    kinds: dict[str, Callable[[Work], Mended]] = {
        "table": _table,
        "column": column,
        "constraint": constraint,
        "index": index,
        "extension": _extension,
        "sequence": _sequence,
        "type": _type,
        "trigger": _trigger,
    }
    mended = kinds.get(work.ought["kind"], _other)(work)
    owner = (work.have.get(work.table) or {}).get("owner")
    if mended.steps and owner and not work.measure.may_act_as(str(owner)):
        return Mended(refused=f"The table belongs to {owner}, and this role may not alter it: run as one that may.")
    return mended


def _own_index(work: Work, there: str) -> bool:
    """Say whether what was found is the index that a repair built for the object, and did not get to name."""
    name = str(work.have[there]["name"])
    return name.startswith("setwise_new_") or bool(work.ought["kind"] == "constraint" and name == work.ought["name"])


def _table(work: Work) -> Mended:
    if work.found is not None:
        return _other_table(work, work.found)
    why = taken(work)
    if why:
        return Mended(refused=why)
    named = {name: _named_freely(work, one) for name, one in work.want.items() if _has_sequence(work, one)}
    sql, table = list(making.create({**work.objects, **named}, work.key)), work.ought
    for one in numbered_columns(work.want, work.key):
        kept = holders(work.want, work.have, work.key, one["name"])
        kept += generic(work.have, work.expected, work.key) if _is_key(work, one) else []
        trouble = no_room(work, one, kept)
        if trouble:
            return Mended(refused=trouble)
        if kept:
            sql.append(started(serial_of(table, one["name"]), kept))
    undo = guarded(
        relation(table), "TRUE", f"DROP TABLE {relation(table)}", f"Table {table['name']} has rows by now; it stays."
    )
    mended = Mended(steps=[work.step(f"create the table {table['name']}", sql, [undo])])
    for kind in _ORDER[1:]:
        for name in parts_of(work.want, work.key):
            if work.want[name]["kind"] == kind:
                mended.take(mend(work.of(name)))
    return mended


def _has_sequence(work: Work, one: Attributes) -> bool:
    return bool(one["kind"] == "column" and table_of(one) == work.key and one.get("sequence"))


def _named_freely(work: Work, one: Attributes) -> Attributes:
    """Return a column whose sequence has a name that is free: one that its table left behind may have its own."""
    taken = {
        name
        for other in work.have.values()
        if other["schema"] == one["schema"]
        for name in (other.get("sequence"), None if other["kind"] == "column" else other["name"])
    }
    name, number = str(one["sequence"]), 0
    while name in taken:
        number += 1
        name = f"{one['sequence'][:58]}{number}"
    return {**one, "sequence": name}


def _is_key(work: Work, one: Attributes) -> bool:
    return any(
        other["kind"] == "constraint" and other["contype"] == "p" and other["columns"] == [one["name"]]
        for other in (work.want[name] for name in parts_of(work.want, work.key))
    )


def _other_table(work: Work, found: Attributes) -> Mended:
    mended, ought, differing = Mended(), work.ought, work.differing
    if "persistence" in differing:
        mended.take(_logged(work, found))
    hidden = [name for name in ("rls", "force_rls") if name in differing and found.get(name)]
    if hidden and not work.redefined:
        mended.take(_deliberate(ought))
    for name, words in (("rls", ("ENABLE", "DISABLE")), ("force_rls", ("FORCE", "NO FORCE"))):
        if name in differing and (name not in hidden or work.redefined):
            change, back = (
                altering(ought, f"{words[0] if one.get(name) else words[1]} ROW LEVEL SECURITY")
                for one in (ought, found)
            )
            mended.steps.append(work.step("set row level security", [change], [back], phase="other"))
    if "comment" in differing:
        mended.steps.append(comment(work, f"TABLE {relation(ought)}"))
    if {"partition_key", "partition_of", "inherits"} & set(differing):
        mended.take(Mended(refused=_divided(work, found)))
    return mended


def _divided(work: Work, found: Attributes) -> str:
    parent = work.have.get(work.ought.get("partition_of") or "")
    if parent is None or found.get("partition_of"):
        return "It is divided, or a part of another table, otherwise: that is left to a person."
    attach = f"ATTACH PARTITION {relation(work.ought)} {work.ought['partition_bound']}"
    return (
        f"It was detached: attach it, or say that it is to stay so: ALTER TABLE {relation(parent)} {attach}. Its rows "
        "are seen through the other table then, and what it lacks comes from there."
    )


def _logged(work: Work, found: Attributes) -> Mended:
    if work.ought["persistence"] != "p":
        return Mended(notes=["It is logged where it need not be, which loses nothing."])
    if not work.choices.allow_rewrite and not work.small():
        return Mended(refused="To make it logged writes the table anew: choose.", choices=[REWRITE])
    sql, undo = altering(work.ought, "SET LOGGED"), altering(work.ought, "SET UNLOGGED")
    return Mended(steps=[work.step("make the table logged", [sql], [undo])])


def _extension(work: Work) -> Mended:
    if not work.measure.installable(work.ought["name"]):
        return Mended(
            refused=f"The server does not have the extension {work.ought['name']}: install its package first."
        )
    return _other(work)


def _sequence(work: Work) -> Mended:
    """Make a sequence that no column owns, above the keys of the columns that take theirs from it; or set it right."""
    ought, found = work.ought, work.found
    name = qualified(ought["schema"], ought["name"])
    if found is not None:
        words = {"type": "AS {}", "increment": "INCREMENT BY {}", "min": "MINVALUE {}", "max": "MAXVALUE {}"}
        sql: list[str] = []
        undo: list[str] = []
        for part in work.differing:
            for one, into in ((ought, sql), (found, undo)):
                what = words[part].format(one[part]) if part in words else ("" if one.get("cycle") else "NO ") + "CYCLE"
                into.append(f"ALTER SEQUENCE {name} {what}")
        return Mended(steps=[work.step("set the sequence right", sql, undo)] if sql else [])
    mended = _other(work)
    spelled = {f"nextval('{'.'.join(part)}'::regclass)" for part in _spellings(ought)}
    takers = [
        work.have[one]
        for one, column in work.want.items()
        if column["kind"] == "column" and column.get("default") in spelled and one in work.have
    ]
    if takers and mended.steps:
        mended.steps[0].sql.append(started(literal(name), takers))
    return mended


def _spellings(one: Attributes) -> list[tuple[str, ...]]:
    return [(one["schema"], one["name"]), (one["name"],), (ident(one["schema"]), ident(one["name"]))]


def _type(work: Work) -> Mended:
    found, ought = work.found, work.ought
    if found is None:
        return _other(work)
    have, want = found.get("labels") or [], ought.get("labels") or []
    if (
        ought.get("form") != "enum"
        or found.get("form") != "enum"
        or [one for one in want if one in have] != [one for one in have if one in want]
    ):
        return Mended(refused="The type is another: columns may be of it, so that it is left to a person.")
    beyond = [label for label in have if label not in want]
    if beyond and set(want) - set(have):
        return Mended(
            refused=f"It has {', '.join(map(literal, beyond))}, which no migration makes: probably renamed by hand. "
            "Rename it back (ALTER TYPE .. RENAME VALUE), or add what is missing: a label can't be taken away again."
        )
    name, sql = qualified(ought["schema"], ought["name"]), []
    for place, label in enumerate(want):
        if label not in have:
            after = f" AFTER {literal(want[place - 1])}" if place else f" BEFORE {literal(have[0])}" if have else ""
            sql.append(f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {literal(label)}{after}")
    return Mended(steps=[work.step("add the labels that are missing", sql)] if sql else [])


def _trigger(work: Work) -> Mended:
    found, ought = work.found, work.ought
    mended = Mended()
    if found is None or "definition" in work.differing:
        mended = _other(work)
        found = ought if found is None else {**found, "enabled": ought.get("enabled")}
    if found.get("enabled") != ought.get("enabled"):
        change, back = (
            altering(ought, f"{_FIRING[one.get('enabled') or 'O']} TRIGGER {ident(ought['name'])}")
            for one in (ought, found)
        )
        mended.steps.append(work.step(f"let the trigger {ought['name']} fire as it ought to", [change], [back]))
    return mended


def _other(work: Work) -> Mended:
    """Make what is defined by its text alone, or put it in the place of what is there."""
    found, ought = work.found, work.ought
    create, drop = making.create(work.objects, work.key), making.drop(work.objects, work.key)
    if found is None:
        why = taken(work) if ought["kind"] in ("view", "materialized view", "sequence") else ""
        made = [work.step(f"create the {ought['kind']} {ought['name']}", create, drop)]
        return Mended(refused=why) if why else Mended(steps=made)
    if work.differing == ["comment"]:
        return Mended(notes=["Its comment differs."])
    if work.differing == ["populated"]:
        filled = [f"REFRESH MATERIALIZED VIEW {qualified(ought['schema'], ought['name'])}"]
        return Mended(steps=[work.step(f"fill the materialized view {ought['name']}", filled)])
    if ought["kind"] == "materialized view":
        return Mended(
            refused="It is defined otherwise: rename it, then run again, and the right one is made beside it."
        )
    if not work.redefined:
        return _deliberate(ought)
    old = making.create(work.have, work.key)
    if ought["kind"] in ("view", "function", "procedure"):
        create, old = ([_replacing(one) for one in statements] for statements in (create, old))
        return Mended(steps=[work.step(f"define the {ought['kind']} {ought['name']} anew", create, old)])
    if ought["kind"] in ("trigger", "policy", "rule", "statistics"):
        away = making.drop(work.have, work.key)
        step = work.step(f"define the {ought['kind']} {ought['name']} anew", [*away, *create], [*drop, *old])
        return Mended(steps=[step])
    return Mended(refused=f"The {ought['kind']} is another: that is left to a person.")


def _deliberate(ought: Attributes) -> Mended:
    name = ought["name"]
    return Mended(
        refused="Somebody may have changed it on purpose: choose, or take it into the code by a migration.",
        choices=[Choice(f"--redefine {name}", f"define {name} anew, as the migrations do")],
    )


def _replacing(statement: str) -> str:
    for kind in ("VIEW", "FUNCTION", "PROCEDURE"):
        if statement.startswith(f"CREATE {kind} "):
            return statement.replace("CREATE", "CREATE OR REPLACE", 1)
    return statement


def inbound(want: Objects, have: Objects, table: str) -> list[str]:
    """Return the keys of foreign keys of other tables to one that are gone."""
    return [
        name
        for name, one in want.items()
        if one["kind"] == "constraint"
        and one.get("references") == table
        and table_of(one) != table
        and name not in have
        and comparing.counterpart(name, want, have) is None
        and table_of(one) in have
    ]


def column_key(one: Attributes, name: str) -> str:
    """Return the key of a column of the table of an object."""
    return key("column", one["schema"], one.get("table") or one["name"], name)
