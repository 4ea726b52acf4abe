"""Hold a report's statement against a server: it accepts it, and reads no table that the report doesn't name."""

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, transaction
from psycopg2.sql import SQL

from ops.engine.session import Session, in_words
from ops.engine.shape import quoted
from ops.reports.computing import ADVICE, statement
from ops.reports.declaring import BrokenReport, Report, tables

VIEW = "ops_report_tried"


def try_out(
    report: Report, database: str = DEFAULT_DB_ALIAS, filters: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Have the server accept the statement of a report, and return the tables that it reads; no row is read.

    It is made a temporary view, whose dependencies are what it reads, and which is rolled back. Raises DatabaseTrouble
    where the server refuses it, BrokenReport where it reads a table that `tables(report)` misses: what is cached by the
    versions of those would be stale.
    """
    made, values = statement(report, database=database, filters=filters, use_rollup=False)
    session = Session(database)
    try:
        with transaction.atomic(using=database):
            session.execute(SQL("CREATE TEMPORARY VIEW {} AS {}").format(SQL(VIEW), made), values)
            names = [".".join(map(quoted, one.split(".", 1))) for one in tables(report)]
            found = session.execute("ops/list_view_tables.sql", {"view": f"pg_temp.{VIEW}", "names": names})
            transaction.set_rollback(True, using=database)
    except Error as exc:
        raise in_words(exc, f"Trying out report {report.name!r}", ADVICE) from exc
    if missed := [name for name, named in found if not named]:
        raise BrokenReport(
            f"Report {report.name!r} reads {', '.join(missed)}, which it doesn't name; list all tables that it reads "
            "in 'reads'."
        )
    return tuple(name for name, _ in found)
