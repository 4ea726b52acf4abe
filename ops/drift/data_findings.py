"""Findings of the data (D): sequences behind the rows or near their end, and rows that point to what is not there."""

from collections.abc import Iterator
from typing import Any

from ops.drift import codes, comparing
from ops.drift.making_words import FROM_SEQUENCE, qualified
from ops.drift.measuring import Measure
from ops.drift.mending_constraints import pointless
from ops.drift.mending_values import at_end, ending, serial_of, started
from ops.drift.mending_work import relation, table_of
from ops.drift.model import SEVERITIES, Attributes, Choice, Choices, Expected, Finding, Objects, Step, key
from ops.drift.schema_findings_look import shown
from ops.drift.stepping import names_of

# Of what a sequence can give, so much may be used up before it is told.
NEARLY = 0.8


def find(expected: Expected, have: Objects, choices: Choices, measure: Measure) -> list[Finding]:
    """Return what is wrong with sequences and pointers, the worst first; it reads, and changes nothing."""
    want = expected.objects()
    found = [*_sequences(want, have, measure), *_orphans(expected, want, have, choices, measure)]
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.code, one.object))


def _sequences(want: Objects, have: Objects, measure: Measure) -> Iterator[Finding]:
    """Tell of sequences behind their own table's rows; what other tables point to is no key that is taken."""
    columns = [
        (name, one)
        for name, one in have.items()
        if one["kind"] == "column" and comparing.numbered(one) and _place(one)
        if _owned(one) or _alone_unique(one, have)
        # That of the history is told with the history.
        if table_of(one) in want and one["table"] != "django_migrations"
    ]
    largest = measure.many_largest([one for _, one in columns])
    # Read after the keys: a row that comes in between has its key from a sequence that is ahead of what was read.
    given = measure.sequences()
    for (name, one), top in zip(columns, largest, strict=True):
        sequence = given.get(_place(one) or ("", ""))
        if sequence is None or (sequence["cycles"] and not _owned(one)):
            continue
        if not sequence["readable"] or top.trouble:
            yield _unread(name, one, top.trouble or "the role may not read the sequence")
            continue
        last, rows = sequence["last_value"] or 0, top.count or 0
        if sequence["increment_by"] > 0:
            if rows > last:
                yield _behind(name, one, sequence, rows)
            yield from _ending(name, one, sequence, max(last, rows))


def _behind(name: str, one: Attributes, sequence: dict[str, Any], top: int) -> Finding:
    """Tell that a sequence gives keys that are taken; it is raised under a lock, by what the server finds then."""
    step = _raising("D01", name, one, [one], f"go on above {top:,}")
    last = sequence["last_value"]
    gave = "nothing yet" if last is None else f"{last:,}"
    return Finding(
        code="D01",
        severity="error",
        object=name,
        found=f"The sequence of {shown(one)} gave {gave}; the largest key is {top:,}.",
        breaks=codes.breaks("D01"),
        action=f"{step.title[:1].upper()}{step.title[1:]}; it never goes back.",
        steps=[step],
    )


def _raising(code: str, name: str, one: Attributes, above: list[Attributes], words: str) -> Step:
    """Return the step that lets the sequence of a column go on above what some columns hold."""
    own = qualified(*(_place(one) or ("", "")))
    table = {"schema": one["schema"], "name": one["table"]}
    return Step(
        code=code,
        object=name,
        phase="sequence value",
        title=f"let the sequence of {one['table']}.{one['name']} {words}",
        sql=[
            f"LOCK TABLE {relation(one)} IN SHARE ROW EXCLUSIVE MODE",
            started(serial_of(table, one["name"]) if _owned(one) else _text(own), above, last=own),
        ],
    )


def _place(one: Attributes) -> tuple[str, str] | None:
    """Return the schema and name of the sequence that gives a column its values, be it one of its own or not."""
    if _owned(one):
        return (one["schema"], one["sequence"]) if one.get("sequence") else None
    found = FROM_SEQUENCE.search(one.get("default") or "")
    names = names_of(found[2].replace("''", "'")) if found else []
    return (names[0], names[1]) if len(names) == 2 else None


def _alone_unique(one: Attributes, have: Objects) -> bool:
    """Say whether a value of a column may be there but once, so that a sequence behind it makes INSERTs fail."""
    return any(
        (other.get("contype") in ("p", "u") or (other["kind"] == "index" and other.get("unique")))
        and other.get("columns") == [one["name"]]
        and table_of(other) == table_of(one)
        for other in have.values()
    )


def _owned(one: Attributes) -> bool:
    return bool(one.get("identity") or one.get("serial"))


def _text(name: str) -> str:
    plain = name.replace("'", "''")
    return f"'{plain}'"


