"""A report on the sample table, registered while a test needs it: small enough to be told by heart."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from ops.reports import Count, Derived, Max, Percentile, Report, Sum, find
from ops.reports import registry as reports
from tests.ops.reports import samples

AS_OF = datetime(2026, 5, 19, 15, 30, tzinfo=UTC)
"""00:30 of the 20th in Seoul."""


class Kept(Report):
    """One of each kind of number."""

    name = "kept"
    source: Any = "report_sample"
    time = "at"
    zone = "Asia/Seoul"
    windows = ("today", "last_7_days")
    measures = {
        "count": Count(),
        "size": Sum("size"),
        "money": Sum("amount"),
        "last": Max("at"),
        "median": Percentile("size", 0.5),
        "mean": Derived("money / nullif(count, 0)"),
    }
    groups = {"kind": "t.kind"}


def row(**more: Any) -> dict[str, Any]:
    return {**dict.fromkeys(samples.COLUMNS), "at": AS_OF, "kind": "a", "size": 1, "amount": Decimal("1.10"), **more}


ROWS = [row(), row(kind="b", size=2**62, amount=Decimal("9999999999.99")), row(at=AS_OF - timedelta(days=3), kind=None)]


@contextmanager
def also_registered(report: type[Report]) -> Iterator[Report]:
    """Register another report on the table that is there."""
    reports.register(report)
    try:
        yield find(report.name)
    finally:
        del reports._registry[report.name]


@contextmanager
def registered(report: type[Report] = Kept) -> Iterator[Report]:
    """Make the table and register a report on it; both go again."""
    samples.make()
    try:
        with also_registered(report) as made:
            yield made
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE report_sample, report_place")
