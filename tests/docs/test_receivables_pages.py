"""The commands of docs/receivables.md and of its two runbooks, run in their order with the words that they state."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from billing.models import Order
from tests.docs.agency import open_agency, rates
from tests.docs.test_loading_page import PIECE, commands, run_page
from tests.ops.shop import ROOT, command

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ("receivables", "runbooks/month-end", "runbooks/disputed-balance")
TEXTS = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in PAGES}


def closed(day: str) -> None:
    assert command("receivables", "--as-of", f"{day}T23:59:59", "--save").code == 0


def september() -> None:
    open_agency()
    closed("2025-09-30")


def october() -> None:
    open_agency()
    rates("KWD", "0.39", date(2025, 10, 2))
    for currency, rate in (("KRW", "1520"), ("USD", "1.25")):
        rates(currency, rate, date(2025, 10, 30))
    closed("2025-10-31")


def paid_late() -> None:
    assert Order.objects.filter(reference="H-2").update(paid_on=date(2025, 10, 30)) == 1


def paid_in_time() -> None:
    assert Order.objects.filter(reference="H-1").update(paid_on=date(2025, 9, 25)) == 1


GIVEN: dict[str, Callable[[], None]] = {
    "three partners with orders, and rates of all days but the last of October": open_agency,
    "September was closed, and partners have orders of October": september,
    "October was closed": october,
    "on the third of November the payment of the thirtieth is entered": paid_late,
    "the admin's user enters that H-1 was paid on 25 September": paid_in_time,
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_does_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = TEXTS[name]
    # Python is shown on one page, and held by the tests of what it shows.
    held = run_page(page.replace("```python", "```text"), tmp_path, monkeypatch, GIVEN)
    assert held == len(commands(page)) > 5


@pytest.mark.parametrize("name", PAGES)
def test_no_block_and_no_command_is_overlooked(name: str) -> None:
    page = TEXTS[name]
    found = list(PIECE.finditer(page))
    assert page.count("\n```") == 2 * len([one for one in found if one["language"]])
    assert {one["language"] for one in found if one["language"]} <= {"console", "csv", "sql", "python"}
    texts = "".join(one["text"] for one in found if one["language"] == "console")
    assert commands(texts) == commands(page)


def test_every_step_of_what_goes_on_is_on_a_page() -> None:
    said = {one["given"] for page in TEXTS.values() for one in PIECE.finditer(page) if one["given"]}
    assert said == set(GIVEN)


@pytest.mark.parametrize("name", PAGES[1:])
def test_its_query_is_one_that_the_server_takes(name: str) -> None:
    call_command("flush", interactive=False, verbosity=0)
    october()
    (query,) = [piece["text"] for piece in PIECE.finditer(TEXTS[name]) if piece["language"] == "sql"]
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall() != []
