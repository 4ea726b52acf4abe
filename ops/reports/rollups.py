"""Whether a report can be answered from its rollup, and the statement that does so: exactly what its table would say.

Sums are kept by the bucket, a day or an hour. Triggers note which buckets are written to, in the writer's transaction;
a reading takes those from the table. So no answer is ever older than the table, whether a refresh runs or not.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg2.sql import Composable

from ops import clock
from ops.engine.session import Session
from ops.reports import rollup_reading
from ops.reports.compiler import VALUE, Asked
from ops.reports.declaring import BrokenReport
from ops.reports.rollup_kept import Kept, NotKept, keep_by

TROUBLES = {
    "missing": "its rollup was never built: {rebuild}",
    "changed": "its declaration is another one than its rollup was built for: {rebuild}",
    "unbuilt": "its rollup is not built yet: {rebuild}, or wait for its end",
    "gone": "its rollup is of a table that is gone: {rebuild}",
    "policies": "its source has row-level security, and a rollup sums the rows of all",
    "subscribed": "its source is written to by a subscription, which fires no triggers of statements",
    "partitions": "partitions came or went since its rollup was refreshed: {refresh}",
    "triggers": "the triggers of its rollup are missing, or were disabled meanwhile: {refresh}",
    "index": "its source has no index that begins with {column}, which touched buckets are read by: create one",
    "columns": "columns that it reads have changed since its rollup was built: {rebuild}",
    "rewritten": "its source was rewritten, by which values may have changed: {refresh}",
    "all": "all its buckets are touched: {refresh}",
}
"""What the words of ops_rollup_trouble mean."""

EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)
"""There are no buckets beyond."""

_types: dict[tuple[str, str, str], tuple[str, ...]] = {}


def usable(asked: Asked) -> str:
    """Return why what is asked can't be answered from the report's rollup, as a clause; '' where it can."""
    try:
        kept = keep_by(asked.report, asked.column, by_date=asked.by_date)
    except NotKept as exc:
        return str(exc)
    return _unsuitable(kept, asked) or _standing(kept, asked)


def statement(asked: Asked) -> tuple[Composable, dict[str, Any]]:
    """Return the one statement that answers from the rollup, and its values; compiler.py says what it returns.

    Raises BrokenReport where there is no rollup to answer from.
    """
    try:
        kept = keep_by(asked.report, asked.column, by_date=asked.by_date)
    except NotKept as exc:
        raise BrokenReport(f"Report {asked.report.name!r} has no rollup: {exc}.") from exc
    return rollup_reading.reading(kept, asked, types_of(kept, asked.database))


def _unsuitable(kept: Kept, asked: Asked) -> str:
    """Return why no rollup of the report could answer this."""
    edges = rollup_reading.edges(asked)
    if edges[0] < EARLIEST or edges[-1] > LATEST:
        return "a window reaches into years that rollups do not keep"
    for name in asked.filters:
        if VALUE in asked.report.filters[name].expression:
            return f"filter {name!r} is a condition, which no sum that is kept could be held against"
    if kept.names_zone and asked.zone.key != kept.zone:
        return f"what is kept follows from the zone {kept.zone}, and {asked.zone.key} is asked for"
    return ""


def _standing(kept: Kept, asked: Asked) -> str:
    """Ask the server whether the rollup is of use, and whether windows end where buckets do."""
    trouble, types, within = Session(asked.database).execute(
        "ops/find_rollup.sql",
        {
            "report": kept.name,
            "digest": kept.digest,
            "grain": kept.grain,
            "zone": kept.bucket_zone,
            "edges": rollup_reading.edges(asked),
        },
    )[0]
    if trouble:
        return in_words(trouble, kept)
    if within is not None:
        return _within(kept, asked, within)
    _types[asked.database, kept.name, kept.digest] = tuple(types)
    return ""


def _within(kept: Kept, asked: Asked, edge: datetime) -> str:
    """Say that a window ends within a bucket, and why that may be."""
    if kept.grain == "hour":
        return f"a window ends at {edge.astimezone(UTC):%H:%M} UTC, within an hour: declare a rollup by 'day'"
    if asked.zone.key != kept.zone:
        return f"its rollup is by days of {kept.zone}, and days of {asked.zone.key} are asked for"
    return (
        f"a day begins at {clock.shown(edge)} by Python's time zones and at another instant by the server's, one of "
        "which is out of date: update both"
    )


def in_words(trouble: str, kept: Kept) -> str:
    """Return what a word of ops_rollup_trouble means for a report."""
    return TROUBLES[trouble].format(
        rebuild=f"'manage.py rollup rebuild {kept.name}'",
        refresh=f"'manage.py rollup refresh {kept.name}'",
        column=kept.column,
    )


def types_of(kept: Kept, database: str) -> Sequence[str]:
    """Return the types with which the rollup was built, as the last look at it found them."""
    known = _types.get((database, kept.name, kept.digest))
    if known is not None:
        return known
    from ops.models import Rollup

    found = Rollup.objects.using(database).filter(report=kept.name, digest=kept.digest).first()
    if found is None or not found.types:
        raise BrokenReport(
            f"Report {kept.name!r} has no rollup of its present declaration: {in_words('changed', kept)}."
        )
    return tuple(found.types)
