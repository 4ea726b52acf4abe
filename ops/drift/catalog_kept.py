"""What was read of the catalogue before, so that who reads it again and again asks only for what has changed.

It is for a database that nobody else works in, such as the scratch database of a replay.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ops.drift.model import Attributes

Listed = Callable[[str, Mapping[str, Any]], list[Attributes]]
"""What runs a statement of sql/ with values, and returns its rows."""

# Most of a catalogue is in these.
_LARGE = ("ops/list_catalog_columns.sql", "ops/list_catalog_constraints.sql", "ops/list_catalog_indexes.sql")


class Kept:
    """The rows of columns, constraints and indexes by the number of their relation, each under its relation's mark.

    A mark does not change where something is renamed that a definition names, in another table: after that `forget`.
    """

    def __init__(self) -> None:
        self._marks: dict[int, str] = {}
        self._rows: dict[str, dict[int, list[Attributes]]] = {}
        self._changed: list[int] = []

    def forget(self) -> None:
        """Read all the next time."""
        self._marks = {}

    def look(self, listed: Listed, relations: list[int]) -> None:
        """See which relations have changed since the last time."""
        marks = {row["relation"]: row["mark"] for row in listed("ops/list_scratch_marks.sql", {"relations": relations})}
        self._changed = [one for one in relations if one not in marks or self._marks.get(one) != marks[one]]
        for rows in self._rows.values():
            for gone in set(rows) - set(marks):
                del rows[gone]
        self._marks = marks

    def rows(self, name: str, listed: Listed, values: Mapping[str, Any]) -> list[Attributes]:
        """Return the rows of a statement about relations: anew, or of what hasn't changed those of the last time."""
        if name not in _LARGE:
            return listed(name, values)
        kept = self._rows.setdefault(name, {})
        for one in self._changed:
            kept.pop(one, None)
        changed = set(self._changed)
        if changed:
            only = {which: [one for one in values[which] if one in changed] for which in ("tables", "relations")}
            for row in listed(name, {**values, **only}):
                kept.setdefault(row["relation"], []).append(row)
        # What gathers them takes their numbers away.
        return [dict(row) for one in values["relations"] for row in kept.get(one, ())]
