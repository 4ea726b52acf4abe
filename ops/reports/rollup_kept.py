"""What a rollup keeps of a report: what its measures are summed from, by bucket and by what it can be told apart by.

Or why it keeps nothing. A reason is a clause without a full stop, which is said of the report.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ops.engine.shape import quoted
from ops.reports.asking import DATE, time_of, zone_of
from ops.reports.compiler import VALUE
from ops.reports.declaring import Aggregate, Avg, Count, Derived, Distinct, Max, Min, Percentile, Report, Sum
from ops.reports.declaring import table as table_of
from ops.reports.declaring import tables as tables_of

VERSION = "1"
"""Counted up whenever what is kept, or what the triggers write, means something else than before."""

ZONE, AS_OF = "%(zone)s", "%(as_of)s"

_OTHER_VALUES = re.compile(r"\s*(DISTINCT|ALL)\b", re.IGNORECASE)


class NotKept(Exception):
    """A report can have no rollup; the message is the reason."""


@dataclass(frozen=True)
class Part:
    """An aggregate that is kept of each bucket, and how those of several buckets make one."""

    call: str
    where: str
    merge: str

    @property
    def argument(self) -> str:
        """Return what is aggregated: SQL, or *."""
        return self.call.partition("(")[2].removesuffix(")")


@dataclass(frozen=True)
class Kept:
    """What is kept of a report in one database."""

    report: Report
    column: str
    """The column of the time."""
    by_date: bool
    zone: str
    """The report's, whose days its windows are made of."""
    groups: tuple[str, ...]
    """SQL of what its groups tell apart."""
    filtered: tuple[str, ...]
    """SQL of what only its filters tell apart."""
    parts: tuple[Part, ...]
    measures: Mapping[str, tuple[int, ...]] = field(hash=False)
    """By the name of each measure that aggregates, the places of its parts: of an average its sum and its count."""

    @property
    def name(self) -> str:
        """Return the report's name."""
        return self.report.name

    @property
    def grain(self) -> str:
        """Return what a bucket is: a day of the zone, an hour of UTC, or a day of a column of dates."""
        return "date" if self.by_date else self.report.rollup

    @property
    def bucket_zone(self) -> str:
        """Return the zone that buckets are laid in: days in the report's; hours, and dates, lie in none."""
        return self.zone if self.grain == "day" else "UTC"

    @property
    def expressions(self) -> tuple[str, ...]:
        """Return all that tells rows apart, in the order in which it is kept."""
        return self.groups + self.filtered

    @property
    def relation(self) -> str:
        """Return the source's name as SQL writes it."""
        source = self.report.source
        if isinstance(source, str):
            return ".".join(map(quoted, source.split(".", 1)))
        return quoted(source._meta.db_table)

    @property
    def names_zone(self) -> bool:
        """Tell whether anything that is kept follows from the zone that is asked for."""
        return any(ZONE in text for _, text in self.texts())

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield every piece of SQL that decides what is kept, after what it is."""
        for what, text in self.report.fragments():
            if not (what.startswith("filter ") and VALUE in text) and not self._is_derived(what):
                yield what, text

    def _is_derived(self, what: str) -> bool:
        return any(
            isinstance(measure, Derived) and what == f"measure {name!r}"
            for name, measure in self.report.measures.items()
        )

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all that decides what is kept: with another one, nothing kept can be used."""
        parts = [[part.call, part.where] for part in self.parts]
        told = [VERSION, self.relation, self.column, self.grain, self.bucket_zone, self.groups, self.filtered, parts]
        told += [self.report.where, self.zone if self.names_zone else ""]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def touch(self) -> str:
        """Return the name of the function of the triggers: another one for each way to lay buckets on a source."""
        told = [VERSION, self.name, self.relation, self.column, self.grain, self.bucket_zone]
        return f"ops_rollup_touch_{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}"


def keep(report: Report, database: str) -> Kept:
    """Return what a rollup keeps of a report in a database; raise NotKept with the reason where that is nothing."""
    if not report.rollup:
        raise NotKept("it declares no rollup")
    column, kind = time_of(report, database)
    return keep_by(report, column, by_date=kind == DATE)


def keep_by(report: Report, column: str, *, by_date: bool) -> Kept:
    """Return what a rollup keeps of a report whose time is this column; raise NotKept as `keep` does."""
    if not report.rollup:
        raise NotKept("it declares no rollup")
    if report.joins or set(tables_of(report)) - {table_of(report.source)}:
        raise NotKept("it reads other tables beside its source, and what is written to them touches no bucket")
    if by_date and report.rollup == "hour":
        raise NotKept(f"{column} is a date, which has no hours: declare a rollup by 'day'")
    parts: dict[Part, int] = {}
    measures = {}
    for name, measure in report.measures.items():
        if not isinstance(measure, Derived):
            measures[name] = tuple(parts.setdefault(part, len(parts)) for part in _parts(name, measure))
    groups = tuple(dict.fromkeys(report.groups.values()))
    simple = (one.expression for one in report.filters.values() if VALUE not in one.expression)
    kept = Kept(
        report=report,
        column=column,
        by_date=by_date,
        zone=zone_of(report).key,
        groups=groups,
        filtered=tuple(dict.fromkeys(text for text in simple if text not in groups)),
        parts=tuple(parts),
        measures=measures,
    )
    for what, text in kept.texts():
        if AS_OF in text:
            raise NotKept(f"{what} follows from the instant as of which the report is made")
    return kept


def _parts(name: str, measure: object) -> tuple[Part, ...]:
    """Return what is kept of a measure; raise NotKept where two of it can't be made one."""
    if isinstance(measure, Distinct) or (
        isinstance(measure, Count | Sum | Avg) and _OTHER_VALUES.match(measure.expression)
    ):
        raise NotKept(f"measure {name!r} looks at different values, and those of two days may be the same")
    if isinstance(measure, Percentile):
        raise NotKept(f"measure {name!r} is a percentile, and that of a month does not follow from those of its days")
    if isinstance(measure, Aggregate):
        raise NotKept(f"measure {name!r} is an aggregate of which nothing tells how two of it make one")
    if isinstance(measure, Avg):
        return (
            Part(f"sum({measure.expression})", measure.where, "sum"),
            Part(f"count({measure.expression})", measure.where, "sum"),
        )
    assert isinstance(measure, Count | Sum | Min | Max)
    merge = {Min: "min", Max: "max"}.get(type(measure), "sum")
    return (Part(measure.call, measure.where, merge),)
