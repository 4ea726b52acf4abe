"""Findings of what is there but other than it ought to be."""

from collections.abc import Iterator, Sequence

from ops.drift import comparing
from ops.drift.measuring_fitting import rewrites, widens
from ops.drift.mending_work import Mended, parts_of, table_of
from ops.drift.model import Attributes, Difference, Finding, Severity
from ops.drift.schema_findings_look import Look, shown

_COLUMN = {
    "type": "S12",
    "generated": "S12",
    "expression": "S12",
    "not_null": "S13",
    "not_null_valid": "S13",
    "default": "S14",
    "collation": "S21",
    "identity": "S05",
    "serial": "S15",
    "comment": "S20",
}
_TABLE = {"persistence": "S18", "rls": "S19", "force_rls": "S19", "comment": "S20"}


def altered(look: Look) -> Iterator[Finding]:
    """Tell of every object that is other: one finding for each code, with the attributes that it is about.

    A table that is no partition any more speaks for its columns: what these lack they have from the table that it is
    attached to, and with an identity of their own it could not be attached.
    """
    apart = [one for one in look.altered() if "partition_of" in one.attributes]
    for one in apart:
        look.claimed.update(name for name in parts_of(look.have, one.key) if name in look.differences)
    for one in [*apart, *(one for one in look.altered() if one not in apart)]:
        for code, attributes in _coded(one).items():
            claims = parts_of(look.have, one.key) if "partition_of" in attributes else []
            yield _told(look, one, code, attributes, [name for name in claims if name in look.differences])


def _coded(one: Difference) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in one.attributes:
        code = _code(one.want or {}, one.have or {}, name, one.attributes)
        if "table" in one.attributes and (one.want or {}).get("kind") == "index":
            # It is another index altogether.
            code = "S07"
        found[code] = (*found.get(code, ()), name)
    return found


def _code(want: Attributes, have: Attributes, name: str, all_of: list[str]) -> str:
    kind = want["kind"]
    if kind == "column":
        both = want.get("identity") and have.get("identity")
        return "S23" if name == "identity" and (both or not comparing.numbered(want)) else _COLUMN.get(name, "S12")
    if name == "comment":
        return "S20"
    if kind == "table":
        return _TABLE.get(name, "S17")
    if kind == "constraint":
        if name in ("valid", "disabled"):
            return "S09" if name == "valid" else "S22"
        return "S08" if want["contype"] == "f" else "S11"
    if kind == "index":
        return "S06" if "valid" in all_of else "S11" if want.get("unique") and _weaker(want, have) else "S10"
    return "S22" if name == "enabled" else "S19" if kind == "policy" else "S17"


def _weaker(want: Attributes, have: Attributes) -> bool:
    """Say whether a unique index lets in what another does not, as far as that can be told."""
    nulls = "NULLS NOT DISTINCT"
    return bool(
        not have.get("unique")
        or any(want.get(part) != have.get(part) for part in ("columns", "predicate"))
        or (nulls in str(want.get("definition"))) != (nulls in str(have.get("definition")))
    )


def _told(look: Look, one: Difference, code: str, attributes: tuple[str, ...], claims: Sequence[str] = ()) -> Finding:
    want, have = one.want or {}, one.have or {}
    found, severity = _words(look, code, want, have, attributes)
    if set(attributes) <= comparing.HARMLESS and not (code == "S15" and look.choices.identity):
        return look.finding(code, "info", one.key, found, _unnamed(look, one, code))
    only = attributes if code != "S06" else ("valid", "definition")
    mended = look.mend(one.key, code, only)
    if code in ("S18", "S19", "S20") and severity == "info" and not want.get("comment"):
        # Nothing is lost by it: a comment or row security of somebody's own is left as it is.
        mended = Mended()
    return look.finding(code, severity, one.key, found, mended, claims)


def _unnamed(look: Look, one: Difference, code: str) -> Mended:
    """Return the steps for what a repair built under another name and did not get to name."""
    return look.mend(one.key, code) if one.key not in look.have else Mended()


def _words(
    look: Look, code: str, want: Attributes, have: Attributes, attributes: tuple[str, ...]
) -> tuple[str, Severity]:
    name = shown(want)
    if code in _TELLERS:
        return _TELLERS[code](look, want, have)
    if "name" in attributes:
        return f"{name} is there under the name {have['name']}.", "info"
    if "made as" in attributes:
        return f"{name} is there as a {have['kind']}: rows are kept unique all the same.", "info"
    if attributes == ("populated",):
        return f"{name} was never filled, and can't be read.", "error"
    if want["kind"] not in ("constraint", "index") and "definition" in attributes:
        return f"{name} is defined otherwise{_first_line(want, have)}.", "warning"
    told = "; ".join(f"{part} is {_value(have.get(part))}, not {_value(want.get(part))}" for part in attributes)
    return f"{name} is other: {told}.", "error" if code in ("S07", "S19") else "warning"


def _first_line(want: Attributes, have: Attributes) -> str:
    """Return the first line in which two definitions differ."""
    lines = zip(str(want["definition"]).splitlines(), str(have["definition"]).splitlines(), strict=False)
    for ought, there in lines:
        if ought != there:
            return f": '{_cut(there)}' instead of '{_cut(ought)}'"
    return ""


