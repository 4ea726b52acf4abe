"""`manage.py stats` as people and scripts see it: tables, JSON, CSV, pictures, what was saved, and how it refuses."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command

from billing.models import Currency, InvoiceLine, Upload
from ops.management import stats_table
from ops.models import ReportResult, Run
from ops.reports import Report, compute, find, telling
from tests.ops.reports import samples
from tests.ops.reports.kept import AS_OF, ROWS, registered, row
from tests.ops.shop import command

pytestmark = pytest.mark.django_db

DAY = "2026-05-20"
SEOUL = ZoneInfo("Asia/Seoul")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def uploads(db: None) -> None:
    found = [(AS_OF, 100), (AS_OF - timedelta(days=1), 2_000_000_000), (AS_OF - timedelta(days=40), 7)]
    Upload.objects.bulk_create([Upload(name="a", size=size, uploaded_at=at) for at, size in found])


@pytest.fixture
def kept(db: None) -> Iterator[Report]:
    with registered() as made:
        samples.fill(ROWS)
        yield made


class Terminal(StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch, *words: str, columns: int = 80) -> list[str]:
    """Return the lines that a terminal of so many columns shows; with colours there, and none of them wrapped."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()
    call_command(*words, stdout=out, stderr=StringIO())
    assert ANSI.search(out.getvalue())
    lines = ANSI.sub("", out.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    return [line.rstrip() for line in lines]


@pytest.mark.smoke
def test_without_a_terminal_it_is_plain_text(uploads: None) -> None:
    said = command("stats", "uploads", "--as-of", DAY, "--window", "today", "yesterday", "last_month", "--no-rollup")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        """\
uploads as of 2026-05-20 00:00:00 KST, days of Asia/Seoul
window      days                      count     total_size
──────────────────────────────────────────────────────────
today       2026-05-20                    1            100
yesterday   2026-05-19                    1  2,000,000,000
last_month  2026-04-01 to 2026-04-30      1              7
"""
    )


