"""The verbs of `manage.py runs` that read: each asks the database and prints."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import DecimalField, Max, Model

from ops import clock
from ops.engine import changeset, owner, registry
from ops.engine.session import Session
from ops.management import display
from ops.management.engine_command import FAILED, REFUSED, STOPPED, USAGE, EngineCommand
from ops.models import Reject, Run

Given = dict[str, Any]

ENDED: dict[str, int] = {
    Run.State.UNVERIFIED: FAILED,
    Run.State.FAILED: FAILED,
    Run.State.REFUSED: REFUSED,
    Run.State.CANCELLED: REFUSED,
    Run.State.STOPPED: STOPPED,
    Run.State.PAUSED: STOPPED,
}


def _local(moment: Any) -> str:
    return "-" if moment is None else clock.shown(moment)


def find(options: Given) -> Run:
    """Return the run that was named; raise CommandError where there is none."""
    found = Run.objects.using(options["database"]).filter(pk=options["run"]).first()
    if found is None:
        raise CommandError(
            f"There is no run {options['run']}: 'manage.py runs list' shows those there are.", returncode=USAGE
        )
    return found


def document(found: Run) -> dict[str, Any]:
    """Return a run as JSON takes it."""
    return {
        "run": found.pk,
        "job": found.job,
        "verb": found.verb,
        "state": found.state,
        "reverts": found.reverts_id,
        "params": found.params,
        "as_of": found.as_of.isoformat(),
        "started_by": found.started_by,
        "started_from": found.started_from,
        "schedule": found.schedule,
        "slot": found.slot and found.slot.isoformat(),
        "queue": found.queue,
        "task_id": found.task_id,
        "created_at": found.created_at.isoformat(),
        "finished_at": found.finished_at and found.finished_at.isoformat(),
        "batches": found.batches,
        "changed": found.changed,
        "left_alone": found.left_alone,
        "message": found.message,
        "wish": found.wish,
        "batch_size": found.batch_size,
        "target_time": found.target_time,
        "workers": found.workers,
    }


def run_databases() -> list[str]:
    """Return the aliases of the PostgreSQL databases that keep runs: a run lives in the database that it writes to."""
    return [
        alias
        for alias in connections
        if connections[alias].vendor == "postgresql"
        if alias == DEFAULT_DB_ALIAS or Run._meta.db_table in connections[alias].introspection.table_names()
    ]


def list_runs(command: EngineCommand, options: Given) -> None:
    """Print the newest runs."""
    aliases = [options["database"]] if options["database"] else run_databases()
    both: list[tuple[str, Run]] = []
    for alias in aliases:
        found = Run.objects.using(alias).order_by("-pk")
        if options["job"]:
            found = found.filter(job=registry.find(options["job"]).name)
        if options["schedule"]:
            found = found.filter(schedule=options["schedule"])
        both += [(alias, one) for one in found[: options["limit"]]]
    both = sorted(both, key=lambda pair: pair[1].created_at, reverse=True)[: options["limit"]]
    runs = [one for _, one in both]
    if options["json"]:
        command.print_json({"runs": [{**document(one), "database": alias} for alias, one in both]})
        return
    if not runs:
        command.stdout.write("There are no runs yet.")
        return
    rows: list[tuple[object, ...]] = [
        (one.pk, one.job, one.verb, one.get_state_display(), f"{one.changed:,}", _local(one.created_at)) for one in runs
    ]
    columns: tuple[str, ...] = ("run", "job", "verb", "state", "changed", "opened")
    if len(aliases) > 1:
        columns, rows = ("database", *columns), [(alias, *row) for (alias, _), row in zip(both, rows, strict=True)]
    command.stdout.write(display.table("Runs", columns, rows, ("run", "changed"), command.stdout.isatty()))


def show(command: EngineCommand, options: Given) -> None:
    """Print one run whole."""
    found = find(options)
    events = list(found.events.using(options["database"]).order_by("pk"))
    if options["json"]:
        more = {
            "plan": found.plan,
            "sql_digest": found.sql_digest,
            "code_version": found.code_version,
            "events": [{"at": e.at.isoformat(), "what": e.what, "who": e.who, "detail": e.detail} for e in events],
        }
        command.print_json({**document(found), **more})
        return
    seconds = (found.finished_at - found.created_at).total_seconds() if found.finished_at else None
    changed = f"{display.count(found.changed, 'row')} in {display.count(found.batches, 'batch')}"
    if found.verb == Run.Verb.REVERT:
        changed += f", {found.left_alone:,} left alone"
    lines = [
        ("run", found.pk),
        ("job", f"{found.job} ({found.verb}{f' of run {found.reverts_id}' if found.reverts_id else ''})"),
        ("state", f"{found.get_state_display()}{f': {found.message}' if found.message else ''}"),
        ("parameters", ", ".join(f"{k}={v}" for k, v in found.params.items() if v) or "none"),
        ("as of", _local(found.as_of)),
        ("started by", f"{found.started_by}, from {found.started_from}"),
        *_from(found),
        ("opened", _local(found.created_at)),
        ("finished", _local(found.finished_at) + (f", after {seconds:.1f} s" if seconds is not None else "")),
        ("changed", changed),
        ("code, SQL", f"{found.code_version}, {found.sql_digest[:12]}"),
    ]
    if found.state in Run.UNFINISHED and found.verb == Run.Verb.APPLY:
        size = f"batches of {found.batch_size:,}" if found.batch_size else f"batches of {found.target_time:,} ms"
        lines.append(("goes on", f"in {size}, {display.count(found.workers, 'worker')}"))
        if found.wish:
            lines.append(("wish", f"{found.wish}, after the batch"))
    terminal = command.stdout.isatty()
    if found.plan and "looked_at" not in found.plan:
        lines.append(("plan", f"{display.count(found.plan['rows'], 'row')}, {found.plan['back']:,} can go back"))
        if found.plan["edited"]:
            lines.append(("left alone", listed(found.plan["edited"], found.left_alone)))
    command.stdout.write(display.facts(lines, terminal=terminal))
    if found.plan and "looked_at" in found.plan:
        rows, labels = registry.words(found.job)
        command.stdout.write(f"\n{display.plan(found.plan, rows=rows, labels=labels, terminal=terminal)}")
    happened = [(_local(e.at), e.what, e.who, e.detail) for e in events]
    if happened:
        columns = ("at", "what", "who", "detail")
        command.stdout.write(display.table("Events", columns, happened, (), terminal))


def _from(found: Run) -> Iterator[tuple[str, str]]:
    """Yield what a schedule and the workers have to do with a run."""
    if found.slot:
        yield "schedule", f"{found.schedule}, due {_local(found.slot)}"
    if found.queue:
        yield "workers", f"queue {found.queue}" + (f", task {found.task_id}" if found.task_id else "")


def listed(keys: list[list[str]], of: int) -> str:
    """Return keys in one line, with a word on those that are not listed."""
    return f"{', '.join(','.join(key) for key in keys)}{' and more' if of > len(keys) else ''}"


def _model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as exc:
        raise CommandError(f"There is no model {label!r}: write it as app.Model.", returncode=USAGE) from exc


def _shown(model: type[Model], column: str, before: str | None, after: str | None) -> list[str | None]:
    if isinstance(model._meta.get_field(column), DecimalField):
        return [*display.monies(before, after)]
    return [display.value(before), display.value(after)]


def _key(model: type[Model], given: list[str]) -> list[str]:
    """Return a primary key as changesets keep it; raise CommandError for what can't be one."""
    fields = model._meta.pk_fields
    if len(given) != len(fields):
        raise CommandError(
            f"A key of {model._meta.label} is {display.count(len(fields), 'value')}, not {len(given)}: give "
            f"{', '.join(field.name for field in fields)}.",
            returncode=USAGE,
        )
    key = []
    for field, part in zip(fields, given, strict=True):
        try:
            value = field.to_python(part)
            field.run_validators(value)
        except ValidationError as exc:
            raise CommandError(
                f"{part!r} is no {field.name} of {model._meta.label}: {' '.join(exc.messages)}", returncode=USAGE
            ) from exc
        key.append(str(value))
    return key


