"""docs/orders.md: its commands run, its entry makes a type, its tables are the code's and its figures the file's."""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, load_command_class
from django.db.models import Count, Q, Sum

from billing import order_types, orders
from billing.models import FxRate, HotelBooking, Order, Partner
from billing.orders import Terms
from ops.models import Run
from tests.billing.bookings import naive, stored
from tests.billing.files import SHARED, write_bookings
from tests.ops.shop import ROOT, Said, command

PAGE = (ROOT / "docs" / "orders.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ manage\.py (.*)$", "".join(BLOCKS), re.MULTILINE)

RATES = "Date,GBP,\n2016-06-03,0.78,\n2016-06-02,0.77,\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Small files in the place of those that the page names."""
    rates = tmp_path / "rates.csv"
    rates.write_text(RATES)
    bookings = write_bookings(
        tmp_path / "bookings.csv",
        {},
        {"hotel": "Resort Hotel", "agent": "", "company": "40"},
        {"agent": "", "reservation_status": "Canceled", "deposit_type": "Non Refund"},
        {"adr": "-6.38"},
    )
    return {
        "../shared/data/eurofxref-hist.csv.gz": str(rates),
        "../shared/data/hotel_bookings_2015_2017.csv.gz": str(bookings),
    }


def told_of(section: str) -> list[list[str]]:
    """Return the rows of the first table behind a heading or sentence, cells without their backquotes."""
    rows = re.search(r"^\|.*?(?=\n\n|\Z)", PAGE[PAGE.index(section) :], re.MULTILINE | re.DOTALL)
    assert rows is not None
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in rows[0].splitlines()[2:]]


@pytest.mark.django_db(transaction=True)
def test_the_commands_do_what_the_page_says(files: dict[str, str]) -> None:
    call_command("flush", interactive=False, verbosity=0)
    said: dict[str, list[Said]] = {}
    runs: dict[str, str] = {}
    for line in COMMANDS:
        words = [files.get(word, runs.get(word, word)) for word in shlex.split(line)]
        done = command(*words)
        assert done.code == 0, f"{line}\n{done.error}"
        said.setdefault(words[0], []).append(done)
        if words[0] == "load_orders" and "--no-input" in words:
            found = re.search(r"^Run (\d+)$.*^partner run *(\d+)$", done.out, re.MULTILINE | re.DOTALL)
            assert found is not None
            runs = {"ORDERS": found[1], "PARTNERS": found[2]}
            assert "sell_amount -19.14" in done.out
    assert said["load_orders"][0].out.startswith("4 records into billing.Order by reference, type: 3 inserted, ")
    reverts = Run.objects.filter(verb="revert").order_by("pk").values_list("target", "changed", "left_alone")
    assert list(reverts) == [("billing.Order", 3, 0), ("billing.Partner", 3, 0)]
    # The last command has loaded them again, with payments.
    terms = Terms(zones=("Asia/Seoul", "Europe/Lisbon"), assume_payments=True)
    assert stored() == naive(terms)
    assert (Order.objects.count(), Partner.objects.count()) == (3, 3)
    assert Order.objects.exclude(paid_on=None).exists()


def test_every_block_of_commands_is_run() -> None:
    assert len(COMMANDS) == len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) > 7


def test_the_entry_of_the_page_makes_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_types, "_types", dict(order_types._types))
    monkeypatch.setattr(order_types, "_broken", [])
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    exec(code, {})
    assert order_types.broken() == ()
    assert order_types.find("boat").label == "Sailing boat"
    assert order_types.counts("boat", "sunk") == order_types.Counts("", refunds=True)
    assert f"at most {order_types.LONGEST}" in PAGE or f"{order_types.LONGEST} at most" in PAGE


