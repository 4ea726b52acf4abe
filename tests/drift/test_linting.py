"""What squawk says of pending migrations, and what is left out of it."""

from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ops.drift import linting
from ops.drift.linting import Sent, complaints

MAJOR = 18


def squawk() -> str:
    found = linting.program()
    assert found is not None
    return found


def said(*sent: Sent) -> list[tuple[str, str]]:
    found, notes = complaints(squawk(), sent, MAJOR)
    assert notes == []
    return [(one.migration, one.rule) for one in found]


def test_an_index_that_blocks_writes_is_told_with_its_statement() -> None:
    statement = 'CREATE INDEX "shop_product_name" ON "shop_product" ("name");'
    found, notes = complaints(squawk(), [Sent("shop.0002_index", (statement,), True)], MAJOR)
    assert notes == []
    (one,) = found
    assert (one.migration, one.rule) == ("shop.0002_index", "require-concurrent-index-creation")
    assert one.statement == statement
    assert "concurrently" in one.advice


def test_what_djangos_own_conventions_would_be_blamed_for_is_left_out() -> None:
    made = 'ALTER TABLE "shop_product" ADD COLUMN "code" varchar(30) NULL;'
    assert said(Sent("shop.0002_code", (made,), True)) == []


def test_a_table_that_a_pending_migration_makes_may_be_altered_as_one_likes() -> None:
    made = Sent("shop.0002_box", ('CREATE TABLE "shop_box" ("id" bigint NOT NULL PRIMARY KEY);',), True)
    altered = Sent("shop.0003_box", ('CREATE INDEX "box_id" ON "shop_box" ("id");',), True)
    assert said(made, altered) == []
    assert said(altered) == [("shop.0003_box", "require-concurrent-index-creation")]


def test_concurrently_is_right_outside_of_a_transaction_and_wrong_within() -> None:
    statement = 'CREATE INDEX CONCURRENTLY "shop_product_name" ON "shop_product" ("name");'
    assert said(Sent("shop.0002_index", (statement,), False)) == []
    assert said(Sent("shop.0002_index", (statement,), True)) != []


def test_sql_that_squawk_does_not_understand_is_a_note() -> None:
    found, notes = complaints(squawk(), [Sent("shop.0002_odd", ("FROBNICATE ALL TABLES;",), True)], MAJOR)
    assert found == []
    assert notes == ["Pending migrations are linted no further: squawk does not understand shop.0002_odd."]


def test_a_linter_that_fails_is_a_note(tmp_path: Path) -> None:
    broken = tmp_path / "squawk"
    broken.write_text("#!/bin/sh\necho 'out of order' >&2; exit 2\n")
    broken.chmod(0o755)
    found, notes = complaints(str(broken), [Sent("shop.0002_index", ("SELECT 1;",), True)], MAJOR)
    assert found == []
    assert notes == [f"Pending migrations are not linted: {broken} ended with 2 (out of order)."]


@pytest.mark.django_db
def test_where_nothing_is_pending_nothing_is_run() -> None:
    assert linting.lint("default") == ([], [])


@pytest.mark.django_db
def test_without_the_linter_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linting, "program", lambda: None)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'ops' AND name > '0004'")
    assert linting.lint("default") == (
        [],
        ["Pending migrations are not linted: 'pip install setwise[lint]' brings squawk."],
    )


@pytest.mark.django_db(transaction=True)
def test_an_operation_that_writes_by_itself_can_not() -> None:
    with CaptureQueriesContext(connection) as queries, linting._reading_only("default"), connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("on",)
    assert len(queries) == 3
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)
