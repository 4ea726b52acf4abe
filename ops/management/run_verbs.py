"""The verbs of `manage.py runs`: each reads or acts through the engine and prints."""

from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db.models import DecimalField, Model

from ops import clock
from ops.engine import changeset, jobs, lifecycle, run
from ops.engine.plan import Refused
from ops.management import display
from ops.management.job_command import USAGE, EngineCommand
from ops.models import Run

Given = dict[str, Any]


def _local(moment: Any) -> str:
    return "-" if moment is None else clock.shown(moment)


def _find(options: Given) -> Run:
    found = Run.objects.using(options["database"]).filter(pk=options["run"]).first()
    if found is None:
        raise CommandError(
            f"There is no run {options['run']}: 'manage.py runs list' shows those there are.", returncode=USAGE
        )
    return found


def _document(found: Run) -> dict[str, Any]:
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
        "created_at": found.created_at.isoformat(),
        "finished_at": found.finished_at and found.finished_at.isoformat(),
        "batches": found.batches,
        "changed": found.changed,
        "left_alone": found.left_alone,
        "message": found.message,
    }


def list_runs(command: EngineCommand, options: Given) -> None:
    """Print the newest runs."""
    found = Run.objects.using(options["database"]).order_by("-pk")
    if options["job"]:
        found = found.filter(job=jobs.find(options["job"]).name)
    runs = list(found[: options["limit"]])
    if options["json"]:
        command.print_json({"runs": [_document(one) for one in runs]})
        return
    if not runs:
        command.stdout.write("There are no runs yet.")
        return
    rows = [
        (one.pk, one.job, one.verb, one.get_state_display(), f"{one.changed:,}", _local(one.created_at)) for one in runs
    ]
    columns = ("run", "job", "verb", "state", "changed", "opened")
    command.stdout.write(display.table("Runs", columns, rows, ("run", "changed"), command.stdout.isatty()))


def show(command: EngineCommand, options: Given) -> None:
    """Print one run whole."""
    found = _find(options)
    events = list(found.events.using(options["database"]).order_by("pk"))
    if options["json"]:
        more = {
            "plan": found.plan,
            "sql_digest": found.sql_digest,
            "code_version": found.code_version,
            "events": [{"at": e.at.isoformat(), "what": e.what, "who": e.who, "detail": e.detail} for e in events],
        }
        command.print_json({**_document(found), **more})
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
        ("opened", _local(found.created_at)),
        ("finished", _local(found.finished_at) + (f", after {seconds:.1f} s" if seconds is not None else "")),
        ("changed", changed),
        ("code, SQL", f"{found.code_version}, {found.sql_digest[:12]}"),
    ]
    terminal = command.stdout.isatty()
    if found.plan and "looked_at" not in found.plan:
        lines.append(("plan", f"{display.count(found.plan['rows'], 'row')}, {found.plan['back']:,} can go back"))
        if found.plan["edited"]:
            lines.append(("left alone", _listed(found.plan["edited"], found.left_alone)))
    command.stdout.write(display.facts(lines, terminal=terminal))
    if found.plan and "looked_at" in found.plan:
        rows, labels = jobs.words(found.job)
        command.stdout.write(f"\n{display.plan(found.plan, rows=rows, labels=labels, terminal=terminal)}")
    happened = [(_local(e.at), e.what, e.who, e.detail) for e in events]
    if happened:
        columns = ("at", "what", "who", "detail")
        command.stdout.write(display.table("Events", columns, happened, (), terminal))


def _listed(keys: list[list[str]], of: int) -> str:
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
    return [before, after]


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


def _options(command: EngineCommand, options: Given, stop: Any, progress: Any, **more: Any) -> lifecycle.Options:
    return lifecycle.Options(
        database=options["database"],
        lock_timeout=options["lock_timeout"],
        note=command.stderr.write,
        stop=stop,
        progress=progress,
        started_from=f"manage.py runs {options['verb']}",
        **more,
    )


def revert(command: EngineCommand, options: Given) -> None:
    """Plan the revert, ask, and take the run back."""
    found = _find(options)
    if not options["dry_run"]:
        command.must_not_guess(no_input=options["no_input"], quiet=options["json"])
    changeset.check_revertible(found)
    plan = changeset.find_revert_plan(options["database"], found)
    if not options["json"]:
        command.stdout.write(
            f"Run {found.pk} ({found.verb} of {found.job}) wrote {display.count(plan.rows, 'row')}: {plan.back:,} can "
            f"go back, {plan.left_alone:,} no longer hold what it wrote and stay as they are."
        )
        if plan.edited:
            command.stdout.write(f"Left alone: {_listed(plan.edited, plan.left_alone)}.")
    if options["dry_run"]:
        document = {"rows": plan.rows, "back": plan.back, "left_alone": plan.left_alone, "edited": plan.edited}
        if options["json"]:
            command.print_json({"reverts": found.pk, **document})
        return
    # With nothing to set back there is nothing to ask; that it was tried is recorded all the same.
    asked = options["no_input"] or not plan.back
    if not command.ask(f"Set {display.count(plan.back, 'row')} back?", no_input=asked):
        raise lifecycle.Declined(f"Declined: run {found.pk} stays as it is.")
    with command.interruptible() as stop, command.progress(quiet=options["json"]) as progress:
        back, _ = changeset.revert(found, _options(command, options, stop, progress))
    _said(command, options, back)


def resume(command: EngineCommand, options: Given) -> None:
    """Carry an unfinished run on; one that has written nothing yet shows its plan and asks as it would have."""
    found = _find(options)
    if found.state not in Run.UNFINISHED:
        raise Refused(f"Run {found.pk} is {found.get_state_display()}: only an unfinished run can be resumed.")
    command.must_not_guess(no_input=options["no_input"], quiet=options["json"], or_else="")
    with command.interruptible() as stop, command.progress(quiet=options["json"]) as progress:
        if found.verb == Run.Verb.REVERT:
            changeset.resume_revert(found, _options(command, options, stop, progress))
        else:
            job = jobs.find(found.job)
            confirm = command.confirming(job, options)
            more = {"confirm": confirm, "batch_size": found.batch_size}
            run.resume(job, found, _options(command, options, stop, progress, **more))
    _said(command, options, found)


def _said(command: EngineCommand, options: Given, found: Run) -> None:
    found.refresh_from_db(using=options["database"])
    if options["json"]:
        command.print_json(_document(found))
        return
    rows = display.count(found.changed, "row")
    if found.verb == Run.Verb.REVERT:
        command.stdout.write(f"Run {found.pk}: {rows} set back, {found.left_alone:,} left alone.")
        if found.holds.using(options["database"]).exists():
            command.stdout.write(
                f"Sweeps leave these rows as they are until their inputs change; 'manage.py runs lift {found.pk}' "
                "lifts that."
            )
    else:
        command.stdout.write(f"Run {found.pk}: {rows} written in {display.count(found.batches, 'batch')}.")


def cancel(command: EngineCommand, options: Given) -> None:
    """Give an unfinished run up."""
    found = _find(options)
    lifecycle.cancel(options["database"], jobs.find(found.job), found)
    found.refresh_from_db(using=options["database"])
    if options["json"]:
        command.print_json(_document(found))
    else:
        command.stdout.write(
            f"Run {found.pk}: cancelled; it had written {display.count(found.changed, 'row')}"
            + (f", which stay: 'manage.py runs revert {found.pk}' takes them back." if found.changed else ".")
        )


def lift(command: EngineCommand, options: Given) -> None:
    """Lift the holds of a revert."""
    found = _find(options)
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
