"""What runs by itself already, as declarations to paste: rows of django-celery-beat made by hand, and crontabs.

A line or row that runs no job, or that a declaration can't say, becomes a comment with the reason.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from ops.clock import rows
from ops.clock.converting import CronRefused, convert
from ops.clock.cron import Crontab
from ops.clock.schedules import Schedule
from ops.clock.zones import read_zone, zone_name
from ops.engine import parameters, registry

VARIABLE = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")
LINE = re.compile(r"(@\w+|(?:\S+\s+){4}\S+)\s+(\S.*)")
NOWHERE = re.compile(r"\d?>>?\s*\S+|\d?>&\d|2>&1|&>\s*\S+")


class Undeclarable(Exception):
    """A declaration can't say this; the message is the reason."""


@dataclass(frozen=True)
class Found:
    """What a command runs: a job, its parameters, what else a declaration says of it, and what it can't say."""

    job: str
    params: dict[str, Any]
    more: dict[str, Any]
    left_out: list[str]


Read = Callable[[str, list[str]], Found]
"""Reads the name of a command of manage.py and its words; raises Undeclarable."""


def of_rows(alias: str) -> str:
    """Return declarations of the rows of beat that sync_schedules did not make."""
    from ops.models import Schedule as Kept

    ours = set(Kept.objects.exclude(declared=None).values_list("name", flat=True))
    parts = []
    for row in rows.named(database=alias).values():
        if row.name in ours:
            continue
        try:
            parts.append(_of_row(row))
        except Undeclarable as exc:
            parts.append(f"    # {row.name}: {row.task}, {rows.when_of(row) or 'solar'}: {exc}.")
    return _module(parts, "Rows of django-celery-beat that were made by hand. Switch each off once its heir runs.")


def _of_row(row: Any) -> str:
    job = _job_of_task(row.task)
    for name in ("one_off", "expires", "start_time"):
        if getattr(row, name):
            raise Undeclarable(f"its {name} can't be declared")
    if row.crontab is None and row.interval is None:
        raise Undeclarable("only crontabs and intervals can be declared")
    try:
        args, kwargs = json.loads(row.args or "[]"), json.loads(row.kwargs or "{}")
    except ValueError as exc:
        raise Undeclarable(f"its arguments are no JSON ({exc})") from exc
    if args or not isinstance(kwargs, dict):
        raise Undeclarable("it has positional arguments, and parameters of a job have names")
    words: dict[str, Any] = {"name": row.name, "job": job, "params": kwargs}
    if row.crontab is not None:
        words |= {"cron": rows.crontab_text(row.crontab), "zone": str(row.crontab.timezone)}
    else:
        words["every"] = rows.length_of(row.interval)
    words |= {"queue": row.queue or "", "enabled": row.enabled}
    return _declaration(words, [f"was the task {row.task}"] if row.task != job else [])


def _job_of_task(task: str) -> str:
    """Return the job that a task's name means: its own, or app.tasks.NAME for the job app.NAME."""
    plain = task.replace(".tasks.", ".")
    for name in (task, plain):
        if name in registry.names():
            return name
    raise Undeclarable("there is no job of this name; a job has to be written for it (manage.py startjob)")


