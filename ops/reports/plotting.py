"""Draw a report by matplotlib, as SVG or PNG: bars for each window, or the saved results over time."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from ops.reports import telling
from ops.reports.picture import Caption, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, which colour-blind people tell apart; grey is for the others.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#7A5195")
GREY = "#9A9A9A"

TOP = len(COLOURS)
"""Groups that have a colour of their own."""

OTHERS = "all others"
"""The name of the series that sums up the rest."""

NAME = 28
"""Characters of a name."""

PANELS = 16
"""Panels of one picture: more can't be read."""

POINTS = 60
"""Instants of a line up to which each is marked."""


@dataclass(frozen=True)
class Panel:
    """Bars of one measure: of each series a value for each window, None where there is none.

    Series that are `stacked` add up; where there are several that don't, they stand side by side.
    """

    title: str
    windows: tuple[str, ...]
    series: tuple[tuple[str, tuple[object, ...]], ...]
    stacked: bool = False
    left_out: int = 0
    """Groups that have no bar of their own."""
    family: str = ""
    """Panels of one family have their colours and a legend in common."""


@dataclass(frozen=True)
class Lines:
    """Values of one measure over time: of each series instants, rising, and the value at each."""

    title: str
    series: tuple[tuple[str, tuple[tuple[datetime, object], ...]], ...]


def bars(caption: Caption, panels: Sequence[Panel], target: str | Path, *, wide: int = 0) -> tuple[str, ...]:
    """Draw a panel for each measure, with a bar for each window, and write the picture; raise Unwritten.

    `wide` is how many panels are beside each other, where that is no matter of taste. Returns what is to be said of
    it, such as that the host has no font for some letters.
    """
    caption, kept = _drawn(caption, panels, lambda panel: (v for _, values in panel.series for v in values))
    wide = wide or (2 if any(len(panel.series) > 1 for panel in kept) else 3)
    with picture(target, caption, kept, wide, max(map(_height, kept), default=1.0)) as (figure, grid, said):
        for of in _families(list(zip(grid, kept, strict=True))):
            colours = _colours([panel for _, panel in of])
            for axes, panel in of:
                _bars(axes, panel, colours)
            _legend(figure, [axes for axes, _ in of], apart=len(of) < len(kept))
        _make_room(figure, grid)
    return tuple(said)


def lines(
    caption: Caption, panels: Sequence[Lines], zone: str, target: str | Path, *, wide: int = 2
) -> tuple[str, ...]:
    """Draw a panel of lines over time for each measure, so many beside each other, instants in a zone; write it.

    Returns and raises as `bars` does.
    """
    caption, kept = _drawn(caption, panels, lambda panel: (v for _, points in panel.series for _, v in points))
    with picture(target, caption, kept, wide, 2.6) as (figure, grid, said):
        colours = _colours(kept)
        for axes, panel in zip(grid, kept, strict=True):
            _lines(axes, panel, zone, colours)
        _legend(figure, grid)
    return tuple(said)


P = TypeVar("P", Panel, Lines)


def _drawn(caption: Caption, panels: Sequence[P], values: Callable[[P], Iterable[object]]) -> tuple[Caption, list[P]]:
    """Return the panels that can be drawn, and a caption that says which can't."""
    kept = [panel for panel in panels if any(telling.number(value) is not None for value in values(panel))]
    if not kept:
        return caption.noting("There is no number to draw: it came to none in any window."), []
    if empty := [panel.title for panel in panels if panel not in kept]:
        caption = caption.noting(f"Not drawn, as there is no number: {', '.join(empty)}.")
    if len(kept) > PANELS:
        caption = caption.noting(
            f"The first {PANELS} panels are drawn, {len(kept) - PANELS:,} are not: ask for fewer measures or windows."
        )
    return caption, kept[:PANELS]


def _families(drawn: list[tuple["Axes", Panel]]) -> list[list[tuple["Axes", Panel]]]:
    """Return the panels of each family together; all as one where they have the same names."""
    found: dict[str, list[tuple[Axes, Panel]]] = {}
    for axes, panel in drawn:
        found.setdefault(panel.family, []).append((axes, panel))
    names = {frozenset(name for _, panel in of for name, _ in panel.series) for of in found.values()}
    return list(found.values()) if len(names) > 1 else [drawn]


def _height(panel: Panel) -> float:
    """Return the inches that a panel needs for its bars to be told apart."""
    if panel.stacked or len(panel.series) == 1:
        return 0.9 + 0.34 * len(panel.windows)
    return 0.9 + (0.17 * len(panel.series) + 0.2) * len(panel.windows)


def _colours(panels: Sequence[Panel | Lines]) -> dict[str, str]:
    """Return a colour for each name: the same in all panels."""
    names = list(dict.fromkeys(name for panel in panels for name, _ in panel.series))
    own = [name for name in names if name != OTHERS]
    return {**dict.fromkeys(names, GREY), **dict(zip(own, itertools.cycle(COLOURS), strict=False))}


