"""`manage.py backfill`: any expression of a row's columns fills a column, and nothing else gets through."""

import re
import signal
import threading
import time
import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections

from ops.engine import run as engine
from ops.engine.lifecycle import Options, Stopped
from ops.engine.registry import find
from ops.models import Changeset, Hold, Run, Source
from tests.ops.shop import Said, command, ended, manage, other_connection, wait_until
from tests.shelf.kinds import KINDS
from tests.shelf.models import Counter, Parcel, Rate, Reading

pytestmark = pytest.mark.django_db(transaction=True)


def fill(rows: int = 20) -> None:
    Counter.objects.bulk_create(Counter(pk=key, v=key) for key in (1, 2))
    Parcel.objects.bulk_create(Parcel(pk=key, label=f"no {key}", grams=key * 10) for key in range(1, rows + 1))


def backfill(field: str, value: str, where: str | None = None, *more: str) -> Said:
    words = [] if where is None else [f"--where={where}"]
    return command("backfill", field, f"--value={value}", *words, "--no-input", *more)


def column(name: str) -> dict[int, Any]:
    return dict(Parcel.objects.values_list("pk", name))


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("grams", "7", 7),
        ("grams", "'7'", 7),
        ("grams", "NULL", None),
        ("grams", '"Weight in {g}" + 1', lambda key: key * 10 + 1),
        ("grams", 't."Weight in {g}" % 3', lambda key: key * 10 % 3),
        ("grams", "(SELECT max(c.v) FROM shelf_counter AS c)", 2),
        ("grams", "CASE WHEN label LIKE 'no 1%' THEN 1 ELSE 2 END", lambda key: 1 if str(key)[0] == "1" else 2),
        ("grams", "3.6", 4),
        ("price", "id * 1.005", lambda key: (key * Decimal("1.005")).quantize(Decimal("0.01"), "ROUND_HALF_UP")),
        ("price", "'12.345'", Decimal("12.35")),
        ("label", "'it''s {%s} %(v)s 100 %; --'", "it's {%s} %(v)s 100 "),
        ("label", "'a' -- the first letter", "a"),
        ("label", "'a' /* the first letter */", "a"),
        ("label", "$$it's; {}$$", "it's; {}"),
        ("label", "upper(label)", lambda key: f"NO {key}"),
        ("label", "label || ', ' || id", lambda key: f"no {key}, {key}"),
        ("sent", "'2026-02-03'", date(2026, 2, 3)),
        ("sent", "date '2026-01-01' + id::integer", lambda key: date(2026, 1, 1 + key)),
        ("counter", "1 + id % 2", lambda key: 1 + key % 2),
    ],
)
def test_an_expression_is_cast_to_its_column(field: str, value: str, wanted: Any) -> None:
    fill()
    name = "counter_id" if field == "counter" else field
    before = column(name)
    said = backfill(f"shelf.parcel.{field}", value)
    assert said.code == 0, said.error
    assert column(name) == {key: wanted(key) if callable(wanted) else wanted for key in before}
    run = Run.objects.get()
    assert run.changed == sum(1 for key, old in before.items() if old != column(name)[key])
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    assert column(name) == before


@pytest.mark.parametrize(
    "where",
    ["id > 15", "label LIKE 'no 1%' AND id > 15 -- some", "t.id IN (16, 17, 18, 19, 20)", "id > 15 OR false /* x */"],
)
def test_where_restricts_the_rows(where: str) -> None:
    fill()
    said = backfill("shelf.Parcel.grams", "0", where)
    assert said.code == 0, said.error
    changed = {key for key, grams in column("grams").items() if grams == 0}
    assert changed == ({16, 17, 18, 19} if "LIKE" in where else {16, 17, 18, 19, 20})


def test_a_volatile_expression_is_computed_for_each_row_and_only_once() -> None:
    fill()
    Parcel.objects.filter(pk=3).update(token=uuid.UUID(int=3))
    said = backfill("shelf.Parcel.token", "gen_random_uuid()", "token IS NULL", "--batch-size", "3")
    assert said.code == 0, said.error
    tokens = column("token")
    assert (len(set(tokens.values())), tokens[3], Run.objects.get().changed) == (20, uuid.UUID(int=3), 19)
    assert backfill("shelf.Parcel.token", "gen_random_uuid()", "token IS NULL").out.endswith("done, nothing differs.\n")
    assert column("token") == tokens


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_tables_with_any_key_are_filled(kind: Any) -> None:
    kind.fill(range(50))
    said = backfill(f"shelf.{kind.name}.v", "v + 100", "v < 100", "--batch-size", "7")
    assert said.code == 0, said.error
    assert set(kind.values().values()) == set(range(100, 109))
    assert Run.objects.get().changed == 50


