"""The verbs of `manage.py rollup`: each calls once and prints."""

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from ops import clock
from ops.engine import parameters, registry, run
from ops.engine.session import DatabaseTrouble
from ops.management import display
from ops.management.engine_command import FAILED, REFUSED, USAGE, EngineCommand
from ops.models import Rollup
from ops.reports import registry as reports
from ops.reports import rollup_building, rollup_listing, rollup_verifying
from ops.reports.declaring import BrokenReport
from ops.reports.rollup_kept import NotKept
from ops.reports.rollup_verifying import Verified

if TYPE_CHECKING:
    from ops.engine.plan import Plan

Given = dict[str, Any]


def list_rollups(command: EngineCommand, options: Given) -> None:
    """Print all rollups, and of each that is not used why."""
    found = rollup_listing.listed(options["database"])
    if options["name"]:
        found = [one for one in found if one.report == options["name"]]
        if not found:
            raise _unknown(options)
    if options["json"]:
        command.print_json({"rollups": [one.as_json() for one in found]})
        return
    if not found:
        command.stdout.write("No report declares a rollup: docs/rollups.md shows how one is.")
        return
    columns = ("report", "by", "zone", "rows", "touched", "triggers", "refreshed", "used")
    rows = [
        (
            one.report,
            one.grain,
            one.zone,
            f"{one.rows:,}",
            "all" if one.all_touched else f"{one.touched:,}",
            one.triggers_in_words,
            clock.shown(one.refreshed_at) if one.refreshed_at else None,
            "no" if one.reason else "yes",
        )
        for one in found
    ]
    terminal = command.stdout.isatty()
    command.stdout.write(display.table("Rollups", columns, rows, ("rows", "touched"), terminal).lstrip("\n"))
    notes = [f"{one.report} is not used: {one.reason}." for one in found if one.reason]
    if notes:
        command.stdout.write("\n" + "\n".join(textwrap.fill(note, 80, subsequent_indent="  ") for note in notes))


def refresh(command: EngineCommand, options: Given) -> None:
    """Compute what was touched, as a run."""
    _run(command, options, rebuild=False)


def rebuild(command: EngineCommand, options: Given) -> None:
    """Build one rollup from nothing, as a run."""
    _run(command, options, rebuild=True)


def _run(command: EngineCommand, options: Given, *, rebuild: bool) -> None:
    quiet, database, name = options["json"], options["database"], options["name"]
    verb = "rebuild" if rebuild else "refresh"
    command.must_not_guess(no_input=options["no_input"], quiet=quiet, or_else="")
    job = registry.find("ops.refresh_rollup")

    def confirm(found: "Plan") -> bool:
        what = f"Forget what is kept of {name!r} and build it anew" if rebuild else _waiting(found)
        return command.ask(f"{what}?", no_input=options["no_input"])

    with command.interruptible(database) as stop, command.progress(quiet=True) as progress:
        params = parameters.clean(job.params, {"report": name, "rebuild": rebuild}, database)
        settings = run.Options(
            database=database,
            lock_timeout=options["lock_timeout"],
            confirm=confirm,
            agreed=options["no_input"],
            progress=progress,
            note=command.note,
            stop=stop,
            leave=command.leave,
            started_from=f"manage.py rollup {verb}",
        )
        record, _ = run.apply(job, params, settings)
    told = {name: value for name, value in (record.result or {}).items() if name != "broken"}
    if quiet:
        command.print_json({"run": record.pk, "state": record.state, "rows": record.changed, **told})
        return
    buckets, rows = display.count(told["buckets"], "bucket"), display.count(record.changed, "row")
    of = name or display.count(len(told["refreshed"]), "rollup")
    command.stdout.write(f"Run {record.pk}: {buckets} of {of} computed, {rows} written.")


def _waiting(found: "Plan") -> str:
    return f"Compute {display.count(found.changes, 'touched bucket')}"


