"""Pictures of reports: what is drawn, what it says about itself, that nothing overlaps, and a whole file or none."""

import os
import re
import stat
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from ops.reports import Result, panels, picture, plotting, telling
from ops.reports.picture import BadPicture, Caption, Unwritten
from ops.reports.plotting import COLOURS, GREY, OTHERS, Lines, Panel
from ops.reports.windows import resolve
from tests.ops.reports.kept import Kept

AS_OF = datetime(2026, 12, 1, tzinfo=UTC)
CAPTION = Caption("uploads", "as of 2026-12-01 09:00:00 KST, days of Asia/Seoul, from the table")
WINDOWS = ("today", "yesterday", "this_month", "last_month")
FOURTEEN = tuple(
    f"{which}_{unit}" for unit in ("day", "week", "month", "quarter", "year") for which in ("this", "last")
)
FOURTEEN += ("last_7_days", "last_30_days", "this_fiscal_year", "2026-01-01..2026-02-01")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the figures that are written, as they are then."""
    written: list[Figure] = []
    write = picture._write

    def keep(figure: Figure, caption: Caption, path: Path) -> None:
        written.append(figure)
        write(figure, caption, path)

    monkeypatch.setattr(picture, "_write", keep)
    return written


def texts(svg: Path) -> list[str]:
    """Return the texts of a picture, which SVG keeps as text."""
    return ["".join(one.itertext()).strip() for one in ET.parse(svg).iter("{http://www.w3.org/2000/svg}text")]


def one(title: str, *values: object, windows: tuple[str, ...] = WINDOWS) -> Panel:
    return Panel(title, windows, (("", values),))


def boxes_overlap(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts of a figure of which one covers the other, and those that reach out of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    # Ticks beyond an axis' limits are there, and not drawn.
    beyond = {
        id(tick.label1)
        for axes in figure.axes
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        if not min(limits) <= tick.get_loc() <= max(limits)
    }
    drawn = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in beyond
    ]
    width, height = figure.bbox.width, figure.bbox.height
    out = [
        (name, "the edge")
        for name, box in drawn
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]
    return out + [
        (a, b)
        for place, (a, first) in enumerate(drawn)
        for b, second in drawn[place + 1 :]
        if first.x0 + 1 < second.x1
        and second.x0 + 1 < first.x1
        and first.y0 + 1 < second.y1
        and second.y0 + 1 < first.y1
    ]


@pytest.mark.smoke
@pytest.mark.parametrize("suffix", ["svg", "png", "SVG"])
def test_a_picture_is_of_the_kind_that_its_name_says(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"a.b.{suffix}"
    assert plotting.bars(CAPTION, [one("count", 1, 2, 3, 4)], target) == ()
    content = target.read_bytes()
    assert content.startswith(b"<?xml" if suffix.lower() == "svg" else b"\x89PNG\r\n")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~picture._umask()
    # The same numbers make the same bytes.
    plotting.bars(CAPTION, [one("count", 1, 2, 3, 4)], tmp_path / f"again.{suffix}")
    assert (tmp_path / f"again.{suffix}").read_bytes() == content


def test_it_says_of_what_zone_and_instant_it_is_and_its_numbers(tmp_path: Path) -> None:
    target = tmp_path / "x.svg"
    found = [one("count", 0, 12, None, 1_234_567), one("net", Decimal("-1234.5"), Decimal("0.25"), 0, 10**20)]
    plotting.bars(CAPTION, found, target)
    said = texts(target)
    assert {"uploads", CAPTION.under} <= set(said)
    assert {"count", "net", *WINDOWS, "0", "12", "none", "1,234,567", "-1,234.50", "0.25", "1.0000e20"} <= set(said)
    assert "1.5M" in said or "1.2M" in said


LONG = [f"a group with quite a long name {i}" for i in range(9)]


@pytest.mark.parametrize(
    "drawn",
    [
        [one("count", 12, 345, 4567, 12_034), one("total_size", 1, 10**9, 10**12, 1_203_412_345_678)],
        [
            one(name, *values, windows=FOURTEEN)
            for name, values in (("a", range(14)), ("b", [10**13] * 14), ("c", [0] * 14))
        ],
        [one("zero", 0, 0, 0, 0), one("net", -5, 5, None, 10**30), one("less", -1, -2, -3, Decimal("-4000000.25"))],
        [
            Panel("stacked", WINDOWS, tuple((name, (i, 2 * i, 3, 0)) for i, name in enumerate(LONG)), stacked=True),
            Panel("beside", WINDOWS, tuple((name, (i, None, 3, 10**9)) for i, name in enumerate(LONG))),
        ],
        [Panel("one window", ("today",), (("a", (1,)), ("b", (2,))))],
    ],
)
def test_no_text_covers_another(tmp_path: Path, figures: list[Figure], drawn: list[Panel]) -> None:
    long = Caption(
        "uploads", CAPTION.under + ", only " + ", ".join(f"filter_{i}=value {i}" for i in range(9)), ("A note.",)
    )
    plotting.bars(long, drawn, tmp_path / "x.png")
    assert boxes_overlap(figures[0]) == []


@pytest.mark.parametrize("points", [1, 2, 30, 400])
def test_lines_over_time_are_marked_and_their_texts_apart(tmp_path: Path, figures: list[Figure], points: int) -> None:
    at = [AS_OF + timedelta(days=i) for i in range(points)]
    found = [
        Lines("count, today", (("", tuple((moment, i) for i, moment in enumerate(at))),)),
        Lines("net, today", (("KRW", tuple((moment, Decimal(i) - 50) for i, moment in enumerate(at))),)),
        Lines("gaps, today", (("", tuple((moment, None if i % 3 else 10**12) for i, moment in enumerate(at))),)),
    ]
    plotting.lines(CAPTION, found, "Asia/Seoul", tmp_path / "x.png", wide=3)
    assert boxes_overlap(figures[0]) == []
    first = figures[0].axes[0]
    assert [line.get_marker() for line in first.lines] == (["o"] if points <= 60 else ["None"])
    assert first.get_ylim()[0] == 0
    assert figures[0].axes[1].get_ylim()[0] < -40
    plotting.lines(CAPTION, found, "Asia/Seoul", tmp_path / "x.svg")
    said = texts(tmp_path / "x.svg")
    assert {"count, today", f"last {points - 1:,}", "as of, in Asia/Seoul", "KRW"} <= set(said)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("x.pdf", "x.pdf does not say of what kind the picture is to be: end it with .svg or .png."),
        ("x", "x does not say of what kind the picture is to be: end it with .svg or .png."),
        ("none/x.svg", "none/x.svg can't be written: there is no directory {}/none; make it first."),
        ("dir.svg", "dir.svg is a directory: name a file in it."),
        (f"{'x' * 300}.svg", f"{'x' * 300}.svg can't be written: File name too long; name another file."),
    ],
)
def test_where_none_can_be_written_it_is_said_before(tmp_path: Path, name: str, error: str) -> None:
    (tmp_path / "dir.svg").mkdir()
    with pytest.raises(BadPicture) as caught:
        picture.check(tmp_path / name)
    assert str(caught.value) == f"{tmp_path}/{error.format(tmp_path)}"
    assert [path.name for path in tmp_path.iterdir()] == ["dir.svg"]


def test_a_file_that_may_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so the answer is made up.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(BadPicture, match=r"x\.svg can't be written: permission denied; name another file, or change"):
        picture.check(tmp_path / "x.svg")


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(
        BadPicture, match=r"matplotlib is needed: 'pip install matplotlib', or the extra setwise\[plots\]"
    ):
        picture.check(tmp_path / "x.svg")


def test_a_disk_that_is_full_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.svg"
    target.write_text("the old one")
    target.chmod(0o640)

    def full(figure: Figure, file: Any, **words: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Figure, "savefig", full)
        with pytest.raises(Unwritten, match=r"x\.svg could not be written: No space left on device; make room"):
            plotting.bars(CAPTION, [one("count", 1, 2, 3, 4)], target)
    assert target.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]
    plotting.bars(CAPTION, [one("count", 1, 2, 3, 4)], target)
    assert (target.read_bytes()[:5], stat.S_IMODE(target.stat().st_mode)) == (b"<?xml", 0o640)
    # What a link leads to is replaced, not the link.
    link = tmp_path / "link.svg"
    link.symlink_to(target)
    plotting.bars(CAPTION, [one("count", 9, 9, 9, 9)], link)
    assert link.is_symlink()
    assert "9" in texts(target)


def test_letters_for_which_there_is_no_font_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "FONTS", ("DejaVu Sans",))
    panel = Panel("count", ("today",), (("한국", (1,)), ("b", (2,))), stacked=True)
    (said,) = plotting.bars(CAPTION, [panel], tmp_path / "x.png")
    assert said.startswith("x.png: this host has no font for some letters of the names: install one (such as")
    assert plotting.bars(CAPTION, [panel], tmp_path / "x.svg") == ()
    assert "한국" in texts(tmp_path / "x.svg")


def test_what_has_no_number_is_not_drawn_and_said(tmp_path: Path) -> None:
    plotting.bars(CAPTION, [one("count", 1, 1, 1, 1), one("last", None, AS_OF, "x", None)], tmp_path / "x.svg")
    assert "Not drawn, as there is no number: last." in texts(tmp_path / "x.svg")
    for draw in (
        lambda: plotting.bars(CAPTION, [one("last", None, None, None, None)], tmp_path / "none.svg"),
        lambda: plotting.bars(CAPTION, [], tmp_path / "none.svg"),
        lambda: plotting.lines(
            CAPTION, [Lines("last", (("", ((AS_OF, None),)),))], "Asia/Seoul", tmp_path / "none.svg"
        ),
    ):
        assert draw() == ()
        assert {"uploads", "There is no number to draw: it came to none in any window."} <= set(
            texts(tmp_path / "none.svg")
        )
        (tmp_path / "none.svg").unlink()
    plotting.bars(CAPTION, [one(f"m{i}", 1, 1, 1, 1) for i in range(20)], tmp_path / "x.svg")
    assert "The first 16 panels are drawn, 4 are not: ask for fewer measures or windows." in texts(tmp_path / "x.svg")


class Currencies(Kept):
    groups = {"kind": "t.kind", "currency": "t.place"}
    totals = ("currency",)


def result(report: Any, values: dict[tuple[Any, ...], tuple[Any, ...]], **more: Any) -> Result:
    """Return a result of the windows today and last_7_days, with a value of each for every group."""
    from zoneinfo import ZoneInfo

    windows = resolve(("today", "last_7_days"), AS_OF, ZoneInfo("Asia/Seoul"))
    measures = tuple(report.measures)
    rows = {
        window.name: [
            {"group": dict(zip(report.groups, key, strict=True)), "values": dict.fromkeys(measures, value[place])}
            for key, value in values.items()
        ]
        for place, window in enumerate(windows)
    }
    given: dict[str, Any] = {"kept": (), "filters": {}, "source": "table", "totals": {w.name: [] for w in windows}}
    return Result(
        report="kept", as_of=AS_OF, zone="Asia/Seoul", windows=windows, measures=measures,
        groups=tuple(report.groups), rows=rows, **{**given, **more},
    )  # fmt: skip


def test_groups_are_stacked_where_they_add_up_and_the_rest_are_the_others() -> None:
    values = {(f"kind {i:02}",): (i, 10 * i) for i in range(12)}
    caption, found = panels.of_result(Kept(), result(Kept, values, filters={"client": [5, 6]}))
    assert caption.under == (
        "as of 2026-12-01 09:00:00 KST, days of Asia/Seoul, from the table, only client=5, client=6"
    )
    by_title = {panel.title: panel for panel in found}
    assert list(by_title) == ["count", "size", "money", "last", "median", "mean"]
    count = by_title["count"]
    assert (count.stacked, count.series[-1]) == (True, (OTHERS, (Decimal(6), Decimal(60))))
    # Of these it is the eight largest, in the report's order.
    assert [name for name, _ in count.series[:-1]] == [f"kind {i:02}" for i in range(4, 12)]
    # Medians don't add up: no others.
    median = by_title["median"]
    assert (median.stacked, len(median.series), median.left_out) == (False, 8, 4)
    assert caption.notes == (
        "By kind.",
        "The largest groups have bars of their own, up to 4 have not; where they add up, those have one.",
    )


def test_negative_amounts_stand_side_by_side_and_what_is_nothing_has_no_bar() -> None:
    values = {(None,): (None, 4), ("",): (0, None), ("a",): (5, -3)}
    found = panels.of_result(Kept(), result(Kept, values))[1]
    assert (found[0].stacked, found[0].series) == (False, (("a", (5, -3)), ("none", (None, 4))))
    assert panels.of_result(Kept(), result(Kept, {}))[1][0].series == (("", (None, None)),)
    nothing = panels.of_result(Kept(), result(Kept, {("a",): (0, None)}))[1]
    assert [panel.series for panel in nothing][::4] == [(("", (0, 0)),), (("", (None, None)),)]


def test_each_currency_has_panels_groups_and_a_legend_of_its_own(tmp_path: Path, figures: list[Figure]) -> None:
    amounts = (("KRW", 10**6), ("USD", 1))
    values = {(f"k{i:02}", currency): (i * by, i * by) for i in range(1, 21) for currency, by in amounts}
    values["only dollars", "USD"] = (50, 50)
    caption, found = panels.of_result(Currencies(), result(Currencies, values, kept=("currency",)))
    assert [(panel.title, panel.family) for panel in found][::6] == [("count, KRW", "KRW"), ("count, USD", "USD")]
    names = [[name for name, _ in panel.series] for panel in found]
    assert names[0] == [*(f"k{i}" for i in range(13, 21)), OTHERS]
    assert names[6] == [*(f"k{i}" for i in range(14, 21)), "only dollars", OTHERS]
    assert plotting.bars(caption, found, tmp_path / "x.png") == ()
    assert boxes_overlap(figures[0]) == []
    legends = [axes.get_legend() for axes in figures[0].axes if axes.get_legend()]
    assert [[text.get_text() for text in one.get_texts()] for one in legends] == [names[0], names[6]]
    assert figures[0].legends == []


def test_colours_are_the_same_in_all_panels_and_grey_is_for_the_others(tmp_path: Path, figures: list[Figure]) -> None:
    names = ("a", "b", "_hidden", OTHERS)
    first = Panel("count", WINDOWS, tuple((name, (1, 2, 3, 4)) for name in names), stacked=True)
    second = Panel("median", WINDOWS, tuple((name, (1, 2, 3, 4)) for name in ("b", "_hidden")))
    plotting.bars(CAPTION, [first, second], tmp_path / "x.svg")
    from matplotlib.colors import to_hex

    colours = [
        {
            name: to_hex(handle[0].get_facecolor()).upper()
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        for axes in figures[0].axes
    ]
    assert colours[0] == {
        "a": COLOURS[0],
        "b": COLOURS[1].upper(),
        " _hidden": COLOURS[2].upper(),
        OTHERS: GREY.upper(),
    }
    assert colours[1] == {name: colours[0][name] for name in ("b", " _hidden")}
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", " _hidden", OTHERS]


@pytest.fixture(autouse=True)
def _no_figure_is_left() -> Iterator[None]:
    yield
    import sys

    # pyplot keeps every figure until it is closed, and picks a backend: it is not needed.
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_234_567, "1,234,567"), (Decimal("12.50"), "12.50"), (Decimal("2.345"), "2.345"), (Decimal(10) / 3, "3.33"),
        (Decimal("5E+3"), "5,000"), (Decimal("0.00012345"), "0.000123"), (Decimal("-0E-20"), "0"), (0.25, "0.25"),
        (10**15, "1.0000e15"), (None, "-"), (True, "yes"), (timedelta(hours=30, seconds=5), "1 d 6:00:05"),
        (timedelta(seconds=75), "0:01:15"), (timedelta(milliseconds=-1500), "-1.5 s"), (float("nan"), "nan"),
        ("x", "x"),
        (AS_OF, "2026-12-01 00:00:00"), (AS_OF.date(), "2026-12-01"),
    ],
)  # fmt: skip
def test_values_are_told_shortly(value: Any, text: str) -> None:
    assert telling.shown(value) == text


def test_axes_changes_and_names_are_told_shortly() -> None:
    assert [telling.brief(x) for x in (0, 950, 1_500, 2.5e6, 1e9, 3e12, 5e16, 0.25, -3_000)] == [
        *("0", "950", "1.5K", "2.5M", "1B", "3T", "5e16", "0.25", "-3K")
    ]
    assert telling.change(100, 110) == ("+10", "+10.0 %")
    assert telling.change(Decimal("1.10"), Decimal("1.05")) == ("-0.05", "-4.5 %")
    assert telling.change(0, 5) == ("+5", "")
    assert telling.change(None, 5) == telling.change(5, "x") == ("", "")
    assert telling.change(timedelta(seconds=60), timedelta(seconds=90)) == ("+30 s", "+50.0 %")
    assert telling.short("a very long name of a group", 12) == "a very l…oup"
    assert re.fullmatch(r"a very l…oup", telling.short("a very long name of a group", 12))
    assert telling.group({"b": None, "a": ""}, ("a", "b")) == "'', -"
