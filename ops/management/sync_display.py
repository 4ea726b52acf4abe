"""What `manage.py sync_schedules` does and prints: the plan, the next firings, what an operator has made of them."""

import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ops import clock
from ops.clock import schedules, slots, sync
from ops.clock.rows import rule_of
from ops.clock.zones import read_zone
from ops.engine.lifecycle import server_now
from ops.engine.session import Session
from ops.management import display
from ops.management.engine_command import FAILED, FOUND, REFUSED, USAGE, EngineCommand

FIRINGS = 2
SHOWN_IN_JSON = 5


def carry_out(command: EngineCommand, options: dict[str, Any]) -> None:
    """Bring the schedules in line, or show what that would do, or print declarations of what there is."""
    try:
        if options["import_from"] is not None:
            command.stdout.write(_imported(options))
            return
        _sync(command, options)
    except sync.NoBeat as exc:
        raise CommandError(str(exc), returncode=FAILED) from exc
    except schedules.UnknownSchedule as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc
    except schedules.BrokenSchedule as exc:
        raise CommandError(str(exc), returncode=FAILED) from exc


def _imported(options: dict[str, Any]) -> str:
    from ops.clock import importing
    from ops.management import job_words

    source = options["import_from"]
    if not source:
        return importing.of_rows(options["database"] or sync.database())
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(
            f"{source} can't be read: {exc}; give the path of a crontab, or -.", returncode=USAGE
        ) from exc
    try:
        zone = options["zone"] or clock.zone().key
        return importing.of_crontab(text, zone, job_words.read, stated=bool(options["zone"]))
    except ValueError as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc


def _sync(command: EngineCommand, options: dict[str, Any]) -> None:
    looks = options["dry_run"] or options["check"]
    if not looks:
        command.must_not_guess(no_input=options["no_input"], quiet=options["json"])
    with command.outcome():
        alias = options["database"] or sync.database()
        now = server_now(Session(alias))
        items = sync.plan(alias, options["reset"])
        if not options["json"] and (looks or not options["no_input"]):
            command.stdout.write(shown(items, now, done=False, terminal=command.stdout.isatty()))
        wrong = [item for item in items if item.action == "in the way"]
        todo = [item for item in items if item.writes]
        if not looks:
            sync.refuse(items)
            if todo and not command.ask(f"Write {display.count(len(todo), 'schedule')}?", no_input=options["no_input"]):
                raise CommandError("Declined: nothing was written.", returncode=REFUSED)
            items = sync.apply(alias, options["reset"], None if options["no_input"] else items)
    if options["json"]:
        command.print_json(as_json(items, now, written=not looks))
    elif not looks and options["no_input"]:
        command.stdout.write(shown(items, now, done=True, terminal=command.stdout.isatty()))
    elif not looks:
        command.stdout.write(f"{display.count(len(todo), 'schedule')} written." if todo else "Nothing to do.")
    if options["check"] and wrong:
        with command.outcome():
            sync.refuse(items)
    if options["check"] and todo:
        raise CommandError(
            f"{display.count(len(todo), 'schedule')} would be written: 'manage.py sync_schedules' does.",
            returncode=FOUND,
        )


def as_json(items: list[sync.Item], now: datetime, *, written: bool) -> dict[str, Any]:
    """Return all of it as JSON takes it; instants in UTC."""
    ours = [item for item in items if item.action != "other"]
    return {
        "written": sum(item.writes for item in items) if written else 0,
        "schedules": [_document(item, now) for item in ours],
        "others": [
            {"name": item.name, "task": item.row.task, "when": item.when, "enabled": item.enabled}
            for item in items
            if item.action == "other"
        ],
    }


def _document(item: sync.Item, now: datetime) -> dict[str, Any]:
    return {
        "name": item.name,
        "job": item.declared.job if item.declared else None,
        "when": item.when,
        "queue": item.queue,
        "enabled": item.enabled,
        "action": item.action,
        "write": sorted(item.write),
        "edited": {name: {"stored": has, "declared": says} for name, (has, says) in item.edited.items()},
        "note": item.note,
        "next": [instant.isoformat() for instant in _next(item, now, SHOWN_IN_JSON)],
    }


