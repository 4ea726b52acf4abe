"""What rollups there are: those that reports declare and those that a database keeps, and what each is good for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.engine.lifecycle import trouble as in_a_sentence
from ops.engine.session import DatabaseTrouble, Session
from ops.reports import registry as reports
from ops.reports import rollups
from ops.reports.declaring import BrokenReport
from ops.reports.rollup_kept import Kept, NotKept, keep

EVENTS = 4
"""Triggers that each table has: one for each way to write to it."""


@dataclass(frozen=True)
class Listed:
    """A rollup as it is."""

    report: str
    grain: str
    zone: str
    reason: str
    """Why it is not used; '' where it is."""
    declared: bool = True
    built_at: datetime | None = None
    refreshed_at: datetime | None = None
    buckets: int = 0
    rows: int = 0
    touched: int = 0
    all_touched: bool = False
    tables: int = 0
    triggers: int = 0
    disabled: int = 0

    @property
    def triggers_in_words(self) -> str:
        """Return whether its triggers do their work, in words."""
        missing = self.tables * EVENTS - self.triggers
        told = [f"{missing} missing"] if missing else []
        told += [f"{self.disabled} disabled"] if self.disabled else []
        return ", ".join(told) or ("in place" if self.tables else "-")

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "report": self.report,
            "grain": self.grain,
            "zone": self.zone,
            "declared": self.declared,
            "used": not self.reason,
            "reason": self.reason,
            "built_at": self.built_at and self.built_at.isoformat(),
            "refreshed_at": self.refreshed_at and self.refreshed_at.isoformat(),
            "buckets": self.buckets,
            "rows": self.rows,
            "touched": self.touched,
            "all_touched": self.all_touched,
            "triggers": {
                "tables": self.tables,
                "wanted": self.tables * EVENTS,
                "there": self.triggers,
                "disabled": self.disabled,
            },
        }


def listed(database: str) -> list[Listed]:
    """Return all rollups, those that reports declare and those that are left of others, by name."""
    session = Session(database)
    with in_a_sentence("Listing rollups"):
        kept = {row[0]: row[1:] for row in session.execute("ops/list_rollups.sql")}
        declared = [name for name in reports.names() if reports.find(name).rollup]
        return [
            _listed(session, name, kept.get(name), declared=name in declared) for name in sorted({*kept, *declared})
        ]


def _listed(session: Session, name: str, row: tuple[Any, ...] | None, *, declared: bool) -> Listed:
    what = _declaration(session, name) if declared else f"no report declares it: 'manage.py rollup drop {name}'"
    reason = what if isinstance(what, str) else _reason(session, what)
    if row is None:
        grain, zone = ("", "") if isinstance(what, str) else (what.grain, what.bucket_zone)
        return Listed(name, grain or reports.find(name).rollup, zone, reason)
    grain, zone, built_at, refreshed_at, *counts = row
    return Listed(name, grain, zone, reason, declared, built_at, refreshed_at, *counts)


def _declaration(session: Session, name: str) -> Kept | str:
    """Return what is kept of a report, or why nothing is."""
    try:
        return keep(reports.find(name), session.alias)
    except (NotKept, BrokenReport, DatabaseTrouble) as exc:
        return str(exc).rstrip(".")


def _reason(session: Session, kept: Kept) -> str:
    trouble = session.execute("ops/find_rollup_trouble.sql", {"report": kept.name, "digest": kept.digest})[0][0]
    return rollups.in_words(trouble, kept) if trouble else ""