def test_at_a_terminal_it_has_bars_each_measure_to_its_own_scale(
    uploads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("stats", "uploads", "--as-of", DAY, "--window", "today", "yesterday", "last_30_days", "--no-rollup")
    assert at_terminal(monkeypatch, *words)[:6] == [
        "uploads as of 2026-05-20 00:00:00 KST, days of Asia/Seoul",
        "window        days                      count              total_size",
        "──────────────────────────────────────────────────────────────────────────────",
        "today         2026-05-20                    1  ███▌               100  ▏",
        "yesterday     2026-05-19                    1  ███▌     2,000,000,000  ███████",
        "last_30_days  2026-04-21 to 2026-05-20      2  ███████  2,000,000,100  ███████",
    ]
    # Where there is less room the days go first, then the bars.
    assert not any("2026-04-21" in line for line in at_terminal(monkeypatch, *words, columns=60))
    narrow = at_terminal(monkeypatch, *words, columns=40)
    assert not any("█" in line for line in narrow)
    assert any("2,000,000,100" in line for line in narrow)


def test_groups_are_rows_of_each_window_and_the_total_is_below(kept: Report) -> None:
    lines = command(
        "stats", "kept", "--as-of", DAY, "--window", "today", "--measure", "count", "money"
    ).out.splitlines()
    assert lines == [
        "kept as of 2026-05-20 00:00:00 KST, days of Asia/Seoul",
        "",
        "today, 2026-05-20",
        "kind   count              money",
        "───────────────────────────────",
        "a          1               1.10",
        "b          1   9,999,999,999.99",
        "total      2  10,000,000,001.09",
    ]
    # A group that has rows in another window alone is not shown in this one.
    both = command("stats", "kept", "--as-of", DAY, "--measure", "count", "money").out.split("\n\n")
    assert both[1].splitlines()[2:] == [
        "───────────────────────────────",
        "a          1               1.10",
        "b          1   9,999,999,999.99",
        "total      2  10,000,000,001.09",
    ]
    assert both[2].splitlines()[-2:] == ["-          1               1.10", "total      3  10,000,000,002.19"]
    only = command("stats", "kept", "--as-of", DAY, "--window", "today", "--no-groups", "--measure", "count").out
    assert only.splitlines()[-1] == "today   2026-05-20      2"


def test_amounts_of_each_currency_have_its_decimals() -> None:
    lines = [
        stats_table.Line((kind,), (value,), kind=kind)
        for kind, value in (("KRW", Decimal("5.000")), ("KWD", Decimal("1.005")), ("USD", 1), ("USD", Decimal("1.5")))
    ]
    told = stats_table.chart(("currency",), ("amount",), lines, zone=SEOUL, terminal=False)
    assert [line.split()[1] for line in told.splitlines()[2:]] == ["5", "1.005", "1.00", "1.50"]


def test_more_measures_than_fit_make_tables_below_each_other(kept: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at_terminal(monkeypatch, "stats", "kept", "--as-of", DAY, "--window", "last_7_days", columns=50)
    heads = [line.split() for line in lines if line.startswith("kind")]
    assert [name for head in heads for name in head[1:]] == ["count", "size", "money", "last", "median", "mean"]
    assert len(heads) > 1
    assert len([line for line in lines if line.startswith("total")]) == len(heads)


def test_of_many_groups_the_largest_are_shown_and_that_is_said(kept: Report) -> None:
    samples.fill([row(kind=f"kind {i:03}", size=i) for i in range(120)])
    said = command("stats", "kept", "--as-of", DAY, "--window", "today", "--measure", "size", "count").out
    assert said.endswith("\nThe 50 largest by size of 120: --csv and --json have them.\n")
    assert ("kind 070" in said, "kind 069" in said, "kind 119" in said) == (True, False, True)
    assert len(command("stats", "kept", "--as-of", DAY, "--window", "today", "--csv").out.splitlines()) == 121


def test_json_is_nested_by_report_and_window(uploads: None) -> None:
    said = command("stats", "uploads", "--as-of", f"{DAY}T00:30", "--window", "today", "--json", "--no-rollup")
    assert json.loads(said.out) == {
        "uploads": {"today": {"count": 1, "total_size": 100}},
        "as_of": "2026-05-20T00:30:00+09:00",
        "zone": "Asia/Seoul",
        "source": "table",
        "filters": {},
        "windows": {"today": {"starts_at": "2026-05-20T00:00:00+09:00", "ends_at": "2026-05-21T00:00:00+09:00"}},
    }
    found = json.loads(command("stats", "--json").out)
    assert [one["report"] for one in found["reports"]] == ["revenue", "runs", "subscriptions", "uploads"]
    assert found["reports"][-1] == {
        "report": "uploads",
        "does": "How many files were uploaded, and how many bytes they have.",
        "zone": "Asia/Seoul",
        "windows": list(find("uploads").windows),
        "measures": ["count", "total_size"],
        "groups": [],
        "filters": ["client"],
        "rollup": "day",
    }


def test_csv_has_a_row_for_each_window_and_group_with_every_digit(kept: Report) -> None:
    samples.fill([row(kind='a "b", c', amount=Decimal("1234567.10")), row(kind="한국\nline", amount=None)])
    said = command("stats", "kept", "--as-of", AS_OF.isoformat(), "--window", "today", "last_7_days", "--csv").out
    assert "\r" not in said
    rows = list(csv.DictReader(StringIO(said)))
    assert [one["window"] for one in rows] == ["today", "today", "last_7_days", "last_7_days"]
    assert {one["kind"] for one in rows} == {'a "b", c', "한국\nline"}
    first = next(one for one in rows if one["kind"].startswith("a"))
    assert first == {
        "window": "today",
        "starts_at": "2026-05-20T00:00:00+09:00",
        "ends_at": "2026-05-21T00:00:00+09:00",
        "kind": 'a "b", c',
        "count": "1",
        "size": "1",
        "money": "1234567.10",
        "last": "2026-05-19T15:30:00+00:00",
        "median": "1.0",
        "mean": first["mean"],
    }
    assert Decimal(first["mean"]) == Decimal("1234567.10")
    # A sum of nothing is 0.
    assert [(one["money"], one["mean"]) for one in rows if one["kind"].startswith("한")] == [("0", "0")] * 2
    totals = list(csv.DictReader(StringIO(command("stats", "kept", "--no-groups", "--csv", "--as-of", DAY).out)))
    assert [(one["window"], one["count"]) for one in totals] == [("today", "2"), ("last_7_days", "2")]


def test_reports_are_listed_and_fit_the_page() -> None:
    said = command("stats").out
    assert said == command("stats", "--list").out
    assert re.findall(r"^(\w+)$", said, re.MULTILINE) == ["revenue", "runs", "subscriptions", "uploads"]
    assert "How many files were uploaded, and how many bytes they have." in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_day_that_is_named_is_today_in_any_zone(uploads: None) -> None:
    for zone in ("Asia/Seoul", "America/Sao_Paulo", "Pacific/Kiritimati"):
        said = command("stats", "uploads", "--as-of", "2018-11-04", "--zone", zone, "--window", "today", "--json")
        assert json.loads(said.out)["windows"]["today"]["starts_at"].startswith("2018-11-04T0")
        assert json.loads(said.out)["zone"] == zone


def test_saved_it_says_so_and_prints_what_was_saved(uploads: None) -> None:
    words = ("stats", "uploads", "--as-of", DAY, "--save", "--window", "today", "yesterday")
    said = command(*words)
    run = Run.objects.get()
    assert said.err == f"Saved as run {run.pk}: 2 inserted, 0 updated, 0 deleted.\n"
    assert said.out.startswith("uploads as of 2026-05-20 00:00:00 KST, days of Asia/Seoul\n")
    assert (run.job, run.started_from) == ("ops.save_report", "manage.py stats uploads --save")
    Upload.objects.filter(size=100).update(size=101)
    again = command(*words, "--json")
    assert json.loads(again.out)["saved"] == {"run": run.pk + 1, "inserted": 0, "updated": 1, "deleted": 0}
    assert json.loads(again.out)["uploads"]["today"] == {"count": 1, "total_size": 101}
    assert dict(ReportResult.objects.values_list("window", "values__total_size")) == {
        "today": 101,
        "yesterday": 2_000_000_000,
    }


def test_history_shows_the_change_from_one_instant_to_the_next(uploads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (18, 19, 20):
        command("stats", "uploads", "--as-of", f"2026-05-{day}", "--save", "--window", "today", "last_30_days")
    said = command("stats", "uploads", "--history", "today")
    assert said.out == (
        """\
uploads, today: saved as of 3 instants, days of Asia/Seoul
as of             count  change     total_size                   change
───────────────────────────────────────────────────────────────────────
2026-05-18 00:00      0                      0
2026-05-19 00:00      1      +1  2,000,000,000           +2,000,000,000
2026-05-20 00:00      1       =            100  -1,999,999,900 -100.0 %
"""
    )
    lines = at_terminal(monkeypatch, "stats", "uploads", "--history", "today")
    assert lines[-2:] == ["count  ▁██", "total_size  ▁█▁"]
    document = json.loads(command("stats", "uploads", "--history", "--limit", "1", "--json").out)
    assert document == {
        "uploads": {
            "today": [{"as_of": "2026-05-20T00:00:00+09:00", "count": 1, "total_size": 100}],
            "last_30_days": [{"as_of": "2026-05-20T00:00:00+09:00", "count": 2, "total_size": 2_000_000_100}],
        },
        "zone": "Asia/Seoul",
        "filters": {},
    }
    rows = list(csv.DictReader(StringIO(command("stats", "uploads", "--history", "today", "--csv").out)))
    assert [(one["as_of"], one["count"]) for one in rows] == [
        (f"2026-05-{day}T00:00:00+09:00", count) for day, count in ((18, "0"), (19, "1"), (20, "1"))
    ]


def test_history_of_groups_shows_their_totals_and_restricted_what_was_restricted(kept: Report) -> None:
    command("stats", "kept", "--as-of", DAY, "--save")
    said = command("stats", "kept", "--history", "today", "--measure", "count").out
    assert "These are the totals; --csv and --json have the groups." in said
    found = json.loads(command("stats", "kept", "--history", "today", "--measure", "count", "--json").out)
    (one,) = found["kept"]["today"]
    assert one["count"] == 2
    assert {(group["kind"], group["count"]) for group in one["groups"]} == {("a", 1), ("b", 1)}
    assert command("stats", "uploads", "--history", "--filter", "client=5").error == (
        "Nothing of report 'uploads' is saved, restricted to client=5: 'manage.py stats uploads --save' saves it."
    )


def test_pictures_are_drawn_beside_what_is_printed(uploads: None, tmp_path: Path) -> None:
    for day in (19, 20):
        command("stats", "uploads", "--as-of", f"2026-05-{day}", "--save")
    for words in (("--as-of", DAY), ("--history",)):
        target = tmp_path / f"{words[0]}.svg"
        said = command("stats", "uploads", *words, "--plot", str(target), "--json")
        assert said.err == f"Drawn: {target}\n"
        assert json.loads(said.out)["zone"] == "Asia/Seoul"
        text = target.read_text()
        assert "days of Asia/Seoul" in text
        assert "as of 2026-05-20 00:00:00 KST" in text or "as of 2026-05-19 00:00:00 KST to 2026-05-20" in text


def test_with_nothing_to_draw_it_is_saved_and_the_picture_says_so(kept: Report, tmp_path: Path) -> None:
    samples.fill([row(amount=None)])
    target = tmp_path / "x.svg"
    words = ("stats", "kept", "--as-of", DAY, "--window", "today", "--measure", "last", "--plot", str(target))
    assert (command(*words).code, "There is no number to draw" in target.read_text()) == (0, True)
    said = command("stats", "kept", "--as-of", DAY, "--window", "today", "--save", "--plot", str(target))
    assert re.fullmatch(rf"Saved as run \d+: 2 inserted, 0 updated, 0 deleted.\nDrawn: {target}\n", said.err)


def test_of_several_groups_the_first_is_drawn_unless_others_are_named(tmp_path: Path) -> None:
    target = tmp_path / "x.svg"
    words = ("stats", "revenue", "--as-of", DAY, "--window", "today", "--plot", str(target))
    InvoiceLine.objects.create(
        invoice="1", stock_code="a", price=5, quantity=1, customer="C1", currency=made_currency(), invoiced_at=AS_OF
    )
    for more, told in (((), "By customer."), (("--group", "month", "customer"), "By month, customer.")):
        assert command(*words, *more).code == 0
        assert told in target.read_text()


def made_currency() -> Currency:
    return Currency.objects.get_or_create(code="KRW", defaults={"minor_units": 0})[0]


def test_its_statement_and_plan_are_shown_and_nothing_is_written(uploads: None) -> None:
    said = command("stats", "uploads", "--window", "today", "--as-of", DAY, "--show-sql", "--no-rollup").out
    assert said.count(";") == 1
    assert "'2026-05-19T15:00:00+00:00'::timestamptz" in said
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(said.rstrip().removesuffix(";"))
        assert cursor.fetchall() == [(True, None, "bigint", 1, 100)]
    assert "billing_upload" in command("stats", "uploads", "--explain", "--no-rollup").out
    real = command("stats", "uploads", "--explain", "--analyze", "--no-rollup", "--json").out
    assert any("actual" in line for line in json.loads(real)["plan"])
    assert not Run.objects.exists()


def test_bars_and_sparks_are_as_long_as_their_values() -> None:
    assert [stats_table._bar(Decimal(share), 4).plain for share in ("0", "0.001", "0.5", "0.53", "1", "-0.25")] == [
        *("", "▏", "██", "██▏", "████", "█")
    ]
    assert str(stats_table._bar(Decimal("-0.25"), 4).style) == "red"
    assert stats_table._bar(None, 4).plain == ""
    assert stats_table.spark([0, 1, None, 7]) == "▁▂ █"
    assert (stats_table.spark([3, 3]), stats_table.spark([None, 1]), stats_table.spark([])) == ("", "", "")


def test_the_table_and_the_json_are_one_result(kept: Report) -> None:
    result = compute(kept, as_of=AS_OF)
    found = json.loads(command("stats", "kept", "--as-of", AS_OF.isoformat(), "--json").out)
    assert found["kept"] == telling.exact(result.as_json()["kept"])