def _next(item: sync.Item, now: datetime, count: int) -> list[datetime]:
    return slots.next_slots(item.when if item.enabled else "", now, count)


def shown(items: list[sync.Item], now: datetime, *, done: bool, terminal: bool) -> str:
    """Return plan, next firings and notes as text, 80 columns wide where no terminal says otherwise."""
    ours = [item for item in items if item.action != "other"]
    parts = []
    if ours:
        columns = ("schedule", "job", "when", "queue", "done" if done else "plan")
        rows = [_row(item, done=done) for item in ours]
        parts.append(display.table("Schedules", columns, rows, terminal=terminal))
        parts.append(_firings(ours, now, terminal=terminal))
    else:
        parts.append(f"No schedule is declared: {schedules.SETTING} in the settings names them.")
    notes = [note for item in ours for note in _notes(item, now)]
    if notes:
        parts.append("\n" + "\n".join(_wrapped(note) for note in notes))
    others = [item for item in items if item.action == "other"]
    if others:
        rows = [
            (item.name, item.row.task, item.when or "solar", "on" if rule_of(item.row) else "off") for item in others
        ]
        title = "Not declared, and left as they are"
        parts.append(display.table(title, ("row", "task", "when", ""), rows, terminal=terminal))
    return "\n".join(parts) + "\n"


def _row(item: sync.Item, *, done: bool) -> tuple[Any, ...]:
    past = {"create": "created", "update": "updated", "switch off": "switched off"}
    said = past.get(item.action, item.action) if done else item.action
    if item.action == "update":
        said += f": {', '.join(sorted(item.write))}"
    elif item.action == "keep":
        said = "edited" if item.edited else "as declared" if item.declared and not item.note else "-"
    if not item.enabled and item.action in ("keep", "create") and item.declared:
        said += ", off"
    return item.name, item.declared.job if item.declared else None, item.when, item.queue, said


def _firings(items: list[sync.Item], now: datetime, *, terminal: bool) -> str:
    """Return the next firings of each in its own zone, the project's, Seoul's and UTC."""
    fixed = schedules.zones("")
    rows: list[tuple[Any, ...]] = []
    for item in items:
        own = read_zone(item.declared.zone_name) if item.declared else clock.zone()
        for number, instant in enumerate(_next(item, now, FIRINGS)):
            named = item.name if not number else ""
            rows.append((named, _local(instant, own), *(_local(instant, read_zone(zone)) for zone in fixed)))
    if not rows:
        return "\nNone of them is due."
    columns = ("schedule", "in its zone", *fixed)
    return display.table("Next firings", columns, rows, terminal=terminal)


def _local(instant: datetime, zone: Any) -> str:
    local = instant.astimezone(zone)
    return f"{local:%a %m-%d %H:%M:%S}".removesuffix(":00")


WORDS = {"when": "due", "queue": "queue", "enabled": "switched on", "task": "task", "arguments": "arguments"}


def _notes(item: sync.Item, now: datetime) -> Iterator[str]:
    if item.action == "in the way":
        yield f"{item.name}: {item.note}; rename one of the two, or '--reset {item.name}' takes the row."
    elif item.note:
        again = f"; '--reset {item.name}' makes it again" if item.declared else ""
        yield f"{item.name}: {item.note}{again}."
    for name, (has, says) in item.edited.items():
        reset = f"'--reset {item.name}' takes the declaration"
        if name == "enabled":
            yield f"{item.name}: switched {'on' if has else 'off'} in the admin; {reset}."
        else:
            word = WORDS.get(name, name.replace("_", " "))
            yield f"{item.name}: edited in the admin: {word} {_said(has)}, declared: {_said(says)}; {reset}."
    if item.declared is not None and item.action != "in the way" and "when" not in item.edited:
        yield from (f"{item.name}: {told}." for told in sync.transitions(item.declared, now))


def _wrapped(note: str) -> str:
    return textwrap.fill(note, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _said(value: Any) -> str:
    return display.value(str(value))