def test_the_tables_of_types_and_fields_are_those_of_the_code() -> None:
    told = {
        name: {status for cell in cells for status in cell.split(", ") if status}
        for name, *cells in told_of("What of an order counts follows from its type and status")
    }
    assert told == {one.name: set(one.statuses) for one in order_types.types()}
    kinds = (order_types.SALE, order_types.CANCELLED, order_types.NOTHING)
    for name, *cells in told_of("What of an order counts follows from its type and status"):
        for kind, cell in zip(kinds, cells, strict=True):
            assert {order_types.counts(name, status) for status in cell.split(", ") if status} <= {kind}
    fields = {name for row in told_of("An **order**:") for name in row[0].split(", ")}
    assert fields == {one.name for one in Order._meta.fields} - {"id", "partner"}


def test_every_pair_of_status_and_deposit_is_on_the_page() -> None:
    pairs = [(row[0], deposit) for row in told_of("Status and deposit decide") for deposit in row[1].split(", ")]
    assert sorted(pairs) == sorted(
        (status, deposit) for status in HotelBooking.Status.values for deposit in HotelBooking.Deposit.values
    )


def test_every_option_is_on_the_page_with_its_default() -> None:
    parser = load_command_class("billing", "load_orders").create_parser("manage.py", "load_orders")
    ours = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    ours -= {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
    ours -= {"--force-color", "--skip-checks"}
    rows = told_of("### What the file does not say")
    assert {option for row in rows for option in re.findall(r"--[a-z-]+", row[0])} == ours
    given = {row[0].split()[0]: re.findall(r"\(([^)]*)\)$", row[1]) for row in rows}
    terms = Terms()
    assert given["--terms"] == [str(terms.days)]
    assert given["--currencies"] == [",".join(terms.currencies)]
    assert given["--zones"] == [",".join(terms.zones)]
    assert given["--credit-currency"] == [terms.credit_currency]
    assert given["--max-age-of-rate"] == [str(terms.max_age)]
    assert parser.parse_args([]).terms == terms.days
    assert parser.parse_args([]).currencies == terms.currencies


def number(text: str) -> Any:
    return int(text.replace(",", "").split()[0].rstrip(":"))


# Committing, as a load does outside of a test.
@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_the_figures_of_the_page_are_those_of_the_real_file() -> None:
    call_command("flush", interactive=False, verbosity=0)
    command("load_rates", str(SHARED / "eurofxref-hist.csv.gz"))
    command("load_bookings", str(SHARED / "hotel_bookings_2015_2017.csv.gz"))
    outcome = orders.load(Terms())
    document = outcome.as_json()
    figures = [number(row[1]) for row in told_of("At a terminal leave `--no-input` out")]
    kinds = Counter(str(one).split()[0] for one in Partner.objects.values_list("reference", flat=True))
    assert figures == [
        document["lines"],
        document["inserted"],
        document["rejected"],
        outcome.facts["no amount"],
        outcome.odd["daily rate above 1,000, City Hotel"],
        Order.objects.filter(sell_rate=None).count(),
        outcome.facts["partners"],
    ]
    assert f"{kinds['company']} companies, {kinds['agent']} agents, {kinds['direct']} hotels" in PAGE
    assert stored() == naive(Terms())
    for status, deposit, many, *_ in told_of("Status and deposit decide"):
        for one, count in zip(deposit.split(", "), re.findall(r"[\d,]*\d", many), strict=True):
            assert HotelBooking.objects.filter(status=status, deposit_type=one).count() == number(count)
    sale = Q(status__in=("completed", "no_show"))
    for currency in ("EUR", "GBP"):
        sums = Order.objects.filter(sell_currency=currency).aggregate(
            sale=Sum("sell_amount", filter=sale), penalty=Sum("penalty_amount"), refund=Sum("refund_amount")
        )
        assert all(f"{amount:,.2f} {currency}" in PAGE for amount in sums.values())
    assert orders.load(Terms()).as_json()["unchanged"] == document["inserted"]
    orders.load(Terms(assume_payments=True))
    paid = Order.objects.aggregate(paid=Count("paid_on"), refunded=Count("refunded_on"))
    assert f"{paid['paid']:,} orders are then paid, and {paid['refunded']} refunds have gone out" in PAGE
    assert FxRate.objects.count() == 221_702
