"""A table with a column of each kind, a report on its instants and one on its days, and both told naively."""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db import connection

from ops.reports import (
    Aggregate,
    Avg,
    Count,
    Derived,
    Distinct,
    Filter,
    Max,
    Min,
    Percentile,
    Report,
    Sum,
)
from tests.ops.reports.reference import Plain, Row, day_of, percentile

COLUMNS = ("at", "day", "amount", "size", "small", "kind", "place")
TABLE = """
CREATE TABLE report_sample (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, day date, amount numeric(12, 2), size bigint,
    small integer, kind text, place varchar(10), noted timestamp
);
CREATE INDEX report_sample_at ON report_sample (at) INCLUDE (size);
CREATE INDEX report_sample_day ON report_sample (day);
CREATE TABLE report_place (name varchar(10) PRIMARY KEY, country text NOT NULL);
INSERT INTO report_place VALUES ('here', 'KR'), ('there', 'BR');
"""
COUNTRIES = {"here": "KR", "there": "BR"}


def make() -> None:
    """Create the tables."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE)


def fill(rows: list[Row]) -> None:
    """Put these rows in the place of all."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM report_sample")
        if rows:
            one = cursor.mogrify
            values = b", ".join(one("(%s, %s, %s, %s, %s, %s, %s)", [row[c] for c in COLUMNS]) for row in rows)
            cursor.execute(f"INSERT INTO report_sample ({', '.join(COLUMNS)}) VALUES {values.decode()}")


class ByInstant(Report):
    """Every kind of measure, on the column of instants."""

    name = "sample"
    source: Any = "report_sample"
    time = "at"
    windows = ("today", "yesterday", "this_month", "last_30_days")
    joins = "LEFT JOIN report_place AS p ON p.name = t.place"
    measures = {
        "count": Count(),
        "sized": Count("size"),
        "total": Sum("size"),
        "small_total": Sum("t.small"),
        "money": Sum("amount * small"),
        "average": Avg("amount"),
        "least": Min("size"),
        "most": Max("amount"),
        "first_day": Min("day"),
        "kinds": Distinct("kind"),
        "median": Percentile("size", 0.5),
        "p90": Percentile("amount", 0.9),
        "list": Aggregate("string_agg(kind, '%;' ORDER BY kind COLLATE \"C\")"),
        "mode": Aggregate("mode() WITHIN GROUP (ORDER BY small)"),
        "call": Aggregate("sum(small * 3)"),
        "all_big": Aggregate("bool_and(size > 50)", empty_is_zero=False),
        "big": Count(where="size > 50 OR small > 5"),
        "big_total": Sum("size", where="t.size > 50"),
        "mean": Derived("total / nullif(sized, 0)"),
        "mean_twice": Derived("mean * 2"),
        "share": Derived("100 * big / nullif(count, 0)"),
    }
    groups = {
        "kind": "t.kind",
        "country": "p.country",
        "constant": "1",
        "month": "to_char(t.at AT TIME ZONE %(zone)s, 'YYYY-MM')",
    }
    filters = {
        "kind": Filter("t.kind", forms.CharField(required=False, empty_value=None)),
        "at_least": Filter("t.size >= %(value)s AND t.size % 2 = 0", forms.IntegerField()),
        "at_most": Filter("t.size <= %(value)s", forms.IntegerField(required=False)),
        "places": Filter("t.place", forms.MultipleChoiceField(choices=[("here", "here"), ("there", "there")])),
        "before": Filter("t.at < %(as_of)s AND %(value)s", forms.BooleanField()),
    }


class KeepingKind(ByInstant):
    """The same, with a total for each kind."""

    totals = ("kind",)


class WithoutTotal(ByInstant):
    """The same, without a total."""

    totals = None


class ByDay(ByInstant):
    """The same on the column of days."""

    time = "day"
    groups = {**ByInstant.groups, "month": "to_char(t.day, 'YYYY-MM')"}


def _known(rows: list[Row], name: str) -> list[Any]:
    return [row[name] for row in rows if row[name] is not None]


def _mode(rows: list[Row]) -> Any:
    """Return the most frequent number, of several the least: the server takes the first in order."""
    counted = Counter(sorted(_known(rows, "small")))
    return counted.most_common(1)[0][0] if counted else None


def _mean(rows: list[Row]) -> Any:
    sizes = _known(rows, "size")
    return Fraction(sum(sizes), len(sizes)) if sizes else None


def _big(rows: list[Row]) -> list[Row]:
    return [row for row in rows if (row["size"] or 0) > 50 or (row["small"] or 0) > 5]


MEASURES: dict[str, Any] = {
    "count": len,
    "sized": lambda rows: len(_known(rows, "size")),
    "total": lambda rows: sum(_known(rows, "size")),
    "small_total": lambda rows: sum(_known(rows, "small")),
    "money": lambda rows: sum(
        (r["amount"] * r["small"] for r in rows if r["amount"] is not None and r["small"] is not None), Decimal(0)
    ),
    "average": lambda rows: Fraction(sum(a)) / len(a) if (a := _known(rows, "amount")) else None,
    "least": lambda rows: min(_known(rows, "size"), default=None),
    "most": lambda rows: max(_known(rows, "amount"), default=None),
    "first_day": lambda rows: min(_known(rows, "day"), default=None),
    "kinds": lambda rows: len(set(_known(rows, "kind"))),
    "median": lambda rows: percentile(_known(rows, "size"), 0.5),
    "p90": lambda rows: percentile(_known(rows, "amount"), 0.9),
    "list": lambda rows: "%;".join(sorted(_known(rows, "kind"))) if _known(rows, "kind") else None,
    "mode": _mode,
    "call": lambda rows: 3 * sum(_known(rows, "small")),
    "all_big": lambda rows: all(s > 50 for s in sizes) if (sizes := _known(rows, "size")) else None,
    "big": lambda rows: len(_big(rows)),
    "big_total": lambda rows: sum(size for size in _known(rows, "size") if size > 50),
    "mean": _mean,
    "mean_twice": lambda rows: None if (mean := _mean(rows)) is None else mean * 2,
    "share": lambda rows: 100 * len(_big(rows)) // len(rows) if rows else None,
}


def _month_of_instant(row: Row, zone: ZoneInfo) -> str:
    at: datetime = row["at"]
    return f"{at.astimezone(zone):%Y-%m}"


GROUPS: dict[str, Any] = {
    "kind": lambda row, zone: row["kind"],
    "country": lambda row, zone: COUNTRIES.get(row["place"]),
    "constant": lambda row, zone: 1,
    "month": _month_of_instant,
}


def plain(report: Report) -> Plain:
    """Return the naive telling of one of these reports."""
    by_day = report.time == "day"
    return Plain(
        day=(lambda row, zone: row["day"])
        if by_day
        else (lambda row, zone: None if row["at"] is None else day_of(row["at"], zone)),
        measures=MEASURES,
        groups={**GROUPS, "month": lambda row, zone: f"{row['day']:%Y-%m}"} if by_day else GROUPS,
        totals=report.totals,
    )


def passes(row: Row, filters: dict[str, Any], as_of: datetime) -> bool:
    """Tell whether a row is among those that filters leave."""
    told = {
        "kind": lambda value: row["kind"] in value if isinstance(value, list) else row["kind"] == value,
        "at_least": lambda value: row["size"] is not None and row["size"] >= int(value) and row["size"] % 2 == 0,
        "places": lambda value: row["place"] in value,
        "before": lambda value: row["at"] is not None and row["at"] < as_of,
    }
    return all(told[name](value) for name, value in filters.items())