def _cut(line: str) -> str:
    text = line.strip()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _value(value: object) -> str:
    text = "none" if value in (None, "", []) else str(value).replace(" INDEX ?", " INDEX")
    return text if len(text) <= 200 else f"{text[:197]}..."


def _type(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if have["type"] == want["type"] and have.get("generated") and have.get("expression") == want.get("expression"):
        kinds = {"s": "STORED", "v": "VIRTUAL"}
        there, ought = (kinds.get(str(one.get("generated")), "not generated") for one in (have, want))
        return f"{shown(want)} is {there}, not {ought}.", "warning"
    if have["type"] == want["type"]:
        return (
            f"{shown(want)} is computed as {_value(have.get('expression'))}, not {_value(want.get('expression'))}.",
            "error",
        )
    narrower = widens(have["type"], want["type"])
    words = "narrower" if narrower else "wider" if narrower is False and widens(want["type"], have["type"]) else "other"
    anew = "writes the table anew" if rewrites(have["type"], want["type"]) else "does not write the table anew"
    lost = ""
    if words != "narrower":
        misfits = look.measure.misfits(have, want["type"])
        lost = f"; {misfits} values would not fit"
    found = (
        f"{shown(want)} is {have['type']}, {words} than {want['type']} as it ought to be; to change it {anew}{lost}."
    )
    return found, "warning" if words == "wider" else "error"


def _null(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if want["not_null"]:
        return f"{shown(want)} may be null, and {look.measure.nulls(have)} rows are.", "warning"
    needed = comparing.numbered(have) or have.get("default") is not None
    return f"{shown(want)} may not be null, and ought to be allowed to.", "warning" if needed else "error"


def _default(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if want.get("default") is None:
        return f"{shown(want)} has the default {_value(have.get('default'))}, which no migration leaves.", "warning"
    severity: Severity = "error" if want["not_null"] and have.get("default") is None else "warning"
    return f"{shown(want)} has the default {_value(have.get('default'))}, not {_value(want['default'])}.", severity


def _numberless(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    return f"{shown(want)} has no identity, sequence or default: a new row gets no key.", "error"


def _serial(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    there = "a serial" if have.get("serial") else "an identity" if have.get("identity") else "a default by nextval"
    return f"{shown(want)} is {there} where a new database has another: equivalent.", "info"


def _kind(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    words = {"a": "ALWAYS", "d": "BY DEFAULT", "": "not at all"}
    there, ought = words[have.get("identity") or ""], words[want.get("identity") or ""]
    return f"{shown(want)} is generated {there}, not {ought}.", "warning"


def _invalid(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if have.get("building"):
        return f"{shown(want)} is being built at this moment.", "info"
    doubles = f"; {look.measure.duplicates(want)} groups of duplicates" if want.get("unique") else ""
    return f"{shown(want)} is invalid: its build failed{doubles}.", "warning"


def _unproven(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    broken = look.measure.orphans(want, look.have) if want["contype"] == "f" else look.measure.violations(have)
    return f"{shown(want)} is not validated; {broken} rows break it.", "warning"


def _unlogged(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if want["persistence"] == "u":
        return f"{shown(want)} is logged, and need not be.", "info"
    return f"{shown(want)} is unlogged.", "error"


def _rows_hidden(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if want["kind"] == "policy":
        return f"{shown(want)} is other than it ought to be.", "error"
    if not want.get("rls") and not have.get("rls"):
        return f"{shown(want)} differs in whether row level security is forced, and has none: no matter.", "info"
    if want.get("rls") and (not have.get("rls") or (want.get("force_rls") and not have.get("force_rls"))):
        return f"{shown(want)} has lost its row level security.", "error"
    forced = bool(have.get("force_rls"))
    who = "not even its owner" if forced else "nobody but its owner"
    if any(one["kind"] == "policy" and table_of(one) == table_of(want) for one in look.have.values()):
        sees = "even its owner sees" if forced else "who is not its owner sees"
        told: tuple[str, Severity] = (f"{sees} only what a policy lets it", "warning")
    else:
        told = (f"there is no policy, so that {who} sees a row", "error" if forced else "warning")
    return f"{shown(want)} has row level security that no migration sets: {told[0]}.", told[1]


def _comment(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    return f"The comment of {shown(want)} is {_value(have.get('comment'))}, not {_value(want.get('comment'))}.", "info"


def _firing(look: Look, want: Attributes, have: Attributes) -> tuple[str, Severity]:
    if want["kind"] == "constraint":
        return f"{shown(want)} is not checked, for its own triggers are disabled.", "error"
    words = {"D": "disabled", "R": "enabled on replicas only", "A": "enabled always", "O": "enabled"}
    return f"{shown(want)} is {words.get(have.get('enabled') or 'O', 'other')}.", "warning"


_TELLERS = {
    "S05": _numberless,
    "S06": _invalid,
    "S09": _unproven,
    "S12": _type,
    "S13": _null,
    "S14": _default,
    "S15": _serial,
    "S18": _unlogged,
    "S19": _rows_hidden,
    "S20": _comment,
    "S22": _firing,
    "S23": _kind,
}
