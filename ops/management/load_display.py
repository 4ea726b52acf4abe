"""What people read of a load: what becomes of its records, what differs, which are refused and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops import clock
from ops.load.plan import COUNTS
from ops.management import display
from ops.models import Anomaly

FIELDS = 4
"""Fields of a sample that are shown."""

WIDEST = 40
"""Characters of a sample's value that are shown."""


def plan(found: Mapping[str, Any], *, terminal: bool) -> str:
    """Return a load's plan (`LoadPlan.as_json()`) as a person reads it."""
    lines = [f"{display.count(found['lines'], 'record')} into {found['target']} by {found['key']}: {told(found)}."]
    lines += [f"Note: {note}" for note in found["notes"]]
    if found["differing"]:
        cells = [(name, f"{many:,}") for name, many in sorted(found["differing"].items(), key=lambda one: -one[1])]
        lines.append(
            display.table("What differs in rows that are updated", ("field", "rows"), cells, ("rows",), terminal)
        )
    samples = [cell for sample in found["samples"] for cell in _sample(sample)]
    if samples:
        columns = ("line", "key", "field", "old", "new")
        lines.append(display.table("Samples", columns, samples, ("line",), terminal))
    if found["reasons"]:
        bad = [(one["reason"], f"{one['records']:,}", f"{one['line']:,}") for one in found["reasons"]]
        lines.append(
            display.table("Bad records", ("reason", "records", "first line"), bad, ("records", "first line"), terminal)
        )
    return "\n".join(lines)


def told(found: Mapping[str, Any]) -> str:
    """Return what becomes of the records in words."""
    return ", ".join(f"{found[name]:,} {name}" for name in COUNTS[1:])


def _sample(sample: Mapping[str, Any]) -> list[tuple[str, ...]]:
    key = ", ".join(display.value(part) for part in sample["key"])
    first = [f"{sample['line']:,}", _short(key)]
    cells = []
    for name, pair in list(sample["values"].items())[:FIELDS]:
        old = "(new)" if sample["inserted"] else _short(display.value(pair["old"]))
        cells.append((*first, name, old, _short(display.value(pair["new"]))))
        first = ["", ""]
    return cells or [(*first, "", "(new)" if sample["inserted"] else "", "")]


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def anomaly(one: Anomaly) -> dict[str, Any]:
    """Return an anomaly as JSON takes it."""
    return {
        "kind": one.kind,
        "key": one.key,
        "count": one.count,
        "first_at": one.first_at.isoformat(),
        "last_at": one.last_at.isoformat(),
        "detail": one.detail,
    }


def anomalies(found: Sequence[Anomaly], *, terminal: bool) -> str:
    """Return anomalies as a person reads them."""
    if not found:
        return "No job has met anything odd."
    rows = [(one.kind, one.key, f"{one.count:,}", clock.shown(one.last_at), one.detail) for one in found]
    return display.table("Anomalies", ("kind", "key", "times", "last", "detail"), rows, ("times",), terminal)
