"""What an object of a catalogue can't be made without, and the steps that have to wait for what nobody makes yet.

A step is only planned where all that it needs is there, or is made by the same repair. What needs a thing that is left
to a person waits for it, and says so.
"""

import re
from collections.abc import Iterable, Iterator

from ops.drift import comparing
from ops.drift.measuring_fitting import widens
from ops.drift.mending_work import Mended, mentions, over, own_text, parts_of, table_of
from ops.drift.model import Attributes, Expected, Finding, Objects, Step, key
from ops.drift.schema_findings_look import HISTORY, acting, shown

_RELATIONS = ("table", "view", "materialized view")
_PARTS = ("column", "constraint", "index", "trigger", "policy", "rule", "statistics")
_NAMED = re.compile(r'(?<![\w".])("(?:[^"]|"")+"|[a-z_]\w*)\.("(?:[^"]|"")+"|[a-z_]\w*)')


def settle(findings: Iterable[Finding], expected: Expected, have: Objects, *, elsewhere: Iterable[str] = ()) -> None:
    """Take out of findings the steps that need what is missing and not made by any of them, and say what they wait for.

    `elsewhere` are keys of which others speak: they are taken to be made.
    """
    told = list(findings)
    if any(one.steps for one in told):
        _Settling(told, expected, have, set(elsewhere)).run()


class _Settling:
    """Findings whose steps are looked through until each that is left can be done."""

    def __init__(self, findings: list[Finding], expected: Expected, have: Objects, elsewhere: set[str]) -> None:
        self.findings = findings
        self.have = have
        self.elsewhere = elsewhere
        want = expected.objects()
        ever = {name: one for made in expected.made for name, one in made.delta.items() if one is not None}
        self.objects: Objects = {**ever, **want}
        spoken = {name for one in findings for name in (one.object, *one.claims, *(s.object for s in one.steps))}
        self.missing = {one.key for one in comparing.compare(want, have) if one.have is None} - elsewhere
        for name in spoken - set(want) - set(have):
            if name in self.objects and comparing.counterpart(name, self.objects, have) is None:
                self.missing.add(name)

        # Those are others' business: the history is mended by itself, and what a partition has comes with its parent's.
        self.missing = {name for name in self.missing if not self._apart(self.objects[name])}
        # Columns of a type that has nothing in common with the one that they ought to have.
        self.odd = [
            name
            for name, one in want.items()
            if one["kind"] == "column" and name in have and one.get("type")
            if not _comparable(str(have[name]["type"]), str(one["type"]))
        ]

    def _apart(self, one: Attributes) -> bool:
        table = self.objects.get(table_of(one), {})
        return HISTORY in (one["name"], one.get("table")) or bool(one.get("table") and table.get("partition_of"))

    def run(self) -> None:
        """Take steps out as long as one of them needs what is not made."""
        again = True
        while again:
            made = self._made()
            lacking = {name: self.objects[name] for name in sorted(self.missing - made)}
            odd = {name: self.have[name] for name in self.odd if name not in made}
            again = False
            for one in self.findings:
                waits = {step.object: why for step in one.steps if (why := self._lack(step, lacking, odd, made))}
                if waits:
                    again = True
                    self._wait(one, waits)

    def _made(self) -> set[str]:
        """Return what the steps that are left make."""
        made: set[str] = set()
        for one in self.findings:
            for step in one.steps:
                made.add(step.object)
                if step.phase == "table":
                    made |= {name for name in parts_of(self.objects, step.object) if self._is_column(name)}
            if any(step.code == "S04" for step in one.steps):
                made |= set(one.claims)
        return made

    def _is_column(self, name: str) -> bool:
        return bool(self.objects[name]["kind"] == "column")

    def _lack(self, step: Step, lacking: Objects, odd: Objects, made: set[str]) -> str:
        """Return what a step has to wait for, in words; "" where it need not."""
        for name in step.needs:
            if name in lacking:
                return _missing(lacking[name])
        one = self.objects.get(step.object)
        if one is None:
            return ""
        if step.code == "S14" and one.get("default") is not None and step.object in self.odd:
            # What is a value of the one type is none of the other.
            retyped = {other.object for other in self.findings if other.code == "S12" and other.steps}
            if step.object not in retyped:
                return _other(self.have[step.object])
        mine = [one]
        if step.phase == "table":
            mine += [self.objects[name] for name in parts_of(self.objects, step.object) if self._is_column(name)]
        for name, other in lacking.items():
            if name != step.object and any(self._needs(each, name, other) for each in mine):
                return _missing(other)
        if one["kind"] != "constraint":
            others = (each for name, each in odd.items() if name != step.object and needs(one, name, each))
            return next(map(_other, others), "")
        return self._key_lack(one, made) if one.get("contype") == "f" else ""

    def _needs(self, one: Attributes, name: str, other: Attributes) -> bool:
        if other["kind"] == "extension":
            return self._of_extension(one, other)
        return needs(one, name, other)

    def _of_extension(self, one: Attributes, extension: Attributes) -> bool:
        """Say whether an object names what nothing but an extension that is missing can have made."""
        names = _qualified(one, str(extension["schema"]))
        known = {str(each["name"]) for each in self.objects.values() if each["schema"] == extension["schema"]}
        there = {name for each in self.have.values() for name in _qualified(each, str(extension["schema"]))}
        return bool(names - known - there)

    def _key_lack(self, one: Attributes, made: set[str]) -> str:
        """Return what a foreign key lacks in its columns: types that compare, or a unique key over them."""
        parent = self.have.get(one["references"]) or self.objects.get(one["references"])
        if parent is None or not one.get("reference_columns"):
            return ""
        for ours, theirs in zip(one["columns"], one["reference_columns"], strict=False):
            keys = (key("column", one["schema"], one["table"], ours), key("column", *_place(parent), theirs))
            types = [self._type(name, made) for name in keys]
            for name, (type_, ought) in zip(keys, types, strict=True):
                if type_ != ought and not _comparable(types[0][0], types[1][0]):
                    return _other(self.have[name])
        there = (*self.have.values(), *(self.objects[name] for name in made | self.elsewhere if name in self.objects))
        if any(_unique_over(each, one) for each in there):
            return ""
        lost = next((each for each in self.objects.values() if _unique_over(each, one)), None)
        return _missing(lost) if lost is not None else ""

    def _type(self, name: str, made: set[str]) -> tuple[str, str]:
        """Return the type that a column will have, and the one that it ought to."""
        ought = str((self.objects.get(name) or self.have.get(name) or {}).get("type", ""))
        there = self.have.get(name)
        return (ought if there is None or name in made else str(there["type"]), ought)

    def _wait(self, one: Finding, waits: dict[str, str]) -> None:
        """Take the steps of some objects out of a finding, and say of each object what it waits for."""
        before = acting(Mended(steps=one.steps))
        one.steps = [step for step in one.steps if step.object not in waits]
        words = [f"{self._named(name, one)} waits for {why}." for name, why in waits.items()]
        if not one.steps or not one.action.startswith(before):
            # What is done of it is not all of it, or nothing.
            one.action, one.refused = "", " ".join([*([one.refused] if one.refused else []), *words])
            return
        rest = one.action.removeprefix(before).strip()
        one.action = " ".join([acting(Mended(steps=one.steps)), *words, *([rest] if rest else [])])

    def _named(self, name: str, one: Finding) -> str:
        if name == one.object or name not in self.objects:
            return "It"
        text = shown(self.objects[name])
        return text[:1].upper() + text[1:]