def _ending(name: str, one: Attributes, sequence: dict[str, Any], used: int) -> Iterator[Finding]:
    """Tell that a sequence ends soon, or gives what its column can't hold."""
    limit = ending(one)
    end = min(limit, sequence["max_value"])
    if used > NEARLY * end:
        yield Finding(
            code="D02",
            severity="error" if used >= end else "warning",
            object=name,
            found=f"The sequence of {shown(one)} has given {used:,} of {end:,}: it ends soon.",
            breaks=codes.breaks("D02"),
            refused=_larger(sequence["max_value"] < limit),
        )
    elif sequence["max_value"] < limit:
        yield Finding(
            code="D02",
            severity="info",
            object=name,
            found=f"The sequence of {shown(one)} ends at {sequence['max_value']:,}, the column at {limit:,}.",
            breaks=codes.breaks("D02"),
        )


def _larger(sequence_alone: bool) -> str:
    if sequence_alone:
        return "Let its sequence be of the type of the column (ALTER SEQUENCE .. AS bigint), or wait with new rows."
    return "Make the key a BigAutoField by a migration; a repair changes no type on its own."


def _unread(name: str, one: Attributes, trouble: str) -> Finding:
    return Finding(
        code="D01",
        severity="info",
        object=name,
        found=f"Whether the sequence of {shown(one)} is behind its rows could not be read: {trouble}.",
        breaks=codes.breaks("D01"),
    )


def _orphans(expected: Expected, want: Objects, have: Objects, choices: Choices, measure: Measure) -> Iterator[Finding]:
    """Tell of rows that point to nothing behind each foreign key that is missing, not validated or not checked."""
    missing = {name: one for name, one in want.items() if one["kind"] == "constraint" and one.get("contype") == "f"}
    for name, one in missing.items():
        there = comparing.counterpart(name, {name: one}, have) if name not in have else name
        proven = there is not None and have[there].get("valid") and not have[there].get("disabled")
        if proven or table_of(one) not in have:
            continue
        if any(key("column", one["schema"], one["table"], column) not in have for column in one["columns"]):
            continue
        if pointless(one, have):
            # That is told of what it refers to.
            continue
        found = measure.orphans(one, have)
        if found.count == 0:
            continue
        makers = expected.makers(name)
        words = f"{found} rows of {one['table']} point by {', '.join(one['columns'])} to what is not in "
        parent = str(one["references"]).partition(" ")[2]
        keys = f": {'; '.join(found.samples)}" if found.samples else ""
        trouble = f" (could not be read: {found.trouble})" if found.trouble else ""
        told = Finding(
            code="D03",
            severity="error" if found.count else "info",
            object=name,
            found=f"{words}{parent}{keys}{trouble}.",
            breaks=codes.breaks("D03"),
            refused="Bring back what they point to, or decide what becomes of them; a repair changes no row."
            if found.count
            else "",
            migration=str(makers[0].node) if makers else "",
        )
        if found.count:
            _adopted(told, one, have, choices, measure)
        yield told


def _adopted(told: Finding, one: Attributes, have: Objects, choices: Choices, measure: Measure) -> None:
    """Add that new rows would get the keys that orphans point to; the sequence is raised where that is asked for.

    Unasked it is not: the table is there and nothing is wrong with its sequence, and a wild key of an orphan, the
    largest of its type even, would use it up.
    """
    parent = have.get(one["references"])
    if parent is None or len(one["columns"]) != 1 or not one.get("reference_columns"):
        return
    name = key("column", parent["schema"], parent["name"], one["reference_columns"][0])
    number, pointer = have[name], have[key("column", one["schema"], one["table"], one["columns"][0])]
    place_of = _place(number) if comparing.numbered(number) else None
    if place_of is None:
        return
    rows, orphans = measure.many_largest([number, pointer])
    sequence = measure.sequences().get(place_of)
    if sequence is None or not sequence["readable"] or rows.trouble or orphans.trouble or sequence["increment_by"] < 0:
        return
    last, top = max(sequence["last_value"] or 0, rows.count or 0), orphans.count or 0
    if top <= last:
        return
    place = f"{number['table']}.{number['name']}"
    told.found += f" New rows of {number['table']} will get such keys and adopt them: its keys are at {last:,}, theirs "
    told.found += f"go up to {top:,}."
    if at_end(top, min(ending(number), sequence["max_value"])):
        told.refused += f" The sequence of {place} can't go on above {top:,}: that is its end."
    elif {place, f"{number['schema']}.{place}", name} & set(choices.redefine):
        step = _raising("D03", name, number, [number, pointer], f"go on above {top:,}, which rows point to")
        told.steps, told.action, told.refused = [step], f"L{step.title[1:]}; the rows are left.", ""
    else:
        words = f"let new rows of {number['table']} get keys above {top:,}, so that they adopt none"
        told.choices.append(Choice(f"--redefine {place}", words))
