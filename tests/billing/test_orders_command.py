"""`load_orders` and its options: the plan that leaves nothing behind, the question, JSON, errors in a sentence."""

import json
import re
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from billing.management.commands.load_orders import Command
from billing.models import Client, Currency, Order, Partner
from ops.models import Anomaly, Run
from tests.billing.bookings import book, partners
from tests.ops.shop import command

pytestmark = pytest.mark.django_db


def document(*options: str) -> dict[str, Any]:
    """Run the command and return what it prints with --json."""
    said = command("load_orders", *options, "--json")
    assert (said.error, said.err) == ("", "")
    found: dict[str, Any] = json.loads(said.out)
    return found


def nothing_is_left() -> None:
    assert not Order.objects.exists()
    assert not Partner.objects.exists()
    assert not Client.objects.exists()
    assert not Run.objects.exists()
    assert not Anomaly.objects.exists()


@pytest.mark.smoke
def test_json_is_one_object_with_every_booking_accounted_for() -> None:
    book(1, agent=9)
    book(2, daily_rate=-1)
    book(3, daily_rate=0, currency_id="GBP")
    found = document("--no-input")
    partner_run, order_run = Run.objects.order_by("pk").values_list("pk", flat=True)
    (named,) = found.pop("bad")
    assert re.fullmatch(r"[0-9a-f-]{36}-1: sell_amount -2\.00: An amount is a number and never negative\.", named)
    assert found == {
        "run": order_run,
        "lines": 3,
        "inserted": 2,
        "updated": 0,
        "unchanged": 0,
        "merged": 0,
        "rejected": 1,
        "clients": 2,
        "partners": 2,
        "no_amount": 1,
        "partner_run": partner_run,
        "anomalies": {"negative amount, City Hotel": 1, "no rate at the sale, GBP": 1},
        "rejects": {"An amount is a number and never negative.": 1},
    }
    again = document("--no-input")
    assert (again["inserted"], again["updated"], again["unchanged"], again["partners"]) == (0, 0, 2, 0)
    assert "partner_run" not in again
    assert Run.objects.get(pk=order_run).started_from == "manage.py load_orders"


def test_a_dry_run_says_what_would_be_and_leaves_nothing() -> None:
    book(1, agent=9)
    book(2, daily_rate=-1)
    found = document("--dry-run")
    assert (found["run"], found["inserted"], found["rejected"], found["partners"]) == (None, 1, 1, 2)
    assert found["anomalies"] == {"negative amount, City Hotel": 1}
    assert found["reasons"] == [{"reason": "An amount is a number and never negative.", "records": 1, "line": 2}]
    nothing_is_left()
    said = command("load_orders", "--dry-run")
    assert said.out.startswith("2 records into billing.Order by reference, type: 1 inserted, 0 updated, 0 unchanged, ")
    assert "negative amount, City Hotel" in said.out
    nothing_is_left()
    with connection.cursor() as cursor:
        # Nor is a staging table of the run that was rolled back.
        cursor.execute("SELECT relname FROM pg_class WHERE relname ~ '^ops_(stage|merge)_[0-9]'")
        assert cursor.fetchall() == []


def test_check_exits_with_5_while_an_order_would_be_written() -> None:
    book()
    said = command("load_orders", "--check")
    assert (said.code, said.error) == (5, "Orders would be written: 'manage.py load_orders' does so.")
    nothing_is_left()
    document("--no-input")
    before = Run.objects.count()
    assert command("load_orders", "--check").code == 0
    assert document("--check")["unchanged"] == 1
    assert Run.objects.count() == before


def test_without_a_terminal_it_does_not_guess() -> None:
    book()
    said = command("load_orders")
    assert said.code == 2
    assert said.error.startswith("There is no terminal to ask at: add --no-input to write")
    assert command("load_orders", "--json").code == 2
    nothing_is_left()


