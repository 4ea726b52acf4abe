"""What people read at a terminal: plans, runs, progress. Tables and bars by rich, plain text where no terminal is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.core.management.base import OutputWrapper

from ops.engine.jobs import Reconcile
from ops.engine.plan import Amount, Plan, plain

if TYPE_CHECKING:
    pass


def _console(terminal: bool) -> Any:
    from rich.console import Console

    # Without a terminal the width is fixed, so that logs and tests do not depend on who reads them.
    return Console(file=StringIO(), force_terminal=terminal, width=None if terminal else 80, highlight=False)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Sequence[str] = (),
    terminal: bool = False,
) -> str:
    """Return a table as text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made: Table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    console = _console(terminal)
    console.print(made)
    return "\n".join(line.rstrip() for line in str(console.file.getvalue()).rstrip().splitlines())


def money(value: Decimal | str | None) -> str:
    """Return an amount with thousands marked."""
    if value is None:
        return "-"
    whole, point, decimals = plain(Decimal(value)).partition(".")
    return f"{int(whole):,}{point}{decimals}" if whole != "-0" else f"-0{point}{decimals}"


def _amount(amount: Amount) -> tuple[str, ...]:
    percent = amount.percent
    difference = amount.after - amount.before
    return (
        amount.currency or "(none)",
        money(amount.before),
        money(amount.after),
        ("+" if difference > 0 else "") + money(difference),
        "-" if percent is None else f"{percent:+.2f}",
    )


def plan(found: Plan, job: Reconcile, *, terminal: bool) -> str:
    """Return a plan as a person reads it."""
    lines = []
    lines.append(
        f"Looked at {found.looked_at:,} {job.target._meta.verbose_name_plural}: {found.changes:,} would change, "
        f"{found.held:,} held, {found.refusals:,} refused."
    )
    if found.amounts:
        columns = ("currency", "before", "after", "difference", "%")
        lines.append(table("Amounts", columns, [_amount(a) for a in found.amounts], columns[1:], terminal))
    for title, rows in (("Largest changes", found.largest), ("Refused", found.refused)):
        if rows:
            names = tuple(rows[0])
            cells = [[money(v) if k in ("old", "new") and job.money else v for k, v in row.items()] for row in rows]
            lines.append(table(title, names, cells, ("key", "old", "new"), terminal))
    return "\n".join(lines)


@contextmanager
def progress(stdout: OutputWrapper, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show rows done of rows to do: a bar with the time left at a terminal, a line for each tenth elsewhere."""
    if quiet:
        yield lambda done, total: None
        return
    if not stdout.isatty():
        shown = -1

        def line(done: int, total: int) -> None:
            nonlocal shown
            tenth = done * 10 // max(total, 1)
            if tenth > shown:
                shown = tenth
                stdout.write(f"{done:,} of {total:,} rows ({done * 100 // max(total, 1)} %)")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn(), transient=True
    )
    task: Any = None

    def advance(done: int, total: int) -> None:
        nonlocal task
        if task is None:
            # Not before the first batch: the bar would overwrite the question.
            bar.start()
            task = bar.add_task("rows", total=total)
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        bar.stop()
