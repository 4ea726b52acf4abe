"""Taking a repair of migrations back, from `runs revert RUN` and from `repair_migrations --revert UUID`."""

from typing import Any
from uuid import UUID

from ops.drift import undoing
from ops.drift.carrying import Outcome
from ops.engine.lifecycle import Stopped
from ops.management import display
from ops.management.engine_command import EngineCommand


def revert(
    command: EngineCommand, options: dict[str, Any], *, run: int | None = None, uuid: UUID | None = None
) -> None:
    """Plan, ask, and take a repair back, by its run or its own name; print what came of it.

    `options` has database, dry_run, no_input, json, and where there is one lock_timeout in milliseconds.
    """
    database, quiet = options["database"], options["json"]
    if not options["dry_run"]:
        command.must_not_guess(no_input=options["no_input"], quiet=quiet)
    if options["dry_run"]:
        plan = undoing.plan_revert(database, run=run, uuid=uuid)
        if quiet:
            command.print_json({"reverts": run, **plan.as_json()})
        else:
            _show(command, plan)
        return

    def confirm(plan: undoing.RevertPlan) -> bool:
        if not quiet:
            _show(command, plan)
        asked = options["no_input"] or not plan.back
        return command.ask(f"Take {display.count(len(plan.back), 'step')} back?", no_input=asked)

    with command.interruptible(database) as stop, command.progress(quiet=quiet) as progress:
        outcome = undoing.revert(
            database, run=run, uuid=uuid, lock_timeout=options.get("lock_timeout", 2_000) / 1_000, stop=stop,
            leave=command.leave,
            progress=progress, note=command.note, confirm=confirm,
            started_from="manage.py runs revert" if options.get("verb") else "manage.py repair_migrations --revert",
        )  # fmt: skip
    _said(command, outcome, quiet=quiet)
    if outcome.state == "stopped":
        raise Stopped(outcome.message)


def _show(command: EngineCommand, plan: undoing.RevertPlan) -> None:
    record = plan.record
    of = f"run {record.run}, " if record.run else ""
    back, stay = display.count(len(plan.back), "step"), len(plan.stays)
    command.stdout.write(f"Repair {record.uuid} ({of}{record.state}): {back} can be taken back, {stay:,} left alone.")
    for one in plan.back:
        command.stdout.write(f"  takes back: {one.title} ({one.object})")
    for one, why in plan.stays:
        command.stdout.write(f"  stays: {one.title} ({one.object}): {why}")


def _said(command: EngineCommand, outcome: Outcome, *, quiet: bool) -> None:
    if quiet:
        command.print_json(outcome.as_json())
        return
    counts = outcome.counts
    named = f"Run {outcome.run}" if outcome.run else f"Repair {outcome.uuid}"
    taken = display.count(counts["done"], "step")
    command.stdout.write(f"{named}: {taken} taken back, {counts['left'] + counts['failed']:,} left alone.")
    for note in outcome.notes:
        command.stdout.write(note)
