"""Which values of one type are no longer the same in another: what a change of a column's type would lose."""

import re

from psycopg2.sql import SQL, Composable, Literal

INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_TEXT = re.compile(r"(character varying|character|text)(?:\((\d+)\))?\Z")
_NUMERIC = re.compile(r"numeric(?:\((\d+),(-?\d+)\))?\Z")
_MOMENT = re.compile(r"timestamp(?:\(\d\))? with time zone\Z")
_LOCAL = re.compile(r"(?:date|time(?:stamp)?(?:\(\d\))? without time zone)\Z")
# So many digits hold every number of a type; and what each of the others holds without loss.
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_FLOATS = {"real": ("smallint",), "double precision": ("smallint", "integer", "real")}
# Two spellings of the same value are two texts: what is read of a text is enough there.
_READ_ALONE = ("uuid", "json", "jsonb", "inet", "cidr")


def unfit(have: str, want: str, column: Composable, *, checked: bool = True) -> Composable:
    """Return a condition that holds for the values that would not be the same in type `want`.

    `checked` is whether the server can say of a text that it is no value of a type (pg_input_is_valid, PostgreSQL 16);
    where it can't, such a text ends the reading. So does a cast that there is not.
    """
    limit = INTEGERS.get(want)
    if limit is not None and (have in INTEGERS or have in _FLOATS or _NUMERIC.match(have)):
        outside = SQL("({0} < {1} OR {0} >= {2})").format(column, Literal(-limit), Literal(limit))
        return outside if have in INTEGERS else SQL("({0} OR {1} <> trunc({1}))").format(outside, column)
    text, numeric = _TEXT.match(want), _NUMERIC.match(want)
    if text is not None and _TEXT.match(have):
        return SQL("char_length({}::text) > {}").format(column, Literal(int(text[2]))) if text[2] else SQL("FALSE")
    if numeric is not None and (have in INTEGERS or _NUMERIC.match(have)):
        if not numeric[1]:
            return SQL("FALSE")
        digits, scale = int(numeric[1]), int(numeric[2])
        return SQL("({0} <> round({0}::numeric, {1}) OR abs({0}) >= {2}::numeric)").format(
            column, Literal(scale), Literal(str(10 ** (digits - scale)))
        )
    return _recast(have, want, column, checked=checked)


def _recast(have: str, want: str, column: Composable, *, checked: bool) -> Composable:
    """Return a condition that holds for the values that are not the same when they are cast there and back."""
    # There is no equality of json.
    same = SQL("({0})::text IS DISTINCT FROM {1}::text") if have == "json" else SQL("({0}) IS DISTINCT FROM {1}")
    differs = same.format(using(want, have, SQL("({})").format(using(have, want, column))), column)
    text = _TEXT.match(_element(have)) and not _TEXT.match(_element(want))
    if not text and (have, want) != ("json", "jsonb"):
        return differs
    if want in _READ_ALONE:
        differs = SQL("({}) IS NULL AND {} IS NOT NULL").format(using(have, want, column), column)
    if not checked:
        return differs
    valid = SQL("pg_input_is_valid({}::text, {})").format(column, Literal(want))
    return SQL("CASE WHEN NOT {} THEN TRUE ELSE {} END").format(valid, differs)


def _element(type_: str) -> str:
    return type_.removesuffix("[]")


def widens(have: str, want: str) -> bool | None:
    """Say whether every value of one type is one of the other too; None where the two have nothing in common."""
    if have.endswith("[]") and want.endswith("[]"):
        return widens(_element(have), _element(want))
    if have in INTEGERS and want in INTEGERS:
        return INTEGERS[want] > INTEGERS[have]
    a, b = _TEXT.match(have), _TEXT.match(want)
    if a and b:
        return b[2] is None or (a[2] is not None and int(b[2]) >= int(a[2]))
    c, d = _NUMERIC.match(have), _NUMERIC.match(want)
    if c and d:
        if d[1] is None:
            return True
        return c[1] is not None and int(d[2]) >= int(c[2]) and int(d[1]) - int(d[2]) >= int(c[1]) - int(c[2])
    if have in INTEGERS and d:
        return True if d[1] is None or int(d[1]) - int(d[2]) >= _DIGITS[have] else None
    if have in _FLOATS.get(want, ()):
        return True
    return False if (have, want) == ("double precision", "real") else None


def rewrites(have: str, want: str) -> bool:
    """Say whether ALTER COLUMN TYPE writes every row anew.

    See https://www.postgresql.org/docs/current/sql-altertable.html: a longer varchar, text for varchar, and a numeric
    of the same scale and more digits do not.
    """
    a, b = _TEXT.match(have), _TEXT.match(want)
    if a and b and a[1] != "character" and b[1] != "character":
        return not widens(have, want)
    c, d = _NUMERIC.match(have), _NUMERIC.match(want)
    if c and d and widens(have, want):
        return not (d[1] is None or c[2] == d[2])
    return True


def using(have: str, want: str, column: Composable) -> Composable:
    """Return the expression that makes a value of the other type of one; a moment is that of UTC, as Django writes."""
    if _MOMENT.match(have) and _LOCAL.match(want):
        column = SQL("({} AT TIME ZONE 'UTC')").format(column)
    elif _LOCAL.match(have) and _MOMENT.match(want):
        column = SQL("({}::timestamp AT TIME ZONE 'UTC')").format(column)
    return SQL("{}::{}").format(column, SQL(want))
