"""Batches follow a target time: as a model, and on a table whose rows are dear."""

from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from ops.engine import control
from ops.engine.lifecycle import Stopped
from ops.engine.pacing import FIRST, Pace
from ops.models import Run
from tests.shelf.kinds import KINDS

INTEGER = KINDS["integer"]

MANY = 10**9

# Seconds of a row for which 0.5 s are 2,000 rows, the first batch.
FITTING = 0.5 / FIRST

costs = st.floats(FITTING / 20, FITTING * 20)


def _batch(pace: Pace, cost: float, most: int = MANY) -> int:
    """Take one batch at so many seconds a row; return its rows."""
    rows = min(pace.size, most)
    pace.took(rows, rows * cost, most)
    return rows


@given(cost=costs)
def test_it_converges_within_ten_batches_over_a_twenty_fold_range_either_way(cost: float) -> None:
    pace = Pace(0.5)
    for _ in range(10):
        _batch(pace, cost)
    assert abs(pace.size * cost - 0.5) <= max(0.05 * 0.5, cost)


@given(first=costs, then=costs)
def test_it_follows_a_cost_that_changes(first: float, then: float) -> None:
    pace = Pace(0.5)
    for cost in (*[first] * 10, *[then] * 10):
        _batch(pace, cost)
    assert abs(pace.size * then - 0.5) <= max(0.05 * 0.5, then)


@given(costs=st.lists(st.floats(1e-9, 10), min_size=1, max_size=30), most=st.integers(1, 10**6))
def test_it_at_most_doubles_and_never_comes_to_nothing(costs: list[float], most: int) -> None:
    pace = Pace(0.5)
    for cost in costs:
        before = pace.size
        _batch(pace, cost, most)
        assert 1 <= pace.size <= 2 * before
        assert pace.size <= max(most, FIRST)


@given(cost=st.floats(FITTING, 0.5))
def test_it_drops_at_once_however_far(cost: float) -> None:
    pace = Pace(0.5)
    _batch(pace, cost)
    assert pace.size == int(0.5 / cost) or abs(pace.size - 0.5 / cost) <= 1


def test_a_row_that_takes_longer_than_the_target_is_a_batch_of_its_own() -> None:
    pace = Pace(0.5)
    _batch(pace, 60)
    assert pace.size == 1


def test_a_short_last_batch_says_nothing_and_a_slow_one_does() -> None:
    pace = Pace(0.5)
    pace.took(3, 0.01, MANY)
    assert pace.size == FIRST
    pace.took(100, 1.0, MANY)
    assert pace.size == 50


@given(costs=st.lists(st.floats(1e-9, 10), max_size=20), size=st.integers(1, 10**6))
def test_a_fixed_size_stays(costs: list[float], size: int) -> None:
    pace = Pace(0.5, size)
    assert [_batch(pace, cost) for cost in costs] == [size] * len(costs)


@given(size=st.integers(1, 10**6), times=st.integers(1, 25))
def test_blocked_it_halves_and_a_fixed_size_comes_back_by_doubling(size: int, times: int) -> None:
    pace = Pace(0.5, size)
    for _ in range(times):
        pace.blocked(MANY)
    assert pace.size == max(1, size >> times)
    sizes = []
    while pace.size < size:
        sizes.append(_batch(pace, 1))
    assert len(sizes) <= times + 1
    assert [_batch(pace, 1), pace.size] == [size, size]


def test_what_is_halved_is_the_batch_however_large_the_next_one_might_have_been() -> None:
    pace = Pace(0.5)
    pace.blocked(90)
    assert pace.size == 45


def test_an_operator_fixes_a_size_changes_it_and_lets_it_follow_the_time_again() -> None:
    pace = Pace(0.5)
    pace.retune(300, 0.5)
    assert (_batch(pace, 1), pace.size) == (300, 300)
    pace.blocked(MANY)
    pace.retune(300, 0.5)  # what is asked for already changes nothing
    assert pace.size == 150
    pace.retune(40, 0.5)
    assert pace.size == 40
    pace.retune(None, 0.25)
    _batch(pace, 0.01)
    assert pace.size == 25


DEAR = """
CREATE FUNCTION dear() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END$$;
CREATE TRIGGER dear BEFORE UPDATE ON shelf_counter FOR EACH ROW EXECUTE FUNCTION dear()
"""


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> Iterator[int]:
    """Make so many rows, each of which takes a millisecond at least to write."""
    with connection.cursor() as cursor:
        cursor.execute(DEAR)
        cursor.execute(
            "INSERT INTO shelf_counter (id, v, note, email) SELECT i, 0, '', '' FROM generate_series(1, %s) AS i",
            [request.param],
        )
    yield request.param
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION dear CASCADE")


def _sizes(run: Run) -> list[int]:
    return list(run.changesets.order_by("window", "batch").values_list("rows", flat=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", [1_400], indirect=True)
def test_dear_rows_get_small_batches(rows: int) -> None:
    run = INTEGER.apply(target_time=100)
    sizes = _sizes(run)
    assert (run.state, sum(sizes)) == ("done", rows)
    # Of rows that take at least a millisecond no batch after the first can have more than 100 in the target time.
    assert sizes[0] <= 1_000
    assert max(sizes[1:]) <= 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", [400], indirect=True)
def test_a_batch_that_times_out_is_halved_until_it_does_not_and_the_run_ends(rows: int) -> None:
    # Five attempts at halving would not do: 20 times the target time are 20 ms, less than 20 rows take.
    run = INTEGER.apply(target_time=1, attempts=2)
    sizes = _sizes(run)
    assert (run.state, run.changed, sum(sizes)) == ("done", rows, rows)
    assert max(sizes) < 20
    blocked = list(run.events.filter(what="blocked").values_list("detail", flat=True))
    assert len(blocked) > 3
    assert all("statement timeout" in detail for detail in blocked)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", [400], indirect=True)
def test_a_fixed_size_has_the_runs_own_time_limit_and_is_halved_by_it_too(rows: int) -> None:
    run = INTEGER.apply(batch_size=300, target_time=1, statement_timeout=200)
    assert (run.state, run.changed) == ("done", rows)
    assert 200 > max(_sizes(run)) > 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows", [2], indirect=True)
def test_a_single_row_that_times_out_stops_the_run_resumably(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(DEAR.partition(";\n")[0].replace("CREATE", "CREATE OR REPLACE").replace("0.001", "5"))
    with pytest.raises(Stopped, match=r"statement timeout; .*runs resume"):
        INTEGER.apply(target_time=1, attempts=2)
    assert (Run.objects.get().state, set(INTEGER.values().values())) == ("stopped", {0})


@pytest.mark.django_db(transaction=True)
def test_a_run_is_retuned_under_way() -> None:
    INTEGER.insert([((key,), 0) for key in range(1, 1_001)])

    def retune(done: int, total: int) -> None:
        if done == 100:
            control.retune("default", Run.objects.get(), batch_size=300)

    run = INTEGER.apply(batch_size=50, progress=retune)
    # It is heard with the commit of the next batch.
    assert _sizes(run) == [50, 50, 50, 300, 300, 250]
