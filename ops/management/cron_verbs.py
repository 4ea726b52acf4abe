"""The verbs of `manage.py cron`: each computes and prints; none asks a database."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ops import clock
from ops.clock import crontabs, lint, words
from ops.clock.cron import Crontab, Reading
from ops.clock.zones import read_zone, zone_name
from ops.management import display
from ops.management.engine_command import FAILED, FOUND, EngineCommand

Given = dict[str, Any]
SEOUL = "Asia/Seoul"
HEAD = 20
"""The width of an instant in a table; longer names of zones give their city alone."""


def expressions(options: Given) -> list[str]:
    """Return the lines that were given; five words without quotes are one."""
    given: list[str] = options["expression"]
    if len(given) == 5 and not any(len(one.split()) > 1 for one in given):
        return [" ".join(given)]
    return given


def expression(options: Given) -> str:
    """Return the one line that was given. Raises ValueError where there are more."""
    given = expressions(options)
    if len(given) > 1:
        raise ValueError(f"One line was expected, {len(given)} were given: put it in quotes, such as '0 1 * * *'.")
    return given[0]


def convert_line(command: EngineCommand, options: Given) -> None:
    """Print lines, or a whole crontab, for another zone."""
    period = {"start": options["start"], "end": options["end"]}
    zones = options["source"], options["target"], options["dialect"]
    given = expressions(options)
    if bool(given) == bool(options["file"]):
        raise ValueError("Give either lines to convert, such as '0 1 * * *', or a crontab with --file, - for stdin.")
    if options["file"]:
        made = crontabs.convert_file(_read(options["file"]), *zones, **period)
    else:
        made = clock.convert(given, *zones, **period)
        if any(map(crontabs.ambiguous, made)):
            command.note("Lines with both days are Celery's: both must fit. Vixie cron would take either.")
    if options["json"]:
        command.print_json({"state": "done", "lines": made, "from": options["source"], "to": options["target"]})
    else:
        command.stdout.write("\n".join(made))


def _read(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise ValueError(f"There is no file {path!r} to convert: give the path of a crontab, or - for stdin.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{path!r} can't be read as a crontab: {exc}.", returncode=FAILED) from exc


def next_line(command: EngineCommand, options: Given) -> None:
    """Print when a line fires next, in up to three zones; what clocks skip or have twice is marked."""
    line = Crontab.parse(expression(options), options["dialect"])
    zone = read_zone(options["zone"] or clock.zone())
    after = options["after"] or clock.now()
    found = list(firings(line, zone, after, options["count"]))
    if options["json"]:
        told = [
            {
                "local": reading.local.isoformat() if reading.skipped else _in(zone, reading.instant).isoformat(),
                "utc": None if reading.skipped else reading.instant.isoformat(),
                "note": note(reading, zone) or None,
            }
            for reading in found
        ]
        command.print_json({"expression": str(line), "dialect": line.dialect, "zone": zone_name(zone), "firings": told})
        return
    command.stdout.write(_firings(line, zone, after, found, command.stdout.isatty()))


def _firings(line: Crontab, zone: tzinfo, after: datetime, found: list[Reading], terminal: bool) -> str:
    if not found:
        why = f": {line.impossible}" if line.fires_never else ", as far as anybody can tell"
        return f"{str(line)!r} does not fire in {zone_name(zone)}{why}."
    zones = list({zone_name(one): one for one in (zone, read_zone(SEOUL), UTC)}.values())
    rows = []
    for reading in found:
        others = [None if reading.skipped else _shown(_in(one, reading.instant)) for one in zones[1:]]
        rows.append([_shown(reading.local), *others, note(reading, zone)])
    names = [zone_name(one) for one in zones]
    heads = [name if len(name) <= HEAD else name.rpartition("/")[2] for name in names]
    title = f"{str(line)!r} in {names[0]}, after {_shown(_in(zone, after))}"
    if not any(row[-1] for row in rows):
        return display.table(title, heads, [row[:-1] for row in rows], (), terminal)
    return display.table(title, [*heads, ""], rows, (), terminal)


def firings(line: Crontab, zone: tzinfo, after: datetime, count: int) -> Iterator[Reading]:
    """Yield so many firings, and the skipped times between them."""
    for reading in line.readings(zone, after):
        yield reading
        count -= not reading.skipped
        if not count:
            return


def note(reading: Reading, zone: tzinfo) -> str:
    """Say what clocks make of a local time."""
    if reading.skipped:
        return "skipped"
    if reading.again:
        return "second of two"
    first, second = (reading.local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return "first of two" if first != second else ""


def _in(zone: tzinfo, instant: datetime) -> datetime:
    return instant.astimezone(zone)


def _shown(moment: datetime) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M}"


def explain_line(command: EngineCommand, options: Given) -> None:
    """Print what a line says, field by field, and with a zone when it fires next."""
    line = Crontab.parse(expression(options), options["dialect"])
    fields = words.fields(line)
    said = "It never fires: " + line.impossible + "." if line.fires_never else words.in_words(line)
    if options["json"]:
        told = [{"field": name, "text": text, "values": values} for name, text, values in fields]
        command.print_json({"expression": str(line), "dialect": line.dialect, "words": said, "fields": told})
        return
    terminal = command.stdout.isatty()
    command.stdout.write(f"{said}\n")
    command.stdout.write(
        display.table(f"{str(line)!r}, read by {line.dialect}", ("field", "text", "is"), fields, (), terminal)
    )
    if options["zone"]:
        zone, after = read_zone(options["zone"]), clock.now()
        command.stdout.write(_firings(line, zone, after, list(firings(line, zone, after, 3)), terminal))


def lint_line(command: EngineCommand, options: Given) -> None:
    """Print who reads a line how, and what is no good. Raises CommandError with 5 where something is found."""
    given = expression(options)
    zone = read_zone(options["zone"]) if options["zone"] else None
    try:
        report = lint.lint(given, zone, clock.now())
    except ImportError as exc:
        raise CommandError(
            f"lint asks Celery and django-celery-beat, and {exc.name} is not installed: install it, or see "
            "'manage.py cron explain'.",
            returncode=FAILED,
        ) from exc
    if options["json"]:
        readers = [
            {"reader": one.name, "reads": one.reads or None, "refuses": one.refusal or None} for one in report.readers
        ]
        findings = [{"found": one.found, "advice": one.advice} for one in report.findings]
        command.print_json({"expression": given, "readers": readers, "findings": findings})
    else:
        rows = [(one.name, f"refuses: {one.refusal}" if one.refusal else one.reads) for one in report.readers]
        command.stdout.write(display.table(repr(given), ("who", "reads"), rows, (), command.stdout.isatty()))
        for number, one in enumerate(report.findings, 1):
            lines = [("", ""), (f"{number}", one.found), ("", one.advice)]
            command.stdout.write(display.facts(lines, terminal=command.stdout.isatty()))
        if not report.findings:
            command.stdout.write("\nNothing is found: all three read the same.")
    if report.findings:
        found = display.count(len(report.findings), "thing")
        raise CommandError(f"{found} found in {given!r}; what to do is said above.", returncode=FOUND)
