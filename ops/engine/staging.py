"""Make the temporary tables and views that a plan and its run read: the job's own, and the rows that differ."""

from collections.abc import Sequence
from typing import Any

from psycopg2.sql import SQL

from ops import sql
from ops.engine.compiler import STAGED, Compiler, ident
from ops.engine.jobs import Params, Reconcile
from ops.engine.session import Session


def stage(session: Session, job: Reconcile, params: Params, values: dict[str, Any]) -> None:
    """Make the job's temporary tables and views, anew."""
    staged = job.staged(params)
    for item in reversed(staged):
        kind = SQL("VIEW" if item.view else "TABLE")
        session.execute(SQL("DROP {} IF EXISTS {} CASCADE").format(kind, ident("pg_temp", item.name)))
    for item in staged:
        body = SQL(sql.load(item.statement).body.replace("{{", "{").replace("}}", "}"))
        kind = SQL("VIEW" if item.view else "TABLE")
        session.execute(SQL("CREATE TEMPORARY {} {} AS {}").format(kind, ident(item.name), body), values)
        for column in item.indexes:
            session.execute(SQL("CREATE INDEX ON {} ({})").format(ident("pg_temp", item.name), ident(column)))
        if not item.view:
            # Without statistics a join with a temporary table may take minutes instead of seconds.
            session.execute(SQL("ANALYZE {}").format(ident("pg_temp", item.name)))


def stage_difference(
    session: Session,
    compiler: Compiler,
    values: dict[str, Any],
    *,
    holds: bool,
    after: Sequence[str] | None = None,
    upto: Sequence[str] | None = None,
    slot: int = 0,
) -> None:
    """Make the table of the rows of one window that differ, anew."""
    session.execute(SQL("DROP TABLE IF EXISTS {}").format(STAGED))
    session.execute(compiler.difference(holds=holds, after=after, upto=upto, slot=slot), values)
    session.execute(SQL("CREATE INDEX ON {} (slot)").format(STAGED))
    session.execute(SQL("ANALYZE {}").format(STAGED))


def count_difference(session: Session, slot_from: int, slot_upto: int) -> int:
    """Return how many staged rows lie in a range of slots."""
    statement = SQL("SELECT count(*) FROM {} WHERE slot >= %(slot_from)s AND slot < %(slot_upto)s").format(STAGED)
    return int(session.execute(statement, {"slot_from": slot_from, "slot_upto": slot_upto})[0][0])
