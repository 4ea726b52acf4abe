"""What is wrong with the recorded migrations, and what is to be done about it: the findings H01 to H22.

No row is ever written without proof or a person's word, none is deleted but into the audit, and what a row records is
made before it is written (`Step.needs`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ops.drift import (
    history_findings_files,
    history_findings_rows,
    history_findings_table,
    history_findings_whole,
)
from ops.drift.graph import Graph
from ops.drift.history import History
from ops.drift.history_findings_case import Case
from ops.drift.judging import Verdict
from ops.drift.model import Choices, Expected, Finding, Node, Objects, Step

if TYPE_CHECKING:
    from ops.drift.measuring import Measure


def find(
    history: History,
    graph: Graph,
    expected: Expected,
    have: Objects,
    verdicts: dict[Node, Verdict],
    choices: Choices,
    measure: "Measure | None" = None,
) -> list[Finding]:
    """Return all findings of history; a healthy one has none above "info".

    Where the graph does not load, `expected` and `verdicts` may be empty: what the rows, their table and the files say
    by themselves is found all the same.
    """
    case = Case(history, graph, expected, have, verdicts, choices, measure)
    found = history_findings_table.find(case)
    if history.unreadable:
        return found
    if graph.failure is not None:
        return [*history_findings_files.unloaded(case), *found]
    whole = history_findings_whole.find(case)
    found += whole
    begun = any(row.node in graph.disk for row in history.rows)
    hidden = any(one.code == "H12" and one.severity != "info" for one in whole) and not begun
    if hidden or any(one.code in ("H05", "H16") for one in whole):
        return found
    found += history_findings_whole.unbegun(case)
    return [*found, *history_findings_rows.find(case), *history_findings_files.find(case)]


def settle(findings: Iterable[Finding], graph: Graph) -> None:
    """Take out the rows of migrations whose parents get none: what was to record those may be ignored, or may wait.

    Django refuses a history in which a child is recorded and its parent is not.
    """
    every = list(findings)
    again = True
    while again:
        again = False
        written = {node for one in every for step in one.steps for node in _written(step)}
        for one in every:
            lacking = {
                parent
                for step in one.steps
                for node in _written(step)
                for parent in (graph.nodes[node].parents if node in graph.nodes else ())
                if not graph.nodes[parent].recorded and parent not in written
            }
            if lacking:
                again = True
                one.steps = [step for step in one.steps if not set(_written(step))]
                names = " and ".join(sorted(map(str, lacking)))
                one.action, one.refused = "", f"It depends on {names}, which is not recorded by this repair."


def _written(step: Step) -> list[Node]:
    """Return the migrations that a step gives a row."""
    return [
        Node(change.node.app, change.new_name) if change.what == "rename" else change.node
        for change in step.history
        if change.what != "delete"
    ]
