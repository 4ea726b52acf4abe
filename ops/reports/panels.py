"""Which pictures a report makes: what becomes a panel, a series, a stack; and which groups are the others.

Groups are stacked only where their values add up: counts and sums that are not negative. Amounts of several currencies
(what a report's totals keep) never add up: each has panels, top groups and colours of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ops.reports import telling
from ops.reports.computing import Result
from ops.reports.declaring import Count, Report, Sum
from ops.reports.history import History, told_filters
from ops.reports.picture import Caption
from ops.reports.plotting import NAME, OTHERS, TOP, Lines, Panel

BARS = 56
"""Bars of a panel that stand side by side, over all its windows: more are too thin, or the picture too tall."""

Key = tuple[object, ...]
Values = Mapping[Key, Sequence[object]]
"""Of each group its value in each window."""


def of_result(report: Report, result: Result) -> tuple[Caption, list[Panel]]:
    """Return the caption and panels of a result: one panel for each measure, and for each kept value of it."""
    # Why it is not the rollup is no matter of the picture.
    source = result.source.partition(":")[0]
    under = f"as of {telling.instant(result.as_of, result.zone)}, days of {result.zone}, from the {source}"
    if result.filters:
        under += f", only {told_filters(result.filters)}"
    caption = Caption(result.report, under)
    windows = tuple(telling.short(window.name, NAME) for window in result.windows)
    told = [name for name in result.groups if name not in result.kept]
    grouped = bool(told) and any(result.rows.values())
    if grouped:
        caption = caption.noting(f"By {', '.join(told)}.")
    panels = []
    for kept in _kept_values(result, grouped=grouped):
        family = _label(kept) if kept else ""
        found = {
            measure: _values(result, measure, kept, told if grouped else [], grouped=grouped)
            for measure in result.measures
        }
        top = _top(found[result.measures[0]], len(windows))
        for measure, values in found.items():
            title = f"{measure}, {family}" if family else measure
            if grouped:
                adds = isinstance(report.measures.get(measure), Count | Sum)
                panels.append(_grouped(title, windows, values, top, adds=adds, family=family))
            else:
                only = next(iter(values.values()), [None] * len(windows))
                panels.append(Panel(title, windows, (("", tuple(only)),)))
    if rest := max((panel.left_out for panel in panels), default=0):
        caption = caption.noting(
            f"The largest groups have bars of their own, up to {rest:,} have not; where they add up, those have one."
        )
    return caption, panels


def _kept_values(result: Result, *, grouped: bool) -> list[Key]:
    """Return what the totals keep, such as each currency, once, in order."""
    source = result.rows if grouped else result.totals
    found = [_key(row, result.kept) for rows in source.values() for row in rows]
    return _sorted(found) or [()]


def _sorted(keys: Iterable[Key]) -> list[Key]:
    """Return keys in order, each once, what is none last: a window names only those that it has, so they come mixed."""

    def place(key: Key) -> list[tuple[bool, Decimal, str]]:
        numbers = [telling.number(one) for one in key]
        return [
            (one is None, number or Decimal(0), "" if number is not None else str(one))
            for one, number in zip(key, numbers, strict=True)
        ]

    return sorted(dict.fromkeys(keys), key=place)


def _key(row: Mapping[str, Any], names: Sequence[str]) -> Key:
    return tuple(telling.key(row["group"].get(name)) for name in names)


def _values(result: Result, measure: str, kept: Key, told: Sequence[str], *, grouped: bool) -> Values:
    found: dict[Key, list[object]] = {}
    source = result.rows if grouped else result.totals
    for place, window in enumerate(result.windows):
        for row in source[window.name]:
            if _key(row, result.kept) == kept:
                found.setdefault(_key(row, told), [None] * len(result.windows))[place] = row["values"][measure]
    return {key: found[key] for key in _sorted(found)}


def _top(values: Values, windows: int) -> list[Key]:
    """Return the groups that have a bar of their own: the largest by the first measure, in the order they came."""
    sizes = {key: max(map(telling.size, of), default=Decimal(0)) for key, of in values.items()}
    most = max(3, min(TOP, BARS // max(windows, 1)))
    ranked = sorted(sizes, key=lambda key: sizes[key], reverse=True)
    # One left over would take as much room as the others as it does by its name.
    chosen = set(ranked if len(ranked) == most + 1 <= TOP else ranked[:most])
    return [key for key in sizes if key in chosen]


def _grouped(
    title: str, windows: tuple[str, ...], values: Values, top: Sequence[Key], *, adds: bool, family: str
) -> Panel:
    """Return a panel of the top groups, and of the others where they add up: stacked, unless any is negative."""
    series = [
        (name, tuple(values[key]))
        for key, name in zip(top, _names(top), strict=True)
        if any(telling.size(value) for value in values.get(key, ()))
    ]
    rest = [key for key in values if key not in set(top)]
    if rest and adds:
        sums = [_sum([telling.number(values[key][place]) for key in rest]) for place in range(len(windows))]
        series.append((OTHERS, tuple(sums)))
    shown = [telling.number(value) for _, of in series for value in of]
    stacked = adds and all(one is None or one >= 0 for one in shown)
    nothing = (("", (0 if adds else None,) * len(windows)),)
    return Panel(title, windows, tuple(series) or nothing, stacked=stacked, left_out=len(rest), family=family)


def _sum(numbers: Sequence[Decimal | None]) -> Decimal:
    total = Decimal(0)
    for one in numbers:
        total = telling.EXACT.add(total, one or Decimal(0))
    return total


def _label(key: Key) -> str:
    return telling.short(", ".join("none" if one is None else telling.shown(one) or "''" for one in key), NAME)


def _names(keys: Sequence[Key]) -> list[str]:
    """Return a name for each group; those that are the same once they are shortened get a number."""
    seen: dict[str, int] = {}
    found = []
    for name in map(_label, keys):
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return found


def of_history(history: History) -> tuple[Caption, list[Lines]]:
    """Return the caption and panels of saved results: one for each window and measure; totals, else the top groups."""
    instants = sorted({one.as_of for saved in history.windows.values() for one in saved})
    first, last = (telling.instant(at, history.zone) for at in (instants[0], instants[-1]))
    under = f"{len(instants):,} saved, as of {first} to {last}, days of {history.zone}"
    if history.filters:
        under += f", only {told_filters(history.filters)}"
    panels = []
    for window, saved in history.windows.items():
        totals = any(one.totals for one in saved)
        for measure in history.measures:
            found: dict[Key, list[tuple[Any, object]]] = {}
            for one in saved:
                for row in one.totals if totals else one.rows:
                    key = _key(row, list(row["group"]))
                    found.setdefault(key, []).append((one.as_of, row["values"].get(measure)))
            ranked = sorted(found, key=lambda key: max(telling.size(value) for _, value in found[key]), reverse=True)
            top = _sorted(ranked[:TOP])
            series = tuple((name, tuple(found[key])) for key, name in zip(top, _names(top), strict=True))
            panels.append(Lines(f"{measure}, {window}", series))
    return Caption(f"{history.report}, as it was saved", under), panels
