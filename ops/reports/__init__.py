"""Reports: windows of time in one statement with FILTER, declared once; and what they come to, as Python has it.

A report is a class in the module `reports` of an app; docs/reports.md shows how to write one.
"""

from typing import TYPE_CHECKING, Any

from ops.reports.declaring import (
    Aggregate,
    Avg,
    BrokenReport,
    Count,
    Derived,
    Distinct,
    Filter,
    Max,
    Measure,
    Min,
    Percentile,
    Report,
    Sum,
    tables,
)
from ops.reports.registry import UnknownReport, find, names, register
from ops.reports.windows import BadChoice, BadWindow, Window, resolve

if TYPE_CHECKING:
    from ops.reports.computing import Result, compute, statement

__all__ = [
    "Aggregate",
    "Avg",
    "BadChoice",
    "BadWindow",
    "BrokenReport",
    "Count",
    "Derived",
    "Distinct",
    "Filter",
    "Max",
    "Measure",
    "Min",
    "Percentile",
    "Report",
    "Result",
    "Sum",
    "UnknownReport",
    "Window",
    "compute",
    "find",
    "names",
    "register",
    "resolve",
    "statement",
    "tables",
]


def __getattr__(name: str) -> Any:
    """Import what computes when it is asked for: a declaration needs none of it."""
    if name not in ("Result", "compute", "statement"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ops.reports import computing

    return getattr(computing, name)
