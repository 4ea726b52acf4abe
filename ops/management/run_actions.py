"""The verbs of `manage.py runs` that act: each calls the engine once and prints what came of it."""

import os
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS

from ops import clock
from ops.engine import changeset, control, registry, retention, run
from ops.engine.lifecycle import Declined, Options, Stopped
from ops.engine.plan import Refused
from ops.management import display, enqueueing, load_display, reverting_repairs
from ops.management.engine_command import USAGE, EngineCommand
from ops.management.run_verbs import Given, document, find, listed, run_databases
from ops.models import Run


def _options(command: EngineCommand, options: Given, stop: Any, progress: Any, **more: Any) -> Options:
    return Options(
        database=options["database"],
        note=command.note,
        stop=stop,
        leave=command.leave,
        progress=progress,
        started_from=f"manage.py runs {options['verb']}",
        **more,
    )


def revert(command: EngineCommand, options: Given) -> None:
    """Plan the revert, ask, and take the run back."""
    found = find(options)
    if found.job in registry.names() and registry.find(found.job).reverts_itself:
        reverting_repairs.revert(command, options, run=found.pk)
        return
    if not options["dry_run"]:
        command.must_not_guess(no_input=options["no_input"], quiet=options["json"])
    changeset.check_revertible(found)
    with command.interruptible(options["database"]) as stop, command.progress(quiet=options["json"]) as progress:
        plan = changeset.find_revert_plan(options["database"], found)
        if not options["json"]:
            _show_revert(command, options, found, plan)
        if options["dry_run"]:
            if options["json"]:
                command.print_json({"reverts": found.pk, **plan.as_json()})
            return
        if stop.is_set():
            raise Stopped(f"Run {found.pk} stays as it is: stopped before anything was set back.")
        # With nothing to set back there is nothing to ask; that it was tried is recorded all the same.
        asked = options["no_input"] or not plan.back
        if not command.ask(f"Set {display.count(plan.back, 'row')} back?", no_input=asked):
            raise Declined(f"Declined: run {found.pk} stays as it is.")
        more = {"lock_timeout": options["lock_timeout"]}
        back, _ = changeset.revert(found, _options(command, options, stop, progress, **more))
    _said(command, options, back)


REFERRED = ", or other rows refer to them,"


def _show_revert(command: EngineCommand, options: Given, found: Run, plan: changeset.RevertPlan) -> None:
    wrote = f"Run {found.pk} ({found.verb} of {found.job}) wrote {display.count(plan.rows, 'row')}"
    begun = found.reverted_by.using(options["database"]).filter(state__in=Run.UNFINISHED).first()
    if begun:
        left = max(0, plan.left_alone - begun.changed)
        command.stdout.write(
            f"{wrote}.\nRun {begun.pk} has set {begun.changed:,} of them back and goes on: {plan.back:,} more can go "
            f"back,\n{left:,} no longer hold what it wrote and stay as they are."
        )
        return
    command.stdout.write(
        f"{wrote}: {plan.back:,} can go back, {plan.left_alone:,} no longer hold what it wrote"
        f"{REFERRED if plan.deleted or (plan.left_alone and found.job == 'ops.upsert') else ''} and stay as they are."
    )
    if plan.deleted:
        command.stdout.write(f"Of these, {display.count(plan.deleted, 'row')} that it inserted will be deleted.")
    if plan.edited:
        command.stdout.write(f"Left alone: {listed(plan.edited, plan.left_alone)}.")


def resume(command: EngineCommand, options: Given) -> None:
    """Carry an unfinished run on; one that has written nothing yet shows its plan and asks as it would have."""
    found = find(options)
    if found.state not in Run.UNFINISHED:
        raise Refused(f"Run {found.pk} is {found.get_state_display()}: only an unfinished run can be resumed.")
    if options["enqueue"]:
        enqueueing.hand_back(command, found, options)
        return
    command.must_not_guess(no_input=options["no_input"], quiet=options["json"], or_else="")
    with command.interruptible(options["database"]) as stop, command.progress(quiet=options["json"]) as progress:
        confirm = command.confirming(found.job, options)
        more = {"confirm": confirm, "agreed": options["no_input"], "lock_timeout": options["lock_timeout"]}
        carried = _options(command, options, stop, progress, **more)
        control.carry_on(found, carried, as_begun=options["as_begun"])
    _said(command, options, found)


