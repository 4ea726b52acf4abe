"""What a case is, and the proof that it is seen, mended or refused as said, and that nothing is lost by it.

A case makes a damage on a copy of the sample project's database. Its codes have to be in the plan; `--apply` then mends
it, or refuses and changes nothing, and with the options that answer the refusal mends it as well.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.drift import keeping, sample
from tests.ops.scratch import rows

Damage = str | tuple[str, ...] | Callable[[str], object]


@dataclass
class Proof:
    """What a case's own assertions look at, after the last repair."""

    database: str
    before: keeping.Kept
    after: keeping.Kept
    planned: dict[str, Any]
    said: dict[str, Any]

    def one(self, statement: str) -> Any:
        """Return the one value that a statement finds."""
        ((value,),) = rows(self.database, statement)
        return value

    def finding(self, code: str) -> dict[str, Any]:
        """Return the first finding of a code in the plan before the repair."""
        return next(one for one in self.planned["findings"] if one["code"] == code)


@dataclass(frozen=True)
class Case:
    """A damage and what ought to come of it."""

    name: str
    damage: Damage
    # Each has to be in the plan; `H01|H02` is either.
    codes: tuple[str, ...]
    # told: reported, and nothing need be done.
    outcome: Literal["repaired", "refused", "told"] = "repaired"
    # With these a refused one is repaired.
    options: tuple[str, ...] = ()
    severity: Literal["error", "warning", "info"] = "warning"
    # Text that a finding of the first code has somewhere.
    says: tuple[str, ...] = ()
    # Codes of what stays above info after the repair: orphans, say.
    leaves: tuple[str, ...] = ()
    # Changes a copy of the project; commands then run in processes of their own.
    project: Callable[[Path], None] | None = None
    # Columns and tables that a person has renamed back.
    renamed: dict[str, str] = field(default_factory=dict)
    retyped: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    empty: bool = False
    # Whether migrate and makemigrations --check pass in the end.
    migrates: bool = True
    # Whether a refusal of this may come with something that is mended at once.
    partly: bool = False
    # Whether `runs revert` puts history back as the damage had left it.
    reverts: bool = False
    also: Callable[[Proof], None] | None = None

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def told_apart(cases: Iterable[Case]) -> list[Any]:
    """Return the cases as parameters: the first with its codes and outcome is tried always, the others by `-m soak`."""
    seen: set[tuple[object, ...]] = set()
    found = []
    for case in cases:
        what = (case.codes, case.outcome)
        found.append(pytest.param(case, id=str(case), marks=[pytest.mark.soak] if what in seen else []))
        seen.add(what)
    return found


def harm(case: Case, database: str) -> None:
    """Make the damage."""
    if callable(case.damage):
        case.damage(database)
        return
    # Each statement by itself: CONCURRENTLY takes no transaction.
    for statement in (case.damage,) if isinstance(case.damage, str) else case.damage:
        rows(database, statement)


def prove(case: Case, directory: Path) -> None:
    """Prove a case from its damage to `migrate`; `directory` takes the copy of a project that it changes."""
    project = sample.PROJECT
    if case.project:
        project = directory / "project"
        shutil.copytree(sample.PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
        case.project(project)
    with sample.empty_database() if case.empty else sample.sample_database() as database:
        harm(case, database)
        Prover(case, database, {"project": project, **case.environment}).prove()


class Prover:
    """The steps of a proof."""

    def __init__(self, case: Case, database: str, more: dict[str, Any]) -> None:
        self.case, self.database, self.more = case, database, more

    def prove(self) -> None:
        """Go from the plan to the last repair."""
        before = keeping.read(self.database)
        planned = sample.plan(self.database, **self.more)
        self.is_reported(planned)
        said = sample.repair(self.database, **self.more)
        if self.case.outcome != "repaired":
            self.is_unchanged(before, said)
        if self.case.outcome == "repaired" or self.case.options:
            if self.case.options:
                said = sample.repair(self.database, *self.case.options, **self.more)
            self.is_repaired(before, said)
        if self.case.also:
            self.case.also(Proof(self.database, before, keeping.read(self.database), planned, said))
        if self.case.migrates:
            sample.must("migrate", "--no-input", "--verbosity", "0", database=self.database, **self.more)
            sample.must("makemigrations", "--check", "--dry-run", database=self.database, **self.more)
        if self.case.reverts:
            self.is_reverted(before)

    def is_reported(self, planned: dict[str, Any]) -> None:
        """Assert that the plan has the codes, the words and the weight, and says why it refuses."""
        found = planned["findings"]
        for code in self.case.codes:
            of_code = [one for one in found if one["code"] in code.split("|")]
            assert of_code, (code, brief(found))
            worst = min(("error", "warning", "info").index(one["severity"]) for one in of_code)
            assert worst <= ("error", "warning", "info").index(self.case.severity), brief(of_code)
        first = [one for one in found if one["code"] in self.case.codes[0].split("|")]
        for text in self.case.says:
            assert any(text in str(one) for one in first), (text, first)
        if self.case.outcome == "refused":
            assert any(one["refused"] for one in first), first
            if self.case.options:
                assert any(one["choices"] for one in first), first
        elif self.case.outcome == "told":
            assert not any(one["sql"] for one in first), first

    def is_unchanged(self, before: keeping.Kept, said: dict[str, Any]) -> None:
        """Assert that nothing was changed, or nothing lost where other things were mended."""
        after = keeping.read(self.database)
        assert keeping.lost(before, after) == []
        assert keeping.grown(before, after) == []
        if not self.case.partly:
            assert keeping.changed(before, after) == [], said

    def is_repaired(self, before: keeping.Kept, said: dict[str, Any]) -> None:
        """Assert that the difference is gone, and that nothing went with it."""
        left = [
            one
            for one in sample.plan(self.database, **self.more)["findings"]
            if one["severity"] != "info" and one["code"] not in self.case.leaves
        ]
        assert left == [], (brief(left), said)
        assert said["code"] in ((0,) if not self.case.leaves else (0, 1, 3)), said
        after = keeping.read(self.database)
        assert keeping.lost(before, after, self.case.renamed, retyped=self.case.retyped) == []
        assert keeping.grown(before, after, self.case.renamed) == []

    def is_reverted(self, before: keeping.Kept) -> None:
        """Assert that undo puts every row of history back, with its key and its time."""
        run = rows(self.database, "SELECT max(id) FROM ops_run WHERE verb <> 'revert'")[0][0]
        sample.must("runs", "revert", str(run), "--no-input", database=self.database, **self.more)
        assert keeping.read(self.database).history == before.history


def brief(findings: list[dict[str, Any]]) -> list[str]:
    """Return findings in a line each, for a failure to say what there was."""
    return [
        f"{one['code']} {one['severity']} {one['object']}: {one['found']} [{one['refused'] or one['action']}]"
        for one in findings
    ]