def history(command: EngineCommand, options: Given) -> None:
    """Print every change that runs made to one row."""
    model = _model(options["model"])
    key = _key(model, options["key"])
    entries = changeset.history(options["database"], model, key)
    if options["json"]:
        changes = [{**vars(entry), "at": entry.at.isoformat()} for entry in entries]
        command.print_json({"model": model._meta.label, "key": key, "changes": changes})
        return
    if not entries:
        command.stdout.write(f"No run has changed {model._meta.label} {', '.join(key)}.")
        return
    rows = [
        (
            entry.run,
            entry.verb,
            _local(entry.at),
            entry.who,
            name,
            *_shown(model, name, entry.before[name], entry.after[name]),
        )
        for entry in entries
        for name in entry.after
    ]
    columns = ("run", "verb", "at", "who", "column", "before", "after")
    title = f"{model._meta.label} {', '.join(key)}"
    command.stdout.write(display.table(title, columns, rows, ("run", "before", "after"), command.stdout.isatty()))


def watch(command: EngineCommand, options: Given) -> None:
    """Show a run's progress until it ends; raise CommandError with the code that the run itself would end with."""
    found = find(options)
    alias, last = options["database"], found.events.using(options["database"]).aggregate(last=Max("pk"))["last"] or 0
    told = f"Not watching any more; run {found.pk} goes on."
    with command.interruptible(alias, told) as stop, command.progress(quiet=options["json"]) as progress:
        while True:
            found.refresh_from_db(using=alias)
            for one in found.events.using(alias).filter(pk__gt=last).order_by("pk"):
                last = one.pk
                if not options["json"]:
                    command.note(f"{_local(one.at)} {one.what}{f': {one.detail}' if one.detail else ''}")
            plan = found.plan or {}
            total = max(plan.get("changes", plan.get("rows", 0)), found.changed)
            if total:
                progress(found.changed + found.left_alone, total)
            if found.state not in (Run.State.QUEUED, Run.State.RUNNING):
                break
            if found.state == Run.State.RUNNING and not found.queue and _lost(alias, found):
                raise CommandError(
                    f"Run {found.pk} has lost its owner after {display.count(found.changed, 'row')}: 'manage.py sweep' "
                    f"or '{found.calls('resume')}' carries it on.",
                    returncode=STOPPED,
                )
            if stop.wait(options["interval"]):
                return
    if options["json"]:
        command.print_json(document(found))
    else:
        command.stdout.write(f"Run {found.pk}: {found.get_state_display()}; {_did(found)}.")
    if code := ENDED.get(found.state, 0):
        raise CommandError(found.message or f"Run {found.pk} is {found.get_state_display()}.", returncode=code)


