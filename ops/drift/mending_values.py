"""Above what a sequence has to go on: no key may be given out again that a row has, or that a row still points to."""

from psycopg2.sql import SQL

from ops.drift.making_words import ident, literal, qualified
from ops.drift.measuring_fitting import INTEGERS
from ops.drift.mending_work import Work, relation, table_of
from ops.drift.model import Attributes, Expected, Objects, key


def holders(want: Objects, have: Objects, table: str, column: str) -> list[Attributes]:
    """Return the columns of `have` that keep keys of a column: itself, and those of foreign keys to it.

    The foreign keys are those that ought to be, so that one lost with its table by CASCADE counts; a table that is
    missing as well is looked through, as those that point to it keep the same keys.
    """
    found: list[Attributes] = []
    ahead, seen = [(table, column)], set()
    while ahead:
        place = ahead.pop()
        if place in seen:
            continue
        seen.add(place)
        there = have.get(_column(have.get(place[0]) or want.get(place[0]), place[1]))
        if there is not None:
            found.append(there)
        for one in want.values():
            if one["kind"] != "constraint" or one.get("references") != place[0]:
                continue
            pairs = zip(one["columns"], one["reference_columns"] or [], strict=False)
            ahead += [(table_of(one), ours) for ours, theirs in pairs if theirs == place[1]]
    return found


def generic(have: Objects, expected: Expected | None, table: str) -> list[Attributes]:
    """Return the columns that keep keys of a table's rows beside the number of its content type."""
    label = ((expected.tables.get(table) if expected else None) or {}).get("model")
    kinds = next((one for one in have if one.endswith(".django_content_type") and have[one]["kind"] == "table"), None)
    if not label or kinds is None:
        return []
    app, _, model = str(label).lower().partition(".")
    type_ = f"t.app_label = {literal(app)} AND t.model = {literal(model)}"
    of = f"(SELECT t.id FROM {relation(have[kinds])} AS t WHERE {type_})"  # noqa: S608 - quoted names, literals
    # Where the types can't be told apart, the keys beside any of them count.
    told = all(_column(have[kinds], name) in have for name in ("id", "app_label", "model"))
    found = []
    for one in have.values():
        if one["kind"] != "constraint" or one.get("references") != kinds or len(one["columns"]) != 1:
            continue
        pointer = one["columns"][0]
        prefix = pointer.removesuffix("content_type_id")
        for name in (f"{prefix}object_id", f"{prefix}object_pk", f"{prefix}object_id_int"):
            column = have.get(_column(one, name))
            if pointer.endswith("content_type_id") and column is not None:
                found.append({**column, "condition": f"{ident(pointer)} = {of}"} if told else column)
    return found


def largest(column: Attributes) -> str:
    """Return the SELECT of the largest key in a column; in one of text only what is a number counts."""
    name = ident(column["name"])
    where = [column["condition"]] if column.get("condition") else []
    if column["type"] not in ("smallint", "integer", "bigint"):
        number = f"{name}::text"
        name = f"CASE WHEN {number} ~ '^[0-9]{{1,18}}$' THEN {number}::bigint END"
    whole = f"SELECT max({name}) FROM {relation(column)}"  # noqa: S608 - names that were quoted
    return whole + (f" WHERE {' AND '.join(where)}" if where else "")


def serial_of(table: Attributes, column: str) -> str:
    """Return the expression that finds the sequence of a column."""
    return f"pg_get_serial_sequence({literal(relation(table))}, {literal(column)})"


def started(sequence: str, above: list[Attributes], last: str = "") -> str:
    """Return the statement that lets a sequence go on above all that is kept in some columns.

    `sequence` is an expression that gives it. The server finds the largest when it runs; `last` is a sequence whose own
    value counts too, so that none goes back.
    """
    parts = [f"({largest(one)})" for one in above]
    if last:
        parts.append(f"(SELECT last_value FROM {last})")  # noqa: S608 - a name that was quoted
    floor = f"greatest({', '.join(parts) or 'NULL'})::bigint"
    value = f"setval({sequence}, greatest(f.floor, 1), f.floor IS NOT NULL)"
    return f"SELECT {value} FROM (SELECT {floor} AS floor) AS f"  # noqa: S608 - composed of quoted names


def no_room(work: Work, number: Attributes, columns: list[Attributes]) -> str:
    """Return why a sequence that is made anew can't begin above all that some columns hold, "" where it can."""
    read = work.measure.many_largest([{**one, "where": SQL(one.get("condition") or "TRUE")} for one in columns])
    for one, found in zip(columns, read, strict=True):
        if found.trouble and not one.get("condition"):
            return f"Above which key {number['name']} has to begin could not be read: {found.trouble}."
        if found.count is not None and at_end(found.count, ending(number)):
            return (
                f"The keys of new rows would have to begin above {found.count:,}, which a row of {one['table']} has in "
                f"{one['name']}, and {number['type']} ends at {ending(number):,}: correct that row, then run again."
            )
    return ""


def ending(number: Attributes) -> int:
    """Return the largest key that a column can hold."""
    return INTEGERS.get(number["type"], 2**63) - 1


def at_end(top: int, end: int) -> bool:
    """Say whether a sequence that goes on above a key would soon have no more to give: the last thousandth is left."""
    return top >= end - end // 1000


def numbered_columns(objects: Objects, table: str) -> list[Attributes]:
    """Return the columns of a table that get their keys from a sequence of their own."""
    return [
        one
        for one in objects.values()
        if one["kind"] == "column" and table_of(one) == table and (one.get("identity") or one.get("serial"))
    ]


def sequence_of(column: Attributes) -> str:
    """Return the sequence of a column as SQL names it, "" where it has none."""
    name = column.get("sequence")
    return qualified(column["schema"], name) if name else ""


def _column(one: Attributes | None, name: str) -> str:
    return key("column", one["schema"], one.get("table") or one["name"], name) if one else ""
