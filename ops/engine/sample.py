"""Estimate a plan of a large table from a stratified sample, so that a run begins at once.

The sample is STRATA stretches of ROWS rows in key order, their first keys spread evenly over the table's pages.
"""

import math
from statistics import fmean, stdev
from typing import Any

from ops.engine.compiler import Compiler
from ops.engine.lifecycle import Options
from ops.engine.plan import Plan
from ops.engine.session import Session

EXACT_UP_TO = 2_000_000
"""Rows of a table up to which plans are exact."""

STRATA = 40
ROWS = 1_000
PAGES = 10 * STRATA
"""Pages of which the first keys of the stretches are chosen."""


def estimate(session: Session, compiler: Compiler, values: dict[str, Any], options: Options) -> Plan | None:
    """Return an estimated plan; None where an exact one is due.

    That is for small tables, where it is asked for, and where a guard, a sum of money or a refused row depends on it.
    """
    job = compiler.job
    if options.exact or options.guards or options.atomic or job.money or "refused" in compiler.given:
        return None
    relation = {"relation": session.connection.ops.quote_name(compiler.table)}
    rows, pages = session.execute("ops/count_estimated.sql", relation)[0]
    rows = rows or 0
    if rows <= EXACT_UP_TO:
        return None
    if compiler.reading is None:
        return Plan(looked_at=rows, changes=rows, margin=rows // 10)
    # So many pages that the stretches begin on different ones; neighbours would tell the same twice.
    percent = min(100.0, 100 * PAGES / max(pages, 1))
    keys = session.execute(compiler.spread_keys(percent, STRATA))
    if len(keys) < STRATA // 2:
        return None
    looked, differing = [], []
    for (key,) in keys:
        upto = session.execute(compiler.boundary(key, keys[-1][0], ROWS))
        found = session.execute(compiler.totals(holds=False, after=key, upto=upto[0][0] if upto else None), values)
        if not upto:
            continue  # the last stretch is shorter than the others
        looked.append(found[0][1] / ROWS)
        differing.append(found[0][2] / ROWS)
    if len(differing) < STRATA // 4:
        return None
    # Two standard errors and a half, since stretches are few and unlike; of a fraction that was never seen, less than
    # three in so many rows (the rule of three).
    error = max(2.5 * stdev(differing) / math.sqrt(len(differing)), 3 / (len(differing) * ROWS))
    changes = round(rows * fmean(differing))
    if not changes:
        return None  # that nothing is to be done must not be guessed
    return Plan(looked_at=round(rows * fmean(looked)), changes=changes, margin=math.ceil(rows * error))
