"""Findings of what no migration makes: left as it is, but for what a repair itself or a failed build left behind."""

from collections import Counter
from collections.abc import Iterator

from ops.drift import comparing
from ops.drift.making_words import ident, qualified
from ops.drift.mending_indexes import accept, dropped, leftover
from ops.drift.mending_work import PREFIX, Mended, altering, helper, parts_of, table_of
from ops.drift.model import Attributes, Difference, Finding, Step
from ops.drift.schema_findings_look import Look, shown

VERSIONS = "ops_version"
"""What the names of triggers begin with that ops puts on tables whose versions it counts; no migration makes them."""


def extras(look: Look) -> Iterator[Finding]:
    """Tell of every object that no recorded migration makes; a table speaks for all that belongs to it."""
    for one in look.beyond("table", "view", "materialized view"):
        have = one.have or {}
        inside = [name for name in parts_of(look.have, one.key) if name in look.differences]
        if have["kind"] != "table":
            inside = [name for name in look.differences if _within(look.have.get(name), have)]
        if have.get("partition_of") in look.want:
            look.claimed.update((one.key, *inside))
            continue
        yield look.finding("S24", "info", one.key, _found(look, one), Mended(choices=[accept("S24", one.key)]), inside)
    for one in look.beyond():
        have = one.have or {}
        if have["kind"] == "schema":
            continue
        if have["kind"] == "trigger" and have["name"].startswith(VERSIONS) and have.get("function") in look.want:
            look.claimed.add(one.key)
            continue
        yield _left(look, one) or _blocking(look, one) or _kept(look, one) or _plain(look, one)


def owners(look: Look) -> Iterator[Finding]:
    """Tell of tables that belong to another role than most."""
    tables = [(name, one) for name, one in look.have.items() if one["kind"] == "table" and name in look.want]
    count = Counter(str(one.get("owner")) for _, one in tables)
    if len(count) < 2:
        return
    usual = count.most_common(1)[0][0]
    for name, one in tables:
        owner = str(one.get("owner"))
        if owner == usual:
            continue
        able = look.measure.may_act_as(owner)
        found = f"{shown(one)} belongs to {owner}, most tables to {usual}."
        refused = f"Decide whose it is; the owner or a superuser gives it away: {_giving(one, usual)}."
        mended = Mended(refused=refused, choices=[accept("S16", name)])
        claims = look.claimed.copy()
        yield look.finding("S16", "info" if able else "warning", name, found, mended)
        look.claimed = claims


def _giving(one: Attributes, owner: str) -> str:
    return altering({"schema": one["schema"], "table": one["name"]}, f"OWNER TO {ident(owner)}")


def _left(look: Look, one: Difference) -> Finding | None:
    """Tell of what a repair or a build left behind when it was killed; that may go."""
    have = one.have or {}
    if have["kind"] == "constraint" and have["name"].startswith(f"{PREFIX}not_null_"):
        drop = altering(have, f"DROP CONSTRAINT IF EXISTS {ident(have['name'])}")
        step = Step("S13", one.key, "constraint", f"drop the helper {have['name']}", [drop])
        found = f"{shown(have)} was left by a repair that was killed."
        return look.finding("S13", "warning", one.key, found, Mended(steps=[step]))
    if have["kind"] != "index" or comparing.usable(have):
        return None
    if have.get("building"):
        found = f"{shown(have)} is being built at this moment; no recorded migration makes it."
        return look.finding("S06", "info", one.key, found, Mended())
    why = leftover(have) or ("left by a migration that failed" if one.key in look.pending else "")
    found = f"{shown(have)} is invalid{', ' + why if why else ', and no migration makes it'}."
    if why and not have.get("partitioned"):
        mended = Mended(steps=[dropped(look.work(one.key, "S06"), have, why)])
    else:
        mended = Mended(
            refused="Whose it is is not known: drop it, or build it again by REINDEX INDEX CONCURRENTLY.",
            choices=[accept("S06", one.key)],
        )
    return look.finding("S06", "warning", one.key, found, mended)