def _lost(alias: str, found: Run) -> bool:
    """Tell whether nobody carries a run out that has not ended meanwhile."""
    if owner.live_holder(Session(alias), found):
        return False
    found.refresh_from_db(using=alias)
    return found.state == Run.State.RUNNING and not owner.live_holder(Session(alias), found)


def _did(found: Run) -> str:
    if found.verb == Run.Verb.PLAN:
        return "a plan writes nothing"
    if found.verb == Run.Verb.REVERT:
        return f"{display.count(found.changed, 'row')} set back, {found.left_alone:,} left alone"
    return f"{display.count(found.changed, 'row')} written"


def rejects(command: EngineCommand, options: Given) -> None:
    """List the bad records of a load, or write them to a file."""
    from ops.load import rejects as files

    found = find(options)
    bad = Reject.objects.using(options["database"]).filter(run=found).order_by("line")
    many = bad.count()
    if options["output"] == "-":
        with suppress(BrokenPipeError):  # who reads it has seen enough
            files.write_to(found, sys.stdout.buffer)
        return
    written = files.write(found, options["output"]) if options["output"] else 0
    if options["json"]:
        shown = [
            {"line": one.line, "column": one.column, "value": one.value, "reason": one.reason}
            for one in bad[: options["limit"]]
        ]
        command.print_json({"run": found.pk, "records": many, "rejects": shown, "output": options["output"]})
        return
    if written:
        command.stdout.write(f"Run {found.pk}: {files.told(written, options['output'])}")
        return
    if not many:
        command.stdout.write(f"Run {found.pk} has no bad records.")
        return
    rows = [(one.line, one.column, display.value(one.value), one.reason) for one in bad[: options["limit"]]]
    title = f"Bad records of run {found.pk}" + (f", the first {len(rows)} of {many:,}" if many > len(rows) else "")
    columns = ("line", "column", "value", "reason")
    command.stdout.write(display.table(title, columns, rows, ("line",), command.stdout.isatty()))