@pytest.mark.smoke
def test_a_nullable_column_of_a_partitioned_table() -> None:
    KINDS["partitioned"].fill(range(30))
    said = backfill("shelf.reading.celsius", "v * 1.5")
    assert said.code == 0, said.error
    assert dict(Reading.objects.values_list("id", "celsius")) == {i: Decimal(i % 9) * Decimal("1.5") for i in range(30)}


REFUSED = [
    ("shelf.Parcel.nothing", "1", None, "has no field named 'nothing'"),
    ("shelf.Nothing.grams", "1", None, "doesn't have a 'Nothing' model"),
    ("nothing.Parcel.grams", "1", None, "No installed app with label 'nothing'"),
    ("grams", "1", None, "is not of the form app.Model.field"),
    ("shelf.Parcel.id", "id + 1", None, "part of the key"),
    ("shelf.Parcel.pk", "id + 1", None, "part of the key|has no field"),
    ("shelf.Rate.slot", "slot + 1", None, "part of the key"),
    ("shelf.Rate.pk", "slot + 1", None, "no column|part of the key"),
    ("shelf.Parcel.shouted", "label", None, "no column that can be written"),
    ("shelf.Counter.parcel", "1", None, "no column that can be written"),
    ("shelf.Parcel.grams", "weight", None, 'column "weight" does not exist'),
    ("shelf.Parcel.grams", "1); DROP TABLE shelf_rate; --", None, "syntax error|multi|cannot open"),
    ("shelf.Parcel.grams", "1)) AS integer) AS grams FROM shelf_parcel AS t; DELETE FROM shelf_parcel; --", None, ""),
    ("shelf.Parcel.grams", "1), (2", None, "syntax error|only one column|record"),
    ("shelf.Parcel.grams", "1, 2", None, "only one column|record|syntax error"),
    ("shelf.Parcel.grams", "(SELECT 1, 2)", None, "only one column"),
    ("shelf.Parcel.grams", "", None, "required"),
    ("shelf.Parcel.grams", "-- nothing", None, "syntax error"),
    ("shelf.Parcel.grams", "1 /*", None, "unterminated"),
    ("shelf.Parcel.grams", "'", None, "unterminated|syntax error"),
    ("shelf.Parcel.grams", "1 FROM shelf_parcel", None, "syntax error|FROM"),
    ("shelf.Parcel.grams", "max(id)", None, "aggregate|GROUP BY"),
    ("shelf.Parcel.grams", "sent", None, "cannot cast type date to integer"),
    ("shelf.Parcel.grams", "1", "label", "must be type boolean"),
    ("shelf.Parcel.grams", "1", "true); DELETE FROM shelf_parcel; --", "syntax error|multi|cannot open"),
    ("shelf.Parcel.grams", "1", "true) LIMIT 1 --", "syntax error"),
    ("shelf.Parcel.grams", "1", "weight > 3", 'column "weight" does not exist'),
]


@pytest.mark.parametrize(("field", "value", "where", "found"), REFUSED)
def test_what_is_no_expression_for_a_column_is_refused_and_changes_nothing(
    field: str, value: str, where: str | None, found: str
) -> None:
    fill()
    Rate.objects.create(currency="EUR", version=1, slot="2026-01-01")
    before = list(Parcel.objects.order_by("pk").values_list())
    said = backfill(field, value, where)
    assert said.code == 2, said
    assert "\n" not in said.error
    assert re.search(found, said.error), said.error
    assert (Run.objects.count(), Changeset.objects.count(), Rate.objects.count()) == (0, 0, 1)
    assert list(Parcel.objects.order_by("pk").values_list()) == before


def test_a_value_that_fails_for_a_row_changes_nothing() -> None:
    fill()
    said = backfill("shelf.Parcel.grams", "100 / (id - 15)")
    assert (said.code, "division by zero" in said.error) == (1, True)
    assert column("grams") == {key: key * 10 for key in range(1, 21)}


def test_several_rows_for_one_change_nothing() -> None:
    fill()
    said = backfill("shelf.Parcel.grams", "generate_series(1, 2)")
    assert said.code in (1, 2)
    assert column("grams") == {key: key * 10 for key in range(1, 21)}
    assert Changeset.objects.count() == 0


def _apply(column: str, value: str, **options: Any) -> Run:
    params = {"field": f"shelf.Parcel.{column}", "value": value, "where": ""}
    return engine.apply(find("ops.backfill"), params, Options(**{"batch_size": 5, **options}))[0]


def test_different_columns_may_be_filled_at_once_the_same_one_not() -> None:
    fill()
    others: list[Said] = []

    def start_others(done: int, total: int) -> None:
        def start() -> None:
            others.append(backfill("shelf.parcel.label", "'x'"))
            others.append(backfill("shelf.parcel.grams", "1"))
            connections.close_all()

        if not others:
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()

    run = _apply("grams", "0", progress=start_others)
    assert [said.code for said in others] == [0, 3]
    assert f"Run {run.pk} of ops.backfill is being carried out by" in others[1].error
    assert (set(column("label").values()), set(column("grams").values())) == ({"x"}, {0})


