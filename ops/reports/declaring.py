"""What a report is: a declaration that compiles to one statement, with a column for each window and measure.

    from ops.reports import Count, Filter, Report, Sum, register

    @register
    class Uploads(Report):
        name = "uploads"
        source = Upload
        time = "uploaded_at"
        windows = ("today", "last_30_days")
        measures = {"count": Count(), "total_size": Sum("size")}
        filters = {"client": Filter("t.client_id", forms.IntegerField())}

Expressions are SQL of the declaration, never of a user. The source is `t`. A percent sign is written once; `%(zone)s`
and `%(as_of)s` stand for the zone and the instant as of which the report is made.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from django import forms
from django.db.models import Model

from ops import sql

WHOLE = frozenset({"smallint", "integer", "bigint"})
"""The types of which a sum is a whole number."""

_ZERO_WHEN_EMPTY = re.compile(r"\s*(sum|count|regr_count)\s*\(", re.IGNORECASE)
_QUOTED_NAME = re.compile(r'"(?:[^"]|"")*"')
_JOINED = re.compile(r'\bJOIN\s+(?:LATERAL\s+|ONLY\s+)*((?:"(?:[^"]|"")*"|[\w$]+|\.)+|\()', re.IGNORECASE)
_SUBQUERY = re.compile(r"(?<![\w.$])(SELECT\b|(?<=\()\s*TABLE\b)", re.IGNORECASE)
_PART = re.compile(r'"((?:[^"]|"")*)"|([\w$]+)')


class BrokenReport(Exception):
    """A report's declaration contradicts itself, its model or its table."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is computed in each window; `where` restricts it to some of the rows."""

    where: str = ""

    @property
    def call(self) -> str:
        """Return the call of the aggregate, to which FILTER is added; "" for a measure that is computed from others."""
        raise NotImplementedError

    @property
    def zero(self) -> bool:
        """Tell whether it is 0 over no rows; else it is null there."""
        return False


@dataclass(frozen=True)
class Count(Measure):
    """How many rows, or in how many the expression is not null."""

    expression: str = "*"

    @property
    def call(self) -> str:
        return f"count({self.expression})"

    @property
    def zero(self) -> bool:
        return True


@dataclass(frozen=True)
class Sum(Measure):
    """The sum of a number; 0 over no rows. Of whole numbers it is one."""

    expression: str

    @property
    def call(self) -> str:
        return f"sum({self.expression})"

    @property
    def zero(self) -> bool:
        return True


@dataclass(frozen=True)
class Avg(Measure):
    """The average; null over no rows."""

    expression: str

    @property
    def call(self) -> str:
        return f"avg({self.expression})"


@dataclass(frozen=True)
class Min(Measure):
    """The least value; null over no rows."""

    expression: str

    @property
    def call(self) -> str:
        return f"min({self.expression})"


@dataclass(frozen=True)
class Max(Measure):
    """The greatest value; null over no rows."""

    expression: str

    @property
    def call(self) -> str:
        return f"max({self.expression})"


@dataclass(frozen=True)
class Distinct(Measure):
    """How many different values, null not counted."""

    expression: str

    @property
    def call(self) -> str:
        return f"count(DISTINCT {self.expression})"

    @property
    def zero(self) -> bool:
        return True


@dataclass(frozen=True)
class Percentile(Measure):
    """The value below which this share of the rows lies, interpolated, as a float; null over no rows."""

    expression: str
    share: float

    @property
    def call(self) -> str:
        return f"percentile_cont({float(self.share)!r}) WITHIN GROUP (ORDER BY {self.expression})"


@dataclass(frozen=True)
class Aggregate(Measure):
    """One call of any aggregate of the server, such as "string_agg(name, ', ' ORDER BY name)".

    Over no rows a sum or a count is 0 and all else null, unless `empty_is_zero` says otherwise.
    """

    expression: str
    empty_is_zero: bool | None = field(default=None, kw_only=True)

    @property
    def call(self) -> str:
        return self.expression

    @property
    def zero(self) -> bool:
        if self.empty_is_zero is None:
            return _ZERO_WHEN_EMPTY.match(self.expression) is not None
        return self.empty_is_zero


@dataclass(frozen=True)
class Derived(Measure):
    """SQL over other measures of the same window: "total_size / nullif(count, 0)".

    It sees those that aggregate, and the derived ones declared before it.
    """

    expression: str

    @property
    def call(self) -> str:
        return ""