def join(command: EngineCommand, options: Given) -> None:
    """Lend a hand to a run that another process carries out, until there is nothing left to claim."""
    found = find(options)
    parent = options["child_of"]
    told = "This hand leaves after its batch; the run goes on. Once more leaves at once."
    with command.interruptible(options["database"], told) as stop:

        def leave_with_parent(done: int, total: int) -> None:
            if parent and os.getppid() != parent:
                stop.set()

        try:
            wrote = run.join(found, _options(command, options, stop, leave_with_parent).as_begun(found))
        except Stopped as exc:
            found.refresh_from_db(using=options["database"])
            if stop.is_set() and found.state == Run.State.RUNNING:
                raise Stopped(f"This hand has left run {found.pk}, which goes on without it.") from exc
            raise
    if options["json"]:
        command.print_json({"run": found.pk, "wrote": wrote})
    else:
        command.stdout.write(f"Run {found.pk}: {display.count(wrote, 'row')} written by this hand.")


def _said(command: EngineCommand, options: Given, found: Run) -> None:
    found.refresh_from_db(using=options["database"])
    if options["json"]:
        command.print_json(document(found))
        return
    rows = display.count(found.changed, "row")
    if found.verb == Run.Verb.REVERT:
        command.stdout.write(f"Run {found.pk}: {rows} set back, {found.left_alone:,} left alone.")
        if found.holds.using(options["database"]).exists():
            command.stdout.write(
                f"Sweeps leave these rows as they are until their inputs change; '{found.calls('lift')}' lifts that."
            )
    elif found.result:
        told = load_display.told(found.result)
        records = display.count(found.result["lines"], "record")
        command.stdout.write(f"Run {found.pk}: {records} in {display.count(found.batches, 'batch')}: {told}.")
    else:
        command.stdout.write(f"Run {found.pk}: {rows} written in {display.count(found.batches, 'batch')}.")


def pause(command: EngineCommand, options: Given) -> None:
    """Pause one run, or all that are unfinished, of all databases unless one is named."""
    if bool(options["run"]) == options["all"]:
        raise CommandError("Give the run's ID, or --all, and not both.", returncode=USAGE)
    told = []
    for alias, found in _unfinished(options) if options["all"] else [(_named(options), find(options))]:
        try:
            at_once = control.pause(alias, found)
        except Refused:
            if not options["all"]:
                raise
            continue  # it has ended since it was found
        found.refresh_from_db(using=alias)
        told.append((alias, found, at_once))
    if options["json"]:
        command.print_json({"runs": [{**document(found), "database": alias} for alias, found, _ in told]})
        return
    for _, found, at_once in told:
        how = "paused." if at_once else "told to pause; it does so after its batch."
        command.stdout.write(f"Run {found.pk} of {found.job}: {how}\n'{found.calls('resume')}' carries it on.")
    if not told:
        command.stdout.write("No run is unfinished.")


def _named(options: Given) -> str:
    options["database"] = options["database"] or DEFAULT_DB_ALIAS
    return str(options["database"])


def _unfinished(options: Given) -> list[tuple[str, Run]]:
    """Return the runs that would go on: those that are carried out, and those that a start would carry on."""
    found: list[tuple[str, Run]] = []
    for alias in [options["database"]] if options["database"] else run_databases():
        runs = Run.objects.using(alias).filter(state__in=(Run.State.RUNNING, Run.State.STOPPED))
        found += [(alias, one) for one in runs.exclude(verb=Run.Verb.PLAN).order_by("pk")]
    return found


