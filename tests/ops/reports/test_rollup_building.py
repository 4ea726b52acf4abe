"""What a rollup is refused for, in a sentence; and the job `ops.refresh_rollup` as any other job."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.db import DatabaseError, models
from django.test.utils import isolate_apps

from ops.engine import parameters
from ops.engine import registry as jobs
from ops.engine import run as engine
from ops.engine.lifecycle import Cancelled, Options, Stopped
from ops.engine.plan import Refused
from ops.models import Rollup, Run
from ops.reports import Avg, Count, Filter, Min, Report, Sum
from tests.ops import shop
from tests.ops.reports import rolled
from tests.ops.reports.rolled import Events, Plainest, ask, assert_same, refresh, registered, touched

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _events(db: None) -> Iterator[None]:
    rolled.make()
    ask("ALTER TABLE rolled_event ADD COLUMN code char(3), ADD COLUMN ratio double precision, ADD COLUMN bits bit(2)")
    ask("DELETE FROM ops_rollup")
    with registered(Events, Plainest):
        rolled.fill(30)
        yield


def declared(**more: Any) -> type[Report]:
    return type("Declared", (Plainest,), {"name": "declared", **more})


SETTINGS = (
    "follows from settings of a session, or from the time at which it is computed: write it so that it follows from "
    "the row alone, as (t.at AT TIME ZONE %(zone)s)::date does, where t.at::date does not"
)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"groups": {"day": "t.at::date"}}, f"a group or filter (t.at::date) {SETTINGS}"),
        ({"where": "t.at < now()"}, f"its condition (t.at < now()) {SETTINGS}"),
        ({"measures": {"odd": Sum("t.size", where="random() < 0.5")}}, f"measure 'odd' (random() < 0.5) {SETTINGS}"),
        (
            {"filters": {"day": Filter("to_char(t.at, 'DD')", forms.CharField())}},
            f"a group or filter (to_char(t.at, 'DD')) {SETTINGS}",
        ),
        (
            {"groups": {"others": "(SELECT count(*) FROM billing_client)"}},
            (
                "a group or filter can't be computed from a row alone: (SELECT count(*) FROM billing_client): cannot "
                "use "
                "subquery in index predicate"
            ),
        ),
        (
            {"measures": {"last": Min("t.size ORDER BY t.at")}},
            (
                "measure 'last' can't be computed from a row alone: t.size ORDER BY t.at: syntax error at or near "
                '"ORDER"'
            ),
        ),
        (
            {"measures": {"ratio": Sum("t.ratio")}},
            (
                "sum(t.ratio) is of type double precision, and only sums of whole numbers and numeric do not follow "
                "from "
                "the order in which they are made: cast it to numeric"
            ),
        ),
        (
            {"measures": {"age": Avg("t.at - timestamptz '2026-01-01 00:00+00'")}},
            (
                "sum(t.at - timestamptz '2026-01-01 00:00+00') is of type interval, and only sums of whole numbers and "
                "numeric do not follow from the order in which they are made: cast it to numeric"
            ),
        ),
        (
            {"groups": {"code": "t.code"}},
            "t.code is of type character, which is not kept as it is: cast it to another one, such as text",
        ),
        (
            {"groups": {"bits": "t.bits"}},
            "t.bits is of type bit, which is not kept as it is: cast it to another one, such as text",
        ),
        (
            {"measures": {"code": Min("t.code")}},
            "min(t.code) is of type character, which is not kept as it is: cast it to another one",
        ),
    ],
)
def test_what_can_t_be_summed_is_refused(more: dict[str, Any], why: str) -> None:
    with registered(declared(**more)):
        before = ask("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass")
        with pytest.raises(Refused) as refused:
            refresh("declared", rebuild=True)
    assert str(refused.value) == f"Report 'declared' can have no rollup: {why}; nothing was changed."
    assert Run.objects.get().state == Run.State.REFUSED
    assert not Rollup.objects.exists()
    assert ask("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass") == before
    assert ask("SELECT to_regclass('pg_temp.t')") == [(None,)]


@pytest.mark.parametrize(
    "more",
    [
        {"groups": {"code": "t.code::text", "day": "(t.at AT TIME ZONE %(zone)s)::date"}},
        {"measures": {"ratio": Sum("t.ratio::numeric"), "least": Min("t.ratio"), "rows": Count("t.ratio")}},
        {"where": "t.at >= timestamptz '2026-05-01 00:00+00'", "groups": {"one": "1", "two": "1"}},
    ],
)
def test_what_follows_from_a_row_is_kept(more: dict[str, Any]) -> None:
    ask("UPDATE rolled_event SET code = kind, ratio = size / 7.0")
    report = declared(**more)
    with registered(report):
        refresh("declared", rebuild=True)
        assert_same(report())


def test_a_collation_by_which_texts_are_equal_is_refused() -> None:
    try:
        ask("SAVEPOINT made")
        ask("CREATE COLLATION rolled_any (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except DatabaseError:
        ask("ROLLBACK TO SAVEPOINT made")
        pytest.skip("this server has no ICU")
    ask("ALTER TABLE rolled_event ALTER COLUMN kind TYPE text COLLATE rolled_any")
    with registered(declared(groups={"kind": "t.kind"})), pytest.raises(Refused) as refused:
        refresh("declared", rebuild=True)
    assert str(refused.value) == (
        "Report 'declared' can have no rollup: t.kind has a collation by which different texts are equal; nothing was "
        "changed."
    )


def test_a_source_without_an_index_is_refused() -> None:
    ask("DROP INDEX rolled_event_at")
    ask("CREATE INDEX ON rolled_event (at) WHERE size > 1")
    with pytest.raises(Refused) as refused:
        refresh("plainest", rebuild=True)
    assert str(refused.value) == (
        "Report 'plainest' can have no rollup: its source has no index that begins with at, which touched buckets are "
        "read by: create one; nothing was changed."
    )


@isolate_apps("tests.shelf")
def test_a_source_that_is_not_there_is_refused() -> None:
    class Gone(models.Model):
        at = models.DateTimeField()

        class Meta:
            app_label = "shelf"
            managed = True
            db_table = "rolled_gone"

        def __str__(self) -> str:
            return str(self.at)

    with registered(declared(source=Gone, measures={"count": Count()})), pytest.raises(Refused) as refused:
        refresh("declared", rebuild=True)
    assert 'its source "rolled_gone" is not there, and only a table has triggers' in str(refused.value)


def test_the_job_is_planned_shown_and_stopped_as_any_other() -> None:
    refresh("plainest", rebuild=True)
    rolled.fill(40)
    job = jobs.find("ops.refresh_rollup")
    params = parameters.clean(job.params, {}, "default")
    run, plan = engine.plan_only(job, params, Options())
    assert (run.state, plan.looked_at, plan.changes) == ("planned", 13, 13)
    code = shop.command("run_job", "ops.refresh_rollup", "--dry-run")
    assert "Looked at 13 touched buckets: 13 would change" in code.out
    text = engine.statements(job, params, Options(), None, explain=False)
    assert text.startswith("-- plainest\nWITH ops_taken AS (DELETE FROM ops_rolluptouched")
    assert "Index" in engine.statements(job, params, Options(), None, explain=True)

    stopping = Options(batch_size=5)
    stopping.stop.set()
    with pytest.raises(Stopped, match="as asked: 'manage\\.py runs resume"):
        engine.apply(job, params, stopping)
    stopped = Run.objects.latest("pk")
    assert (stopped.state, stopped.batches, stopped.cursor["left"]) == ("stopped", 1, ["plainest"])
    assert_same(Plainest())
    engine.resume(job, stopped, Options(batch_size=5))
    stopped.refresh_from_db()
    assert (stopped.state, stopped.batches, stopped.result["buckets"], touched("plainest")) == ("done", 3, 13, [])


def test_a_pause_and_an_end_are_heeded_at_the_next_batch() -> None:
    refresh("plainest", rebuild=True)
    rolled.fill(40)
    job = jobs.find("ops.refresh_rollup")
    params = parameters.clean(job.params, {"report": "plainest"}, "default")

    def wish(word: str) -> Options:
        return Options(batch_size=4, progress=lambda done, total: _wish(word))

    with pytest.raises(Stopped, match="was paused"):
        engine.apply(job, params, wish("pause"))
    run = Run.objects.latest("pk")
    assert (run.state, run.batches) == ("paused", 2)
    assert_same(Plainest())
    with pytest.raises(Cancelled):
        engine.resume(job, run, wish("cancel"))
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert_same(Plainest())


def _wish(word: str) -> None:
    Run.objects.filter(state="running").update(wish=word)


def test_guards_bound_the_buckets() -> None:
    refresh("plainest", rebuild=True)
    rolled.fill(40)
    said = shop.command("run_job", "ops.refresh_rollup", "--max-rows", "3", "--no-input")
    assert (said.code, said.error) == (
        3,
        (
            "13 touched buckets would change, more than --max-rows 3: look at the plan, then raise the bound; nothing "
            "was "
            "changed."
        ),
    )
    assert len(touched("plainest")) == 13


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rebuild": True}, "One rollup is rebuilt at a time: name its --report."),
        ({"report": "nothing"}, "--report: There is no report 'nothing'; there is: events, plainest."),
    ],
)
def test_parameters_are_looked_at(given: dict[str, Any], said: str) -> None:
    with pytest.raises(parameters.BadParameters) as bad:
        parameters.clean(jobs.find("ops.refresh_rollup").params, given, "default")
    assert str(bad.value) == said


def test_a_run_of_it_can_t_be_reverted_and_says_so() -> None:
    run = refresh("plainest", rebuild=True)
    said = shop.command("runs", "revert", str(run.pk), "--no-input")
    assert said.code == 3
    assert "declares no columns, so nothing was kept to revert it by" in said.error
    assert json.loads(shop.command("runs", "show", str(run.pk), "--json").out)["job"] == "ops.refresh_rollup"
