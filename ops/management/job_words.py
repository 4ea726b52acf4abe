"""The words of a job's command, read back as a schedule declares them: for crontabs that are taken over."""

from typing import Any

from django.core.management import CommandError, get_commands, load_command_class

from ops.clock.importing import Found, Undeclarable
from ops.engine import registry
from ops.management.job_command import JobCommand, given_of

KEPT = ("database", "workers", "verify", "max_rows", "max_change", "max_row_change")
"""Options of a job's command that a declaration has, too."""
REFUSED = {
    "as_of": "it is as of a fixed instant",
    "dry_run": "it plans only",
    "check": "it plans only",
    "show_sql": "it writes nothing",
    "explain": "it writes nothing",
}


def read(name: str, words: list[str]) -> Found:
    """Return the job that a command of manage.py runs, and with what; raise Undeclarable, with the reason."""
    app = get_commands().get(name)
    command = load_command_class(app, name) if isinstance(app, str) else app
    if not isinstance(command, JobCommand):
        what = "is no command of a job" if app else "is not a command there is"
        raise Undeclarable(f"'{name}' {what}")
    try:
        options = vars(command.create_parser("manage.py", name).parse_args(words))
    except (CommandError, SystemExit) as exc:
        raise Undeclarable(str(exc).partition(";")[0].rstrip(".")) from exc
    job = registry.find(getattr(command, "job", None) or options["job"])
    if job.shell_only:
        raise Undeclarable(f"{job.name} is for a shell only, never for a schedule")
    defaults = vars(command.create_parser("manage.py", name).parse_args(_least(command, job.name, words)))
    for option, reason in REFUSED.items():
        if options.get(option):
            raise Undeclarable(reason)
    given = {name: value for name, value in given_of(job, options).items() if value != _initial(job, name)}
    known = {*job.params.base_fields, *KEPT, *REFUSED, "no_input", "json", "enqueue", "wait", "queue", "job"}
    differs = [name for name, value in options.items() if value != defaults.get(name)]
    left_out = [f"--{name.replace('_', '-')}" for name in differs if name not in known]
    more = {name: options[name] for name in KEPT if name in differs}
    if options.get("queue"):
        more["queue"] = options["queue"]
    return Found(job.name, given, more, left_out)


def _least(command: JobCommand, job: str, words: list[str]) -> list[str]:
    """Return the words that the parser can't do without, so that it shows what it begins with."""
    least = [job] if getattr(command, "job", None) is None else []
    for name, field in registry.find(job).params.base_fields.items():
        option = f"--{name.replace('_', '-')}"
        if field.required and field.initial is None and option in words:
            least += words[words.index(option) : words.index(option) + 2]
    return least


def _initial(job: Any, name: str) -> Any:
    field = job.params.base_fields[name]
    initial = field.initial() if callable(field.initial) else field.initial
    return False if initial is None and type(field).__name__ == "BooleanField" else initial
