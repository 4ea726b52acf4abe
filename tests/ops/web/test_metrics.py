"""/metrics: each number is what the tables and the queues hold."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from pytest_django import Settings

from ops import clock
from ops.clock.schedules import Schedule as Declared
from ops.engine import changeset, retention
from ops.engine import run as engine
from ops.engine.plan import Guards, Refused
from ops.engine.session import Session
from ops.models import MissedSlots, Run, RunEvent, Schedule
from ops.web import metrics as module
from ops.web.broker import Waiting, look
from tests.ops.shop import EVERYTHING, job, make_shop, raise_prices, small
from tests.ops.web.losing import lose_broker, lose_database
from tests.ops.web.scraping import SAYS_IT, scraped

pytestmark = pytest.mark.django_db
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
COUNTERS = {f"setwise_{one.name}_total" for one in module.METRICS if one.kind == "counter"}


# What it says


def test_both_formats_can_be_read_strictly() -> None:
    make_shop(20)
    raise_prices()
    engine.apply(job(), EVERYTHING, small())
    answer = Browser().get("/metrics", headers=SAYS_IT | {"accept": OPENMETRICS})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    strict = {family.name for family in read_openmetrics(answer.content.decode())}
    plain = {family.name for family in read_text(Browser().get("/metrics", headers=SAYS_IT).content.decode())}
    assert strict == plain
    assert strict <= {f"setwise_{one.name}" for one in module.METRICS}


def test_runs_are_counted_by_job_verb_and_state() -> None:
    make_shop()
    raise_prices()
    engine.plan_only(job(), EVERYTHING, small())
    done, _ = engine.apply(job(), EVERYTHING, small())
    changeset.revert(done, small())
    raise_prices()
    with pytest.raises(Refused):
        engine.apply(job(), EVERYTHING, small(guards=Guards(max_rows=1)))
    found = scraped()
    reprice = "billing.reprice"
    assert found.of("runs_total") == {
        (reprice, "planned", "plan"): 1,
        (reprice, "done", "apply"): 1,
        (reprice, "done", "revert"): 1,
        (reprice, "refused", "apply"): 1,
    }
    assert found.of("rows_written_total") == {(reprice, "plan"): 0, (reprice, "apply"): 400, (reprice, "revert"): 400}
    assert found.of("run_duration_seconds_count") == {
        (reprice, "plan"): 1,
        (reprice, "apply"): 2,
        (reprice, "revert"): 1,
    }
    events = found.of("run_events_total")
    assert (events[("opened",)], events[("done",)], events[("refused",)]) == (3, 2, 1)
    assert found.of("job_last_ok") == {(reprice,): 0}
    assert abs(found.of("job_last_ended_timestamp_seconds")[(reprice,)] - time.time()) < 60
    assert found.of("unfinished_runs") == {}
    assert found.of("database_up") == {(): 1}


def ended(
    name: str, at: datetime, seconds: float = 1.0, state: str = "done", verb: str = "apply", changed: int = 10
) -> Run:
    """Record a run that ended at an instant, and its events."""
    run = Run.objects.create(
        job=name,
        verb=verb,
        scope=name,
        state=state,
        as_of=at,
        changed=changed,
        created_at=at - timedelta(seconds=seconds),
        finished_at=at,
    )
    RunEvent.objects.create(run=run, what="opened", who="x", at=run.created_at)
    RunEvent.objects.create(run=run, what=state, who="x", at=at)
    return run


def midnight() -> datetime:
    return clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def test_counters_begin_at_midnight_and_do_not_fall_when_old_runs_go() -> None:
    for days in range(1, 400, 40):
        ended("old", midnight() - timedelta(days=days))
    ended("old", midnight() - timedelta(microseconds=1))
    ended("old", midnight(), changed=7)
    ended("old", midnight() + timedelta(microseconds=1), changed=70)
    before = scraped()
    assert before.of("runs_total") == {("old", "done", "apply"): 2}
    assert before.of("rows_written_total") == {("old", "apply"): 77}
    # These two were opened a second before they ended, yesterday.
    assert before.of("run_events_total") == {("done",): 2}
    assert before.of("counted_since_timestamp_seconds") == {(): midnight().timestamp()}
    retention.prune("default", midnight() - timedelta(days=1))
    after = scraped()
    counters = {key for key in before if key[0] in COUNTERS}
    assert {key: before[key] for key in counters} == {key: after[key] for key in counters}


def test_events_are_found_though_their_numbers_are_a_little_out_of_order() -> None:
    run = ended("old", midnight() - timedelta(days=3))
    for minutes in (-50, 1, 2, -30, 3, -1, 4):
        RunEvent.objects.create(run=run, what="blocked", who="x", at=midnight() + timedelta(minutes=minutes))
    assert scraped().of("run_events_total") == {("blocked",): 4}


def test_durations_are_in_buckets() -> None:
    for seconds in (0.05, 0.3, 0.3, 30, 7_200, 200_000):
        ended("any", clock.now(), seconds)
    found = scraped()
    buckets = {float(bound): n for (_, bound, _), n in found.of("run_duration_seconds_bucket").items()}
    assert buckets == {
        0.1: 1,
        0.5: 3,
        1.0: 3,
        5.0: 3,
        15.0: 3,
        60.0: 4,
        300.0: 4,
        900.0: 4,
        3600.0: 4,
        14400.0: 5,
        43200.0: 5,
        86400.0: 5,
        float("inf"): 6,
    }
    assert found.of("run_duration_seconds_sum")[("any", "apply")] == pytest.approx(207_230.65)


def test_a_jobs_last_run_is_the_last_that_ended_and_no_plan() -> None:
    now = clock.now()
    ended("good", now - timedelta(hours=2), state="failed")
    ended("good", now - timedelta(hours=1))
    ended("good", now, state="planned", verb="plan")
    ended("bad", now - timedelta(hours=9))
    ended("bad", now - timedelta(hours=1), state="unverified")
    ended("never", now, state="failed")
    ended("only planned", now, state="planned", verb="plan")
    Run.objects.create(job="good", verb="apply", scope="", state="running", as_of=now)
    found = scraped()
    assert found.of("job_last_ok") == {("bad",): 0, ("good",): 1, ("never",): 0}
    assert found.of("job_last_done_timestamp_seconds") == {
        ("bad",): pytest.approx((now - timedelta(hours=9)).timestamp()),
        ("good",): pytest.approx((now - timedelta(hours=1)).timestamp()),
    }


def test_unfinished_runs_are_counted_with_the_age_of_the_oldest() -> None:
    now = clock.now()

    def opened(state: str, scope: str, hours: float, queue: str = "", **more: Any) -> Run:
        return Run.objects.create(
            job="any",
            verb="apply",
            scope=scope,
            state=state,
            queue=queue,
            as_of=now,
            changed=5,
            created_at=now - timedelta(hours=hours),
            **more,
        )

    opened("queued", "1", 1, "slow")
    opened("queued", "2", 3, "slow")
    opened("paused", "3", 48)
    # Its connection is gone.
    opened("running", "4", 1, "fast", backend_pid=1, backend_start=now, heartbeat_at=now)
    live, silent = opened("running", "5", 1, "fast", consent=True), opened("running", "6", 1, "fast", consent=True)
    mine = {"backend_pid": connection.connection.info.backend_pid, "backend_start": began()}
    Run.objects.filter(pk=live.pk).update(**mine, heartbeat_at=now)
    # This session is busy with the question, so silence alone does not make its run stale.
    Run.objects.filter(pk=silent.pk).update(**mine, heartbeat_at=now - timedelta(minutes=5))
    found = scraped()
    assert found.of("unfinished_runs") == {
        ("any", "slow", "queued", "apply"): 2,
        ("any", "", "paused", "apply"): 1,
        ("any", "fast", "running", "apply"): 3,
    }
    ages = found.of("unfinished_age_seconds")
    assert ages[("any", "slow", "queued", "apply")] == pytest.approx(3 * 3600, abs=60)
    assert ages[("any", "", "paused", "apply")] == pytest.approx(48 * 3600, abs=60)
    assert found.of("unfinished_rows_written")[("any", "fast", "running", "apply")] == 15
    assert found.of("stale_runs") == {("any", "apply"): 1}


def began() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        found: datetime = cursor.fetchone()[0]
    return found


def beat_row(name: str, minute: str, hour: str, zone: str, **more: Any) -> None:
    crontab = CrontabSchedule.objects.create(minute=minute, hour=hour, timezone=zone)
    PeriodicTask.objects.create(name=name, task="ops.start_slot", crontab=crontab, **more)
    # Edited long ago.
    PeriodicTask.objects.filter(name=name).update(date_changed=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.fixture
def declared(settings: Settings) -> None:
    names = ("late", "off", "gone", "well", "edited")
    settings.SETWISE_SCHEDULES = tuple(Declared(name, job="billing.reprice", cron="0 1 * * *") for name in names)


def test_schedules_are_late_by_the_oldest_slot_that_waits(declared: None) -> None:
    now = clock.now()
    due = now.replace(second=0, microsecond=0) - timedelta(minutes=30)
    beat_row("late", str(due.minute), str(due.hour), "UTC", last_run_at=now)
    beat_row("off", "*/5", "*", "UTC", enabled=False)
    for name, rule, settled in (
        ("late", f"{due.minute} {due.hour} * * * UTC", due - timedelta(days=2, minutes=1)),
        ("off", "", due - timedelta(days=2)),
        ("gone", "every 600 s", now),
    ):
        Schedule.objects.create(name=name, rule=rule, settled_at=settled, seen_at=now)
    MissedSlots.objects.create(schedule="late", first=due, last=due, count=3, reason="x")
    MissedSlots.objects.create(schedule="late", first=now, last=now, reason="x")
    found = scraped()
    late = found.of("slot_late_seconds")
    # Three slots wait; the oldest counts. What has no row is not due, nor is what was off all the time.
    assert late == {("late",): pytest.approx(2 * 86_400 + 1_800, abs=90), ("off",): 0, ("gone",): 0}
    assert found.of("next_slot_timestamp_seconds") == {("late",): (due + timedelta(days=1)).timestamp()}
    assert found.of("schedule_sent_timestamp_seconds") == {("late",): pytest.approx(now.timestamp(), abs=1)}
    assert found.of("missed_slots_total") == {("late",): 4}


def test_what_is_no_longer_declared_is_never_late() -> None:
    now = clock.now()
    beat_row("removed", "*", "*", "UTC")
    Schedule.objects.create(name="removed", rule="* * * * * UTC", settled_at=now - timedelta(days=1), seen_at=now)
    assert scraped().of("slot_late_seconds") == {}


def test_a_schedule_that_is_settled_is_not_late(declared: None) -> None:
    now = clock.now()
    beat_row("well", "*", "*", "Asia/Seoul")
    Schedule.objects.create(name="well", rule="* * * * * Asia/Seoul", settled_at=now, seen_at=now)
    assert scraped().of("slot_late_seconds") == {("well",): pytest.approx(0, abs=1)}


def test_an_edit_counts_from_when_it_was_made(declared: None) -> None:
    now = clock.now()
    hour_ago = now - timedelta(hours=1)
    beat_row("edited", "*", "*", "UTC")
    PeriodicTask.objects.filter(name="edited").update(date_changed=now - timedelta(minutes=10))
    Schedule.objects.create(name="edited", rule="", settled_at=hour_ago, seen_at=hour_ago)
    (late,) = scraped().of("slot_late_seconds").values()
    assert 9 * 60 - 5 < late <= 10 * 60 + 5


@pytest.fixture
def queue() -> Iterator[str]:
    """Return a queue of the broker that is empty before and after."""
    name = current_app.conf.task_default_queue

    def purge() -> None:
        with current_app.connection_for_write() as opened:
            channel = opened.channel()
            channel.queue_purge(name)
            channel.client.delete(channel.unacked_key, channel.unacked_index_key)

    purge()
    yield name
    purge()


def test_messages_are_counted_by_queue(queue: str) -> None:
    for _ in range(3):
        current_app.send_task("nobody.knows.it", queue=queue)
    found = scraped()
    assert found.of("broker_up") == {(): 1}
    assert found.of("queue_messages")[(queue,)] == 3
    assert found.of("unacknowledged_messages") == {(): 0}
    assert found.of("unacknowledged_age_seconds") == {(): 0}
    with current_app.connection_for_read() as opened:
        channel = opened.channel()
        assert channel.basic_get(queue, no_ack=False) is not None
        time.sleep(0.05)
        found = scraped()
        assert found.of("queue_messages")[(queue,)] == 2
        assert found.of("unacknowledged_messages") == {(): 1}
        assert 0.04 < found.of("unacknowledged_age_seconds")[()] < 30


def test_a_queue_that_only_a_run_names_is_looked_at(queue: str) -> None:
    Run.objects.create(job="any", verb="apply", scope="", state="queued", queue="rare", as_of=clock.now())
    assert scraped().of("queue_messages")[("rare",)] == 0
    assert isinstance(look({"rare"}), Waiting)


# What is away


def test_without_a_broker_the_database_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    ended("any", clock.now())
    lose_broker(monkeypatch)
    found = scraped()
    assert found.of("broker_up") == {(): 0}
    assert found.of("queue_messages") == {}
    assert found.of("runs_total") == {("any", "done", "apply"): 1}


def test_without_a_database_the_broker_is_told_of(monkeypatch: pytest.MonkeyPatch, queue: str) -> None:
    lose_database(monkeypatch)
    found = scraped()
    assert found.of("database_up") == {(): 0}
    assert found.of("runs_total") == {}
    assert found.of("queue_messages")[(queue,)] == 0


def test_a_project_without_celery_has_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.broker, "app", lambda: None)
    found = scraped()
    assert (found.of("broker_up"), found.of("database_up")) == ({}, {(): 1})


# What it costs

MANY = """
INSERT INTO ops_run (job, verb, scope, state, params, as_of, target, columns, sql_digest, statements, code_version,
    started_by, started_from, options, consent, wish, target_time, workers, atomic, owner_host, fence, batches, changed,
    left_alone, created_at, finished_at, message)
