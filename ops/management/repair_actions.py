"""What `manage.py repair_migrations` does: plan, show, apply, and say what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError

from ops.drift import applying, artifact, catalog, deciding, expecting, history, planning, scratch, undoing
from ops.drift.model import Choices, RepairPlan
from ops.management import display, repair_display, reverting_repairs
from ops.management.engine_command import FAILED, FOUND, REFUSED, STOPPED, USAGE, EngineCommand

Given = dict[str, Any]

FROM = "manage.py repair_migrations"
STOPPING = "Stopping after this step; once more leaves at once (what is done stays, either way)."


@contextmanager
def outcome(command: EngineCommand) -> Iterator[None]:
    """Turn the exceptions of drift into CommandError with their exit code, and those of the engine as it does."""
    codes: dict[type[Exception], int] = {
        planning.BadBaseline: USAGE,
        deciding.UnknownApp: USAGE,
        undoing.UnknownRepair: USAGE,
        artifact.BadSnapshot: USAGE,
        history.HistoryLocked: STOPPED,
        catalog.CatalogLocked: STOPPED,
        expecting.NoReplay: FAILED,
        scratch.ScratchTrouble: FAILED,
    }
    with command.outcome():
        try:
            yield
        except tuple(codes) as exc:
            code = next(code for kind, code in codes.items() if isinstance(exc, kind))
            raise CommandError(str(exc), returncode=code) from exc


def run(command: EngineCommand, options: Given) -> None:
    """Do what was asked for: take a repair back, write what ought to be, plan, or repair."""
    for looks in ("check", "dry_run"):
        if options["apply"] and options[looks]:
            words = f"--{looks.replace('_', '-')} only looks, --apply writes: give one of them."
            raise CommandError(words, returncode=USAGE)
    if options["revert"]:
        reverting_repairs.revert(command, options, uuid=options["revert"])
    elif options["write_snapshot"]:
        _write(command, options)
    elif options["apply"]:
        _apply(command, options)
    else:
        _plan(command, options)


def planned(options: Given, *, linted: bool = True) -> RepairPlan:
    """Return the plan of what the options name."""
    found = planning.plan(
        options["database"],
        app_labels=options.get("app", ()),
        choices=chosen(options),
        snapshot=options["snapshot"],
        run_python=not options["no_python"],
        no_cache=options["no_cache"],
        linted=linted,
    )
    if only := options.get("only"):
        found.findings = [one for one in found.findings if one.code in only]
    found.asked = " ".join(f"--{name} {' '.join(options[name])}" for name in ("app", "only") if options.get(name))
    return found


def chosen(options: Given) -> Choices:
    """Return what the operator has decided."""
    ignored = (*options.get("ignore", ()), *planning.baseline(options.get("baseline")))
    return Choices(
        rename=tuple(options.get("rename", ())),
        value={one.partition("=")[0]: one.partition("=")[2] for one in options.get("value", ())},
        allow_rewrite=options.get("allow_rewrite", False),
        record=tuple(options.get("record", ())),
        unrecord_all=options.get("unrecord_all", False),
        record_history=options.get("record_history", False),
        prune=tuple(options.get("prune", ())),
        identity=options.get("identity", False),
        redefine=tuple(options.get("redefine", ())),
        ignore=ignored,
    )


def _plan(command: EngineCommand, options: Given) -> None:
    found = planned(options)
    _show(command, options, found)
    if options["check"] and found.worth():
        raise CommandError(_advice(found), returncode=FOUND)


def _apply(command: EngineCommand, options: Given) -> None:
    """Show the plan, ask where somebody can be asked, and carry it out; `--apply` is the yes elsewhere."""
    found = planned(options)
    if not options["json"]:
        _show(command, options, found)
    steps = len(applying.ordered(found.findings))
    if not steps:
        # It marks the repairs whose process was killed, also where all that is left is a person's to decide.
        _tell(command, options, applying.apply(found, lambda: found, lock_timeout=options["lock_timeout"] / 1_000))
        return
    asks = command.interactive() and not (options["no_input"] or options["json"])
    if asks and not command.ask(f"Carry out {display.count(steps, 'step')}?", no_input=False):
        raise CommandError("Declined: nothing was changed.", returncode=REFUSED)
    with command.interruptible(options["database"], told=STOPPING) as stop:
        done = applying.apply(
            found,
            lambda: planned(options, linted=False),
            chosen(options),
            lock_timeout=options["lock_timeout"] / 1_000,
            stop=stop,
            leave=command.leave,
            note=(lambda text: None) if options["json"] else command.note,
            started_from=FROM,
        )
    _tell(command, options, done)


def _show(command: EngineCommand, options: Given, found: RepairPlan) -> None:
    if options["json"]:
        command.print_json(repair_display.document(found))
        return
    terminal, verbosity = command.stdout.isatty(), options["verbosity"]
    shown = repair_display.plan(found, verbosity=verbosity, show_sql=options["show_sql"], terminal=terminal)
    command.stdout.write(shown)


def _advice(found: RepairPlan) -> str:
    """Return what is wrong in numbers, and what to type."""
    worth = found.worth()
    counted = repair_display.counts(worth).rstrip(".")
    can = sum(bool(one.steps) for one in worth)
    if not can:
        return f"{counted}: none can be repaired before somebody decides, and each says what."
    more = "" if found.alias == "default" else f" --database {found.alias}"
    more += f" {found.asked}" if found.asked else ""
    of = "it" if len(worth) == 1 else "them all" if can == len(worth) else f"{can} of them"
    return f"{counted}: '{FROM}{more} --apply' repairs {of}."


def _tell(command: EngineCommand, options: Given, done: applying.Outcome) -> None:
    """Say what a repair has done and what is left; raise CommandError where anything is."""
    left = done.after.worth() if done.after else []
    if options["json"]:
        document = repair_display.document(done.after) if done.after else {}
        command.print_json(document | done.as_json())
    elif done.steps:
        command.stdout.write(repair_display.done(done, left, terminal=command.stdout.isatty()))
    if done.state == "stopped":
        raise CommandError(done.message, returncode=STOPPED)
    if done.state == "unverified" and done.blocked:
        words = f"{done.message.rstrip('.')}; a lock was not to be had in time: the same command again goes on."
        raise CommandError(words, returncode=STOPPED)
    if done.state == "unverified":
        raise CommandError(f"{done.message.rstrip('.')}; the plan that was made afterwards tells.", returncode=FAILED)
    if left and done.state == "nothing":
        raise CommandError(f"Nothing was changed: {_advice_left(left)}", returncode=REFUSED)
    if left:
        raise CommandError(f"Not all is repaired: {_advice_left(left)}", returncode=REFUSED)


def _advice_left(left: list[Any]) -> str:
    counted = repair_display.counts(left).rstrip(".")
    return f"{counted} left to you, with the choices that the plan shows."


def _write(command: EngineCommand, options: Given) -> None:
    """Write what ought to be at the recorded migrations to a file."""
    path = options["write_snapshot"]
    expected = planning.written(
        options["database"], path, run_python=not options["no_python"], no_cache=options["no_cache"]
    )
    number = display.count(len(expected.objects()), "object")
    made = display.count(len(expected.made), "migration")
    if options["json"]:
        command.print_json({"file": str(path), "objects": len(expected.objects()), "migrations": len(expected.made)})
    else:
        command.stdout.write(f"{path}: {number} of {made} written.")
