"""`load_rates`: the ECB's wide file becomes a row a rate, day by day; what is no rate is refused by its line."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Currency, FxRate
from ops.models import Anomaly, Run
from tests.billing.files import SHARED, counts, load, packed
from tests.ops.shop import command

REAL = SHARED / "eurofxref-hist.csv.gz"
FILE = """\
Date,USD,KRW,RUB,TRL,
2022-03-02,1.1106,1338.58,N/A,,
2022-03-01,1.1162, 1342.24 ,117.201,N/A,
2004-12-31,1.3621,1410.05,N/A,1836200,
"""
ROWS = {
    ("USD", date(2022, 3, 2), Decimal("1.1106")),
    ("KRW", date(2022, 3, 2), Decimal("1338.58")),
    ("USD", date(2022, 3, 1), Decimal("1.1162")),
    ("KRW", date(2022, 3, 1), Decimal("1342.24")),
    ("RUB", date(2022, 3, 1), Decimal("117.201")),
    ("USD", date(2004, 12, 31), Decimal("1.3621")),
    ("KRW", date(2004, 12, 31), Decimal("1410.05")),
    ("TRL", date(2004, 12, 31), Decimal(1836200)),
}

pytestmark = pytest.mark.django_db


def rows() -> set[tuple[Any, ...]]:
    return set(FxRate.objects.values_list("currency", "day", "rate"))


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["rates.csv", "rates.csv.gz"])
def test_every_rate_is_a_row_and_again_changes_nothing(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / name, FILE)
    document = load("load_rates", path)
    assert counts(document) == {"inserted": 8}
    assert (document["days"], document["newest_day"], document["oldest_day"]) == (3, "2022-03-02", "2004-12-31")
    assert document["no_rate"] == 4
    assert rows() == ROWS
    assert counts(load("load_rates", path)) == {"unchanged": 8}
    assert rows() == ROWS


def test_a_later_file_adds_days_and_corrects_rates(tmp_path: Path) -> None:
    load("load_rates", packed(tmp_path / "rates.csv", FILE))
    later = "Date,USD,KRW,\n2022-03-03,1.1076,1333.10,\n2022-03-02,1.1106,1338.6,\n"
    assert counts(load("load_rates", packed(tmp_path / "90d.csv", later))) == {
        "inserted": 2,
        "updated": 1,
        "unchanged": 1,
    }
    day = date(2022, 3, 2)
    corrected = {("KRW", day, Decimal("1338.6"))}
    added = {("USD", date(2022, 3, 3), Decimal("1.1076")), ("KRW", date(2022, 3, 3), Decimal("1333.10"))}
    assert rows() == ROWS - {("KRW", day, Decimal("1338.58"))} | corrected | added


def test_a_load_is_a_run_and_can_be_taken_back(tmp_path: Path) -> None:
    run = load("load_rates", packed(tmp_path / "rates.csv", FILE))["run"]
    assert Run.objects.get(pk=run).state == Run.State.DONE
    call_command("runs", "revert", str(run), "--no-input", "--json")
    assert rows() == set()


def test_currencies_that_are_not_billed_in_are_counted_and_kept(tmp_path: Path) -> None:
    Currency.objects.create(code="KRW", minor_units=0)
    path = packed(tmp_path / "rates.csv", FILE)
    assert load("load_rates", path)["unknown"] == ["USD", "RUB", "TRL"]
    assert load("load_rates", path)["unknown"] == ["USD", "RUB", "TRL"]
    met = Anomaly.objects.values_list("kind", "key", "count")
    assert set(met) == {("rate of an unknown currency", code, 2) for code in ("USD", "RUB", "TRL")}
    assert rows() == ROWS


def test_bad_cells_are_refused_by_the_line_of_the_file_and_the_others_kept(tmp_path: Path) -> None:
    body = """\
2022-03-07,0,1338.58,
2022-03-06,-1.1,1338.58,
2022-03-05,much,1338.58,
2022-03-04,NaN,1338.58,

