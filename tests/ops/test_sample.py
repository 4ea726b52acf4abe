"""Plans of large tables are estimated, within what they say; and exact where something depends on it."""

from typing import Any

import pytest
from django.db import connection

from ops.engine import run as engine
from ops.engine import sample
from ops.engine.lifecycle import Options
from ops.engine.plan import Guards, Plan
from ops.engine.registry import find
from tests.ops.shop import EVERYTHING, command, job, make_shop, raise_prices
from tests.shelf.models import Counter

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 50_000

# Which rows differ, in the order of their keys: spread evenly, or at random, or all at one end.
EVENLY = "i %% {0} = 0"
RANDOMLY = "('x' || left(md5(i::text), 7))::bit(28)::integer %% {0} = 0"


@pytest.fixture(autouse=True)
def _small_tables_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "EXACT_UP_TO", 10_000)


def fill(differs: str, rows: int = ROWS) -> int:
    """Make rows of which those that are named differ; return how many do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shelf_counter (id, v, note, email) "
            f"SELECT i * 3, CASE WHEN {differs} THEN 0 ELSE 7 END, '', '' FROM generate_series(1, %s) AS i",
            [rows],
        )
        cursor.execute("ANALYZE shelf_counter")
    return Counter.objects.exclude(v=7).count()


def plan(**options: Any) -> Plan:
    return engine.plan_only(find("shelf.lift_counter"), {}, Options(**options))[1]


@pytest.mark.parametrize("every", [200, 5, 1])
def test_of_rows_that_lie_evenly_the_estimate_is_within_its_margin(every: int) -> None:
    true = fill(EVENLY.format(every))
    assert true == ROWS // every
    found = plan()
    assert found.margin is not None
    assert abs(found.changes - true) <= found.margin < ROWS // 100
    assert found.looked_at == ROWS


@pytest.mark.parametrize("every", [200, 5])
def test_of_rows_that_lie_at_random_it_is_within_thrice_its_margin_and_the_margin_is_small(every: int) -> None:
    true = fill(RANDOMLY.format(every))
    found = plan()
    assert found.margin is not None
    # The margin holds in 19 of 20 cases, thrice that in all that a test will ever see.
    assert abs(found.changes - true) <= 3 * found.margin
    assert 0 < found.margin < max(true // 2, 200)


def test_rows_that_lie_together_make_the_margin_wide() -> None:
    true = fill("i <= 10000")
    found = plan()
    assert found.margin is not None
    assert abs(found.changes - true) <= 3 * found.margin
    assert found.margin > ROWS // 20


@pytest.mark.parametrize("differs", ["false", "i = 7777"])
def test_that_nothing_is_to_be_done_is_never_guessed(differs: str) -> None:
    true = fill(differs)
    found = plan()
    if found.changes == 0 or found.margin is None:
        assert (found.changes, found.margin, found.looked_at) == (true, None, ROWS)
    else:
        assert true  # the one row lay in the sample


def test_few_rows_are_done_whatever_the_sample_saw() -> None:
    fill("i = 7777")
    assert engine.apply(find("shelf.lift_counter"), {}, Options(verify=True))[0].changed == 1


def test_exact_counts() -> None:
    true = fill(RANDOMLY.format(5))
    found = plan(exact=True)
    assert (found.looked_at, found.changes, found.margin) == (ROWS, true, None)
    assert len(found.largest) == 10


def test_guards_and_all_or_nothing_are_exact() -> None:
    true = fill(RANDOMLY.format(5))
    for options in ({"guards": Guards(max_rows=10**6)}, {"atomic": True}):
        found = plan(**options)
        assert (found.changes, found.margin) == (true, None)


def test_small_tables_are_exact() -> None:
    true = fill(EVENLY.format(5), rows=10_000)
    assert (plan().changes, plan().margin) == (true, None)


def test_a_table_of_unknown_size_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "EXACT_UP_TO", 10)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE shelf_counter CASCADE")
    Counter.objects.bulk_create(Counter(pk=key) for key in range(1, 21))
    assert (plan().changes, plan().margin) == (20, None)


def test_money_and_refused_rows_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "EXACT_UP_TO", 100)
    make_shop()
    raise_prices()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_subscription")
    _, found = engine.plan_only(job(), EVERYTHING, Options())
    assert (found.changes, found.margin) == (400, None)


def test_a_run_of_an_estimated_plan_writes_every_row() -> None:
    true = fill(RANDOMLY.format(5))
    asked: list[Plan] = []

    def agree(found: Plan) -> bool:
        asked.append(found)
        return True

    run, found = engine.apply(find("shelf.lift_counter"), {}, Options(confirm=agree, verify=True))
    assert found.margin is not None
    assert asked == [found]
    assert (run.state, run.changed, Counter.objects.exclude(v=7).count()) == ("done", true, 0)
    assert run.plan["margin"] == found.margin


def test_a_partitioned_table_and_text_keys_are_sampled_too() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shelf_reading (day, id, v) SELECT date '2025-10-01' + (i % 180), i, i % 5 "
            "FROM generate_series(1, 50000) AS i"
        )
        cursor.execute("INSERT INTO shelf_word (word, v) SELECT md5(i::text), 0 FROM generate_series(1, 50000) AS i")
        cursor.execute("ANALYZE shelf_reading, shelf_word")
    for name in ("shelf.lift_reading", "shelf.lift_word"):
        _, found = engine.plan_only(find(name), {}, Options())
        assert found.margin is not None
        assert (found.looked_at, found.changes) == (ROWS, ROWS)


def test_a_job_with_a_statement_of_its_own_is_estimated_by_the_tables_size() -> None:
    fill("true")
    _, found = engine.plan_only(find("shelf.increment"), {"by": 1}, Options())
    assert (found.changes, found.margin) == (ROWS, ROWS // 10)


def test_people_are_told_that_it_is_about_so_many() -> None:
    true = fill(EVENLY.format(5))
    said = command("run_job", "shelf.lift_counter", "--dry-run")
    first = said.out.splitlines()[0]
    assert said.code == 0
    assert first.startswith(f"Looked at {ROWS:,} counters: about {true:,} would change (a sample: +- ")
    assert first.endswith("; --exact counts).")
    exact = command("run_job", "shelf.lift_counter", "--dry-run", "--exact").out.splitlines()[0]
    assert exact == f"Looked at {ROWS:,} counters: {true:,} would change, 0 held, 0 refused."
