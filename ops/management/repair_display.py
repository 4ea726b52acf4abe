"""What `manage.py repair_migrations` prints: the plan for a person, one object for a machine, and what became of it."""

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from ops.drift.codes import title
from ops.drift.model import SEVERITIES, Finding, RepairPlan, Severity
from ops.management import display

INDENT = " " * 4
ALIKE = 10
"""So many findings of one code are shown; -v 2 shows all."""
PENDING = 8

COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


class Page:
    """Lines for a terminal or a log, broken to the width there is."""

    def __init__(self, *, terminal: bool) -> None:
        self.console = display._console(terminal)  # noqa: SLF001 - of the same package: the width of what is shown
        self.width = max(self.console.width, 40)

    def add(self, text: str = "", first: str = "", rest: str = "", style: str = "") -> None:
        from rich.text import Text

        filled = textwrap.fill(
            text, self.width, initial_indent=first, subsequent_indent=rest or " " * len(first),
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        self.console.print(Text(filled, style=style), soft_wrap=True)

    def head(self, mark: str, style: str, text: str) -> None:
        """Add a line whose mark has a colour."""
        from rich.text import Text

        filled = Text(
            textwrap.fill(f"{mark}{text}", self.width, subsequent_indent=INDENT, break_long_words=False,
                          break_on_hyphens=False)
        )  # fmt: skip
        filled.stylize(style, 0, len(mark.rstrip()))
        self.console.print(filled, soft_wrap=True)

    def __str__(self) -> str:
        return "\n".join(line.rstrip() for line in str(self.console.file.getvalue()).rstrip().splitlines())


def plan(found: RepairPlan, *, verbosity: int = 1, show_sql: bool = False, terminal: bool = False) -> str:
    """Return a plan as a person reads it, the worst first."""
    page = Page(terminal=terminal)
    least: Severity = "info" if verbosity > 1 else "warning"
    _findings(page, found.worth(least), verbosity=verbosity, show_sql=show_sql)
    for note in found.notes:
        page.add(note, "note: ", INDENT)
    _pending(page, found, verbosity)
    if found.worth():
        page.add(f"{counts(found.findings, verbosity)} {mode(found)}")
    else:
        more = f" {_noted(found.findings, verbosity)}." if _noted(found.findings, verbosity) else ""
        page.add(f"Nothing to repair: {healthy(found)}{more} {mode(found)}")
    return str(page)


def healthy(found: RepairPlan) -> str:
    """Return what a healthy database is told."""
    if found.asked:
        return f"nothing was found of what was looked for alone ({found.asked})."
    return (
        f"{display.count(found.tables, 'table')} {'is' if found.tables == 1 else 'are'} as the recorded migrations say."
    )


def _findings(page: Page, findings: Sequence[Finding], *, verbosity: int, show_sql: bool) -> None:
    for code, group in groupby(findings, key=lambda one: (one.severity, one.code)):
        alike = list(group)
        shown = alike if verbosity > 1 else alike[:ALIKE]
        for one in shown:
            _finding(page, one, breaks="" if one is not shown[-1] and _same(alike) else one.breaks, show_sql=show_sql)
        if len(alike) > len(shown):
            page.add(f"and {len(alike) - len(shown):,} more of {code[1]} ({title(code[1])}): -v 2 shows them", INDENT)
    if findings:
        page.add()


def _same(alike: Sequence[Finding]) -> bool:
    return len({one.breaks for one in alike}) == 1


def _finding(page: Page, one: Finding, *, breaks: str, show_sql: bool) -> None:
    # What was found names its object in most cases; it need not be said twice.
    name = one.object.partition(" ")[2].rpartition(".")[2] or one.object
    said = one.found if name.strip('"') in one.found else f"{one.object}: {one.found}"
    page.head(f"{one.severity} {one.code} ", COLOURS[one.severity], said)
    if breaks:
        page.add(breaks, INDENT, style="dim")
    if one.action and not one.refused:
        page.add(one.action, f"{INDENT}-> ")
    if one.refused:
        page.add(f"left to you: {one.refused}", f"{INDENT}-> ")
        if one.steps and one.action:
            page.add(f"meanwhile: {one.action}", f"{INDENT}   ")
    for choice in one.choices:
        page.add(f"{choice.option}: {choice.words}", f"{INDENT}   ", f"{INDENT}     ")
    if show_sql:
        for statement in one.sql:
            for line in f"{statement};".splitlines():
                page.console.print(f"{INDENT}   {line}", soft_wrap=True, markup=False)


def _pending(page: Page, found: RepairPlan, verbosity: int) -> None:
    """Tell which migrations are pending, and what the linter says of them: no drift."""
    if not found.pending:
        return
    shown = found.pending if verbosity > 1 else found.pending[:PENDING]
    more = f" and {len(found.pending) - len(shown):,} more" if len(found.pending) > len(shown) else ""
    number = display.count(len(found.pending), "migration")
    page.add(f"Pending, which is no drift: {number}: {', '.join(shown)}{more}.", "", INDENT)
    lint(page.add, found.lint, verbosity)
    page.add()


def lint(add: Any, said: Sequence[dict[str, Any]], verbosity: int = 1) -> None:
    """Tell what the linter says of pending migrations, each rule once for a migration unless all is asked for."""
    for (migration, rule), group in groupby(said, key=lambda one: (one["migration"], one["rule"])):
        alike = list(group)
        times = f" ({len(alike)} times)" if len(alike) > 1 else ""
        add(f"lint {migration}, {rule}{times}: {alike[0]['message']} {alike[0]['advice']}".rstrip(), "  ", INDENT)
        for one in alike if verbosity > 1 else alike[:1]:
            add(" ".join(one["statement"].split()), f"{INDENT}  ", f"{INDENT}    ")


def counts(findings: Iterable[Finding], verbosity: int = 1) -> str:
    """Return how many there are: 3 errors, 1 warning; 12 notes: -v 2 shows them."""
    of = list(findings)
    told = [display.count(number, name) for name in ("error", "warning") if (number := _number(of, name))]
    noted = _noted(of, verbosity)
    return f"{', '.join(told) or 'nothing wrong'}{'; ' if noted else ''}{noted}."


def _number(findings: Sequence[Finding], severity: str) -> int:
    return sum(one.severity == severity for one in findings)


def _noted(findings: Sequence[Finding], verbosity: int) -> str:
    number = _number(findings, "info")
    if not number:
        return ""
    if verbosity > 1:
        return display.count(number, "note")
    return f"{display.count(number, 'note')}: -v 2 shows {'them' if number > 1 else 'it'}"


def mode(found: RepairPlan) -> str:
    """Return how what ought to be was found, and how long that took."""
    took = found.seconds.get("expected", 0.0)
    if found.mode == "reduced":
        return "What ought to be is told by Django's state alone: REDUCED, as the first note says."
    how = "Replayed" if found.mode == "replayed" else "Cached"
    return f"{how} in {took:.1f} s."


def document(found: RepairPlan) -> dict[str, Any]:
    """Return a plan as `--json` prints it."""
    return {
        "database": found.alias, "mode": found.mode,
        "counts": {severity: _number(found.findings, severity) for severity in SEVERITIES},
        "findings": [one.as_json() for one in found.findings],
        "notes": found.notes, "pending": found.pending, "lint": found.lint,
        "snapshot": found.snapshot, "expected": found.expected, "seconds": found.seconds,
    }  # fmt: skip


def done(outcome: Any, left: Sequence[Finding], *, terminal: bool = False) -> str:
    """Return what a repair did: each step, what is left, and how to take it back."""
    page = Page(terminal=terminal)
    page.add()
    words = {"done": "done", "failed": "failed", "left": "left out"}
    for step in outcome.steps:
        detail = f": {step.detail}" if step.detail and step.state != "done" else ""
        page.add(f"{step.title}{detail}", f"{words.get(step.state, step.state)}  {step.code}  ", INDENT)
    for one in left:
        page.add(f"{one.object}: {one.refused or one.found}", f"left  {one.code}  ", INDENT)
    for note in [*outcome.notes, outcome.message] if outcome.state == "done" else outcome.notes:
        if note:
            page.add(note, "note: ", INDENT)
    counted = ", ".join(f"{number:,} {words[name]}" for name, number in outcome.counts.items() if number)
    verified = " Compared again: what it worked on is as it ought to be." if outcome.state == "done" else ""
    run = f"Run {outcome.run}" if outcome.run is not None else "Repair"
    page.add(f"{run}: {counted or 'nothing done'}.{verified}")
    if outcome.counts["done"]:
        by = f"runs revert {outcome.run}" if outcome.run is not None else f"repair_migrations --revert {outcome.uuid}"
        page.add(f"'manage.py {by}' takes it back as far as nothing is lost.")
    return str(page)
