"""Forget old runs: months of changesets are dropped whole where they can be, the rest is deleted run by run."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import transaction

from ops.engine.lifecycle import trouble
from ops.engine.session import Session

AT_ONCE = 200
"""Runs of one commit: whatever is interrupted has forgotten some runs wholly, and is started again."""


@dataclass
class Prunable:
    """What a prune takes: the number of runs and of their changesets, and the months that are dropped whole."""

    runs: int = 0
    changesets: int = 0
    months: list[date] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        months = [f"{month:%Y-%m}" for month in self.months]
        return {"runs": self.runs, "changesets": self.changesets, "months": months}


def drop_staging_left(alias: str) -> list[int]:
    """Drop the staging tables of loads whose run has ended, or is gone; return their numbers."""
    session = Session(alias)
    with trouble("Dropping staging tables that were left behind"):
        loads = [row[0] for row in session.execute("ops/list_staging.sql")]
        for load in loads:
            with session.transaction(lock_timeout=2_000, statement_timeout=0):
                session.execute("ops/drop_staging.sql", {"load": load})
    return loads


def merge_versions(alias: str) -> int:
    """Merge what writers have added to the versions of tables and tags; return how many rows there were."""
    session = Session(alias)
    merged = 0
    with trouble("Merging the versions of tables"):
        for _ in range(100):  # writers may add as fast as this merges
            with session.transaction(lock_timeout=2_000, statement_timeout=0):
                found = session.execute("ops/find_merged.sql")[0][0]
            merged += found
            if found < 10_000:
                break
    return merged


def _prunable(session: Session, before: datetime) -> tuple[list[int], Prunable]:
    found = session.execute("ops/list_prunable.sql", {"before": before})
    runs = [row[0] for row in found]
    changesets = session.execute("ops/count_changesets.sql", {"runs": runs})[0][0] if runs else 0
    return runs, Prunable(len(runs), changesets, sorted({row[1] for row in found if row[2]}))


def find_prunable(alias: str, before: datetime) -> Prunable:
    """Return what `prune` would take; write nothing."""
    with trouble("Looking for runs to prune"):
        return _prunable(Session(alias), before)[1]


def prune(alias: str, before: datetime) -> Prunable:
    """Forget the runs that ended before an instant; what holds rows, or is needed to revert a kept run, stays."""
    session = Session(alias)
    with trouble("Pruning runs"):
        runs, found = _prunable(session, before)
        for month in found.months:
            with session.transaction(lock_timeout=2_000, statement_timeout=0):
                session.execute("ops/drop_month.sql", {"month": month})
        # The youngest first: a revert goes before, or in one commit with, the run that it reverts.
        runs.reverse()
        for at in range(0, len(runs), AT_ONCE):
            with session.transaction(lock_timeout=2_000, statement_timeout=0):
                session.execute("ops/delete_runs.sql", {"runs": runs[at : at + AT_ONCE]})
        with transaction.atomic(using=alias):
            session.execute("ops/delete_sources.sql")
        return found
