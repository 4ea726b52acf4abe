"""docs/cache.md and the runbook of a stale number do what they say, in their order."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from django.core.cache import caches
from django.db import connection

from ops.cache import cached, registry, triggers
from ops.cache.store import store
from tests.billing.conftest import build_shop
from tests.docs.test_loading_page import PIECE, commands, run_page
from tests.ops.shop import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = (ROOT / "docs" / "cache.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbooks" / "stale-number.md").read_text(encoding="utf-8")
UNSEEN = """
BEGIN;
ALTER TABLE billing_subscription DISABLE TRIGGER USER;
UPDATE billing_subscription SET price = price * 20 / 19;
ALTER TABLE billing_subscription ENABLE TRIGGER USER;
ALTER TABLE billing_subscription ENABLE ALWAYS TRIGGER ops_version;
COMMIT
"""


@pytest.fixture
def alone() -> Iterator[None]:
    """An empty cache; what the page caches is forgotten afterwards."""
    known = dict(registry._registered)
    caches["default"].clear()
    store.reopen()
    yield
    registry._registered.clear()
    registry._registered.update(known)
    triggers.install("default")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def looked() -> None:
    """Let somebody ask for a total of all, and for one of USD, of a small shop."""
    from billing.totals import subscriptions_total

    build_shop()
    subscriptions_total()
    subscriptions_total({"currency": "USD"})


GIVEN: Mapping[str, Callable[[], None]] = {
    "somebody has looked at the totals": looked,
    "somebody has raised the prices past the triggers": lambda: execute(UNSEEN),
    "a trigger was disabled": lambda: execute("ALTER TABLE billing_subscription DISABLE TRIGGER ops_version"),
}


@pytest.mark.parametrize("page", [GUIDE, RUNBOOK], ids=["cache.md", "stale-number.md"])
@pytest.mark.usefixtures("alone")
def test_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = run_page(page, tmp_path, monkeypatch, GIVEN)
    assert held >= len(commands(page)) + page.count("  # ") - page.count("  # exit")


@pytest.mark.parametrize("page", [GUIDE, RUNBOOK], ids=["cache.md", "stale-number.md"])
def test_every_block_is_a_console_or_python(page: str) -> None:
    found = list(PIECE.finditer(page))
    blocks = [one for one in found if one["language"]]
    assert page.count("\n```") == 2 * len(blocks)
    assert {one["language"] for one in blocks} <= {"console", "python"}
    assert {one["given"] for one in found if one["given"]} <= GIVEN.keys()


def test_the_table_is_that_of_the_options() -> None:
    told = re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
    assert sorted(told) == sorted(set(inspect.signature(cached).parameters) - {"name"})
