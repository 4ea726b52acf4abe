"""docs/rollups.md does what it says, in its order."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from billing.models import Upload
from billing.reports import Uploads
from ops import clock
from ops.management.rollup_options import VERBS
from ops.reports import registry as reports
from ops.reports.declaring import Aggregate, Distinct, Percentile
from ops.reports.rollups import TROUBLES
from tests.docs.test_loading_page import PIECE, commands, run_page
from tests.ops.reports.rolled import registered
from tests.ops.shop import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "rollups.md").read_text(encoding="utf-8")


def upload(days: int) -> None:
    Upload.objects.create(name="a", size=1000, uploaded_at=clock.now() - timedelta(days=days))


def two_come_in() -> None:
    upload(3)
    upload(20)


def around_the_triggers() -> None:
    """Change two sizes so that no trigger hears of it, and none can be told to have been off."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT touch FROM ops_rollup WHERE report = 'uploads'")
        (touch,) = cursor.fetchone()
        cursor.execute("ALTER TABLE billing_upload DISABLE TRIGGER USER")
        # One of a day with no other upload: a row of the day, and one of its client, who is none.
        cursor.execute("UPDATE billing_upload SET size = 2000 WHERE id = (SELECT min(id) FROM billing_upload)")
        for event in ("insert", "update", "delete", "truncate"):
            cursor.execute(f"ALTER TABLE billing_upload ENABLE ALWAYS TRIGGER {touch}_{event}")
        cursor.execute("ALTER TABLE billing_upload ENABLE ALWAYS TRIGGER ops_version")


GIVEN = {
    "two uploads come in, one of them late": two_come_in,
    "somebody changes sizes with the triggers off, and puts those back as they were": around_the_triggers,
}


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flushed(*args: object, **options: object) -> None:
        call_command("flush", interactive=False, verbosity=0)
        for days in range(30):
            upload(days)

    # The page begins on empty tables but for a month of uploads.
    monkeypatch.setattr("tests.docs.test_loading_page.call_command", flushed)
    with registered(Uploads):
        held = run_page(PAGE, tmp_path, monkeypatch, GIVEN)
    assert held == len(commands(PAGE)) == 11
    # What `migrate` does after the last command.
    call_command("migrate", verbosity=0)
    assert "uploads" in reports.names()


def test_every_block_is_run() -> None:
    found = list(PIECE.finditer(PAGE))
    assert PAGE.count("\n```") == 2 * len([one for one in found if one["language"]])
    assert {one["language"] for one in found if one["language"]} == {"python", "console", "sql"}
    assert {one["given"] for one in found if one["given"]} == set(GIVEN)


def test_every_verb_and_every_measure_that_is_not_kept_is_told() -> None:
    assert [verb for verb in VERBS if f"rollup {verb}" not in PAGE] == []
    assert [kind.__name__ for kind in (Distinct, Percentile, Aggregate) if f"`{kind.__name__}`" not in PAGE] == []
    assert len(TROUBLES) == 12
