"""The runbook of a slow report does what it says, in its order."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from django.db import connection

from tests.docs.test_loading_page import PIECE, commands, run_page
from tests.ops.shop import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "runbooks" / "slow-report.md").read_text(encoding="utf-8")
ROWS = 200_000
UPLOADS = (
    "INSERT INTO billing_upload (name, size, uploaded_at) "
    "SELECT 'a', i, now() - i * interval '400 days' / %(rows)s FROM generate_series(1, %(rows)s) AS i"
)
INDEX = "CREATE INDEX {}billing_upload_windows ON billing_upload (uploaded_at) INCLUDE (size)"


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, {"rows": ROWS} if "%(rows)s" in statement else None)


GIVEN: Mapping[str, Callable[[], None]] = {
    "uploads of 400 days, and no index on their time": lambda: execute(
        "DROP INDEX billing_upload_windows", UPLOADS, "VACUUM ANALYZE billing_upload"
    ),
    "the index is made as advised, and vacuumed": lambda: execute(
        INDEX.format("CONCURRENTLY "), "VACUUM ANALYZE billing_upload"
    ),
    "somebody has loaded a year again": lambda: execute(UPLOADS),
}


@pytest.fixture
def index() -> Iterator[None]:
    """Put the index back, whatever came of the page."""
    yield
    execute(INDEX.format("IF NOT EXISTS "))


@pytest.mark.usefixtures("index")
def test_the_runbook_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = run_page(PAGE, tmp_path, monkeypatch, GIVEN)
    assert held >= len(commands(PAGE)) == 15


def test_every_block_is_a_console() -> None:
    found = list(PIECE.finditer(PAGE))
    blocks = [one for one in found if one["language"]]
    assert PAGE.count("\n```") == 2 * len(blocks)
    assert {one["language"] for one in blocks} == {"console"}
    assert {one["given"] for one in found if one["given"]} == GIVEN.keys()