def cancel(command: EngineCommand, options: Given) -> None:
    """Give an unfinished run up."""
    found = find(options)
    at_once = control.cancel(options["database"], found)
    found.refresh_from_db(using=options["database"])
    if options["json"]:
        command.print_json(document(found))
    elif not at_once:
        command.stdout.write(f"Run {found.pk}: told to end; it does so after its batch, and what it wrote stays.")
    else:
        command.stdout.write(
            f"Run {found.pk}: cancelled; it had written {display.count(found.changed, 'row')}"
            + (f", which stay: '{found.calls('revert')}' takes them back." if found.changed else ".")
        )


def retune(command: EngineCommand, options: Given) -> None:
    """Change how an unfinished run goes on."""
    found = find(options)
    wanted = {name: options[name] for name in ("batch_size", "target_time", "workers")}
    if not any(wanted.values()):
        raise CommandError("Say what to change: --batch-size, --target-time or --workers.", returncode=USAGE)
    if options["batch_size"] and options["target_time"]:
        raise CommandError(
            "A batch has a fixed size or follows a target time: give --batch-size or --target-time.", returncode=USAGE
        )
    control.retune(options["database"], found, **wanted)
    if options["json"]:
        command.print_json(document(found))
        return
    size = f"{found.batch_size:,} rows" if found.batch_size else f"as many rows as take {found.target_time:,} ms"
    workers = display.count(found.workers, "worker")
    command.stdout.write(f"Run {found.pk}: from the next batch on {size} a batch, {workers}.")
    if options["workers"] and options["workers"] > 1:
        command.stdout.write("Workers share what no worker has begun yet; a window that is begun stays with its own.")


def lift(command: EngineCommand, options: Given) -> None:
    """Lift the holds of a revert."""
    found = find(options)
    if found.verb != Run.Verb.REVERT:
        by = ", ".join(
            str(pk) for pk in found.reverted_by.using(options["database"]).order_by("pk").values_list("pk", flat=True)
        )
        raise Refused(
            f"Run {found.pk} is no revert, and only reverts hold rows: "
            + (f"lift the one that took it back, run {by}." if by else "nothing is held of it.")
        )
    lifted = changeset.lift(options["database"], found)
    if options["json"]:
        command.print_json({"run": found.pk, "lifted": lifted})
    elif lifted:
        command.stdout.write(f"Run {found.pk}: {display.count(lifted, 'hold')} lifted; the next run takes these rows.")
    else:
        command.stdout.write(f"Run {found.pk}: it holds no row (any more).")


def prune(command: EngineCommand, options: Given) -> None:
    """Forget old runs, their events and changesets."""
    before = clock.now() - timedelta(days=options["older_than"])
    if not options["dry_run"]:
        command.must_not_guess(no_input=options["no_input"], quiet=options["json"])
    found = retention.find_prunable(options["database"], before)
    if not options["json"]:
        command.stdout.write(_prunable(found, clock.shown(before)))
    if found.runs and not options["dry_run"]:
        if not command.ask("Prune them?", no_input=options["no_input"]):
            raise Declined("Declined: nothing was pruned.")
        found = retention.prune(options["database"], before)
    if options["json"]:
        command.print_json({**found.as_json(), "pruned": not options["dry_run"] and bool(found.runs)})
    elif found.runs and not options["dry_run"]:
        command.stdout.write(f"{display.count(found.runs, 'run')} pruned.")


def _prunable(found: retention.Prunable, before: str) -> str:
    if not found.runs:
        return f"No run that ended before {before} can be pruned."
    lines = [
        f"{display.count(found.runs, 'run')} ended before {before},",
        f"with {display.count(found.changesets, 'changeset')}. Pruned runs can't be shown or reverted any more.",
    ]
    if found.months:
        months = ", ".join(f"{month:%Y-%m}" for month in found.months)
        lines.append(f"Dropped whole: the changesets of {months}.")
    return "\n".join(lines)