def of_crontab(text: str, zone: str, read: Read, *, stated: bool) -> str:
    """Return declarations of the lines of a crontab that run a job's command; `stated` whether its zone is known.

    Raises ValueError for a zone that is none.
    """
    parts: list[str] = []
    taken: set[str] = set()
    zone = zone_name(read_zone(zone))
    for line in (given.strip() for given in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if variable := VARIABLE.fullmatch(line):
            if variable[1] == "CRON_TZ":
                zone, stated = zone_name(read_zone(variable[2].strip("'\" "))), True
            continue
        try:
            parts += _of_line(line, zone, read, taken)
        except Undeclarable as exc:
            parts.append(f"    # {line}\n    #   {exc}.")
    said = "Lines of a crontab. Take each out of there as soon as its heir is written, or both run."
    if not stated:
        said += (
            f"\n# It names no zone (CRON_TZ): its hours are read in {zone}, which --zone changes. Is that the host's?"
        )
    return _module(parts, said)


def _of_line(line: str, zone: str, read: Read, taken: set[str]) -> Iterator[str]:
    match = LINE.fullmatch(line)
    if match is None:
        raise Undeclarable("it is no line of a crontab")
    when, command = match.groups()
    found = _of_command(command, read)
    lines = _in_celerys_words(when, zone)
    for number, cron in enumerate(lines, 1):
        name = _name(found, taken, number if len(lines) > 1 else 0)
        words = {"name": name, "job": found.job, "params": found.params, "cron": cron, "zone": zone, **found.more}
        notes = [f"was {line}"] + [f"{option} is left out" for option in found.left_out]
        yield _declaration(words, notes)


def _in_celerys_words(when: str, zone: str) -> list[str]:
    """Return the lines that say in Celery's words what one says in Vixie cron's."""
    try:
        vixie = Crontab.parse(when, "vixie")
        if vixie.fires_never:
            raise Undeclarable(f"it never fires: {vixie.impossible}")
        try:
            celery = Crontab.parse(str(vixie), "celery")
        except ValueError:
            celery = None
        names = ("minutes", "hours", "days", "months", "weekdays")
        if celery and not vixie.either and all(getattr(celery, name) == getattr(vixie, name) for name in names):
            return [str(celery)]
        return convert([when], zone, zone, dialect="vixie")
    except (ValueError, CronRefused) as exc:
        raise Undeclarable(str(exc).rstrip(".")) from exc


def _name(found: Found, taken: set[str], number: int) -> str:
    stem = "-".join([found.job.rpartition(".")[2].replace("_", "-"), *map(str, [number] if number else [])])
    name, more = stem, 1
    while name in taken:
        name = f"{stem}-{(more := more + 1)}"
    taken.add(name)
    return name


def _of_command(command: str, read: Read) -> Found:
    """Return what a line of a shell runs; raise Undeclarable unless that is one command of one job, and no more."""
    if re.search(r"(?<!\\)%", command):
        raise Undeclarable("a percent sign begins its standard input, which a job has none of")
    parts = [part.strip() for part in re.split(r"&&|;", command)]
    doing = [part for part in parts if not re.match(r"(cd|\.|source)\s", part)]
    if len(doing) != 1 or "|" in doing[0]:
        raise Undeclarable("it does more than one thing")
    try:
        words = shlex.split(NOWHERE.sub(" ", doing[0].replace("\\%", "%")))
    except ValueError as exc:
        raise Undeclarable(f"its quotes do not end ({exc})") from exc
    at = next((number for number, word in enumerate(words) if word.rpartition("/")[2] == "manage.py"), None)
    if at is None or len(words) < at + 2:
        raise Undeclarable("it calls no manage.py")
    return read(words[at + 1], words[at + 2 :])


def _declaration(words: Mapping[str, Any], notes: list[str]) -> str:
    """Return a declaration as Python, without what it need not say; raise Undeclarable where it is a wrong one."""
    schedule = Schedule(**words)
    if problem := schedule.problem():
        raise Undeclarable(problem.partition(": ")[2].rstrip("."))
    try:
        schedule.cleaned()
    except parameters.BadParameters as exc:
        raise Undeclarable(str(exc).rstrip(".")) from exc
    plain = {one.name: one.default for one in fields(Schedule)}
    said = [
        f"        {name}={_python(value)},"
        for name, value in words.items()
        if value != plain[name] and not (name == "params" and not value)
    ]
    return "\n".join([*(f"    # {note}" for note in notes), "    Schedule(", *said, "    ),"])


def _python(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"timedelta(seconds={int(value.total_seconds())})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, bool | int | dict | list) else json.dumps(str(value))


def _module(parts: list[str], said: str) -> str:
    imports = ["from ops.clock.schedules import Schedule"]
    if any("timedelta(" in part for part in parts):
        imports = ["from datetime import timedelta", "", *imports]
    body = "\n".join(parts) or "    # There is nothing to take over."
    return "\n".join([f"# {said}", *imports, "", "SCHEDULES = (", body, ")"])
