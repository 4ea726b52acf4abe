"""What a reader of the docs ran into: mistakes in a job that are refused when it is declared, and what is said."""

import uuid
from typing import Any

import pytest
from django.db import connection

from ops import sql
from ops.engine import changeset
from ops.engine.jobs import BrokenJob, Job
from ops.engine.registry import find
from ops.engine.run import Options, apply
from ops.models import Run
from tests.ops.shop import command
from tests.shelf.models import Counter, Rate, Ticket

pytestmark = pytest.mark.django_db(transaction=True)

JOINED = "FROM pg_temp.ops_batch AS b WHERE t.id = b.id"


def declared(statement: str, params: str = "", **more: Any) -> None:
    header = f"-- Write.\n-- params: {params}\n" if params else "-- Write.\n"
    job = type("Broken", (Job,), {"name": "shelf.x", "target": Counter, "batch": "shelf/x.sql", **more})
    with sql.using({"shelf/x.sql": sql.parse("shelf/x.sql", f"{header}{statement}\n")}):
        job().check()


@pytest.mark.parametrize(
    ("target", "assigned", "column"),
    [
        (Counter, "v = 1, id = b.id + 1", "id"),
        (Counter, 'v = 1,\n    "id" = 2', "id"),
        (Counter, "(v, id) = (1, 2)", "id"),
        (Counter, "(id, v) = (1, 2)", "id"),
        (Rate, "v = 1, version = 3", "version"),
    ],
)
def test_a_statement_that_writes_the_key_is_refused(target: Any, assigned: str, column: str) -> None:
    with pytest.raises(BrokenJob, match=f"writes {column}, which is part of the key"):
        declared(f"UPDATE x AS t SET {assigned} {JOINED}", target=target)


@pytest.mark.parametrize(
    "assigned", ["v = t.id", "v = CASE WHEN t.id = 3 THEN 1 END", "note = 'id = 3'", "(v, note) = (1, '')"]
)
def test_a_statement_that_reads_the_key_is_not(assigned: str) -> None:
    declared(f"UPDATE x AS t SET {assigned} {JOINED}")
    with pytest.raises(BrokenJob, match="takes no range of keys"):
        declared(f"UPDATE x AS t SET {assigned}")


def test_a_value_that_is_no_parameter_is_refused() -> None:
    declared(f"UPDATE x AS t SET v = %(run)s::bigint {JOINED}", "run")
    with pytest.raises(BrokenJob, match=r"takes %\(basis\)s, which is no parameter of the job; there is: as_of, run"):
        declared(f"UPDATE x AS t SET v = %(basis)s::bigint {JOINED}", "basis")


def test_a_text_for_a_tuple_is_refused() -> None:
    with pytest.raises(BrokenJob, match="columns is a tuple; with one entry it ends with a comma"):
        declared(f"UPDATE x AS t SET v = 1 {JOINED}", columns="v")


def test_guards_of_money_are_refused_where_a_job_counts_none() -> None:
    Counter.objects.create(v=3)
    said = command("run_job", "shelf.normalise", "--max-row-change", "5", "--no-input")
    assert said.code == 2
    assert "counts no money, so --max-change and --max-row-change would guard nothing" in said.error
    assert (Counter.objects.get().note, Run.objects.count()) == ("", 0)


def test_the_history_of_a_row_reads_no_changeset_of_another_table_with_the_same_columns() -> None:
    Counter.objects.create(pk=5, v=1)
    ticket = Ticket.objects.create(pk=uuid.uuid4(), v=2)
    one, _ = apply(find("shelf.increment"), {"by": 1}, Options())
    other, _ = apply(find("shelf.lift_ticket"), {}, Options())
    assert [e.run for e in changeset.history("default", Ticket, [str(ticket.pk)])] == [other.pk]
    assert [e.run for e in changeset.history("default", Counter, ["5"])] == [one.pk]


def test_an_error_in_a_batch_names_the_run_that_it_leaves_open() -> None:
    Counter.objects.bulk_create(Counter(v=i) for i in range(10))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shelf_counter ADD CONSTRAINT small CHECK (v < 10)")
    try:
        said = command("run_job", "shelf.increment", "--no-input")
        run = Run.objects.get()
        assert (said.code, run.state) == (1, "stopped")
        assert f"It stopped after 0 rows: 'manage.py runs resume {run.pk}' carries it on, " in said.error
        assert f"'manage.py runs cancel {run.pk}' gives it up." in said.error
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE shelf_counter DROP CONSTRAINT small")