def needs(one: Attributes, name: str, other: Attributes) -> bool:
    """Say whether an object can't be made, or be what it ought to be, without another."""
    if name in (one.get("depends") or ()) or name in _tied(one):
        return True
    kind = other["kind"]
    if kind == "schema":
        return bool(one["kind"] != "schema" and one["schema"] == other["name"])
    if kind == "column":
        return _needs_column(one, other)
    if kind in _RELATIONS and one.get("table") == other["name"] and one["schema"] == other["schema"]:
        return True
    if kind == "constraint":
        # What is grouped by a key may show the other columns of its table.
        grouped = other.get("contype") == "p" and "GROUP BY" in str(one.get("definition") or "").upper()
        return bool(grouped and table_of(other) in (one.get("depends") or ()))
    if kind in _PARTS or "depends" in one:
        return False
    return (str(other["schema"]), str(other["name"])) in _names(one)


def _needs_column(one: Attributes, column: Attributes) -> bool:
    table = table_of(column)
    if one.get("references") == table and column["name"] in (one.get("reference_columns") or ()):
        return True
    if one.get("table") == column["table"] and one["schema"] == column["schema"]:
        return one["name"] != column["name"] and over(one, str(column["name"]))
    return table in (one.get("depends") or ()) and mentions(own_text(one), str(column["name"]))


def _tied(one: Attributes) -> Iterator[str]:
    yield from (str(one[part]) for part in ("references", "partition_of", "function") if one.get(part))
    yield from one.get("inherits") or ()


def _names(one: Attributes) -> set[tuple[str, str]]:
    """Return the names with a schema in all that an object says in SQL."""
    text = " ".join(str(one[part]) for part in ("type", "default", "expression", "definition") if one.get(part))
    return {(_bare(found[1]), _bare(found[2])) for found in _NAMED.finditer(text)}


def _qualified(one: Attributes, schema: str) -> set[str]:
    return {name for where, name in _names(one) if where == schema}


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _place(table: Attributes) -> tuple[str, str]:
    return (table["schema"], table["name"])


def _unique_over(one: Attributes, foreign: Attributes) -> bool:
    """Say whether something keeps unique what a foreign key refers to."""
    if one.get("contype") not in ("p", "u") and not (one["kind"] == "index" and one.get("unique")):
        return False
    if one.get("predicate") or one.get("deferrable") or not comparing.usable(one) or not one.get("table"):
        return False
    return table_of(one) == foreign["references"] and set(one["columns"]) == set(foreign["reference_columns"])


def _comparable(one: str, other: str) -> bool:
    return one == other or widens(one, other) is not None or widens(other, one) is not None


def _other(column: Attributes) -> str:
    return f"{shown(column)}, which is {column['type']} and is left to you"


def _missing(one: Attributes) -> str:
    return f"{shown(one)}, which is missing and is left to you"
