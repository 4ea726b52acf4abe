"""What a load would change: every record accounted for, samples, what differs, and why records are refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.engine.plan import Plan

SAMPLES = 5
NEW_SAMPLES = 2


@dataclass
class LoadPlan(Plan):
    """The plan of a load, and in the end its outcome: lines = inserted + updated + unchanged + merged + rejected.

    `looked_at` and `changes` are what any plan has: the records, and the rows that are inserted or updated.
    """

    lines: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    merged: int = 0
    rejected: int = 0
    target: str = ""
    key: str = ""
    differing: dict[str, int] = field(default_factory=dict)
    """How many of the updated rows differ in each field."""
    samples: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing before one says yes."""
    refusal: str = ""
    """Why a load of this plan would be refused."""
    verified: bool = False
    """Whether it was compared once more afterwards, and nothing differed."""

    def counts(self) -> dict[str, int]:
        """Return how many records there are, and what becomes of them."""
        return {name: getattr(self, name) for name in COUNTS}

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON takes it."""
        more = ("target", "key", "differing", "samples", "reasons", "notes", "refusal")
        shared = ("looked_at", "changes", "held", "refusals", "amounts", "largest", "refused", "row_percent", "margin")
        document = super().as_json()
        return {
            **self.counts(),
            **{name: getattr(self, name) for name in more},
            **{name: document[name] for name in shared},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "LoadPlan":
        """Return the plan that `as_json` wrote."""
        known = [*COUNTS, "looked_at", "changes", "target", "key", "differing", "samples", "reasons", "notes"]
        return cls(**{name: document[name] for name in known if name in document})


COUNTS = ("lines", "inserted", "updated", "unchanged", "merged", "rejected")
