"""The harness for users' jobs: it passes for jobs that keep the promise, and fails for each way to break it."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.db import connection, connections, transaction

from ops import sql, testing
from ops.engine import run as engine
from ops.engine.jobs import BrokenJob, Job, Reconcile, Written
from ops.engine.lifecycle import Failed, Options, Stopped
from ops.engine.parameters import BadParameters
from ops.models import Changeset, Hold, Run, Window
from ops.testing import NotTestable, assert_exactly_once, assert_matches_reference, assert_replay_is_noop
from tests.ops.shop import other_connection
from tests.shelf import jobs
from tests.shelf.models import Counter, Rate

pytestmark = pytest.mark.django_db(transaction=True)


def make(rows: int = 9) -> list[int]:
    """Make counters, and return their keys."""
    return [counter.pk for counter in Counter.objects.bulk_create([Counter(v=i) for i in range(rows)])]


def make_rates(rows: int = 7) -> None:
    Rate.objects.bulk_create([Rate(currency="KRW", version=i, slot=date(2026, 1, 1), v=i % 4) for i in range(rows)])


def values() -> list[int]:
    return list(Counter.objects.order_by("pk").values_list("v", flat=True))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Return a function that writes a statement of a job that a test brings itself, and returns its name."""
    for directory in sql.ROOT.iterdir():
        (tmp_path / directory.name).symlink_to(directory)
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(sql, "ROOT", tmp_path)

    def write(name: str, text: str) -> str:
        (tmp_path / "mine" / name).write_text(f"-- A statement of a test.\n{text}")
        return f"mine/{name}"

    return write


# Jobs that keep the promise


def test_a_statement_of_ones_own_is_applied_once_whatever_kills_it() -> None:
    make()
    kills = assert_exactly_once(jobs.Increment, {"by": 3}, reference=lambda row: {"v": row.v + 3})
    assert values() == [i + 3 for i in range(9)]
    run = Run.objects.get()
    # Opened, planned, agreed, marked, two windows, four batches, ended: each is a step of its own, both edges hit.
    assert (run.state, run.batches, run.changed, kills > 50) == ("done", 4, 9, True)
    assert (run.started_from, Window.objects.count()) == ("Python", 0)


def test_each_commit_is_hit_on_both_edges_and_by_sweep_and_start(monkeypatch: pytest.MonkeyPatch) -> None:
    make(6)
    attempt = testing._Killed._attempt
    steps: list[tuple[str, int, bool]] = []

    def state() -> tuple[Any, ...]:
        found = Run.objects.values_list("cursor", "plan", "consent", "state").first() or ()
        return (Changeset.objects.count(), *found, *Window.objects.values_list("number", "after", "slot"))

    def recording(killed: Any, kill: Any, *, sweep: bool) -> bool:
        before = state()
        ended = attempt(killed, kill, sweep=sweep)
        if (after := state()) != before:
            steps.append((kill.edge, after[0] - before[0], sweep))
        return ended

    monkeypatch.setattr(testing._Killed, "_attempt", recording)
    assert_exactly_once(jobs.Increment)
    # Had a kill skipped a commit, a process killed before one would have got further, or one by two batches.
    assert {edge for edge, _, _ in steps} == {"after"}
    assert sum(batches for _, batches, _ in steps) == Run.objects.get().batches == 4
    assert max(batches for _, batches, _ in steps) == 1
    assert {sweep for _, _, sweep in steps} == {True, False}


class SecretForm(forms.Form):
    key = forms.CharField(widget=forms.PasswordInput)


@pytest.mark.soak
def test_a_job_that_is_not_registered_and_one_with_a_secret(write: Callable[[str, str], str]) -> None:
    class Unregistered(Reconcile):
        name = "mine.unregistered"
        target = Counter
        wanted = write("list_five.sql", "-- returns: id, v\nSELECT c.id, 5 AS v FROM shelf_counter AS c")
        columns = ("v",)

    class Secret(Unregistered):
        name = "mine.secret"
        params = SecretForm
        columns = ("note",)
        wanted = write(
            "list_keyed.sql",
            "-- params: key\n-- returns: id, note\nSELECT c.id, md5(%(key)s::text) AS note FROM shelf_counter AS c",
        )

    make(5)
    assert assert_exactly_once(Unregistered) > 20
    assert "mine.unregistered" not in engine.registry.names()
    # A sweep does not know the secret, so whoever does starts it again.
    assert assert_exactly_once(Secret, {"key": "sesame"}) > 20


@pytest.mark.soak
def test_a_statement_that_takes_a_range_of_keys(write: Callable[[str, str], str]) -> None:
    class Ranges(Job):
        name = "mine.ranges"
        target = Counter
        columns = ("v",)
        batch = write(
            "add_range.sql",
            "-- params: first, last\n-- returns: id, v\nUPDATE shelf_counter AS c SET v = c.v + 1 "
            "WHERE c.id BETWEEN %(first)s::bigint AND %(last)s::bigint RETURNING c.id, c.v",
        )

    make(7)
    assert assert_exactly_once(Ranges, reference=lambda row: {"v": row.v + 1}) > 20
    assert values() == [i + 1 for i in range(7)]


