"""What `manage.py doctor` prints, and how it mends: one screen for a person, one object for a machine."""

import textwrap
from argparse import ArgumentTypeError
from itertools import groupby
from typing import Any

from django.core.management.base import CommandError

from ops.doctor import Finding, Report, examine
from ops.doctor.catalogue import AREAS, KNOWN
from ops.management import display
from ops.management.engine_command import FAILED, FOUND, REFUSED, EngineCommand

INDENT = " " * 10

ALIKE = 5
"""So many findings of one id are shown."""

COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def identity(text: str) -> str:
    """Read an id for argparse, with or without `ops.`."""
    found = text if text.startswith("ops.") else f"ops.{text}"
    if found not in KNOWN:
        raise ArgumentTypeError(f"there is no id {text!r}; docs/doctor.md lists them.")
    return found


def run(command: EngineCommand, options: dict[str, Any]) -> None:
    """Look, show, and mend if asked to; raise CommandError where there is something to do, or nothing could be seen."""
    if options["mend"]:
        command.must_not_guess(
            no_input=options["no_input"], quiet=options["json"], or_else=", or leave --mend out to look only"
        )
    report = examine(options["database"], options["only"])
    mended: list[str] = []
    if options["mend"] and any(one.remedy for one in report.findings):
        if not options["json"]:
            command.stdout.write(shown(report, terminal=command.stdout.isatty()))
        mended = _mend(command, options, report)
        report = examine(options["database"], options["only"])
    if options["json"]:
        command.print_json(report.as_json() | ({"mended": mended} if options["mend"] else {}))
    else:
        command.stdout.write(shown(report, terminal=command.stdout.isatty()))
    if report.site.trouble:
        raise CommandError(report.site.trouble, returncode=FAILED)
    if not report.healthy:
        raise CommandError(f"{_count(report)}: {_advice(report, mend=options['mend'])}", returncode=FOUND)


def _advice(report: Report, *, mend: bool) -> str:
    if not mend and any(one.remedy for one in report.findings):
        return "'manage.py doctor --mend' mends what it safely can; docs/doctor.md tells more about each id."
    return "docs/doctor.md tells more about each id."


def _mend(command: EngineCommand, options: dict[str, Any], report: Report) -> list[str]:
    """Say what would be done, ask, and do it."""
    remedies = [one.remedy for one in report.findings if one.remedy]
    if not options["json"]:
        command.stdout.write("\nTo mend:")
        for remedy in remedies:
            command.stdout.write(_fill(remedy.says, "- ", "  "))
    if not command.ask("Do it?", no_input=options["no_input"]):
        raise CommandError("Nothing was mended.", returncode=REFUSED)
    done = []
    for remedy in remedies:
        done.append(remedy.do())
        if not options["json"]:
            command.stdout.write(_fill(f"Mended: {done[-1]}.", "", "  "))
    return done


def _count(report: Report) -> str:
    told = []
    for severity in ("error", "warning"):
        if number := sum(one.severity == severity for one in report.findings):
            told.append(display.count(number, severity))
    return ", ".join(told) or "nothing wrong"


def shown(report: Report, *, terminal: bool) -> str:
    """Return a report as a person reads it: what was looked at, then each finding where it belongs."""
    from rich.text import Text

    console = display._console(terminal)  # noqa: SLF001 - of the same package: the width of what is shown
    width = max(console.width, 40)
    told = [area for area in AREAS if area in report.site.told]
    by_area = {area: [one for one in report.findings if one.area == area] for area in AREAS}
    head = f"Database {report.site.alias!r} and what is around it, in {report.seconds:.1f} s: {_count(report)}."
    console.print(Text(head, style="bold"), soft_wrap=True)
    for area in AREAS:
        if area in told:
            console.print(Text(_fill(report.site.told[area], f"{area:<10}", INDENT, width)), soft_wrap=True)
        for _, alike in groupby(by_area[area], key=lambda one: one.id):
            _print(console, list(alike), width)
    return "\n".join(line.rstrip() for line in str(console.file.getvalue()).rstrip().splitlines())


def _print(console: Any, alike: list[Finding], width: int) -> None:
    """Print the findings of one id: each, what they break, and what mends them."""
    from rich.text import Text

    for one in alike[:ALIKE]:
        first = f"  {one.severity} {one.id.removeprefix('ops.')}  "
        text = Text(_fill(one.found, first, INDENT, width))
        text.stylize(COLOURS[one.severity], 2, len(first))
        console.print(text, soft_wrap=True)
    if len(alike) > ALIKE:
        console.print(f"{INDENT}and {len(alike) - ALIKE:,} more like these: --json lists all")
    if alike[0].severity != "info":
        console.print(Text(_fill(alike[0].breaks, INDENT, INDENT, width), style="dim"), soft_wrap=True)
        for mends in dict.fromkeys(one.mends for one in alike[:ALIKE]):
            console.print(Text(_fill(f"-> {mends}", INDENT, f"{INDENT}   ", width)), soft_wrap=True)


def _fill(text: str, first: str, rest: str, width: int = 80) -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
