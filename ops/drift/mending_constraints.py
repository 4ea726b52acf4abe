"""Make a constraint that is missing, and set right one that is weaker, while its table is in use.

Unique ones by an index that is built CONCURRENTLY, checks and foreign keys NOT VALID first. What the rows do not
fulfil is not validated and not made unique. A constraint that has to make room is kept under another name.
"""

from collections.abc import Sequence

from ops.drift import comparing, making
from ops.drift.making_words import ident, qualified
from ops.drift.measuring import Measured
from ops.drift.mending_columns import added
from ops.drift.mending_indexes import commented, doubles, dropped, leftover, taken
from ops.drift.mending_work import Mended, Work, altering, comment, helper, relation, samples
from ops.drift.model import Attributes, Choice, Objects, Step, key


def constraint(work: Work) -> Mended:
    """Return what brings a constraint to what it ought to be."""
    found = work.found
    if found is None:
        return _missing(work)
    differing = work.differing
    if "definition" in differing or "enforced" in differing:
        return _other(work, found)
    mended = Mended()
    if "valid" in differing:
        mended.take(_validated(work))
    if "disabled" in differing:
        mended.take(_checked(work, found))
    if "comment" in differing:
        what = f"CONSTRAINT {ident(work.ought['name'])} ON {relation(work.ought)}"
        mended.steps.append(comment(work, what))
    return mended


def wrong_rows(work: Work) -> Measured:
    """Count the rows that a check or a foreign key would not let in."""
    if work.fresh:
        return Measured(0)
    if work.ought["contype"] == "f":
        if pointless(work.ought, work.have):
            return Measured(None, trouble="what it refers to is missing")
        return work.measure.orphans(work.ought, work.have, added(work))
    if not work.ought.get("definition"):
        return Measured(None, trouble="the server alone can spell the check, and it was not asked")
    return work.measure.violations(work.ought, added(work))


def pointless(one: Attributes, have: Objects) -> bool:
    """Say whether the table that a foreign key refers to is there without the columns that it refers to."""
    parent = have.get(one["references"])
    names = one.get("reference_columns") or []
    return parent is not None and any(key("column", parent["schema"], parent["name"], n) not in have for n in names)


def refusal(found: Measured, contype: str) -> str:
    """Return why a constraint is not validated, "" where it can be."""
    if found.count is None:
        return f"It is not validated, for whether the rows fulfil it could not be read: {found.trouble}."
    if not found.count:
        return ""
    if contype == "f":
        return (
            f"{found} rows point to what is not there{samples(found.samples)}: bring back what they point to, or "
            "decide what becomes of them, then run again; a repair neither deletes nor empties them."
        )
    return f"{found} rows break it{samples(found.samples)}: correct them, then run again; a repair changes none."


def _missing(work: Work) -> Mended:
    contype = work.ought["contype"]
    if work.fresh:
        why = taken(work) if contype in "pux" else ""
        return Mended(refused=why) if why else Mended(steps=[_plain(work)])
    if contype in "pu":
        return _unique(work)
    if contype in "cf":
        return _unproven(work)
    why = taken(work) or _overlap(work)
    return Mended(refused=why) if why else Mended(steps=[_plain(work)])


def _overlap(work: Work) -> str:
    """Return why an exclusion constraint can't be made over the rows; where that can't be read the server tells."""
    if not work.ought.get("index_definition") or not work.ought.get("definition"):
        return ""
    found = work.measure.overlaps(work.ought, added(work))
    if not found.count:
        return ""
    return (
        f"{found} pairs of rows exclude each other{samples(found.samples)}: decide which of them stay, then run again; "
        "a repair removes none."
    )


def _plain(work: Work) -> Step:
    made = making.add_constraint(work.objects, work.key, not_valid=False)
    needs = [work.ought["references"]] if work.ought.get("references") else []
    return work.step(f"add the constraint {work.ought['name']}", made, [_drop(work)], needs=needs)


