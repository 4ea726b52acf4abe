"""What the server is asked for a report, and how it goes about it: nothing is written, in a transaction that can't."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlparse
from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction
from psycopg2.sql import SQL, Composable
from sqlparse.exceptions import SQLParseError

from ops.engine.session import Session, in_words
from ops.reports.computing import ADVICE, statement
from ops.reports.declaring import Report


def text(report: Report, *, database: str = DEFAULT_DB_ALIAS, **asked: Any) -> str:
    """Return the report's statement with its values in it, so that psql takes it; `asked` is as for `compute`."""
    made, values = statement(report, database=database, **asked)
    return laid_out(mogrified(made, values, database))


def explain(report: Report, *, database: str = DEFAULT_DB_ALIAS, analyze: bool = False, **asked: Any) -> list[str]:
    """Return the server's plan of the report's statement, a line each; to `analyze` it is executed, and measured.

    Raises DatabaseTrouble, in a sentence.
    """
    made, values = statement(report, database=database, **asked)
    options = SQL("EXPLAIN (ANALYZE, BUFFERS) {}" if analyze else "EXPLAIN {}")
    with reading(report, database) as session:
        return [str(row[0]) for row in session.execute(options.format(made), values)]


@contextmanager
def reading(report: Report, database: str) -> Iterator[Session]:
    """Open a transaction that can only read; say errors in words."""
    session = Session(database)
    try:
        with transaction.atomic(using=database):
            session.execute("ops/set_reading.sql", {"timeout": "0"})
            yield session
            # Within another's transaction the setting would stay.
            transaction.set_rollback(True, using=database)
    except Error as exc:
        raise in_words(exc, f"Explaining report {report.name!r}", ADVICE) from exc


def mogrified(made: Composable, values: dict[str, Any], database: str) -> str:
    """Return a statement with its values in it."""
    connection = connections[database]
    connection.ensure_connection()
    with connection.cursor() as cursor:
        found = cursor.mogrify(made, values)
    return found.decode() if isinstance(found, bytes) else str(found)


def laid_out(statement_text: str) -> str:
    """Return a statement in lines; as it is where it is too large for that."""
    try:
        return str(sqlparse.format(statement_text, reindent_aligned=True))
    except SQLParseError:
        return statement_text
