"""What makes the objects that a migration without a row lacks, before it is recorded (H01 H02 H03 H10 H11).

What is perhaps there under another name is asked for, as of a migration that is recorded (S04): to make it would leave
the data behind in the other.
"""

from ops.drift import comparing, mending
from ops.drift.graph import Known
from ops.drift.history_findings_case import Case, listed
from ops.drift.judging import Verdict
from ops.drift.model import Choice, Finding, Step, key
from ops.drift.schema_findings_look import Look
from ops.drift.schema_findings_renames import renamed


def make(case: Case, known: Known, verdict: Verdict, code: str) -> tuple[list[Step], str, list[Choice], list[str]]:
    """Return the steps that make what a migration lacks, why some can't be made, and the keys spoken for.

    One that others come after is made as it is to be now; one that is the last, as it is right after it.
    """
    lacking = (*verdict.missing, *verdict.unfinished, *verdict.undone)
    if not lacking:
        return [], "", [], []
    if case.measure is None:
        return [], "The rows of this database can't be looked at, so nothing is made.", [], []
    want = case.expected.objects(None if known.implied else known.node)
    wanted = [name for name in lacking if name in want]
    dropped = [name for name in verdict.undone if name not in want]
    found = elsewhere(case, known, verdict)
    steps = [step for one in found for step in one.steps]
    refusals = [f"{one.found} {one.refused}" for one in found if one.refused]
    choices = [choice for one in found for choice in one.choices]
    told = {name for one in found for name in one.claims}
    tables = [name for name in wanted if want[name]["kind"] == "table"]
    for name in wanted:
        of = want[name].get("table")
        # A table comes with all that belongs to it.
        if name in told or (of and key("table", want[name]["schema"], of) in tables):
            continue
        mended = mending.make(
            name, want, case.have,
            code=code, measure=case.measure, choices=case.choices, expected=case.expected,
        )  # fmt: skip
        steps += mended.steps
        # A constraint that is made for new rows is made: what is not validated of it is told once this is recorded.
        halfway = bool(mended.steps) and want[name]["kind"] == "constraint"
        refusals += [f"{name}: {mended.refused}"] if mended.refused and not halfway else []
        choices += mended.choices
    if dropped and not known.implied:
        refusals.append(f"It drops {listed(dropped)}, and nothing is dropped here: do that by hand.")
    return steps, " ".join(refusals), choices, [*wanted, *sorted(told - set(wanted))]


def elsewhere(case: Case, known: Known, verdict: Verdict) -> list[Finding]:
    """Return what is to be said of tables and columns that are missing and may be there under another name.

    They claim what is other for this alone: a foreign key to a table that was renamed.
    """
    if case.measure is None or not verdict.missing:
        return []
    want = case.expected.objects(None if known.implied else known.node)
    own = {*verdict.missing, *verdict.unfinished, *verdict.undone, *verdict.other}
    explained = {name for made in case.expected.made for name in made.delta}
    differences = {
        one.key: one
        for one in comparing.compare(want, case.have)
        if (one.key in own if one.want else one.key not in explained)
    }
    look = Look(case.expected, case.have, differences, case.choices, case.measure)
    look.want = want
    return list(renamed(look))
