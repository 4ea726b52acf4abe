"""`load_invoices`: every line is accounted for, and every invoice charges what its lines add up to."""

import re
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Currency, InvoiceLine
from ops.models import Reject, Run
from tests.billing.files import INVOICES, SHARED, by_invoice, by_line, counts, load, packed, random_invoices, records
from tests.ops.shop import command

REAL = SHARED / "online_retail_2009_2010.csv.gz"

pytestmark = pytest.mark.django_db


def invoices(path: Path, *lines: str) -> Path:
    return packed(path, "\n".join((INVOICES, *lines, "")))


def rows(*fields: str) -> set[tuple[Any, ...]]:
    return set(InvoiceLine.objects.values_list(*fields))


def assert_charges_what_the_file_says(document: dict[str, Any], path: Path) -> None:
    """Assert that lines, and quantity and amount of each invoice, are those of a naive recount."""
    lines = by_line(path)
    assert document["lines"] == sum(1 for _ in records(path))
    assert {row[:3]: row[3] for row in rows("invoice", "stock_code", "price", "quantity")} == lines
    assert document["merged"] + document["rejected"] == document["lines"] - len(lines)
    assert InvoiceLine.objects.count() == len(lines)
    charged: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for invoice, quantity, price in InvoiceLine.objects.values_list("invoice", "quantity", "price"):
        charged[invoice] = charged[invoice][0] + quantity, charged[invoice][1] + quantity * price
    assert charged == by_invoice(path)


@pytest.mark.smoke
def test_lines_of_one_code_and_price_are_one_and_all_else_stays(tmp_path: Path) -> None:
    path = invoices(
        tmp_path / "lines.csv",
        "489434,85048,15CM LIGHTS ,12,2009-12-01 07:45:00,6.95,13085,United Kingdom",
        "489434,85048,15CM LIGHTS,1,2009-12-01 07:46:00,6.95,13085,United Kingdom",
        "489434,85048,15CM LIGHTS,1,2009-12-01 07:45:00,5.95,13085,United Kingdom",
        '489434, 85048 ,"15CM, LIGHTS",12,2009-12-01 07:45:00,6.950,13085,United Kingdom',
        "C489435,85048,15CM LIGHTS,-12,2010-07-01 07:45:00,6.95,13085,United Kingdom",
        "489436,M,,-3,2010-07-01 07:45:00,0,,",
        "A506401,B,Adjust bad debt,1,2010-04-29 13:36:00,-53594.36,,United Kingdom",
        "489437,85099b,BAG,1,2010-04-29 13:36:00,2,13085,EIRE",
        "489437,85099B,BAG,1,2010-04-29 13:36:00,2,13085,EIRE",
    )
    document = load("load_invoices", path)
    assert counts(document) == {"inserted": 7, "merged": 2}
    fields = ("invoice", "stock_code", "price", "quantity", "description", "customer", "country", "currency")
    uk = "United Kingdom"
    assert rows(*fields) == {
        ("489434", "85048", Decimal("6.95"), 25, "15CM, LIGHTS", "13085", uk, "GBP"),
        ("489434", "85048", Decimal("5.95"), 1, "15CM LIGHTS", "13085", uk, "GBP"),
        ("C489435", "85048", Decimal("6.95"), -12, "15CM LIGHTS", "13085", uk, "GBP"),
        ("489436", "M", Decimal(0), -3, "", None, "", "GBP"),
        ("A506401", "B", Decimal("-53594.36"), 1, "Adjust bad debt", None, uk, "GBP"),
        ("489437", "85099b", Decimal(2), 1, "BAG", "13085", "EIRE", "GBP"),
        ("489437", "85099B", Decimal(2), 1, "BAG", "13085", "EIRE", "GBP"),
    }
    assert_charges_what_the_file_says(document, path)


def test_times_are_those_of_the_clock_in_london(tmp_path: Path) -> None:
    winter = "489434,1,A,1,2009-12-01 07:45:00,6.95,13085,United Kingdom"
    summer = "489435,1,A,1,2010-07-01 07:45:00,6.95,13085,United Kingdom"
    stated = "489436,1,A,1,2010-07-01T07:45+09:00,6.95,13085,United Kingdom"
    load("load_invoices", invoices(tmp_path / "lines.csv", winter, summer, stated))
    assert rows("invoice", "invoiced_at") == {
        ("489434", datetime(2009, 12, 1, 7, 45, tzinfo=UTC)),
        ("489435", datetime(2010, 7, 1, 6, 45, tzinfo=UTC)),
        ("489436", datetime(2010, 6, 30, 22, 45, tzinfo=UTC)),
    }


@pytest.mark.parametrize("seed", range(3))
def test_random_files_agree_with_a_naive_recount(tmp_path: Path, seed: int) -> None:
    path = random_invoices(tmp_path / "lines.csv.gz", seed)
    document = load("load_invoices", path)
    assert document["merged"] > 0
    assert_charges_what_the_file_says(document, path)
    everything = set(InvoiceLine.objects.values_list())
    again = load("load_invoices", path)
    assert counts(again) == {"unchanged": document["inserted"], "merged": document["merged"]}
    assert set(InvoiceLine.objects.values_list()) == everything


