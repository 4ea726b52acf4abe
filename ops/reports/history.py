"""The saved results of a report over time: of each window what it came to as of one instant after the other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import DEFAULT_DB_ALIAS, Error

from ops.engine.lifecycle import decoded
from ops.engine.session import Session, in_words
from ops.reports.asking import as_kept, ask, zone_of
from ops.reports.computing import ADVICE
from ops.reports.declaring import Report
from ops.reports.saving import read_back
from ops.reports.windows import BadChoice


@dataclass(frozen=True)
class Saved:
    """What a report came to as of an instant: entries {"group": {..}, "values": {..}} as `Result` has them."""

    as_of: datetime
    rows: tuple[dict[str, Any], ...]
    totals: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class History:
    """The saved results of a report by window, each rising by as-of, restricted to the same."""

    report: str
    zone: str
    filters: dict[str, Any]
    measures: tuple[str, ...]
    groups: tuple[str, ...]
    windows: dict[str, tuple[Saved, ...]]

    def as_json(self) -> dict[str, Any]:
        """Return {report: {window: [{"as_of": .., measures or groups as in `Result.as_json`}, ..]}}."""
        return {self.report: {name: [self._told(one) for one in saved] for name, saved in self.windows.items()}}

    def _told(self, one: Saved) -> dict[str, Any]:
        told: dict[str, Any] = {"as_of": one.as_of.astimezone(ZoneInfo(self.zone)).isoformat()}
        if one.rows:
            told["groups"] = [{**row["group"], **self._values(row)} for row in one.rows]
        if any(row["group"] for row in one.totals):
            told["totals"] = [{**row["group"], **self._values(row)} for row in one.totals]
        elif one.totals:
            told |= self._values(one.totals[0])
        return told

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        # A measure that the report did not have then is null.
        return {name: row["values"].get(name) for name in self.measures}


def history(
    report: Report,
    *,
    window: str = "",
    filters: Mapping[str, Any] | None = None,
    most: int = 30,
    database: str = DEFAULT_DB_ALIAS,
) -> History:
    """Return what was saved of a report, of each window at most so many instants, the latest.

    Raises BadChoice where nothing was saved that is asked for, and DatabaseTrouble.
    """
    asked = ask(report, filters=filters, database=database)
    values = {
        "report": report.name,
        "name": window,
        "filters": json.dumps(as_kept(asked.filters)),
        "most": most,
    }
    try:
        found = Session(database).execute("ops/list_report_results.sql", values)
    except Error as exc:
        raise in_words(exc, f"Reading the saved results of report {report.name!r}", ADVICE) from exc
    if not found:
        of = f" for window {window!r}" if window else ""
        restricted = f", restricted to {told_filters(as_kept(asked.filters))}" if asked.filters else ""
        raise BadChoice(
            f"Nothing of report {report.name!r} is saved{of}{restricted}: 'manage.py stats {report.name} --save' "
            "saves it."
        )
    by_window: dict[str, dict[datetime, list[dict[str, Any]]]] = {}
    for name, as_of, told, came_to, kinds in found:
        kind = decoded(kinds)
        values_of = {key: read_back(value, kind.get(key, "")) for key, value in decoded(came_to).items()}
        by_window.setdefault(name, {}).setdefault(as_of, []).append({"group": decoded(told), "values": values_of})
    # As the report has them, and then those that it had once.
    order = [name for name in report.windows if name in by_window]
    order += [name for name in by_window if name not in order]
    return History(
        report=report.name,
        zone=zone_of(report).key,
        filters=as_kept(asked.filters),
        measures=tuple(report.measures),
        groups=tuple(report.groups),
        windows={
            name: tuple(_saved(report, as_of, entries) for as_of, entries in by_window[name].items()) for name in order
        },
    )


def _saved(report: Report, as_of: datetime, entries: list[dict[str, Any]]) -> Saved:
    """Tell groups from totals: those have fewer columns, or as many where totals keep all."""
    kept = set(report.totals or ())
    rows: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    for one in entries:
        (rows if len(one["group"]) > len(kept) and one["group"] else totals).append(one)
    return Saved(as_of, tuple(_ordered(report, rows)), tuple(_ordered(report, totals)))


def _ordered(report: Report, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries with their groups in the report's order: jsonb has an order of its own."""
    return [
        {
            "group": {
                name: one["group"][name] for name in (*report.groups, *sorted(one["group"])) if name in one["group"]
            },
            "values": one["values"],
        }
        for one in entries
    ]


def told_filters(filters: Mapping[str, Any]) -> str:
    """Return filters as they are written on the command line."""
    told = []
    for name, value in filters.items():
        told += [f"{name}={one}" for one in (value if isinstance(value, list) else [value])]
    return ", ".join(told)