@pytest.mark.parametrize(("answer", "code"), [("n\n", 3), ("y\n", 0)])
def test_at_a_terminal_it_shows_the_plan_and_asks(monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    book()
    monkeypatch.setattr(Command, "interactive", lambda self: True)
    monkeypatch.setattr("sys.stdin", StringIO(answer))
    said = command("load_orders")
    assert said.code == code
    assert "1 records into billing.Order" in said.out or "1 record into billing.Order" in said.out
    assert "Write these orders? [y/N]" in said.out
    if code:
        assert said.error == "Declined: no order was written."
        nothing_is_left()
    else:
        assert Order.objects.count() == 1


def test_for_people_it_is_tables_of_80_columns() -> None:
    book(1, agent=9)
    book(2, daily_rate=-1)
    said = command("load_orders", "--no-input")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert {"inserted 1", "rejected 1", "partners 2", "negative amount, City Hotel 1"} <= set(lines)
    assert max(len(line) for line in said.out.splitlines() if "sell_amount" not in line) <= 80


def test_the_options_are_the_terms_and_what_new_partners_are_given() -> None:
    for number in range(4):
        book(number, agent=number)
    Currency.objects.filter(code="KWD").delete()
    document(
        *("--no-input", "--terms", "7", "--currencies", "KWD, USD", "--zones", "Asia/Kuwait,UTC"),
        *("--credit-limits", "none,500.5", "--credit-currency", "JPY", "--max-age-of-rate", "3", "--assume-payments"),
    )
    assert [row[2:] for row in partners()] == [
        ("KWD", "Asia/Kuwait", None, None),
        ("USD", "Asia/Kuwait", None, None),
        ("KWD", "UTC", None, None),
        ("USD", "UTC", None, None),
    ]
    assert {(one.due_on - one.pending_on).days for one in Order.objects.all()} == {9}
    # A currency that ISO 4217 gives is made known where it is needed.
    assert Currency.objects.get(code="KWD").minor_units == 3
    book(4, agent=4)
    document("--no-input", "--credit-limits", "20000.5")
    assert partners()[-1][4:] == (Decimal("20000.5"), "EUR")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--currencies", "XYZ"), r"There is no currency 'XYZ': add it with its decimals in the admin first\."),
        (("--credit-currency", "XYZ"), r"There is no currency 'XYZ': "),
        (("--zones", "Asia/Soul"), r"'Asia/Soul' is no time zone: write a name such as Asia/Seoul\."),
        (("--currencies", " , "), r".*' , ' names nothing: give one or several, with commas between them"),
        (("--credit-limits", "much"), r".*'much' is no limit: give an amount such as 20000, or none"),
        (("--credit-limits", "-1"), r".*expected one argument|.*'-1' is no limit"),
        (("--credit-limits=-1",), r".*'-1' is no limit: an amount is never negative and below 10\^15"),
        (("--credit-limits", "NaN"), r".*'NaN' is no limit: "),
        (("--terms", "soon"), r".*'soon' is not a number of days from 0 to 10,000"),
        (("--terms", "10001"), r".*'10001' is not a number of days"),
        (("--max-age-of-rate", "0"), r".*'0' is not a whole number of at least 1"),
    ],
)
def test_what_cannot_be_a_term_is_one_sentence_and_changes_nothing(options: tuple[str, ...], words: str) -> None:
    book()
    said = command("load_orders", "--no-input", *options)
    assert said.code == 2
    assert re.match(words, said.error)
    assert "\n" not in said.error
    nothing_is_left()


def test_without_bookings_it_says_what_to_do_first() -> None:
    for option in ("--no-input", "--dry-run"):
        said = command("load_orders", option)
        assert said.code == 2
        assert said.error == "There are no bookings to make orders of: run 'manage.py load_bookings FILE' first."
    nothing_is_left()


def test_the_command_is_one_of_billing() -> None:
    assert issubclass(Command, BaseCommand)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("load_orders", "--help", stdout=out)
    assert ended.value.code == 0
