"""Make an index that is missing, and set right one that is other or invalid, while its table is in use.

An index is built CONCURRENTLY under its own name, or under a helper's where one of that name has to stay until it can
take its place; the old one is kept under another name, for a valid index is never dropped.
"""

from ops.drift import comparing, making
from ops.drift.making_words import ident, qualified
from ops.drift.mending_columns import added
from ops.drift.mending_work import PREFIX, Mended, Work, comment, helper, samples
from ops.drift.model import Attributes, Choice, Step, key


def index(work: Work) -> Mended:
    """Return what brings an index to what it ought to be."""
    found = work.found
    if found is None:
        return _missing(work)
    if found["table"] != work.ought["table"]:
        return Mended(refused=f"The name is that of an index of {found['table']}: rename that one, then run again.")
    differing = work.differing
    if "definition" in differing:
        return _other(work, found)
    if "valid" in differing:
        return _invalid(work, found)
    return Mended(steps=[comment(work, f"INDEX {_name(work.ought)}")] if "comment" in differing else [])


def dropped(work: Work, found: Attributes, why: str) -> Step:
    """Return the step that drops an invalid index: it serves no query, and writes pay for it."""
    plain = bool(found.get("partitioned"))
    name = qualified(found["schema"], found["name"])
    return Step(
        code=work.code,
        object=key("index", found["schema"], found["name"]),
        phase="index" if work.key.startswith("index ") else "constraint",
        title=f"drop the invalid index {found['name']} ({why})",
        sql=[f"DROP INDEX {'' if plain else 'CONCURRENTLY '}{name}"],
        transactional=plain,
    )


def leftover(found: Attributes) -> str:
    """Return what left an invalid index behind, as far as its name tells: "" where it does not."""
    name = found["name"]
    if name.startswith(PREFIX):
        return "left by a repair that was killed"
    if "_ccnew" in name[-12:] or "_ccold" in name[-12:]:
        return "left by a REINDEX CONCURRENTLY that was killed"
    return ""


def doubles(work: Work) -> str:
    """Return why a unique index can't be made over the rows, "" where it can."""
    if work.fresh or not (work.ought.get("unique") or work.ought.get("contype") in ("p", "u")):
        return ""
    found = work.measure.duplicates(work.ought, added(work))
    if found.count is None:
        return f"Whether there are duplicates could not be read: {found.trouble}."
    if found.count:
        return (
            f"{found} groups of duplicates{samples(found.samples)}: decide which rows stay, then run again; "
            "a repair removes none."
        )
    return ""


def taken(work: Work) -> str:
    """Return what else has the name of an index, "" where it is free."""
    schema, name = work.ought["schema"], work.ought["name"]
    for kind in ("table", "view", "materialized view", "sequence", "index", "type"):
        if kind == "type" and work.ought["kind"] not in ("table", "view", "materialized view"):
            continue
        other = work.have.get(key(kind, schema, name))
        if other is None or (kind == "index" and other["table"] == work.ought.get("table")):
            continue
        return f"The name is that of the {kind} {name}: rename that one, then run again."
    for other in work.have.values():
        here = other["kind"] == "constraint" and other["name"] == name and other["schema"] == schema
        if here and other.get("index_definition") and other["table"] != work.ought.get("table"):
            return f"The name is that of a constraint of {other['table']}: rename that one, then run again."
    return ""


def commented(work: Work) -> list[Step]:
    """Return the step that gives a comment to what was built beside the writers; a build can't say it."""
    made = making.comment(work.objects, work.key)
    return [work.step("set the comment", made, phase="other")] if made else []


