"""Findings of what is missing: a table with all that is of it, a column with what is over it, and single objects."""

from collections.abc import Iterator

from ops.drift.mending import inbound
from ops.drift.mending_columns import given, value_option
from ops.drift.mending_constraints import pointless
from ops.drift.mending_indexes import taken
from ops.drift.mending_work import Mended, over, parts_of, table_of
from ops.drift.model import Attributes, Finding, Severity, key
from ops.drift.schema_findings_look import Look, shown


def tables(look: Look) -> Iterator[Finding]:
    """Tell of the tables that are missing, each with the foreign keys to it that went with it."""
    for one in look.missing("table"):
        ought = one.want or {}
        parts = parts_of(look.want, one.key)
        lost = inbound(look.want, look.have, one.key)
        many = bool(look.expected.tables.get(one.key, {}).get("m2m"))
        code = "S08" if many else "S02" if lost else "S01"
        mended = look.mend(one.key, code)
        if mended.steps:
            for name in lost:
                mended.take(look.mend(name, code))
        told = (_made(look, one.key, parts), _pointing(look, lost), _filled(look, one.key), _registered(look, one.key))
        found = f"{shown(ought)} is missing{''.join(told)}."
        mended.notes.append("Its rows are not brought back: they are in a backup, or lost.")
        yield look.finding(code, "error", one.key, found, mended, [*parts, *lost])


def columns(look: Look) -> Iterator[Finding]:
    """Tell of the columns that are missing, each with the indexes and constraints over it that went with it."""
    for one in look.missing("column"):
        ought = one.want or {}
        with_it = [
            other.key
            for other in look.missing("constraint", "index")
            if other.want and table_of(other.want) == table_of(ought) and over(other.want, ought["name"])
        ]
        mended = look.mend(one.key, "S03")
        if mended.steps:
            for name in with_it:
                mended.take(look.mend(name, "S03"))
        if mended.steps and mended.refused and given(look.work(one.key, "S03")):
            # Rows that break what is known beforehand are not made by the repair's own hand.
            why = f"The value that was given does not do. {mended.refused}"
            mended = Mended(refused=why, choices=[value_option(look.work(one.key, "S03"))])
        null = "not null" if ought.get("not_null") else "null"
        found = f"{shown(ought)} is missing ({ought['type']}, {null}){_with(with_it)}."
        yield look.finding("S03", "error", one.key, found, mended, with_it)


def parts(look: Look) -> Iterator[Finding]:
    """Tell of the constraints and indexes that are missing."""
    for one in look.missing("constraint", "index"):
        ought = one.want or {}
        if table_of(ought) not in look.want and look.work(one.key, "S17").fresh:
            # The index of a view that is missing as well.
            continue
        contype = ought.get("contype", "")
        code = "S08" if contype == "f" else "S11" if contype or ought.get("unique") else "S10"
        severity: Severity = "error" if contype == "p" else "warning"
        if taken(look.work(one.key, code)):
            code, severity = "S07", "error"
        mended = look.mend(one.key, code)
        orphans = ""
        work = look.work(one.key, code)
        if contype == "f" and table_of(ought) in look.have and not (work.new_columns or pointless(ought, look.have)):
            orphans = f"; {look.measure.orphans(ought, look.have)} rows point to what is not there"
        found = f"{shown(ought)} is missing: {_short(ought)}{orphans}."
        yield look.finding(code, severity, one.key, found, mended)


def others(look: Look) -> Iterator[Finding]:
    """Tell of views, functions, triggers, extensions and the like that are missing."""
    for one in [*look.missing("materialized view", "view"), *look.missing()]:
        if one.key in look.claimed:
            continue
        ought = one.want or {}
        code = "S19" if ought["kind"] == "policy" else "S17"
        maker = look.maker(one.key)
        by = f"; SQL of {maker.node} made it" if maker and maker.sql else ""
        if maker and maker.python and not maker.sql:
            by = f"; Python of {maker.node} made it"
        severity: Severity = "warning" if ought["kind"] == "statistics" else "error"
        if ought["kind"] in ("view", "materialized view", "sequence") and taken(look.work(one.key, code)):
            code = "S07"
        inside = parts_of(look.want, one.key) if "view" in ought["kind"] else []
        inside += _of_view(look, ought)
        mended = look.mend(one.key, code)
        if mended.steps:
            for name in inside:
                mended.take(look.mend(name, code))
        yield look.finding(code, severity, one.key, f"{shown(ought)} is missing{by}.", mended, inside)


def _of_view(look: Look, ought: Attributes) -> list[str]:
    """Return the indexes of a materialized view."""
    if ought["kind"] not in ("materialized view", "view"):
        return []
    return [
        name
        for name, one in look.want.items()
        if one.get("table") == ought["name"] and one["schema"] == ought["schema"] and name not in look.have
    ]


def _pointing(look: Look, lost: list[str]) -> str:
    """Return how many rows of other tables still point to one that is gone."""
    said = []
    for name in lost:
        ought = look.want[name]
        orphans = look.measure.orphans(ought, look.have)
        said.append(f"{orphans} rows of {ought['table']}.{', '.join(ought['columns'])}")
    return f"; so are foreign keys to it, and {' and '.join(said)} still point to its rows" if said else ""


def _made(look: Look, name: str, parts: list[str]) -> str:
    """Return which migrations made a table as it ought to be."""
    touched = {name, *parts}
    made = look.maker(name)
    later = look.expected.made[look.expected.made.index(made) :] if made else []
    nodes = [str(one.node) for one in later if (one.recorded or one.implied) and touched & set(one.delta)]
    more = f" and {len(nodes) - 5} more" if len(nodes) > 5 else ""
    return f"; made by {', '.join(nodes[:5])}{more}" if nodes else ""


def _registered(look: Look, name: str) -> str:
    """Return what Django still has on the model of a table: its content type and permissions, which stay."""
    label = str((look.expected.tables.get(name) or {}).get("model") or "")
    kinds = next((one for one in look.have if one.endswith(".django_content_type") and one.startswith("table ")), None)
    if not label or kinds is None:
        return ""
    beside = look.have.get(key("table", look.have[kinds]["schema"], "auth_permission"))
    types, permissions = look.measure.registered(label, look.have[kinds], beside)
    if not types.count:
        return ""
    rights = f" and {permissions} permissions" if permissions.count else ""
    return f"; its content type{rights} {'are' if rights else 'is'} still there"


def _filled(look: Look, name: str) -> str:
    """Return which data migrations may have filled a table."""
    maker = look.maker(name)
    if maker is None:
        return ""
    later = look.expected.made[look.expected.made.index(maker) :]
    nodes = [str(one.node) for one in later if one.python and one.recorded and one.node.app == maker.node.app]
    return f"; {', '.join(nodes)} may have filled it" if nodes else ""


def _with(over: list[str]) -> str:
    return f"; with it {', '.join(name.partition(' ')[2] for name in over)}" if over else ""


def _short(one: Attributes) -> str:
    text = str(one.get("definition") or one.get("django", {}).get("definition") or "?").replace(" INDEX ?", " INDEX")
    return text if len(text) <= 200 else f"{text[:197]}..."