def _bars(axes: "Axes", panel: Panel, colours: Mapping[str, str]) -> None:
    """Draw one panel: windows from the top down, so that their names need no turning."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    places = range(len(panel.windows))
    if panel.stacked and len(panel.series) > 1:
        _stack(axes, panel, colours)
    else:
        thickness = 0.8 / len(panel.series)
        for number, (name, values) in enumerate(panel.series):
            offset = (number - (len(panel.series) - 1) / 2) * thickness
            made = axes.barh(
                [place + offset for place in places],
                [_length(value) for value in values],
                height=thickness * 0.92,
                color=colours[name],
                label=_legible(name),
            )
            size = "small" if len(panel.series) == 1 else "x-small"
            axes.bar_label(made, labels=_texts(values), padding=3, fontsize=size)
    axes.set_yticks(list(places), labels=panel.windows)
    axes.set_ylim(len(panel.windows) - 0.4, -0.6)
    axes.set_title(telling.short(panel.title, 60), loc="left", fontsize="medium")
    if not any(_length(value) for _, values in panel.series for value in values):
        axes.set_xlim(0, 1)
        axes.set_xticks([0])
    else:
        whole = _are_whole(value for _, values in panel.series for value in values)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=1, integer=whole))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: telling.brief(value)))
    axes.grid(axis="x", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.axvline(0, color="#606060", linewidth=0.8)


def _stack(axes: "Axes", panel: Panel, colours: Mapping[str, str]) -> None:
    """Draw series on top of each other, and what they add up to at their end."""
    ends = [0.0] * len(panel.windows)
    totals = [Decimal(0)] * len(panel.windows)
    for name, values in panel.series:
        lengths = [_length(value) for value in values]
        made = axes.barh(
            range(len(panel.windows)), lengths, left=ends, color=colours[name], label=_legible(name), height=0.72
        )
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
        totals = [
            telling.EXACT.add(total, telling.number(v) or Decimal(0)) for total, v in zip(totals, values, strict=True)
        ]
    axes.bar_label(made, labels=_texts(totals), padding=3, fontsize="small")


def _texts(values: Sequence[object]) -> list[str]:
    decimals = telling.decimals_of(values)
    return ["none" if value is None else telling.shown(value, decimals=decimals) for value in values]


def _length(value: object) -> float:
    return float(telling.number(value) or 0)


def _lines(axes: "Axes", panel: Lines, zone: str, colours: Mapping[str, str]) -> None:
    from matplotlib import dates as untyped
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    dates: Any = untyped
    for name, points in panel.series:
        numbers = [telling.number(value) for _, value in points]
        axes.plot(
            [dates.date2num(at) for at, _ in points],
            [math.nan if value is None else float(value) for value in numbers],
            color=colours[name],
            marker="o" if len(points) <= POINTS else None,
            markersize=4,
            linewidth=1.6,
            label=_legible(name),
        )
    drawn = [n for _, points in panel.series for _, value in points if (n := telling.number(value)) is not None]
    low, high = float(min([*drawn, Decimal(0)])), float(max([*drawn, Decimal(0)]))
    room = (high - low) * 0.06 or 1.0
    # From zero: a line that begins at its least value makes a mountain of any change.
    axes.set_ylim(low - room if low else 0, high + room if high or not low else 0)
    instants = sorted({at for _, points in panel.series for at, _ in points})
    if len(instants) == 1:
        axes.set_xlim(dates.date2num(instants[0]) - 1, dates.date2num(instants[0]) + 1)
    zone_of = ZoneInfo(zone)
    locator = dates.AutoDateLocator(tz=zone_of, minticks=2, maxticks=6)
    axes.xaxis_date(zone_of)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone_of))
    whole = _are_whole(value for _, points in panel.series for _, value in points)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=1, integer=whole))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: telling.brief(value)))
    axes.set_xlabel(f"as of, in {zone}", fontsize="small", color="#505050")
    axes.set_title(telling.short(panel.title, 44), loc="left", fontsize="medium")
    if len(panel.series) == 1:
        axes.set_title(f"last {telling.shown(panel.series[0][1][-1][1])}", loc="right", fontsize="small")
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)


def _are_whole(values: Iterable[object]) -> bool:
    """Tell whether an axis needs no fractions: half a row there is not."""
    return all(value is None or isinstance(value, int) for value in values)


def _legend(figure: "Figure", grid: Sequence["Axes"], *, apart: bool = False) -> None:
    """Name the series, each once: below all panels, or `apart` beside the last of these; an only one needs no name."""
    found: dict[str, Any] = {}
    for axes in grid:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    names = sorted(found, key=lambda name: name == OTHERS)
    handles = [found[name] for name in names]
    if not found:
        return
    if apart:
        grid[-1].legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small")
        return
    columns = _columns(names, figure)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def _legible(name: str) -> str:
    """Return a name as a legend takes it: one that begins with an underscore would be left out."""
    return f" {name}" if name.startswith("_") else name


def _columns(names: Sequence[str], figure: "Figure") -> int:
    """Return how many names fit beside each other."""
    widest = max(len(name) for name in names) * 0.085 + 0.6
    return max(1, min(len(names), int(figure.get_figwidth() / widest)))


def _make_room(figure: "Figure", drawn: Sequence[Any]) -> None:
    """Let each axis reach as far as the labels at the ends of its bars."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    for _ in range(2):  # room for labels makes bars shorter, and moves the labels with them
        canvas.draw()
        renderer = canvas.get_renderer()
        for axes in drawn:
            texts = [(text.get_ha(), text.get_window_extent(renderer).width + 8) for text in axes.texts]
            # A label stands left of the end of a bar that goes left.
            left = max((width for side, width in texts if side == "right"), default=0.0)
            right = max((width for side, width in texts if side != "right"), default=0.0)
            whole = max(axes.get_window_extent(renderer).width, 1.0)
            ends = [bar.get_x() + bar.get_width() for bar in axes.patches] + [0.0]
            per_dot = ((max(ends) - min(ends)) or 1.0) / max(whole - left - right, whole * 0.2)
            axes.set_xlim(min(ends) - left * per_dot, max(ends) + right * per_dot)
