"""Findings of the schema (S): what is missing, other, renamed or extra, each told once, with what mends it.

A missing table speaks for its columns, constraints, indexes and triggers, a missing column for what is over it. What
is to be had only from a person is refused with the choices; what is not proven is told as information.
"""

from collections.abc import Iterable, Sequence

from ops.drift.measuring import Measure
from ops.drift.model import SEVERITIES, Choices, Difference, Expected, Finding, Node, Objects
from ops.drift.schema_findings_extras import extras, owners
from ops.drift.schema_findings_look import Look
from ops.drift.schema_findings_lost import columns, others, parts, tables
from ops.drift.schema_findings_other import altered
from ops.drift.schema_findings_renames import renamed
from ops.drift.schema_findings_waiting import settle


def find(
    expected: Expected,
    have: Objects,
    differences: Iterable[Difference],
    choices: Choices,
    measure: Measure,
    *,
    ghosts: Sequence[Node] = (),
) -> list[Finding]:
    """Return the findings for the differences of which nobody spoke yet, the worst first.

    `ghosts` are recorded migrations without a file: they may have made what no other explains.
    """
    look = Look(expected, have, {one.key: one for one in differences}, choices, measure, ghosts)
    found: list[Finding] = []
    for part in (renamed, tables, columns, parts, others, altered, extras, owners):
        found += part(look)
    settle(found, expected, have, elsewhere=set(look.want) - set(look.differences))
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.code, one.object))