def _blocking(look: Look, one: Difference) -> Finding | None:
    """Tell of a column that keeps Django from inserting rows."""
    have = one.have or {}
    if have["kind"] != "column" or not have["not_null"] or table_of(have) not in look.want:
        return None
    if have.get("default") is not None or comparing.numbered(have) or have.get("generated"):
        return None
    mended = Mended(
        refused="Give it a default, let it be null, or take it into the code by a migration; a repair drops no column.",
        choices=[accept("S24", one.key)],
    )
    found = f"{_found(look, one)[:-1]}, and it may not be null without a default: every INSERT of Django's fails."
    finding = look.finding("S24", "error", one.key, found, mended)
    finding.breaks = ""
    return finding


def _kept(look: Look, one: Difference) -> Finding | None:
    """Tell of what a repair kept, to make room for the right one, and what still refuses rows that are allowed now."""
    have = one.have or {}
    if not (have.get("unique") or have.get("contype") in ("u", "c", "x")) or not have["name"].startswith(
        f"{PREFIX}old_"
    ):
        return None
    names = [name for name, ought in look.want.items() if table_of(ought) == table_of(have) and _made_room(ought, have)]
    ought = look.want[names[0]] if names else {"name": have["name"].removeprefix(f"{PREFIX}old_")}
    if names and not _stricter(have, ought):
        return None
    drop = f"DROP INDEX CONCURRENTLY {qualified(have['schema'], have['name'])}"
    if have["kind"] == "constraint":
        drop = altering(have, f"DROP CONSTRAINT {ident(have['name'])}")
    # Whether one check lets in less than another can't be told; that it refuses something can.
    refuses = "may still refuse" if have.get("contype") in ("c", "x") else "still refuses"
    found = f"{shown(have)} was kept by a repair, and {refuses} rows that {ought['name']} would let in."
    mended = Mended(
        refused=f"Drop it once {ought['name']} is what you want: {drop}.",
        choices=[accept("S11", one.key)],
    )
    return look.finding("S11", "warning", one.key, found, mended)


def _made_room(ought: Attributes, have: Attributes) -> bool:
    if ought["kind"] == "constraint":
        return bool(have["name"] == helper("old", ought["table"], ought["name"]))
    return bool(ought["kind"] == "index" and have["name"] == helper("old", ought["name"]))


def _stricter(have: Attributes, ought: Attributes) -> bool:
    """Say whether what was kept refuses what the right one lets in; where that can't be told it may."""
    if have.get("contype") in ("c", "x"):
        return True
    nulls = "NULLS NOT DISTINCT"
    text, right = (str(one.get("index_definition") or one.get("definition")) for one in (have, ought))
    late = bool(ought.get("deferrable")) and not have.get("deferrable")
    fewer = not set(ought.get("columns") or ()) <= set(have.get("columns") or ()) or None in (have.get("columns") or ())
    narrower = ought.get("predicate") and have.get("predicate") != ought.get("predicate")
    unique = ought.get("unique") or ought.get("contype") == "u"
    return bool(not unique or late or fewer or narrower or (nulls in text and nulls not in right))


def _plain(look: Look, one: Difference) -> Finding:
    return look.finding("S24", "info", one.key, _found(look, one), Mended(choices=[accept("S24", one.key)]))


def _found(look: Look, one: Difference) -> str:
    have = one.have or {}
    pending = look.pending.get(one.key)
    if pending is not None:
        return f"{shown(have)} is there already, and comes with {pending.node}, which is not recorded."
    if have["name"].startswith(PREFIX):
        return f"{shown(have)} was kept by a repair; drop it when you like."
    ghosts = f"; recorded migrations without a file may have: {', '.join(map(str, look.ghosts))}" if look.ghosts else ""
    return f"{shown(have)} is there, and no migration makes it{ghosts}."


def _within(one: Attributes | None, view: Attributes) -> bool:
    return one is not None and one.get("table") == view["name"] and one["schema"] == view["schema"]