def test_a_parameter_has_no_name_that_the_engine_gives_another_value() -> None:
    class MonthForm(forms.Form):
        month = forms.CharField()

    class Monthly(jobs.Normalise):
        name = "mine.monthly"
        params = MonthForm

    with pytest.raises(BrokenJob, match="a parameter can't be called 'month'"):
        assert_replay_is_noop(Monthly, {"month": "May"})


@pytest.mark.soak
def test_what_changes_by_the_clock_can_be_left_out() -> None:
    make(5)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN NEW.note := clock_timestamp()::text; RETURN NEW; END$$"
        )
        cursor.execute("CREATE TRIGGER stamp BEFORE UPDATE ON shelf_counter FOR EACH ROW EXECUTE FUNCTION stamp()")
    try:
        with pytest.raises(AssertionError, match=r"shelf.increment is not as one clean pass leaves it, after kill \d+"):
            assert_exactly_once(jobs.Increment)
        Run.objects.all().delete()
        assert assert_exactly_once(jobs.Increment, ignore=("note",)) > 20
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION stamp CASCADE")


def test_a_replay_is_a_noop() -> None:
    make()
    make_rates()
    assert_replay_is_noop(jobs.Normalise)
    assert_replay_is_noop(jobs.LiftRate, batch_size=2)
    assert Run.objects.filter(changed=0).count() == Run.objects.exclude(changed=0).count() == 2


def test_a_reference_agrees() -> None:
    make()
    assert_matches_reference(jobs.Increment, lambda row: {"v": row.v + 4}, {"by": "4"}, batch_size=2)
    assert_matches_reference("shelf.normalise", lambda row: {"note": f"v is {row.v}"})
    make_rates()
    assert_matches_reference(jobs.LiftRate, lambda row: None if row.v == 7 else {"v": "7"})
    assert Run.objects.count() == 3


def test_within_a_transaction_a_batch_has_its_own_rows_only() -> None:
    make()
    with transaction.atomic():
        # As a view under ATOMIC_REQUESTS calls it: no commit empties the table of a batch's keys.
        engine.apply(jobs.Increment(), {"by": 1}, Options(batch_size=2))
        assert values() == [i + 1 for i in range(9)]
        assert_matches_reference(jobs.Increment, lambda row: {"v": row.v + 1}, batch_size=2)
        assert_replay_is_noop(jobs.Normalise, batch_size=2)


# Jobs that break it


class CommitsItself(jobs.IncrementUnkept):
    """Its data is committed before the checkpoint, as by a cursor that is saved elsewhere."""

    name = "mine.commits_itself"
    parent = os.getpid()

    def after_batch(self, written: Written) -> None:
        if os.getpid() != self.parent:
            connections[written.database].connection.commit()


def test_what_is_committed_beside_the_checkpoint_shows_as_applied_twice() -> None:
    keys = make(4)
    with pytest.raises(AssertionError) as caught:
        assert_exactly_once(CommitsItself, batch_size=2)
    said = str(caught.value)
    assert "mine.commits_itself is not as one clean pass leaves it, after kill " in said
    assert "(SIGKILL right " in said
    first = next(i for i, key in enumerate(keys) if f"row {key}: v is {i + 2}, expected {i + 1} (it was {i})" in said)
    assert values()[first] == first + 2


def test_a_statement_that_does_not_keep_to_its_batch(write: Callable[[str, str], str]) -> None:
    class Everywhere(Job):
        name = "mine.everywhere"
        target = Counter
        batch = write(
            "add_everywhere.sql",
            "UPDATE shelf_counter AS c SET v = c.v + 1 WHERE EXISTS (SELECT 1 FROM pg_temp.ops_batch AS b)",
        )

    make(8)
    with pytest.raises(AssertionError, match=r"mine.everywhere is not as one clean pass leaves it, after kill \d+ "):
        assert_exactly_once(Everywhere)
    assert max(values()) > 8


def test_an_effect_outside_of_the_transaction_is_not_undone_with_it(write: Callable[[str, str], str]) -> None:
    class Tallies(Job):
        name = "mine.tallies"
        target = Counter
        rows = write("list_small.sql", "-- returns: id\nSELECT c.id FROM shelf_counter AS c WHERE c.v < 100")
        batch = "shelf/increment_counters.sql"
        params = jobs.ByForm
        columns = ("v",)

        def after_batch(self, written: Written) -> None:
            with other_connection() as other, other.cursor() as cursor:
                cursor.execute("UPDATE shelf_counter SET v = v + 1 WHERE v >= 100")

    make(4)
    tally = Counter.objects.create(v=100)
    with pytest.raises(AssertionError) as caught:
        assert_exactly_once(Tallies)
    assert str(caught.value) == (
        "mine.tallies has effects outside its transaction: these rows changed though it was undone:\n"
        f"  row {tally.pk}: v is 101, expected 100 (it was 100)"
    )