def _unique(work: Work) -> Mended:
    """Build its index beside the writers, then make a constraint of it."""
    why = taken(work) or doubles(work) or _nulls(work)
    if why:
        return Mended(refused=why)
    if work.partitioned or not work.ought.get("index_definition"):
        return Mended(steps=[_plain(work)])
    name = work.ought["name"]
    built = work.have.get(key("index", work.ought["schema"], name))
    steps = []
    if built is not None and built.get("building"):
        return Mended(refused="Its index is being built at this moment: wait until that ends, then look again.")
    if built is not None and not comparing.usable(built):
        steps.append(dropped(work, built, leftover(built) or "its build failed"))
        built = None
    if built is not None and comparing.loose(built["definition"]) != comparing.loose(work.ought["index_definition"]):
        return Mended(refused=f"The name is that of another index of the table: rename {name}, then run again.")
    if built is None:
        steps.append(_index(work, name))
    return Mended(steps=[*steps, _using(work, name), *commented(work)])


def _nulls(work: Work) -> str:
    """Return why a primary key can't be made for the nulls in its columns."""
    if work.ought["contype"] != "p":
        return ""
    for name in work.ought["columns"]:
        column = work.have.get(key("column", work.ought["schema"], work.ought["table"], name))
        if column is None and work.empty() is False and not any(one.value for one in added(work) if one.name == name):
            return f"The rows that are there would have no {name}, which a primary key has to be over."
        if column is None or column["not_null"]:
            continue
        nulls = work.measure.nulls(column)
        if not nulls.none:
            return (
                f"{nulls} rows have no {name}: a primary key can't be over them; decide what they get, then run again."
            )
    return ""


def _index(work: Work, name: str) -> Step:
    definition = work.ought["index_definition"].replace(" INDEX ? ON ", f" INDEX CONCURRENTLY {ident(name)} ON ", 1)
    undo = f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(work.ought['schema'], name)}"
    return work.step(f"build the index of {work.ought['name']}", [definition], [undo], transactional=False)


