"""What people read at a terminal: plans, runs, progress. Tables and bars by rich, plain text where no terminal is."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from io import StringIO
from typing import Any

from django.core.management.base import OutputWrapper

from ops.engine.plan import plain

LABEL = 12
"""The width of the labels of `facts`."""


_styled: ContextVar[bool] = ContextVar("styled", default=True)


@contextmanager
def styled(yes: bool) -> Iterator[None]:
    """Let what is shown meanwhile have colours and bold letters at a terminal, or none (--no-color)."""
    token = _styled.set(yes)
    try:
        yield
    finally:
        _styled.reset(token)


def _console(terminal: bool) -> Any:
    from rich.console import Console

    return Console(
        file=StringIO(),
        force_terminal=terminal,
        color_system="auto" if _styled.get() else None,
        # Without a terminal the width is fixed, so that logs and tests do not depend on who reads them.
        width=None if terminal else 80,
        highlight=False,
    )


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Sequence[str] = (),
    terminal: bool = False,
) -> str:
    """Return a table as text, with an empty line above it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # Two spaces between columns, none at the edges: 80 columns are few.
    made: Table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    # By itself: as the table's own title it would be wrapped to the width of a narrow one.
    return f"\n{heading(title, terminal=terminal)}\n{printed(made, terminal=terminal)}"


def heading(title: str, *, terminal: bool) -> str:
    """Return what stands above a table."""
    from rich.text import Text

    return printed(Text(title, style="bold"), terminal=terminal)


def printed(what: Any, *, terminal: bool) -> str:
    """Return what rich makes of something, without blanks at the ends of lines."""
    console = _console(terminal)
    console.print(what)
    return "\n".join(line.rstrip() for line in str(console.file.getvalue()).rstrip().splitlines())


def width(*, terminal: bool) -> int:
    """Return the cells of a line."""
    return int(_console(terminal).width)


def wrapped(text: str, *, terminal: bool) -> str:
    """Return a sentence broken to the width there is."""
    return textwrap.fill(text, max(width(terminal=terminal), 40), break_long_words=False, break_on_hyphens=False)


def facts(lines: Sequence[tuple[str, object]], *, terminal: bool) -> str:
    """Return labelled values, a line each; a long one goes on below its beginning."""
    width = max(_console(terminal).width, 2 * LABEL)
    return "\n".join(
        textwrap.fill(
            f"{label:<{LABEL}}{value}",
            width,
            subsequent_indent=" " * LABEL,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for label, value in lines
    )


def count(number: int, word: str) -> str:
    """Return a number with its noun: 1 batch, 2,000 batches, 1 row."""
    return f"{number:,} {word}{'' if number == 1 else 'es' if word.endswith('ch') else 's'}"


def value(text: str | None) -> str:
    """Return a value as it is told: nothing is -, an empty text ''."""
    return "-" if text is None else text or "''"


def money(value: Decimal | str | None, decimals: int = 0) -> str:
    """Return an amount with thousands marked, and with at least so many decimals."""
    if value is None:
        return "-"
    exact = Decimal(plain(Decimal(value)))
    return f"{exact:,.{max(decimals, _decimals(value))}f}"


def _decimals(value: Decimal | str | None) -> int:
    return 0 if value is None else len(plain(Decimal(value)).partition(".")[2])


def monies(*values: Decimal | str | None) -> list[str]:
    """Return amounts of one currency: all with as many decimals as the finest of them needs."""
    decimals = max(map(_decimals, values), default=0)
    return [money(value, decimals) for value in values]


def _amount(amount: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = Decimal(amount["before"]), Decimal(amount["after"])
    texts = monies(before, after, after - before)
    if after > before:
        texts[2] = f"+{texts[2]}"
    percent = f"{(after - before) * 100 / before:+.2f}" if before else "-"
    return (amount["currency"] or "(none)", *texts, "0.00" if after == before else percent)


def _rows(title: str, found: Sequence[Mapping[str, Any]], labels: Sequence[str], terminal: bool) -> str:
    """Return a plan's rows as a table: the key, what names the row, then old and new value (alike) or the reason."""
    # jsonb keeps no order, so a plan read back has its names in any.
    last = [name for name in ("old", "new", "reason") if name in found[0]]
    names = ["key", *(name for name in labels if name in found[0])]
    names += [name for name in found[0] if name not in (*names, *last)] + last
    return table(title, names, [[row[name] for name in names] for row in found], ("key", "old", "new"), terminal)


def _alike(row: Mapping[str, Any], counts_money: bool) -> dict[str, Any]:
    """Return a row with its old and new value as text: one amount each, or several columns."""
    old, new = row["old"], row["new"]
    if isinstance(old, dict):
        old, new = (", ".join(f"{name} {value(v)}" for name, v in values.items()) for values in (old, new))
    elif counts_money:
        old, new = monies(old, new)
    else:
        old, new = value(old), value(new)
    return {**row, "old": old, "new": new}


def plan(found: Mapping[str, Any], *, rows: str, labels: Sequence[str] = (), terminal: bool) -> str:
    """Return a plan (`Plan.as_json()`, what a run's record keeps) as a person reads it.

    `rows` says what they are, `labels` in which order to show what names one.
    """
    if "lines" in found:
        from ops.management import load_display

        return load_display.plan(found, terminal=terminal)
    told = f"{found['changes']:,} would change, {found['held']:,} held, {found['refusals']:,} refused."
    if found.get("margin") is not None:
        told = f"about {found['changes']:,} would change (a sample: +- {found['margin']:,}; --exact counts)."
    lines = [f"Looked at {found['looked_at']:,} {rows}: {told}"]
    if found["amounts"]:
        columns = ("currency", "before", "after", "difference", "%")
        lines.append(table("Amounts", columns, [_amount(a) for a in found["amounts"]], columns[1:], terminal))
    if found["largest"]:
        counts_money = bool(found["amounts"])
        lines.append(
            _rows(
                "Largest changes" if counts_money else f"The first {len(found['largest'])} changes",
                [_alike(row, counts_money) for row in found["largest"]],
                labels,
                terminal,
            )
        )
    if found["refused"]:
        of = f"The first {len(found['refused'])} refused" if len(found["refused"]) < found["refusals"] else "Refused"
        lines.append(_rows(of, found["refused"], labels, terminal))
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
            if not total:
                return
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
