"""What ops keeps in the target's database: the engine's runs, and what reports and the cache are kept by."""

from ops.models.engine import (
    Anomaly,
    Changeset,
    Hold,
    MissedSlots,
    Reject,
    Run,
    RunEvent,
    Schedule,
    Source,
    Window,
)
from ops.models.reports import ReportResult, Rollup, RollupRow, RollupTouched, TableVersion, TagVersion

__all__ = [
    "Anomaly",
    "Changeset",
    "Hold",
    "MissedSlots",
    "Reject",
    "ReportResult",
    "Rollup",
    "RollupRow",
    "RollupTouched",
    "Run",
    "RunEvent",
    "Schedule",
    "Source",
    "TableVersion",
    "TagVersion",
    "Window",
]
