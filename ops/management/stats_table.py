"""Tables of a report's values: with bars at a terminal, each measure's to a scale of its own, in the width there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from ops.management import display
from ops.reports import telling

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = "▁▂▃▄▅▆▇█"

BAR, SHORTEST_BAR = 16, 4
"""Cells of a bar, at most and at least; where there is no room for the shortest there is none."""

LABEL = 28
"""Cells of a label, at most."""

GAP = 2
"""Cells between columns."""


@dataclass(frozen=True)
class Line:
    """A row of a table: labels, a value for each measure; `days` is shown where there is room for it.

    Rows of one `kind`, such as a currency, have as many decimals as the finest of them needs.
    """

    labels: tuple[str, ...]
    values: tuple[object, ...]
    days: str = ""
    total: bool = False
    kind: object = None


@dataclass(frozen=True)
class _Column:
    """A measure: its texts, row by row, the change since the row before, and the share of the longest bar."""

    name: str
    texts: list[str]
    changes: list[str]
    shares: list[Decimal | None]

    @property
    def width(self) -> int:
        """Return the cells that its texts take."""
        wide = max(len(text) for text in (self.name, *self.texts)) + GAP
        return wide + (max(len(text) for text in ("change", *self.changes)) + GAP if self.changes else 0)


def chart(
    labels: Sequence[str],
    measures: Sequence[str],
    lines: Sequence[Line],
    *,
    zone: ZoneInfo,
    terminal: bool,
    changes: bool = False,
) -> str:
    """Return the lines as a table; as several below each other where there are more measures than the width takes.

    With `changes` each value is followed by its change since the line before, and has no bar.
    """
    width = display.width(terminal=terminal)
    columns = [_column(name, i, lines, zone, changes=changes) for i, name in enumerate(measures)]
    cells = [[telling.short(text, LABEL) for text in line.labels] for line in lines]
    taken = sum(
        max(len(text) for text in (name, *texts)) + GAP
        for name, texts in zip(labels, zip(*cells, strict=True), strict=True)
    )
    days = [line.days for line in lines]
    told = []
    for part in _parts(columns, width - taken):
        room = width - taken - sum(column.width for column in part)
        with_days = any(days) and room >= max(map(len, days)) + GAP + (SHORTEST_BAR + GAP) * len(part) * terminal
        if with_days:
            room -= max(map(len, days)) + GAP
        bar = min(BAR, room // len(part) - GAP) if terminal and not changes else 0
        told.append(
            _table(labels, cells, days if with_days else [], part, lines, bar if bar >= SHORTEST_BAR else 0, terminal)
        )
    return "\n\n".join(told)


def _column(name: str, place: int, lines: Sequence[Line], zone: ZoneInfo, *, changes: bool) -> _Column:
    values = [line.values[place] for line in lines]
    kinds = [line.kind for line in lines]
    decimals = {
        kind: telling.decimals_of(value for value, other in zip(values, kinds, strict=True) if other == kind)
        for kind in dict.fromkeys(kinds)
    }
    numbers = [telling.number(value) for value in values]
    # Totals have no bar: they would make all others short.
    longest = max(
        (abs(n) for n, line in zip(numbers, lines, strict=True) if n is not None and not line.total), default=0
    )
    shares = [
        None if n is None or not longest or line.total else telling.EXACT.divide(n, Decimal(longest))
        for n, line in zip(numbers, lines, strict=True)
    ]
    since = [""] if values else []
    since += [" ".join(filter(None, _change(before, after))) for before, after in pairwise(values)]
    texts = [telling.shown(value, zone, decimals=decimals[kind]) for value, kind in zip(values, kinds, strict=True)]
    return _Column(name, texts, since if changes else [], shares)


def _change(before: object, after: object) -> tuple[str, str]:
    difference, percent = telling.change(before, after)
    return (
        ("=", "")
        if difference in ("0", "0.00") and telling.number(before) == telling.number(after)
        else (difference, percent)
    )


def _parts(columns: Sequence[_Column], room: int) -> list[list[_Column]]:
    """Return the columns in as many parts as have room beside the labels."""
    parts: list[list[_Column]] = []
    left = 0
    for column in columns:
        if not parts or column.width > left:
            parts.append([])
            left = room
        parts[-1].append(column)
        left -= column.width
    return parts


def _table(
    labels: Sequence[str],
    cells: Sequence[Sequence[str]],
    days: Sequence[str],
    columns: Sequence[_Column],
    lines: Sequence[Line],
    bar: int,
    terminal: bool,
) -> str:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made: Table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in (*labels, *(["days"] if days else [])):
        made.add_column(name, overflow="fold")
    for column in columns:
        made.add_column(column.name, justify="right", overflow="fold")
        if column.changes:
            made.add_column("change", justify="right", overflow="fold")
        if bar:
            made.add_column("", width=bar, no_wrap=True)
    for i, line in enumerate(lines):
        row: list[Any] = [*cells[i], *([days[i]] if days else [])]
        for column in columns:
            row.append(column.texts[i])
            if column.changes:
                row.append(column.changes[i])
            if bar:
                row.append(_bar(column.shares[i], bar))
        made.add_row(*(Text(one) if isinstance(one, str) else one for one in row), style="bold" if line.total else "")
    return display.printed(made, terminal=terminal)


def _bar(share: Decimal | None, width: int) -> Any:
    from rich.text import Text

    if share is None:
        return Text("")
    eighths = int((abs(share) * width * 8).to_integral_value())
    if share and not eighths:
        eighths = 1  # what is there is seen
    whole, part = divmod(eighths, 8)
    return Text("█" * whole + (EIGHTHS[part] if part else ""), style="red" if share < 0 else "cyan")


def spark(values: Sequence[object]) -> str:
    """Return values as a line of blocks from the least to the greatest; "" where there are no two."""
    numbers = [telling.number(value) for value in values]
    there = [one for one in numbers if one is not None]
    low, high = min(there, default=None), max(there, default=None)
    if low is None or high is None or low == high:
        return ""
    told = ""
    for one in numbers:
        told += " " if one is None else LEVELS[int((one - low) * (len(LEVELS) - 1) / (high - low))]
    return told
