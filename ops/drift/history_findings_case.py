"""What all findings of history look at: the rows, the graph, the verdicts, and what was decided."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ops.drift import codes
from ops.drift.graph import Graph, Known
from ops.drift.history import History
from ops.drift.judging import Verdict
from ops.drift.model import (
    Choice,
    Choices,
    Expected,
    Finding,
    HistoryChange,
    Made,
    Node,
    Objects,
    Row,
    Severity,
    Step,
)

if TYPE_CHECKING:
    from ops.drift.measuring import Measure

_NUMBER = re.compile(r"\d+")
_SQUASH = re.compile(r"(\d+)_.*squashed_(\d+)")


@dataclass
class Case:
    """One database, as `history_findings.find` was given it."""

    history: History
    graph: Graph
    expected: Expected
    have: Objects
    verdicts: dict[Node, Verdict]
    choices: Choices
    measure: "Measure | None" = None
    # Rows that another finding renames, by the migration that they are then of.
    renamed: dict[Node, Row] = field(default_factory=dict)
    # Rows without a file that another finding takes for what a squash replaced.
    squashed: set[Node] = field(default_factory=set)

    @cached_property
    def made(self) -> dict[Node, Made]:
        return {one.node: one for one in self.expected.made}

    @cached_property
    def ghosts(self) -> list[Row]:
        """Return the rows without a file, those of another case of the same name left out."""
        return self.graph.ghosts(self.history.rows)

    @cached_property
    def elsewhere(self) -> dict[Node, str]:
        """Return what another django_migrations of the search_path records and this one does not, by its schema."""
        here = self.history.nodes
        return {
            row.node: other.schema
            for other in reversed(self.history.others)
            if other.place is not None
            for row in other.rows or ()
            if row.node in self.graph.disk and row.node not in here
        }

    def verdict(self, node: Node) -> Verdict:
        """Return what the objects say of a migration; of one that was not replayed they say nothing."""
        return self.verdicts.get(node) or Verdict("unprovable", why="it could not be replayed")

    def unseen(self, known: Known) -> tuple[str, ...]:
        """Return what a migration does of which no object remains; nothing where a person says that it was done."""
        return () if self.decided(known.node) else known.unseen

    def decided(self, node: Node) -> bool:
        """Say whether a person has decided that a migration was applied (`--record`)."""
        return str(node) in self.choices.record

    def applied(self, node: Node) -> datetime | None:
        """Return when a migration was applied, None where its row does not tell.

        Django records a squash at the end of a migrate, after those that follow it: what it replaces tells, if all of
        that is recorded. Where it replaces nothing any more, its name is what is left of that.
        """
        known = self.graph.disk.get(node)
        if known is not None and known.replaces:
            times = [self.history.applied(one) for one in known.replaces]
            found = [one for one in times if one]
            return max(found) if len(found) == len(times) else self.history.applied(node)
        return None if "_squashed_" in node.name else self.history.applied(node)

    def is_recorded(self, node: Node) -> bool:
        known = self.graph.nodes.get(node)
        return bool(known and known.recorded)


def covers(squash: Node, row: Row) -> bool:
    """Say whether a squash, by its name of Django's making (0001_initial_squashed_0003_renames), replaced a row."""
    numbers = _SQUASH.match(squash.name)
    own = _NUMBER.match(row.name)
    if numbers is None or own is None or squash.app != row.app:
        return False
    return int(numbers[1]) <= int(own[0]) <= int(numbers[2])


def finding(
    code: str, severity: Severity, thing: Node | str, found: str, *, refused: str = "", action: str = ""
) -> Finding:
    """Return a finding with what its code breaks; of a migration it is named `migration app.name`."""
    of = isinstance(thing, Node)
    return Finding(
        code=code,
        severity=severity,
        object=f"migration {thing}" if of else str(thing),
        found=found,
        breaks=codes.breaks(code),
        action=action,
        refused=refused,
        migration=str(thing) if of else "",
    )


def record_choice(node: Node) -> Choice:
    """Return the way out for a migration that can't be proven."""
    return Choice(f"--record {node}", f"record {node} as applied: somebody knows that all of it was done")


def recording(case: Case, code: str, node: Node, applied: datetime | None, needs: Sequence[str]) -> Step:
    """Return the step that records a migration; of a squash all that it replaces, or Django would not believe it."""
    known = case.graph.disk.get(node)
    rows = case.history.nodes
    nodes = [*(one for one in (known.replaces if known else ()) if one not in rows)]
    if node not in rows:
        nodes.append(node)
    return Step(
        code=code,
        object=f"migration {node}",
        phase="history",
        title=f"record {node}",
        history=[HistoryChange("insert", one, applied) for one in nodes],
        needs=list(needs),
    )


def listed(names: Iterable[object], most: int = 6) -> str:
    """Return names as a sentence has them, those beyond the first few counted."""
    every = [str(one) for one in names]
    if len(every) <= most:
        return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)
    return f"{', '.join(every[:most])} and {len(every) - most} more"


def counted(number: int, thing: str) -> str:
    """Return a number of things, in the plural where it is one."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
