"""Hold a rollup against its source: every sum of every bucket and group, as of one moment, in one statement.

What was touched is left out, for it is read from the source until a refresh has computed it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.engine.lifecycle import trouble as in_a_sentence
from ops.engine.session import Session
from ops.reports import rollup_compiler, rollups
from ops.reports.declaring import Report
from ops.reports.rollup_kept import Kept, NotKept, keep

COMPARABLE = ("", "triggers", "partitions", "index")
"""What ops_rollup_trouble may say of a rollup that can still be held against its source."""


@dataclass(frozen=True)
class Difference:
    """A sum that is kept and is not what the source has; None stands for a row that is not there."""

    bucket: datetime
    group: dict[str, Any]
    measure: str
    kept: Any
    source: Any

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "bucket": self.bucket.isoformat(),
            "group": self.group,
            "measure": self.measure,
            "kept": self.kept,
            "source": self.source,
        }


@dataclass(frozen=True)
class Verified:
    """How many rows of a rollup were compared, how many of them differ, and the first differences."""

    report: str
    compared: int
    differing: int
    touched: int
    first: list[Difference] = field(default_factory=list)
    trouble: str = ""
    """Why it is of no use though it can be compared, in words."""


def verify(report: Report, database: str) -> Verified:
    """Compare a report's rollup with its source; raise NotKept with the reason where there is none to compare.

    Raises BrokenReport or DatabaseTrouble where it can't be computed.
    """
    kept = keep(report, database)
    session = Session(database)
    with (
        in_a_sentence(f"Verifying rollup {kept.name!r}"),
        session.transaction(lock_timeout=0, statement_timeout=0, snapshot=True),
    ):
        named = {"report": kept.name, "digest": kept.digest}
        trouble = session.execute("ops/find_rollup_trouble.sql", named)[0][0]
        if trouble not in COMPARABLE:
            raise NotKept(rollups.in_words(trouble, kept))
        types = session.execute("ops/find_rollup_types.sql", named)[0][0]
        touched = session.execute("ops/count_touched.sql", {"reports": [kept.name]})[0][0]
        rows = session.execute(rollup_compiler.verifying(kept, types), rollup_compiler.values(kept))
    first = [one for row in rows if row[2] is not None for one in _differences(kept, row[2:])]
    words = rollups.in_words(trouble, kept) if trouble else ""
    return Verified(kept.name, rows[0][0], rows[0][1], touched, first[: rollup_compiler.DIFFERENCES], words)


def _differences(kept: Kept, row: tuple[Any, ...]) -> list[Difference]:
    """Return what differs in a row: level, bucket, group, how often it is on each side, then the parts of each side."""
    level, bucket, *rest = row
    width, count = len(kept.expressions), len(kept.parts)
    group = _group(kept, level, rest[:width])
    ours, theirs, parts = rest[width], rest[width + 1], rest[width + 2 :]
    if not ours or not theirs:
        there, missing = ("the source", "the rollup") if theirs else ("the rollup", "the source")
        return [Difference(bucket, group, f"a row of {there} that {missing} has not", ours or None, theirs or None)]
    return [
        Difference(bucket, group, _of(kept, i), parts[i], parts[count + i])
        for i in range(count)
        if parts[i] != parts[count + i]
    ]


def _group(kept: Kept, level: int, found: list[Any]) -> dict[str, Any]:
    """Return what a row tells apart, by the names that groups and filters have for it."""
    report, known = kept.report, dict(zip(kept.expressions, found, strict=True))
    group = {name: known[text] for name, text in report.groups.items()}
    if level:
        group |= {name: known[one.expression] for name, one in report.filters.items() if one.expression in known}
    return group


def _of(kept: Kept, place: int) -> str:
    """Return the measures that a part is of."""
    return ", ".join(name for name, places in kept.measures.items() if place in places)
