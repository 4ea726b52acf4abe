"""What is tried on a public project: healthy, it has no finding; damaged at random, everything is found and mended."""

from dataclasses import dataclass, field
from typing import Any

from ops.drift import comparing
from ops.drift.model import Objects
from tests.drift.public import lab
from tests.drift.public.projects import PROJECTS


@dataclass
class Trial:
    """What came of one project; `faults` are what ought not to be."""

    project: str
    mode: str = ""
    tables: int = 0
    seconds: float = 0.0
    damages: list[str] = field(default_factory=list)
    lost: int = 0
    made: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def worth(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings above info."""
    return [one for one in plan["findings"] if one["severity"] != "info"]


def healthy(project: str, *options: str) -> Trial:
    """Plan a repair of a healthy project: there is nothing above info."""
    trial = Trial(project)
    database = lab.template(project)
    said = lab.manage(project, database, "repair_migrations", "--json", *options)
    plan = said.json
    trial.mode, trial.seconds = plan["mode"], said.seconds
    trial.tables = sum(one["kind"] == "table" for one in lab.objects(database).values())
    known = PROJECTS[project].known
    trial.faults = [
        f"{one['code']} {one['severity']} {one['object']}: {one['found']}"
        for one in worth(plan)
        if f"{one['code']} {one['object']}" not in known
    ]
    return trial


def damaged(project: str, seed: int, times: int = 10, *options: str) -> Trial:
    """Drop objects at random, repair, and hold the catalogue and the rows against what they were."""
    trial = Trial(project)
    database = lab.copy(project, f"public_{project}_damaged")
    before = lab.objects(database)
    trial.damages = lab.damage(database, seed, times)
    left = lab.contents(database)
    hurt = lab.objects(database)
    gone = differing(before, hurt)
    trial.lost = len(gone)
    plan = lab.manage(project, database, "repair_migrations", "--json", *options)
    trial.mode, trial.seconds = plan.json["mode"], plan.seconds
    trial.faults += [f"not found: {name}" for name in gone if not told(plan.json, before, name)]
    said = lab.manage(project, database, "repair_migrations", "--apply", "--no-input", "--json", *options)
    if said.code not in (0, 1, 3, 5):
        trial.faults.append(f"--apply ended with {said.code}: {said.out[-500:]} {said.err[-1500:]}")
    after = lab.objects(database)
    still = differing(before, after)
    again = lab.manage(project, database, "repair_migrations", "--json", *options).json
    trial.made = len(gone) - len(still)
    for name in still:
        if refusal(again, before, name):
            trial.refused += 1
        else:
            trial.faults.append(f"neither made nor refused: {name}: {still[name]}")
    kept = lab.contents(database, {name: columns for name, (columns, _) in left.items()})
    trial.faults += [f"rows are not as they were: {name}" for name, found in left.items() if kept.get(name) != found]
    return trial


def differing(want: Objects, have: Objects) -> dict[str, str]:
    """Return what is not as it was, by key, and how."""
    return {
        one.key: "missing" if one.have is None else ", ".join(one.attributes)
        for one in comparing.compare(want, have)
        if one.want is not None and not comparing.harmless(one)
    }


def about(plan: dict[str, Any], before: Objects, name: str) -> list[dict[str, Any]]:
    """Return the findings that speak of an object: by its key, its table's, or in their statements."""
    one = before[name]
    table = lab.table_of(one)
    own = one["name"]
    return [
        finding for finding in plan["findings"]
        if finding["object"] in (name, table) or own in finding["found"] or any(own in text for text in finding["sql"])
    ]  # fmt: skip


def told(plan: dict[str, Any], before: Objects, name: str) -> bool:
    """Return whether a plan speaks of an object, above info."""
    return any(one["severity"] != "info" for one in about(plan, before, name))


def refusal(plan: dict[str, Any], before: Objects, name: str) -> str:
    """Return why an object is not made again; "" where nothing says so."""
    return next((one["refused"] for one in about(plan, before, name) if one["refused"]), "")