def _missing(work: Work) -> Mended:
    why = taken(work)
    held = work.have.get(key("constraint", work.ought["schema"], work.ought["table"], work.ought["name"]))
    if held is not None and held.get("index_definition"):
        why = "The name is that of a constraint of the table: rename that one, then run again."
    if why:
        return Mended(refused=why)
    if work.fresh:
        return Mended(steps=[_plain(work)])
    why = doubles(work)
    if why:
        return Mended(refused=why)
    before, built = _built(work)
    if built is not None and comparing.usable(built):
        return Mended(steps=[_renamed(work, built["name"], "")])
    steps = [dropped(work, built, leftover(built))] if built is not None else []
    return Mended(steps=[*steps, _concurrent(work, before), *commented(work)])


def _other(work: Work, found: Attributes) -> Mended:
    """Build the right one beside the other, then swap their names."""
    if not comparing.usable(found):
        return _invalid(work, found)
    why = doubles(work)
    if why:
        return Mended(refused=why)
    temporary, built = _built(work, swap=True)
    steps = []
    if built is not None and not comparing.usable(built):
        steps.append(dropped(work, built, leftover(built)))
        built = None
    if built is None:
        steps.append(_concurrent(work, temporary))
    old = helper("old", work.ought["name"])
    if key("index", work.ought["schema"], old) in work.have:
        return Mended(
            refused=f"An earlier repair kept {old}: look whether it is of use, drop or rename it, then run again."
        )
    steps.append(_renamed(work, temporary, old))
    unique = "; it is unique and goes on refusing what it refused" if found.get("unique") else ""
    steps += commented(work)
    return Mended(steps=steps, notes=[f"The index that was there is kept as {old}{unique}; drop it when you like."])


def _invalid(work: Work, found: Attributes) -> Mended:
    if found.get("building"):
        return Mended(refused="It is being built at this moment: wait until that ends, then look again.")
    why = doubles(work)
    if why:
        return Mended(refused=why)
    steps = [dropped(work, found, "its build failed"), _concurrent(work, work.ought["name"])]
    return Mended(steps=[*steps, *commented(work)])


def _built(work: Work, *, swap: bool = False) -> tuple[str, Attributes | None]:
    """Return the name under which an index is built, and what a repair that was killed left under it."""
    temporary = helper("new", work.ought["name"])
    left = work.have.get(key("index", work.ought["schema"], temporary))
    if left is not None and comparing.structure(left) != comparing.structure(work.ought) and comparing.usable(left):
        left, temporary = None, helper("new", work.ought["name"], work.ought["definition"])
    return temporary if swap else work.ought["name"], left


def _plain(work: Work) -> Step:
    made = making.create_index(work.objects, work.key, concurrently=False, name=None)
    needs = [work.view] if work.view in work.want else []
    return work.step(f"create the index {work.ought['name']}", made, making.drop(work.objects, work.key), needs=needs)


def _concurrent(work: Work, name: str) -> Step:
    plain = work.partitioned or not isinstance(work.ought.get("definition"), str)
    made = making.create_index(
        work.objects, work.key, concurrently=not plain, name=None if name == work.ought["name"] else name
    )
    undo = f"DROP INDEX {'' if plain else 'CONCURRENTLY '}IF EXISTS {qualified(work.ought['schema'], name)}"
    return work.step(f"build the index {name}", made, [undo], transactional=plain)


def _renamed(work: Work, new: str, old: str) -> Step:
    """Return the step that gives an index its name, and the one that had it another."""
    schema, name = work.ought["schema"], work.ought["name"]

    def rename(this: str, to: str) -> str:
        return f"ALTER INDEX {qualified(schema, this)} RENAME TO {ident(to)}"

    sql, undo = [rename(new, name)], [rename(name, new)]
    if old:
        sql, undo = [rename(name, old), *sql], [*undo, rename(old, name)]
    return work.step(f"give the index its name {name}", sql, undo)


def _name(one: Attributes) -> str:
    return qualified(one["schema"], one["name"])


def accept(code: str, name: str) -> Choice:
    """Return the choice of leaving something as it is."""
    return Choice(f"--ignore '{code}:{name}'", "leave it as it is, and say no more of it")