SELECT 'job ' || i % 7, 'apply', i::text, 'done', '{}', now(), '', '{}', '', '{}', '', '', '', '{}', true, '', 500, 1,
    false, '', 1, 1, 10, 0, now() - i * interval '1 hour', now() - i * interval '1 hour' + interval '1 s', ''
FROM generate_series(1, 20000) AS i;
INSERT INTO ops_runevent (run_id, at, what, who, detail)
SELECT id, finished_at, 'done', '', '' FROM ops_run ORDER BY finished_at;
ANALYZE ops_run, ops_runevent
"""


def test_no_statement_reads_all_runs_or_events() -> None:
    with connection.cursor() as cursor:
        cursor.execute(MANY)
    with CaptureQueriesContext(connection) as queries:
        scraped()
    read = [query["sql"] for query in queries if "FROM ops_run" in query["sql"] or "JOIN ops_run" in query["sql"]]
    assert len(read) == 4
    for statement in read:
        plan = "\n".join(line for (line,) in Session("default").execute(_explained(statement)))
        assert "Seq Scan on ops_" not in plan, plan


def _explained(statement: str) -> Any:
    from psycopg2.sql import SQL

    return SQL("EXPLAIN " + statement.replace("%", "%%").replace("{", "{{").replace("}", "}}"))


def test_the_statements_do_not_grow_with_the_rows() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            scraped()
        return len(queries)

    def fill(names: range) -> None:
        for number in names:
            ended(f"job {number}", clock.now())
            beat_row(f"schedule {number}", "0", "1", "Asia/Seoul")
            Schedule.objects.create(name=f"schedule {number}", rule="", settled_at=clock.now(), seen_at=clock.now())

    fill(range(2))
    few = statements()
    fill(range(2, 30))
    assert statements() == few