def verify(command: EngineCommand, options: Given) -> None:
    """Hold rollups against their sources; raise CommandError where one differs."""
    database, name = options["database"], options["name"]
    names = [name] if name else [one.report for one in rollup_listing.listed(database) if one.declared]
    found: list[Verified] = []
    passed_over: dict[str, str] = {}
    broken: list[str] = []
    for each in names:
        try:
            found.append(rollup_verifying.verify(_find(each, options), database))
        except NotKept as exc:
            if name:
                raise CommandError(f"Rollup {name!r} can't be verified: {exc}.", returncode=REFUSED) from exc
            passed_over[each] = str(exc)
        except (BrokenReport, DatabaseTrouble) as exc:
            # One that can't be computed keeps no other from being verified.
            passed_over[each] = str(exc).rstrip(".")
            broken.append(each)
    if options["json"]:
        documents = [
            {
                "report": one.report,
                "compared": one.compared,
                "differing": one.differing,
                "touched": one.touched,
                "first": [each.as_json() for each in one.first],
                "trouble": one.trouble,
            }
            for one in found
        ]
        command.print_json({"rollups": documents, "passed_over": passed_over})
    else:
        for one in found:
            command.stdout.write(_shown(one, terminal=command.stdout.isatty()))
        for each, reason in passed_over.items():
            command.stdout.write(f"{each}: not verified: {reason}.")
    if wrong := [one for one in found if one.differing]:
        first = wrong[0]
        raise CommandError(
            f"Rollup {first.report!r} differs from its source in {first.differing:,} of {first.compared:,} rows: "
            f"'manage.py rollup rebuild {first.report}' builds it anew.",
            returncode=FAILED,
        )
    if broken:
        raise CommandError(f"Rollup {broken[0]!r} could not be verified: {passed_over[broken[0]]}.", returncode=FAILED)


def _find(name: str, options: Given) -> Any:
    try:
        return reports.find(name)
    except reports.UnknownReport as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc


def _shown(one: Verified, *, terminal: bool) -> str:
    waiting = f" {display.count(one.touched, 'touched bucket')} left out." if one.touched else ""
    said = f"{one.report}: {display.count(one.compared, 'row')} compared, {one.differing:,} differ.{waiting}"
    if one.trouble:
        said += f"\n{one.report} is not used: {one.trouble}."
    if not one.first:
        return said
    rows = [
        (
            clock.shown(each.bucket),
            ", ".join(f"{key} {value}" for key, value in each.group.items()) or None,
            each.measure,
            display.value(each.kept),
            display.value(each.source),
        )
        for each in one.first
    ]
    columns = ("bucket", "group", "measure", "kept", "source")
    return said + "\n" + display.table("The first differences", columns, rows, ("kept", "source"), terminal)


def drop(command: EngineCommand, options: Given) -> None:
    """Remove a rollup, with its triggers."""
    database, name = options["database"], options["name"]
    if not Rollup.objects.using(database).filter(report=name).exists():
        raise _unknown(options)
    command.must_not_guess(no_input=options["no_input"], quiet=options["json"], or_else="")
    if not command.ask(f"Remove the rollup of {name!r}, with its triggers?", no_input=options["no_input"]):
        raise CommandError("Declined: nothing was removed.", returncode=REFUSED)
    rollup_building.drop(database, name, lock_timeout=options["lock_timeout"])
    if options["json"]:
        command.print_json({"report": name, "dropped": True})
    else:
        more = " The next 'manage.py migrate' makes its triggers again." if _is_declared(name) else ""
        command.stdout.write(f"The rollup of {name!r} is removed.{more}")


def _is_declared(name: str) -> bool:
    return name in reports.names() and bool(reports.find(name).rollup)


def _unknown(options: Given) -> CommandError:
    there = ", ".join(one.report for one in rollup_listing.listed(options["database"])) or "none"
    return CommandError(f"There is no rollup of {options['name']!r}; there is: {there}.", returncode=USAGE)


ACTS: dict[str, Callable[[EngineCommand, Given], None]] = {
    "list": list_rollups,
    "refresh": refresh,
    "rebuild": rebuild,
    "verify": verify,
    "drop": drop,
}