def test_one_that_is_unfinished_excludes_another_value_and_is_described() -> None:
    fill()
    stop = threading.Event()
    with pytest.raises(Stopped):
        _apply("grams", "0", stop=stop, progress=lambda done, total: stop.set())
    said = backfill("shelf.Parcel.grams", "1")
    run = Run.objects.get()
    assert said.code == 3
    assert f"Run {run.pk} (apply of ops.backfill, shelf.Parcel.grams = 0) is unfinished" in said.error
    assert backfill("shelf.Parcel.grams", "0").code == 0
    assert (Run.objects.get().state, set(column("grams").values())) == ("done", {0})


def test_a_run_goes_on_as_it_began() -> None:
    fill()
    stop = threading.Event()
    with pytest.raises(Stopped):
        _apply("label", "'{x} 100 %'", stop=stop, progress=lambda done, total: stop.set())
    run = Run.objects.get()
    assert Source.objects.count() == 1
    said = command("runs", "resume", str(run.pk), "--as-begun", "--no-input")
    assert said.code == 0, said.error
    assert set(column("label").values()) == {"{x} 100 %"}


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END$$;
CREATE TRIGGER slow BEFORE INSERT ON ops_changeset FOR EACH ROW EXECUTE FUNCTION slow()
"""


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.smoke
def test_killed_it_goes_on_by_a_sweep_is_shown_by_history_and_taken_back() -> None:
    fill(400)
    _execute(SLOW)
    try:
        process = manage("backfill", "shelf.Parcel.grams", "--value", "id % 7", "--no-input", "--batch-size", "10")
        wait_until("it writes", batches__gt=3)
        process.send_signal(signal.SIGKILL)
        ended(process)
    finally:
        _execute("DROP FUNCTION slow CASCADE")
    run = Run.objects.get()
    assert (run.state, 0 < run.changed < 400) == ("running", True)
    deadline = time.monotonic() + 30
    while (said := command("sweep")).out == "No run is stale.\n":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (said.code, said.out) == (0, f"Run {run.pk} of ops.backfill: done\n")
    assert column("grams") == {key: key % 7 for key in range(1, 401)}
    run.refresh_from_db()
    assert (run.state, run.changed) == ("done", 400)
    keys = [key for kept in run.changesets.all() for key in kept.keys]
    assert len(keys) == len(set(keys)) == 400
    history = command("runs", "history", "shelf.Parcel", "9")
    assert [line.split()[-3:] for line in history.out.splitlines()[-1:]] == [["grams", "90", "2"]]
    assert command("runs", "revert", str(run.pk), "--no-input").code == 0
    assert column("grams") == {key: key * 10 for key in range(1, 401)}
    # What was taken back is held for this column alone.
    assert backfill("shelf.Parcel.grams", "id % 7").out.startswith("Looked at 400 rows: 0 would change, 400 held")
    assert backfill("shelf.Parcel.label", "'y'").out.startswith("Looked at 400 rows: 400 would change, 0 held")
    assert Hold.objects.count() == 400


def test_another_hand_joins_it_by_what_the_run_kept() -> None:
    fill(400)
    joined: list[Said] = []

    def join(done: int, total: int) -> None:
        def start() -> None:
            joined.append(command("runs", "join", str(Run.objects.get().pk)))
            connections.close_all()

        if not joined:
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()

    run = _apply("label", "'{x} 100 %'", window=50, batch_size=10, progress=join)
    # This hand has one window of 50 rows; the other did the rest while it waited.
    assert [(said.code, said.error) for said in joined] == [(0, "")]
    assert "350 rows" in joined[0].out
    assert (run.changed, set(column("label").values())) == (400, {"{x} 100 %"})


def test_edits_under_the_run_are_filled_from_what_the_rows_are() -> None:
    fill()
    seen: list[int] = []

    def edit(done: int, total: int) -> None:
        if not seen:
            seen.append(done)
            with other.cursor() as cursor:
                cursor.execute("UPDATE shelf_parcel SET label = 'edited'")

    with other_connection() as other:
        run = _apply("grams", "length(label)", progress=edit)
    grams = column("grams")
    assert sorted(grams.values()).count(len("edited")) == 15
    assert run.changed == 20


def test_show_sql_and_explain_write_nothing() -> None:
    fill()
    shown = command("backfill", "shelf.Parcel.grams", "--value", "id % 7", "--show-sql")
    explained = command("backfill", "shelf.Parcel.grams", "--value", "id % 7", "--explain")
    assert (shown.code, explained.code, Run.objects.count()) == (0, 0, 0)
    assert "id % 7" in shown.out
    assert "shelf_parcel" in explained.out