def test_a_file_that_overlaps_another_adds_nothing_twice(tmp_path: Path) -> None:
    lines = [f"4894{i},85048,LIGHTS,{i},2009-12-01 07:45:00,6.95,13085,EIRE" for i in range(34, 40)] * 2
    load("load_invoices", invoices(tmp_path / "first.csv", *lines))
    more = "489440,85048,LIGHTS,1,2009-12-01 07:45:00,6.95,13085,EIRE"
    document = load("load_invoices", invoices(tmp_path / "second.csv", *lines, more))
    assert counts(document) == {"inserted": 1, "unchanged": 6, "merged": 6}
    assert rows("invoice", "quantity") == {(f"4894{i}", 2 * i) for i in range(34, 40)} | {("489440", 1)}


def test_what_cannot_be_stored_is_refused_and_the_rest_kept(tmp_path: Path) -> None:
    at = "2009-12-01 07:45:00"
    path = invoices(
        tmp_path / "lines.csv",
        f"489434,85048,LIGHTS,12,{at},6.95,13085,EIRE",
        f",85048,LIGHTS,12,{at},6.95,13085,EIRE",
        f"489434, ,LIGHTS,12,{at},6.95,13085,EIRE",
        f"489434,85048,LIGHTS,many,{at},6.95,13085,EIRE",
        f"489434,85048,LIGHTS,1.5,{at},6.95,13085,EIRE",
        f"489434,85048,LIGHTS,99999999999,{at},6.95,13085,EIRE",
        "489434,85048,LIGHTS,12,yesterday,6.95,13085,EIRE",
        "489434,85048,LIGHTS,12,,6.95,13085,EIRE",
        f"489434,85048,LIGHTS,12,{at},NaN,13085,EIRE",
        f"489434,85048,LIGHTS,12,{at},,13085,EIRE",
        f"489434567890123456789,85048,LIGHTS,12,{at},6.95,13085,EIRE",
        f"489434,85048,LIGHTS,12,{at},6.95,13085",
        f"489434,85048,LIGHTS,12.0,{at},5.95,13085,EIRE",
    )
    document = load("load_invoices", path)
    assert counts(document) == {"inserted": 2, "rejected": 11}
    assert rows("price", "quantity") == {(Decimal("6.95"), 12), (Decimal("5.95"), 12)}
    found = [(one.line, one.column, one.reason) for one in Reject.objects.order_by("line")]
    assert [line for line, _, _ in found] == list(range(3, 14))
    assert [reason for _, _, reason in found[:-1]] == [
        "null in a required column",
        "null in a required column",
        "no whole number",
        "no whole number",
        "out of range of integer",
        "no timestamp with time zone",
        "null in a required column",
        "no number",
        "null in a required column",
        "too long: at most 20 characters",
    ]
    assert found[-1][2] == "7 columns instead of 8"
    assert sum(document["rejects"].values()) == 11


def test_the_currency_is_said_and_must_be_known(tmp_path: Path) -> None:
    path = invoices(tmp_path / "lines.csv", "489434,85048,LIGHTS,12,2009-12-01 07:45:00,6.95,13085,EIRE")
    said = command("load_invoices", str(path), "--currency", "XXX")
    assert (said.code, said.error) == (
        2,
        "There is no currency 'XXX': add it with its decimals in the admin first.",
    )
    assert not Run.objects.exists()
    load("load_invoices", path, "--currency", "KRW")
    assert rows("currency") == {("KRW",)}
    assert Currency.objects.get().minor_units == 0


def test_a_load_is_a_run_and_can_be_taken_back(tmp_path: Path) -> None:
    run = load("load_invoices", random_invoices(tmp_path / "lines.csv", 7))["run"]
    assert Run.objects.get(pk=run).target == "billing.InvoiceLine"
    call_command("runs", "revert", str(run), "--no-input", "--json")
    assert rows() == set()


BAD = {
    "missing": (None, 2, r".*none\.csv cannot be read: No such file or directory; give the path of a CSV file\."),
    "another file": ("Date,USD\n", 1, r"This is no file of invoice lines: its header lacks the column 'Invoice', and"),
    "a column less": (INVOICES.replace("Price", "UnitPrice"), 1, r".* lacks the column 'Price', and names Invoice, S"),
    "empty": ("\n", 1, r".* is empty"),
}


@pytest.mark.parametrize(("text", "code", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_sentence_and_changes_nothing(
    tmp_path: Path, text: str | None, code: int, words: str
) -> None:
    said = command("load_invoices", str(packed(tmp_path / "bad.csv", text) if text else tmp_path / "none.csv"))
    assert said.code == code
    assert re.match(words, said.error)
    assert "\n" not in said.error
    assert not InvoiceLine.objects.exists()
    assert not Run.objects.exists()


# Committing, as a load does outside of a test.
@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not REAL.exists(), reason="the shared data is not here")
def test_every_line_of_the_real_file_is_accounted_for() -> None:
    document = load("load_invoices", REAL)
    assert document["lines"] == 525_461
    assert counts(document) == {"inserted": 512_588, "merged": 12_873}
    assert_charges_what_the_file_says(document, REAL)
    again = load("load_invoices", REAL)
    assert counts(again) == {"unchanged": 512_588, "merged": 12_873}
