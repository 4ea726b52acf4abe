"""The commands of docs/runbooks/load.md, run in their order with the exit codes and words that it states."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from string import ascii_uppercase

import pytest
from django.db import connection

from billing.models import Currency, Service
from tests.docs.test_loading_page import PIECE, commands, run_page
from tests.ops.shop import ROOT, command, manage, other_connection, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "runbooks" / "load.md").read_text(encoding="utf-8")
MANY = 600
ADDS = ("--expr", "count = target.count + excluded.count")


class World:
    """What goes on outside of the operator's shell."""

    def __init__(self) -> None:
        self.open = ExitStack()
        self.process: subprocess.Popen[str] | None = None

    def shop(self) -> None:
        Currency.objects.create(code="EUR", minor_units=2)
        Service.objects.create(name="Mail", full_price="3.50", currency_id="EUR")

    def changed(self) -> None:
        Service.objects.filter(name="Backup").update(full_price=13)

    def hold(self, code: str) -> None:
        other = self.open.enter_context(other_connection())
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute("SELECT code FROM billing_currency WHERE code = %s FOR UPDATE", [code])

    def hold_euro(self) -> None:
        Path("euro.csv").write_text("code,minor_units\nEUR,3\n")
        self.hold("EUR")

    def release(self) -> None:
        self.open.close()

    def killed(self, file: str, first: str) -> None:
        """Kill a load that has written some batches, and waits for a row that another session holds."""
        codes = [f"{first}{''.join(letters)}" for letters in product(ascii_uppercase, repeat=2)][:MANY]
        Path(file).write_text("code,minor_units\n" + "".join(f"{code},2\n" for code in codes))
        with other_connection() as other:
            other.autocommit = False
            with other.cursor() as cursor:
                cursor.execute("INSERT INTO billing_currency (code, minor_units) VALUES (%s, 2)", [codes[350]])
            words = ("upsert", "billing.Currency", file, "--no-input", "--batch-size", "100")
            self.process = manage(*words, "--lock-timeout", "30000")
            wait_until("three batches", state="running", changed=300)
            self.process.kill()
            self.process.communicate()

    def added(self) -> None:
        Path("hits.csv").write_text("digest,count\na1,1\nb2,4\n")
        assert command("upsert", "shelf.Hit", "hits.csv", *ADDS, "--no-input").code == 0


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.release()
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


def given(world: World) -> dict[str, Callable[[], None]]:
    return {
        "the shop has euro, and a service Mail at 3.50": world.shop,
        "somebody has changed the price of Backup since": world.changed,
        "a load of currencies.csv that was killed in the middle": lambda: world.killed("currencies.csv", "A"),
        "a load of units.csv that was killed in the middle": lambda: world.killed("units.csv", "B"),
        "hits.csv was loaded, which adds to counters": world.added,
        "a transaction that holds the currency EUR": world.hold_euro,
        "the transaction has ended": world.release,
    }


def test_the_runbook_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    held = run_page(PAGE, tmp_path, monkeypatch, given(world))
    assert held == len(commands(PAGE)) > 15


def test_its_query_is_one_that_the_server_takes() -> None:
    queries = [piece["text"] for piece in PIECE.finditer(PAGE) if piece["language"] == "sql"]
    assert len(queries) == 1
    with connection.cursor() as cursor:
        cursor.execute(queries[0])


def test_no_block_and_no_command_is_overlooked(world: World) -> None:
    found = list(PIECE.finditer(PAGE))
    assert PAGE.count("\n```") == 2 * len([one for one in found if one["language"]])
    assert {one["given"] for one in found if one["given"]} == given(world).keys()
    texts = "".join(one["text"] for one in found if one["language"] == "console")
    assert commands(texts) == commands(PAGE)
