"""The functions behind a rollup's triggers run as their owner: nobody calls them, and no cast of a stranger's runs."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.ops.reports import rolled
from tests.ops.reports.rolled import Plainest, ask, refresh, registered, touched

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _built(db: None) -> Iterator[None]:
    rolled.make()
    with registered(Plainest):
        refresh("plainest", rebuild=True)
        yield


def test_the_functions_of_triggers_are_nobodys_to_call() -> None:
    found = ask(
        "SELECT p.proname, p.prosecdef, has_function_privilege('public', p.oid, 'EXECUTE') FROM pg_proc AS p "
        "INNER JOIN pg_trigger AS t ON t.tgfoid = p.oid WHERE t.tgrelid = 'rolled_event'::regclass AND p.prosecdef"
    )
    assert found
    assert [(name, public) for name, _, public in found if public] == []


def test_a_column_of_another_type_marks_all_and_none_of_its_casts_runs() -> None:
    assert touched("plainest") == []
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE cast_ran (who text)")
        cursor.execute("CREATE TYPE odd AS (n integer)")
        cursor.execute(
            "CREATE FUNCTION odd_instant(odd) RETURNS timestamptz LANGUAGE plpgsql AS "
            "$$BEGIN INSERT INTO cast_ran VALUES (current_user); RETURN now(); END$$"
        )
        cursor.execute("CREATE CAST (odd AS timestamptz) WITH FUNCTION odd_instant(odd) AS IMPLICIT")
        cursor.execute("ALTER TABLE rolled_event DROP COLUMN at CASCADE")
        cursor.execute("ALTER TABLE rolled_event ADD COLUMN at odd")
        cursor.execute("INSERT INTO rolled_event (at, size) VALUES (ROW(1)::odd, 5)")
    # None is all buckets.
    assert None in touched("plainest")
    assert ask("SELECT * FROM cast_ran") == []
