"""docs/loading-real-files.md: its commands are there, and what it says of kinds and constants is what the code has."""

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import load_command_class

from billing import bookings, rates
from billing.intake import MINOR_UNITS
from billing.models import FxRate, InvoiceLine
from tests.billing.files import write_bookings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "loading-real-files.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ manage\.py (load_\w+) (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "words"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_takes_what_the_page_gives_it(name: str, words: str) -> None:
    command = load_command_class("billing", name)
    given = command.create_parser("manage.py", name).parse_args(shlex.split(words))
    assert given.file.startswith("../shared/data/")


def test_the_page_shows_each_of_the_commands() -> None:
    assert [name for name, _ in COMMANDS] == ["load_rates", "load_invoices", "load_bookings"]


def test_keys_currencies_and_digits_are_those_of_the_code() -> None:
    key = next(c for c in InvoiceLine._meta.constraints if c.name == "billing_invoice_line")
    assert "the key is ({})".format(", ".join(key.fields).replace("_", " ")) in PAGE
    assert f"{len(bookings.FIXED)} columns" in PAGE
    rate = FxRate._meta.get_field("rate")
    assert f"`numeric({rate.max_digits}, {rate.decimal_places})`" in PAGE
    assert f"the first {rates.TOLD} bad cells" in PAGE
    *most, last = sorted(MINOR_UNITS)
    assert f"{', '.join(most)} and {last} are made known" in PAGE
    for hotel, code in bookings.CURRENCIES.items():
        assert re.search(rf"{hotel} (is given )?{code}\b", PAGE)


def test_every_kind_of_anomaly_is_on_the_page(tmp_path: Path) -> None:
    odd = bookings.Bookings()
    path = write_bookings(
        tmp_path / "odd.csv",
        {"adr": "-1", "adults": "0", "reservation_status_date": "2015-01-01"},
        {"adr": "1001", "stays_in_week_nights": "0", "stays_in_weekend_nights": "0"},
    )
    with bookings.Records(str(path)) as records:
        records.needs(bookings.COLUMNS, "bookings")
        assert sum(1 for _ in odd.rows(records)) == 2
    kinds = {what for what, _ in odd.odd}
    assert kinds == set(re.findall(r"`booking: ([^`]*)`", PAGE))