@pytest.mark.soak
def test_an_effect_elsewhere_that_a_kill_repeats() -> None:
    sent: list[int] = []
    reads, writes = os.pipe()

    class Sends(jobs.Normalise):
        name = "mine.sends"

        def after_batch(self, written: Written) -> None:
            os.write(writes, b"." * len(written.keys))

    def told() -> int:
        os.set_blocking(reads, False)
        try:
            sent.append(len(os.read(reads, 10_000)))
        except BlockingIOError:
            sent.append(0)
        return sent[-1]

    make(4)
    try:
        with pytest.raises(AssertionError, match=r"mine.sends also wrote \d+, expected 4, after kill \d+ "):
            assert_exactly_once(Sends, also=told)
    finally:
        os.close(reads)
        os.close(writes)
    assert (sent[0], sent[1] > 4) == (4, True)


def test_a_wrong_reference_is_told_row_by_row() -> None:
    keys = make(9)
    wrong = lambda row: {"note": f"v is {row.v + 1}"}  # noqa: E731 - one line says it
    with pytest.raises(AssertionError) as caught:
        assert_matches_reference(jobs.Normalise, wrong)
    lines = str(caught.value).splitlines()
    assert lines[0] == "shelf.normalise does not match the reference:"
    assert lines[1] == f"  row {keys[0]}: note is 'v is 0', expected 'v is 1' (it was '')"
    assert (len(lines), lines[-1]) == (7, "  and 4 more")
    Counter.objects.update(note="")
    with pytest.raises(AssertionError, match=r"shelf.normalise does not match the reference after one clean pass:\n"):
        assert_exactly_once(jobs.Normalise, reference=wrong)
    with pytest.raises(AssertionError, match=r"row .*: note is 'v is 3', expected ''"):
        assert_matches_reference(jobs.Normalise, lambda row: None if row.v == 3 else {"note": f"v is {row.v}"})


def test_a_reconcile_that_never_settles(write: Callable[[str, str], str]) -> None:
    class Grows(Reconcile):
        name = "mine.grows"
        target = Counter
        wanted = write("list_grown.sql", "-- returns: id, v\nSELECT c.id, c.v + 1 AS v FROM shelf_counter AS c")
        columns = ("v",)

    (key,) = make(1)
    with pytest.raises(AssertionError) as caught:
        assert_replay_is_noop(Grows)
    second = Run.objects.latest("pk").pk
    assert str(caught.value) == (
        f"mine.grows is not settled: its second run (run {second}) wrote 1 rows:\n"
        f"  row {key}: v is 2, expected 1 (it was 1)"
    )


def test_post_checks_and_stops_are_not_swallowed() -> None:
    make(3)
    Counter.objects.create(v=-1)
    with pytest.raises(Failed, match=r"its post-check shelf/find_bad_notes.sql found 1 row"):
        assert_exactly_once(jobs.Told)
    assert not Run.objects.exists()

    class Stops(jobs.Normalise):
        name = "mine.stops"
        parent = os.getpid()

        def after_batch(self, written: Written) -> None:
            if os.getpid() != self.parent:
                raise Stopped("enough")

    with pytest.raises(
        AssertionError, match=r"(?s)mine.stops, \w.*: A process to be killed right \w+ commit \d+ failed: .*enough"
    ):
        assert_exactly_once(Stops)


# What proves nothing, or can't be tested


def test_a_test_that_would_prove_nothing_fails() -> None:
    with pytest.raises(AssertionError, match=r"shelf.normalise changed no row, so killing it proves nothing"):
        assert_exactly_once(jobs.Normalise)
    with pytest.raises(AssertionError, match=r"shelf.normalise changed no row, so a replay proves nothing"):
        assert_replay_is_noop(jobs.Normalise)
    with pytest.raises(AssertionError, match=r"shelf.Counter has no row, so a reference proves nothing"):
        assert_matches_reference(jobs.Normalise, lambda row: None)


def test_what_can_not_be_tested_says_so() -> None:
    make(3)
    with transaction.atomic(), pytest.raises(NotTestable, match="use TransactionTestCase instead of TestCase"):
        assert_exactly_once(jobs.Increment)
    with pytest.raises(NotTestable, match=r"shelf.increment has a statement of its own"):
        assert_replay_is_noop(jobs.Increment)

    class Twin(jobs.Normalise):
        pass

    with pytest.raises(NotTestable, match=r"Another job is registered as 'shelf.normalise'"):
        assert_exactly_once(Twin)
    with pytest.raises(BadParameters, match=r"--by: Enter a whole number"):
        assert_exactly_once(jobs.Increment, {"by": "x"})
    stop = Options(batch_size=1)
    stop.stop.set()
    with pytest.raises(Stopped):
        engine.apply(jobs.Increment(), {"by": 1}, stop)
    with pytest.raises(NotTestable, match=r"Run \d+ of shelf.increment is unfinished"):
        assert_exactly_once(jobs.Increment)
    assert (values(), Hold.objects.count()) == ([0, 1, 2], 0)