2022-03-03,"1,1",1338.58,
2022-02-30,N/A,1338.58,
2022-03-01,1.1,1338.58,7,
2022-02-28,1.1,1e15,
"""
    document = load("load_rates", packed(tmp_path / "rates.csv", f"Date,USD,KRW,\n{body}"))
    assert counts(document) == {"inserted": 6, "rejected": 8}
    assert {row for row in rows() if row[0] == "USD"} == {("USD", date(2022, 2, 28), Decimal("1.1"))}
    days = (3, 4, 5, 6, 7)
    assert {row for row in rows() if row[0] == "KRW"} == {
        ("KRW", date(2022, 3, day), Decimal("1338.58")) for day in days
    }
    assert document["bad"] == [
        "line 2, USD on 2022-03-07: '0': A rate is a number above zero.",
        "line 3, USD on 2022-03-06: '-1.1': A rate is a number above zero.",
        "line 4, USD on 2022-03-05: 'much': no number",
        "line 5, USD on 2022-03-04: 'NaN': no number",
        "line 7, USD on 2022-03-03: '1,1': no number",
        "line 8, KRW on 2022-02-30: '1338.58': no date",
        "line 9: 5 columns instead of 4",
        "line 10, KRW on 2022-02-28: '1e15': out of range of numeric(20,8)",
    ]


def test_a_line_with_a_stray_quote_is_named_as_it_is(tmp_path: Path) -> None:
    body = '2022-03-02,"1.1,1338.58,\n2022-03-01,1.1162,1342.24,\n'
    document = load("load_rates", packed(tmp_path / "rates.csv", f"Date,USD,KRW,\n{body}"))
    assert counts(document) == {"inserted": 2, "rejected": 1}
    (bad,) = document["bad"]
    assert bad.startswith("line 2: broken quoting")
    assert not bad.endswith('"')


def test_the_euro_has_no_rate(tmp_path: Path) -> None:
    document = load("load_rates", packed(tmp_path / "rates.csv", "Date,EUR,USD,\n2022-03-01,1,1.1162,\n"))
    assert document["bad"] == ["line 2, EUR on 2022-03-01: '1': The euro is 1 by definition and has no rate."]
    assert rows() == {("USD", date(2022, 3, 1), Decimal("1.1162"))}


def test_a_file_of_nothing_but_a_header(tmp_path: Path) -> None:
    document = load("load_rates", packed(tmp_path / "rates.csv", "Date,USD,\n"))
    assert (counts(document), document["days"], document["newest_day"]) == ({}, 0, "")


def test_for_people_it_is_a_table(tmp_path: Path) -> None:
    said = command("load_rates", str(packed(tmp_path / "rates.csv", FILE + "2004-12-30,x,1,N/A,N/A,\n")))
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "inserted 9" in lines
    assert "newest day 2022-03-02" in lines
    assert "line 5, USD on 2004-12-30: 'x': no number" in lines
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 80


BAD = {
    "missing": (None, 2, r".*none\.csv cannot be read: No such file or directory; give the path of a CSV file\."),
    "directory": ("", 2, r".* cannot be read: Is a directory; give the path of a CSV file\."),
    "another file": ("Invoice,StockCode\n1,2\n", 1, r".* is no file of the ECB's rates: its header ought to be Date"),
    "another column": ("Date,USD,Rate\n", 1, r".*, and names 'Rate', which is no currency; get eurofxref-hist\.csv"),
    "no currency": ("Date,\n2022-03-01,\n", 1, r".* is no file of the ECB's rates"),
    "empty": ("\n", 1, r".* is empty"),
    "column twice": ("Date,USD,USD\n", 1, r".* names the column 'USD' twice"),
}


@pytest.mark.parametrize(("text", "code", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_sentence_and_changes_nothing(
    tmp_path: Path, text: str | None, code: int, words: str
) -> None:
    path = tmp_path / "none.csv" if text is None else packed(tmp_path / "bad.csv", text) if text else tmp_path
    said = command("load_rates", str(path))
    assert said.code == code
    assert re.match(words, said.error)
    assert "\n" not in said.error
    assert not FxRate.objects.exists()
    assert not Run.objects.exists()


# Committing, as a load does outside of a test.
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not REAL.exists(), reason="the shared data is not here")
def test_the_real_file_says_what_was_read_in_it_by_hand() -> None:
    document = load("load_rates", REAL)
    assert counts(document) == {"inserted": 221_702}
    assert (document["days"], document["no_rate"]) == (7_126, 70_464)
    assert (document["newest_day"], document["oldest_day"]) == ("2026-10-30", "1999-01-04")
    of = FxRate.objects.filter
    assert not of(currency="EUR").exists()
    by_hand = {
        ("KRW", date(2026, 10, 30)): "1491.76",
        ("KRW", date(1999, 1, 4)): "1398.59",
        ("USD", date(2026, 10, 30)): "1.1172",
        ("JPY", date(1999, 1, 4)): "133.73",
        ("RUB", date(2022, 3, 1)): "117.201",
        ("TRL", date(2004, 12, 31)): "1836200",
        ("CYP", date(2007, 12, 31)): "0.585274",
    }
    found = {key: of(currency=key[0], day=key[1]).values_list("rate", flat=True).get() for key in by_hand}
    assert found == {key: Decimal(rate) for key, rate in by_hand.items()}
    # Roubles end on 2022-03-01, and what ended has no row after its end.
    assert of(currency="RUB").latest("day").day == date(2022, 3, 1)
    assert of(currency="TRL").latest("day").day == date(2004, 12, 31)
    assert of(currency="KRW").count() == 7_126
    assert of(currency="RUB").count() == 4_333
