"""Carry a plan out: under the guard, bound to the plan's snapshot, step by step, each with its undo in the audit.

A step and its entry commit together; history changes last, in one transaction. Killed at any moment, what is done is
done and recorded, and the same command again goes on with what is left. Success is that the findings are gone.
"""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from ops.drift.carrying import Asked, Outcome, Progress, Stop, Told, Work, quiet, working
from ops.drift.model import PHASES, Choices, Finding, Objects, RepairPlan, Step
from ops.drift.stepping import Limits, names_of
from ops.engine.lifecycle import Declined
from ops.engine.plan import Refused
from ops.engine.session import DatabaseTrouble

__all__ = ["Outcome", "Told", "apply", "of_history", "ordered"]

Replan = Callable[[], RepairPlan]


def ordered(findings: Sequence[Finding]) -> list[Step]:
    """Return the steps of findings in the order of phases, the same one once."""
    steps: dict[Any, Step] = {}
    for one in findings:
        for step in one.steps:
            known = steps.setdefault((step.object, step.phase, tuple(step.sql), tuple(step.history)), step)
            known.needs = list(dict.fromkeys([*known.needs, *step.needs]))
    # A column takes an identity only once it takes no null.
    later = {step.object for step in steps.values() if step.code == "S13"}
    return sorted(
        steps.values(),
        key=lambda step: (PHASES.index(step.phase), step.code == "S05" and step.object in later),
    )


def of_history(step: Step, history: tuple[str, str] | None) -> bool:
    """Tell whether a step changes django_migrations, its rows or its table: that is done on the guard's connection."""
    if step.phase in ("history table", "history"):
        return True
    names = names_of(step.object.partition(" ")[2])
    return history is not None and tuple(names[:2]) == history


def apply(
    plan: RepairPlan,
    replan: Replan,
    choices: Choices | None = None,
    *,
    only: Sequence[str] = (),
    lock_timeout: float = 2.0,
    retries: int = 8,
    concurrent: float = 300.0,
    stop: Event | None = None,
    leave: Event | None = None,
    progress: Progress = quiet,
    note: Callable[[str], None] = quiet,
    confirm: Callable[[list[Step]], bool] | None = None,
    started_from: str = "Python",
    read: Callable[[str], Objects] | None = None,
) -> Outcome:
    """Carry out the steps of a plan, of the codes in `only` where there are some; return what came of them.

    `confirm` is asked before anything is locked; `stop` ends it after the present step, and `leave` cancels that then.
    Raises Refused (somebody else is at it, or the database is not what the plan saw), Declined, and DatabaseTrouble
    where a connection is lost; nothing is half done in any case.
    """
    wanted = [one for one in plan.findings if one.steps and (not only or one.code in only)]
    steps = ordered(wanted)
    limits = Limits(lock_timeout, retries, concurrent, stop or Event())
    asked = Asked(started_from, limits, progress, note, read, leave)
    if not steps:
        _settle_ended(plan.alias, asked)
        return Outcome("nothing", message="There is nothing to repair.", after=plan)
    if confirm and not confirm(steps):
        raise Declined("Declined: nothing was repaired.")
    with working(plan.alias, asked) as work:
        _must_be_as_planned(plan, replan)
        params = {"only": list(only), **({"asked": plan.asked} if plan.asked else {}), **_chosen(choices)}
        work.open(plan.snapshot, plan.mode, params)
        return _carried(work, steps, wanted, replan)


def _settle_ended(alias: str, asked: Asked) -> None:
    """Mark the repairs whose process was ended, where nobody is at it: what they had left to do is done by now."""
    try:
        with working(alias, asked) as work:
            if work.guard.audited:
                work.settle()
    except (Refused, DatabaseTrouble):
        return


def _must_be_as_planned(plan: RepairPlan, replan: Replan) -> None:
    fresh = replan()
    if fresh.snapshot != plan.snapshot or (plan.expected and fresh.expected != plan.expected):
        what = "database" if fresh.snapshot != plan.snapshot else "migrations"
        raise Refused(
            f"The {what} of {plan.alias!r} changed since the plan was made, so nothing was repaired: plan again with "
            "'manage.py repair_migrations', then apply what it says."
        )


def _chosen(choices: Choices | None) -> dict[str, Any]:
    """Return what the operator decided, without what was left open."""
    return {name: value for name, value in vars(choices or Choices()).items() if value}


def _carried(work: Work, steps: list[Step], wanted: list[Finding], replan: Replan) -> Outcome:
    history = [step for step in steps if of_history(step, work.guard.history)]
    others = [step for step in steps if step not in history]
    work.total = len(steps)
    try:
        work.carry(others)
        work.record(history)
    except Stop as exc:
        work.worker.rollback()
        work.audit.keep_made(work.asked.objects(work.alias))
        done = f"after {len(work.told)} of {len(steps)} steps"
        return work.close("stopped", f"Stopped {done}, {exc}: 'manage.py repair_migrations --apply' goes on.")
    after = replan()
    remaining = still_there(wanted, after)
    failed = work.told and not all(one.state == "done" for one in work.told)
    message = ""
    if remaining:
        message = f"{len(remaining)} of {len(wanted)} findings are still there, the first: {remaining[0].found}"
    elif failed:
        why = next(one for one in work.told if one.state != "done")
        message = f"All that was found is gone, though not every step was done ({why.title}: {why.detail})."
    outcome = work.close("unverified" if remaining else "done", message)
    outcome.remaining, outcome.after = remaining, after
    outcome.blocked = bool(remaining) and 0 < work.blocked == outcome.counts["failed"]
    return outcome


def still_there(wanted: Sequence[Finding], after: RepairPlan) -> list[Finding]:
    """Return the findings that were worked on and can still be worked on, or are no better; what is refused is not."""
    known = {(one.code, one.object) for one in wanted}
    return [
        one
        for one in after.findings
        if (one.code, one.object) in known and one.severity != "info" and (one.steps or not one.refused)
    ]
