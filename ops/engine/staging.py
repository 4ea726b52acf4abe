"""Make the temporary tables and views that a plan and its run read: the job's own, and the rows that differ."""

from collections.abc import Sequence
from typing import Any

from psycopg2.sql import SQL

from ops import sql
from ops.engine.batches import OWN_BATCH, Batches
from ops.engine.compiler import Compiler
from ops.engine.jobs import Job, Params
from ops.engine.session import Session
from ops.engine.shape import SLOTS, STAGED, ident


def stage(session: Session, job: Job, params: Params, values: dict[str, Any]) -> None:
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
    session.execute(SQL("CREATE INDEX ON {} (ops_slot)").format(STAGED))
    session.execute(SQL("ANALYZE {}").format(STAGED))


def stage_own_batch(session: Session, compiler: Batches) -> None:
    """Make the empty table of a batch's keys, anew: the last run of this session may have had another target."""
    session.execute(SQL("DROP TABLE IF EXISTS {}").format(OWN_BATCH))
    session.execute(compiler.make_own_batch())


def find_slot(session: Session, slot: int, rows: int) -> int:
    """Return the slot before which a batch of so many rows ends that begins at one."""
    if rows >= SLOTS:
        return SLOTS
    found = session.execute(Batches.boundary_slot(), {"slot_from": slot, "rows": rows})
    # Rows of one slot stay together, however few a batch is to have.
    return max(found[0][0], slot + 1) if found else SLOTS


def count_difference(session: Session, slot_from: int, slot_upto: int) -> int:
    """Return how many staged rows lie in a range of slots."""
    statement = SQL("SELECT count(*) FROM {} WHERE ops_slot >= %(slot_from)s AND ops_slot < %(slot_upto)s").format(
        STAGED
    )
    return int(session.execute(statement, {"slot_from": slot_from, "slot_upto": slot_upto})[0][0])