def _using(work: Work, index: str, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Step:
    kind = "PRIMARY KEY" if work.ought["contype"] == "p" else "UNIQUE"
    deferred = " DEFERRABLE" if work.ought.get("deferrable") else ""
    deferred += " INITIALLY DEFERRED" if work.ought.get("deferred") else ""
    name = ident(work.ought["name"])
    add = altering(work.ought, f"ADD CONSTRAINT {name} {kind} USING INDEX {ident(index)}{deferred}")
    return work.step(f"add the constraint {work.ought['name']}", [*before, add], [_drop(work), *after])


def _unproven(work: Work) -> Mended:
    """Add it NOT VALID, then validate it where the rows fulfil it."""
    wrong = wrong_rows(work)
    why = refusal(wrong, work.ought["contype"])
    if why and not work.ought.get("definition"):
        return Mended(refused="What it checks is known to the server alone, and none was asked: see the notes.")
    plain = work.partitioned or (work.new_columns and work.ought["contype"] == "c")
    if plain or not work.ought.get("definition"):
        return Mended(refused=why) if why else Mended(steps=[_plain(work)])
    if why and work.ought["contype"] == "c":
        # Not even NOT VALID: each UPDATE of a row that breaks it would fail from then on.
        return Mended(refused=why)
    made = making.add_constraint(work.objects, work.key, not_valid=True)
    needs = [work.ought["references"]] if work.ought.get("references") else []
    add = work.step(f"add {work.ought['name']} for new rows", made, [_drop(work)], needs=needs)
    return Mended(steps=[add], refused=why) if why else Mended(steps=[add, _validate(work, needs=[work.key])])


def _validated(work: Work) -> Mended:
    why = refusal(wrong_rows(work), work.ought["contype"])
    return Mended(refused=why) if why else Mended(steps=[_validate(work)])


def _checked(work: Work, found: Attributes) -> Mended:
    """Let the constraint's own triggers fire again; of rows that came in meanwhile nobody would tell any more."""
    names, name = found["disabled"], work.ought["name"]
    if not work.measure.is_superuser():
        tables = " and ".join(dict.fromkeys(f"ALTER TABLE {qualified(*one[:2])} ENABLE TRIGGER ALL" for one in names))
        return Mended(refused=f"They are the server's own: a superuser lets them fire again, by {tables}.")
    broken = {"f": lambda: refusal(wrong_rows(work), "f"), "x": lambda: _overlap(work)}
    why = "" if work.redefined else broken.get(found["contype"], lambda: doubles(work))()
    if why:
        words = "have new rows checked; of the old ones that break it nothing tells any more"
        return Mended(refused=why, choices=[Choice(f"--redefine {name}", words)])

    def let(what: str) -> list[str]:
        return [f"ALTER TABLE {qualified(*one[:2])} {what} TRIGGER {ident(one[2])}" for one in names]

    return Mended(steps=[work.step(f"let {name} be checked again", let("ENABLE"), let("DISABLE"))])


def _validate(work: Work, needs: Sequence[str] = ()) -> Step:
    name = ident(work.ought["name"])
    return work.step(
        f"validate {work.ought['name']}",
        [altering(work.ought, f"VALIDATE CONSTRAINT {name}")],
        phase="validate",
        needs=needs,
    )


def _other(work: Work, found: Attributes) -> Mended:
    if work.ought["contype"] != found["contype"]:
        return Mended(refused=f"Another constraint has its name: rename {found['name']}, then run again.")
    if work.ought["contype"] == "f":
        return _deferring(work, found)
    if work.ought["contype"] == "p":
        return Mended(
            refused=f"The primary key is another ({found['definition']}): a table has one alone, and none is dropped."
        )
    return _swapped(work, found)


def _deferring(work: Work, found: Attributes) -> Mended:
    """Set when a foreign key is checked; of another one nothing can be set without dropping it."""

    def when(one: Attributes) -> str:
        if not one.get("deferrable"):
            return "NOT DEFERRABLE"
        return f"DEFERRABLE INITIALLY {'DEFERRED' if one.get('deferred') else 'IMMEDIATE'}"

    if comparing.bare(work.ought) != comparing.bare(found):
        return Mended(
            refused=f"The foreign key is another ({found['definition']}); a repair drops none: drop it if it is wrong, "
            "then run again."
        )
    name = ident(work.ought["name"])
    if "enforced" in work.differing:
        why = refusal(wrong_rows(work), "f")
        step = work.step(
            f"enforce {work.ought['name']}",
            [altering(work.ought, f"ALTER CONSTRAINT {name} ENFORCED")],
            [altering(work.ought, f"ALTER CONSTRAINT {name} NOT ENFORCED")],
        )
        return Mended(refused=why) if why else Mended(steps=[step])
    return Mended(
        steps=[
            work.step(
                f"set when {work.ought['name']} is checked",
                [altering(work.ought, f"ALTER CONSTRAINT {name} {when(work.ought)}")],
                [altering(work.ought, f"ALTER CONSTRAINT {name} {when(found)}")],
            )
        ]
    )


def _swapped(work: Work, found: Attributes) -> Mended:
    """Make the right one, and keep the one that is there under another name."""
    ought, name = work.ought, work.ought["name"]
    old = helper("old", ought["table"], name)
    if key("constraint", ought["schema"], ought["table"], old) in work.have:
        return Mended(refused=f"An earlier repair kept {old}: look whether it is of use, then drop or rename it.")
    away = altering(ought, f"RENAME CONSTRAINT {ident(name)} TO {ident(old)}")
    back = altering(ought, f"RENAME CONSTRAINT {ident(old)} TO {ident(name)}")
    kept = f"The constraint that was there is kept as {old} and goes on being checked; drop it when you like."
    if ought["contype"] == "c":
        why = refusal(wrong_rows(work), "c")
        if why:
            return Mended(refused=why)
        made = making.add_constraint(work.objects, work.key, not_valid=True)
        swap = work.step(f"add {name} for new rows", [away, *made], [_drop(work), back])
        return Mended(steps=[swap, _validate(work)], notes=[kept])
    if ought["contype"] == "x":
        why = _overlap(work)
        if why:
            return Mended(refused=why)
        made = making.add_constraint(work.objects, work.key, not_valid=False)
        return Mended(steps=[work.step(f"add {name}", [away, *made], [_drop(work), back])], notes=[kept])
    why = doubles(work)
    if why:
        return Mended(refused=why)
    if work.partitioned:
        made = making.add_constraint(work.objects, work.key, not_valid=False)
        return Mended(steps=[work.step(f"add {name}", [away, *made], [_drop(work), back])], notes=[kept])
    temporary = helper("new", ought["table"], name)
    built = work.have.get(key("index", ought["schema"], temporary))
    steps = []
    if built is not None and not comparing.usable(built):
        steps.append(dropped(work, built, leftover(built)))
        built = None
    if built is None:
        steps.append(_index(work, temporary))
    swap = _using(work, temporary, (away,), (back,))
    return Mended(steps=[*steps, swap, *commented(work)], notes=[kept])


def _drop(work: Work) -> str:
    return altering(work.ought, f"DROP CONSTRAINT IF EXISTS {ident(work.ought['name'])}")