@dataclass(frozen=True)
class Filter:
    """What a report may be restricted by: an expression, and the form field that reads the value it is to have.

    A field that cleans to a list means any of it, one that cleans to None the rows where the expression is null. An
    expression with `%(value)s` in it is a condition itself: Filter("t.size >= %(value)s", forms.IntegerField()). It is
    refused without a value, for nothing would meet it. Values of a list come sorted, each once.
    """

    expression: str
    field: forms.Field


class Report:
    """A report over one table or view; a class of it is never instantiated but by the registry."""

    name: ClassVar[str]
    source: ClassVar[type[Model] | str]
    """A model, or the name of a table or view, with its schema or without; in expressions it is `t`."""
    time: ClassVar[str]
    """The column that windows are laid on: of type timestamptz or date."""
    zone: ClassVar[str] = ""
    """Whose midnights they are; "" is settings.TIME_ZONE."""
    windows: ClassVar[tuple[str, ...]]
    measures: ClassVar[Mapping[str, Measure]]
    groups: ClassVar[Mapping[str, str]] = {}
    """SQL expressions by the name of the column they make."""
    joins: ClassVar[str] = ""
    """What is joined to the source: "LEFT JOIN billing_plan AS p ON p.id = t.plan_id". It must not multiply rows."""
    reads: ClassVar[tuple[type[Model] | str, ...]] = ()
    """All tables that are read, where those aren't the source and what is joined: of a view, or of any subquery."""
    filters: ClassVar[Mapping[str, Filter]] = {}
    where: ClassVar[str] = ""
    """A condition that its rows always meet."""
    totals: ClassVar[tuple[str, ...] | None] = ()
    """The groups that stay in the total, such as a currency: there is one for each. None: there is no total."""
    fiscal_start: ClassVar[int] = 1
    """The month with whose first day a fiscal year begins."""
    week_start: ClassVar[int] = 0
    """The weekday on which a week begins; Monday is 0."""
    rollup: ClassVar[str] = ""
    """The grain by which its sums are kept, "day" or "hour"; "" is not at all. See rollups.py."""
    permission: ClassVar[str] = ""
    """What a user needs to see it on the web; "" is ops.view_run."""

    @property
    def summary(self) -> str:
        """Return the first line of what the class says of itself."""
        return (type(self).__doc__ or "").strip().partition("\n")[0]

    def check(self) -> None:
        """Raise BrokenReport, in a sentence, where the declaration contradicts itself or its model."""
        from ops.reports.checking import check

        check(self)

    def fragments(self) -> Iterator[tuple[str, str]]:
        """Yield every piece of SQL in the declaration, after what it is."""
        for name, expression in self.groups.items():
            yield f"group {name!r}", expression
        for name, measure in self.measures.items():
            yield f"measure {name!r}", measure.call or getattr(measure, "expression", "")
            if measure.where:
                yield f"the condition of measure {name!r}", measure.where
        for name, one in self.filters.items():
            yield f"filter {name!r}", one.expression
        if self.where:
            yield "where", self.where
        if self.joins:
            yield "joins", self.joins


def table(source: type[Model] | str) -> str:
    """Return the table of a model, or the name that is given."""
    return source if isinstance(source, str) else source._meta.db_table


def tables(report: Report) -> tuple[str, ...]:
    """Return the tables that a report reads, each once: `reads`, or else the source and what is joined to it."""
    found = [table(one) for one in report.reads] or [table(report.source), *joined(report.joins)]
    return tuple(dict.fromkeys(found))


def joined(joins: str) -> list[str]:
    """Return the tables that JOINs name; "(" stands for a subquery."""
    found = []
    for match in _JOINED.finditer(sql.without_quoted(joins)):
        parts = [part[2] or part[1].replace('""', '"') for part in _PART.finditer(match[1])]
        found.append(".".join(parts) or match[1])
    return found


def has_subquery(text: str) -> bool:
    """Tell whether SQL reads anything by a subquery; FROM alone is in extract(), substring() and IS DISTINCT FROM."""
    return _SUBQUERY.search(bare(text)) is not None


def bare(text: str) -> str:
    """Return SQL without what is in quotes: strings and comments are blanks, quoted names are x."""
    return _QUOTED_NAME.sub("x", sql.without_quoted(text))
