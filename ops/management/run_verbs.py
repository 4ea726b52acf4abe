"""The verbs of `manage.py runs`: each reads or acts through the engine and prints."""

from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db.models import DecimalField, Model
from django.utils import timezone

from ops.engine import changeset, jobs, lifecycle, run
from ops.engine.plan import Refused
from ops.management import display
from ops.management.job_command import USAGE, EngineCommand
from ops.models import Run

Given = dict[str, Any]


def _local(moment: Any) -> str:
    return "-" if moment is None else f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


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
        happened = [{"at": e.at.isoformat(), "what": e.what, "who": e.who, "detail": e.detail} for e in events]
        more = {
            "plan": found.plan,
            "sql_digest": found.sql_digest,
            "code_version": found.code_version,
            "events": happened,
        }
        command.print_json({**_document(found), **more})
        return
    seconds = (found.finished_at - found.created_at).total_seconds() if found.finished_at else None
    changed = f"{found.changed:,} rows in {found.batches} batches"
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
    if found.plan and "looked_at" in found.plan:
        planned = found.plan
        lines.append(
            (
                "plan",
                f"{planned['looked_at']:,} looked at, {planned['changes']:,} would change, {planned['held']:,} held",
            )
        )
    elif found.plan:
        planned = found.plan
        lines.append(("plan", f"{planned['rows']:,} rows, {planned['back']:,} can go back"))
        if planned["edited"]:
            lines.append(("left alone", ", ".join(",".join(key) for key in planned["edited"])))
    command.stdout.write("\n".join(f"{label:<12}{value}" for label, value in lines))
    rows = [(_local(e.at), e.what, e.who, e.detail) for e in events]
    if rows:
        columns = ("at", "what", "who", "detail")
        command.stdout.write(display.table("Events", columns, rows, (), command.stdout.isatty()))


def _model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as exc:
        raise CommandError(f"There is no model {label!r}: write it as app.Model.", returncode=USAGE) from exc


def _shown(model: type[Model], column: str, values: dict[str, str | None]) -> str | None:
    text = values[column]
    if text is None or not isinstance(model._meta.get_field(column), DecimalField):
        return text
    return display.money(text)


def history(command: EngineCommand, options: Given) -> None:
    """Print every change that runs made to one row."""
    model, key = _model(options["model"]), options["key"]
    fields = model._meta.pk_fields
    if len(key) != len(fields):
        raise CommandError(
            f"{model._meta.label} has a key of {len(fields)} values, {len(key)} given.", returncode=USAGE
        )
    try:
        key = [str(field.to_python(part)) for field, part in zip(fields, key, strict=True)]
    except ValidationError as exc:
        raise CommandError(
            f"{' '.join(key)!r} is no key of {model._meta.label}: {exc.messages[0]}", returncode=USAGE
        ) from exc
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
            _shown(model, name, entry.before),
            _shown(model, name, entry.after),
        )
        for entry in entries
        for name in entry.after
    ]
    columns = ("run", "verb", "at", "who", "column", "before", "after")
    title = f"{model._meta.label} {', '.join(key)}"
    command.stdout.write(display.table(title, columns, rows, ("run", "before", "after"), command.stdout.isatty()))


def _options(command: EngineCommand, options: Given, stop: Any, progress: Any, verb: str) -> lifecycle.Options:
    return lifecycle.Options(
        database=options["database"],
        lock_timeout=options["lock_timeout"],
        note=command.stderr.write,
        stop=stop,
        progress=progress,
        started_from=f"manage.py runs {verb}",
    )


def revert(command: EngineCommand, options: Given) -> None:
    """Plan the revert, ask, and take the run back."""
    found = _find(options)
    if found.verb == Run.Verb.PLAN:
        raise Refused(f"Run {found.pk} was a plan: it wrote nothing that could be reverted.")
    if not options["dry_run"]:
        command.must_not_guess(no_input=options["no_input"])
    plan = changeset.find_revert_plan(options["database"], found)
    if not options["json"]:
        command.stdout.write(
            f"Run {found.pk} of {found.job} wrote {plan.rows:,} rows: {plan.back:,} can go back, "
            f"{plan.left_alone:,} were edited or deleted since and stay as they are."
        )
        if plan.edited:
            more = " and more" if plan.left_alone > len(plan.edited) else ""
            command.stdout.write(f"Left alone: {', '.join(','.join(key) for key in plan.edited)}{more}.")
    document = {"rows": plan.rows, "back": plan.back, "left_alone": plan.left_alone, "edited": plan.edited}
    if options["dry_run"]:
        if options["json"]:
            command.print_json({"reverts": found.pk, **document})
        return
    if not command.ask(f"Set {plan.back:,} rows back?", no_input=options["no_input"]):
        raise lifecycle.Declined(f"Declined: run {found.pk} stays as it is.")
    with command.interruptible() as stop, command.progress(quiet=options["json"]) as progress:
        back, _ = changeset.revert(found, _options(command, options, stop, progress, "revert"))
    _said(command, options, back)


def resume(command: EngineCommand, options: Given) -> None:
    """Carry an unfinished run on."""
    found = _find(options)
    if found.state not in Run.UNFINISHED:
        raise Refused(f"Run {found.pk} is {found.get_state_display()}: only an unfinished run can be resumed.")
    with command.interruptible() as stop, command.progress(quiet=options["json"]) as progress:
        settings = _options(command, options, stop, progress, "resume")
        if found.verb == Run.Verb.REVERT:
            changeset.resume_revert(found, settings)
        else:
            run.resume(jobs.find(found.job), found, settings)
    found.refresh_from_db()
    _said(command, options, found)


def _said(command: EngineCommand, options: Given, found: Run) -> None:
    found.refresh_from_db(using=options["database"])
    if options["json"]:
        command.print_json(_document(found))
    elif found.verb == Run.Verb.REVERT:
        command.stdout.write(
            f"Run {found.pk}: {found.changed:,} rows set back, {found.left_alone:,} left alone. Sweeps leave the rows "
            f"as they are until their inputs change; 'manage.py runs lift {found.pk}' lifts that."
        )
    else:
        command.stdout.write(f"Run {found.pk}: {found.changed:,} rows written in {found.batches} batches.")


def cancel(command: EngineCommand, options: Given) -> None:
    """Give an unfinished run up."""
    found = _find(options)
    lifecycle.cancel(options["database"], jobs.find(found.job), found)
    found.refresh_from_db(using=options["database"])
    if options["json"]:
        command.print_json(_document(found))
    else:
        command.stdout.write(
            f"Run {found.pk}: cancelled after {found.changed:,} rows, which stay; 'manage.py runs revert {found.pk}' "
            "takes them back."
        )


def lift(command: EngineCommand, options: Given) -> None:
    """Lift the holds of a revert."""
    found = _find(options)
    lifted = changeset.lift(options["database"], found)
    if options["json"]:
        command.print_json({"run": found.pk, "lifted": lifted})
    else:
        command.stdout.write(f"Run {found.pk}: {lifted:,} holds lifted; the next sweep takes these rows again.")
