"""Show a load's statements without loading anything: the tables are made in a transaction that is rolled back."""

from typing import TYPE_CHECKING

from django.db import transaction
from psycopg2.sql import SQL, Composable

from ops.engine.jobs import Params
from ops.engine.session import Session
from ops.load.form import ROWS
from ops.load.judging import messages
from ops.load.merging import Merging
from ops.load.resolving import Resolver
from ops.load.writing import RETURNS_OLD

if TYPE_CHECKING:
    from ops.load.job import Upsert

EXAMPLE = {"run": 0, "month": "2000-01-01", "window": 1, "batch": 1, "slot_from": 0, "slot_upto": 1}


def shown(session: Session, job: "Upsert", params: Params, *, explain: bool) -> str:
    """Return the statements in their order, or the server's plan of a merge of 50,000 rows."""
    reader = job.open_reader()
    names = reader.names
    reader.close()
    spec = Resolver(session, params).resolve(names)
    null = params["null"] or ([] if params["file"] == ROWS else [""])
    road = Merging(spec, 0, params, session.connection, null=null)
    returns_old = session.version >= RETURNS_OLD
    merge = road.merge_range(fresh=False) if returns_old else road.merge_range_as_of(fresh=False)
    if explain:
        with transaction.atomic(using=session.alias):
            session.execute("ops/open_staging.sql", {"load": 0, "width": len(spec.sources)})
            taken = {"load": 0, "relation": spec.table.relation, "taken": spec.merged}
            session.execute("ops/open_merge.sql", taken)
            session.execute("ops/settle_merge.sql", {"load": 0})
            rows = session.execute(SQL("EXPLAIN {}").format(merge), {**EXAMPLE, "first": 0, "last": 50_000})
            transaction.set_rollback(True, using=session.alias)
        return "\n".join(row[0] for row in rows)
    rules, joins = road.row_rules(messages(road))
    parts: list[tuple[str, Composable]] = [("stage", road.copy_in())]
    if texts := list(road.text_rules()):
        parts.append(("records that are no rows", road.reject_texts(texts)))
    if rules:
        parts.append(("rows that the table would refuse", road.reject_rows(rules, joins, rejects=True)))
    parts += [("sort, one row a key", road.fill(rejects=True)), ("plan", road.totals()), ("one batch", merge)]
    written = [f"-- {name}\n{part.as_string(session.connection.connection)};" for name, part in parts]
    # To be read: a percent sign is doubled for the driver only.
    return "\n\n".join(written).replace("%%", "%")
