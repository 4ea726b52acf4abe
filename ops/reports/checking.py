"""Hold a report's declaration against itself and its model; trying.py holds its statement against a server."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from ops.reports import asking
from ops.reports.declaring import (
    Aggregate,
    Avg,
    BrokenReport,
    Count,
    Derived,
    Distinct,
    Filter,
    Max,
    Measure,
    Min,
    Percentile,
    Report,
    Sum,
    bare,
    has_subquery,
    joined,
)
from ops.reports.windows import BadChoice, resolve

GRAINS = ("", "day", "hour")

# What else `stats` and its JSON have by their names.
_TAKEN = frozenset({"list", "as_of", "zone", "source", "filters", "windows", "saved", "plot"})
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,99}")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_VALUE = re.compile(r"%\((\w*)\)s")
_OF_SOURCE = re.compile(r"(?<![\w.$])t\.([a-z_][\w$]*)")
_CALL = re.compile(r"\s*[\w$.]+\s*")
_WITHIN = re.compile(r"\s*WITHIN\s+GROUP\s*", re.IGNORECASE)
# PostgreSQL's own, which every table has.
_SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def check(report: Report) -> None:
    """Raise BrokenReport, in a sentence, where a declaration contradicts itself or its model."""
    for trouble in _troubles(report):
        raise BrokenReport(f"Report {getattr(report, 'name', type(report).__name__)!r}: {trouble}")


def _troubles(report: Report) -> Iterator[str]:
    """Yield what is wrong, the first thing first: what comes later may rely on it."""
    yield from _of_other_kinds(report)
    yield from _incomplete(report)
    yield from _misnamed(report)
    yield from _choices(report)
    for what, text in report.fragments():
        yield from _malformed(report, what, text)
    for name, measure in report.measures.items():
        yield from _bad_measure(name, measure)
    if not isinstance(report.source, str):
        asking.time_field(report)  # raises what it finds
        # Of a table that Django does not migrate, only the server knows the columns and their types.
        if report.source._meta.managed:
            if connections[DEFAULT_DB_ALIAS].vendor == "postgresql":
                asking.time_of(report, DEFAULT_DB_ALIAS)
            yield from _unknown_columns(report, report.source)


def _of_other_kinds(report: Report) -> Iterator[str]:
    for name in ("name", "time", "zone", "joins", "where", "rollup", "permission"):
        if not isinstance(getattr(report, name, ""), str):
            yield f"'{name}' is a text, not {getattr(report, name)!r}."
    for name in ("measures", "groups", "filters"):
        if not isinstance(getattr(report, name, {}), Mapping):
            yield f"'{name}' is a dict, not {getattr(report, name)!r}."


def _incomplete(report: Report) -> Iterator[str]:
    for name, example in (
        ("name", '"uploads"'),
        ("source", "a model, or the name of a table"),
        ("time", '"uploaded_at"'),
        ("windows", '("today", "last_30_days")'),
        ("measures", '{"count": Count()}'),
    ):
        if not getattr(report, name, None):
            yield f"it says no '{name}'; add one, such as {example}."
    if not isinstance(report.source, str) and not (
        isinstance(report.source, type) and issubclass(report.source, Model) and not report.source._meta.abstract
    ):
        yield f"'source' is a model or the name of a table, not {report.source!r}."
    for name in ("windows", "reads", *(["totals"] if report.totals is not None else [])):
        if not isinstance(getattr(report, name), tuple):
            yield f"'{name}' is a tuple; with one entry it ends with a comma, as in ('today',)."
    for name, kind in (("measures", Measure), ("groups", str), ("filters", Filter)):
        of: Mapping[str, Any] = getattr(report, name)
        for key, value in of.items():
            if not isinstance(value, kind):
                yield f"{name[:-1]} {key!r} is {value!r}, and no {kind.__name__}."
    for key, one in report.filters.items():
        if not isinstance(one.field, forms.Field):
            yield f"filter {key!r} needs an instance of a form field, such as forms.IntegerField()."


def _misnamed(report: Report) -> Iterator[str]:
    if not _NAME.fullmatch(report.name):
        yield "its name is of small letters, digits, '_', '.' and '-', at most 100, and begins with a letter."
    if report.name in _TAKEN:
        yield "its name is one that 'manage.py stats' has for something else; give it another."
    for kind in ("measures", "groups", "filters"):
        for name in getattr(report, kind):
            if not _COLUMN.fullmatch(name):
                yield f"{kind[:-1]} {name!r} is named by small letters, digits and '_', at most 63."
            if name in ("groups", "totals") and kind != "filters":
                yield f"a {kind[:-1]} can't be called {name!r}, which its JSON has for something else."
    if both := [name for name in report.groups if name in report.measures]:
        yield f"{both[0]!r} is a group and a measure; rename one."
    if strange := [name for name in report.totals or () if name not in report.groups]:
        yield f"'totals' keeps {strange[0]!r}, which is none of its groups."
    if all(isinstance(measure, Derived) for measure in report.measures.values()):
        yield "all its measures are derived from others; add one that counts or sums rows."


def _choices(report: Report) -> Iterator[str]:
    try:
        zone = asking.zone_of(report)
        resolve(report.windows, _SOME_DAY, zone, fiscal_start=1, week_start=0)
    except BadChoice as exc:
        yield str(exc)
    if report.fiscal_start not in range(1, 13):
        yield f"'fiscal_start' is a month from 1 to 12, not {report.fiscal_start!r}."
    if report.week_start not in range(7):
        yield f"'week_start' is a weekday from 0 (Monday) to 6, not {report.week_start!r}."
    if report.rollup not in GRAINS:
        yield f"'rollup' is 'day', 'hour' or '', not {report.rollup!r}."
    if report.permission and not re.fullmatch(r"\w+\.\w+", report.permission):
        yield f"'permission' is one of Django's, such as 'ops.view_run', not {report.permission!r}."
    if not report.reads:
        if "(" in joined(report.joins):
            yield "'joins' has a subquery; list all tables that are read in 'reads'."
        text = bare(report.joins)
        if re.match(r"\s*,", text) or "," in _outermost(text):
            yield "'joins' lists a table after a comma; write CROSS JOIN, or list all tables that are read in 'reads'."
        for what, text in report.fragments():
            if has_subquery(text):
                yield f"{what} has a subquery; list all tables that are read in 'reads'."


def _outermost(text: str) -> str:
    """Return text without what is in parentheses."""
    while (less := re.sub(r"\([^()]*\)", " ", text)) != text:
        text = less
    return text


def _malformed(report: Report, what: str, text: str) -> Iterator[str]:
    if not text.strip():
        yield f"{what} is empty."
    if "--" in _without_strings(text) or "/*" in _without_strings(text):
        yield f"{what} has a comment in its SQL; write it as one of Python."
    plain = bare(text)
    if ";" in plain:
        yield f"{what} has a semicolon; it is an expression, not a statement."
    if re.search(r"[()'\"]", _outermost(plain)):
        yield f"{what} has a quote or a parenthesis without its other one: {text}"
    known = {"zone", "as_of", *(["value"] if what.startswith("filter ") else [])}
    if strange := [name for name in _VALUE.findall(text) if name not in known]:
        names = " and ".join(f"%({name})s" for name in sorted(known))
        yield f"{what} takes %({strange[0]})s, which has no value; there is: {names}."


def _without_strings(text: str) -> str:
    return re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", " ", text)


def _bad_measure(name: str, measure: Measure) -> Iterator[str]:
    if isinstance(measure, Percentile) and not 0 <= measure.share <= 1:
        yield f"measure {name!r} is the percentile of a share from 0 to 1, such as 0.95, not {measure.share!r}."
    if isinstance(measure, Derived) and measure.where:
        yield f"measure {name!r} is derived and has a 'where'; give it to those it is derived from."
    if isinstance(measure, Aggregate) and not _is_call(measure.expression):
        yield (
            f"measure {name!r} is one call of an aggregate, as in Aggregate(\"string_agg(name, ',')\"), as FILTER is "
            "added to it: state a condition in 'where', and combine several in a Derived."
        )


def _is_call(text: str) -> bool:
    """Tell whether this is a call: a name and one pair of parentheses, maybe with WITHIN GROUP and another pair."""
    rest = _after_group(bare(text), _CALL)
    if rest is not None and rest.strip():
        rest = _after_group(rest, _WITHIN)
    return rest is not None and not rest.strip()


def _after_group(text: str, before: re.Pattern[str]) -> str | None:
    """Return what follows a pair of parentheses that is right behind a match; None where there is none."""
    match = before.match(text)
    if match is None or not text[match.end() :].startswith("("):
        return None
    depth = 0
    for place in range(match.end(), len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return text[place + 1 :]
    return None


def _unknown_columns(report: Report, source: type[Model]) -> Iterator[str]:
    """Find names that can only be columns of the source, and are none."""
    columns = {str(field.column) for field in source._meta.local_concrete_fields}
    named = [(what, name) for what, text in report.fragments() for name in _OF_SOURCE.findall(bare(text))]
    if not report.joins:
        named += [
            (f"measure {name!r}", measure.expression)
            for name, measure in report.measures.items()
            if isinstance(measure, Count | Sum | Avg | Min | Max | Distinct | Percentile)
            if _COLUMN.fullmatch(measure.expression)
        ]
    for what, name in named:
        if name not in columns and name not in _SYSTEM_COLUMNS:
            yield (
                f"{what} names {name!r}, which is no column of {source._meta.label}; there is: "
                f"{', '.join(sorted(columns))}."
            )
