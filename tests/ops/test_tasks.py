"""Tasks and messages on a real Redis: of a run's id or a schedule's name, lost, late and doubled."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import LazySettings

from ops import clock, tasks
from ops.engine import control, plan, registry
from ops.engine import run as engine
from ops.engine.carrier import Carrier
from ops.engine.lifecycle import Options
from ops.engine.plan import Refused
from ops.engine.sweeping import Undelivered, nudge
from ops.models import Run
from ops.redelivery import redeliver
from ops.web import broker
from tests.ops.counters import acts, lose_owner, make_counters, opened, slow, stopped, values
from tests.ops.shop import command

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 300
ENQUEUE = ("run_job", "shelf.increment", "--no-input", "--enqueue")


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    """Begin and end with empty queues."""
    make_counters(ROWS)
    current_app.control.purge()
    yield
    current_app.control.purge()


def waiting() -> dict[str, int]:
    found = broker.look()
    assert found is not None
    return {name: many for name, many in found.queues.items() if many}


def messages(queue: str = "slow") -> list[tuple[str, dict[str, Any]]]:
    """Take all messages of a queue; return the task and the arguments of each."""
    found = []
    with current_app.connection_for_read() as connection:
        channel = connection.default_channel
        while message := channel.basic_get(queue, no_ack=True):
            found.append((message.headers["task"], message.decode()[1]))
    return found


def enqueued(**options: Any) -> Run:
    """Return a run that is queued, without a message."""
    job = registry.find("shelf.increment")
    return engine.enqueue(job, {"by": 1}, Options(queue="slow", batch_size=100, **options))


def carried(run: Run) -> dict[str, Any]:
    """Let a task carry a run in this process."""
    return tasks.advance.apply(kwargs={"run": run.pk}).get()  # type: ignore[no-any-return]  # what a task returns


def test_a_message_carries_the_runs_id_and_nothing_else() -> None:
    said = command(*ENQUEUE)
    run = opened()
    assert (said.code, said.err) == (0, "")
    assert said.out == f"Run {run.pk}: queued on slow; 'manage.py runs watch {run.pk}' follows it.\n"
    assert (run.state, run.queue, run.sent_at is not None, values()) == ("queued", "slow", True, {0: ROWS})
    assert messages() == [("ops.advance", {"run": run.pk})]
    assert carried(run) == {"run": run.pk, "job": "shelf.increment", "outcome": "done", "message": ""}
    run.refresh_from_db()
    assert (run.state, run.changed, values()) == ("done", ROWS, {1: ROWS})
    assert acts(run) == ["queued", "resumed", "done"]


def test_the_queue_is_the_jobs_own_or_the_one_that_is_named() -> None:
    assert json.loads(command(*ENQUEUE, "--queue", "fast", "--json").out) == {
        "run": opened().pk,
        "job": "shelf.increment",
        "state": "queued",
        "queue": "fast",
        "sent": True,
    }
    assert waiting() == {"fast": 1}
    said = command(*ENQUEUE, "--queue", "quick")
    assert (said.code, said.error) == (2, "There is no queue 'quick'; there is: fast, slow.")


def test_combinations_that_mean_nothing_are_refused() -> None:
    job = ("run_job", "shelf.increment")
    assert command(*job, "--no-input", "--wait").error == "--wait says how to hand a run on: add --enqueue."
    assert command(*job, "--no-input", "--queue", "fast").error == "--queue says how to hand a run on: add --enqueue."
    said = command(*job, "--enqueue", "--dry-run")
    assert (said.code, said.error) == (
        2,
        "--dry-run writes nothing, so there is nothing to hand on: leave --enqueue out.",
    )
    said = command(*job, "--enqueue")
    assert (said.code, said.error) == (
        2,
        "There is no terminal to ask at: add --no-input to write, or --dry-run to see the plan only.",
    )
    assert not Run.objects.exists()


def test_what_a_worker_cannot_have_is_not_handed_to_it() -> None:
    said = command("run_job", "shelf.seal", "--key", "secret", "--no-input", "--enqueue")
    assert said.code == 3
    assert (
        said.error == "shelf.seal can't be handed to a worker: its parameter key is secret, and not kept for a worker."
    )
    said = command("upsert", "shelf.Counter", "-", "--on", "id", "--no-input", "--enqueue")
    assert said.code == 3
    assert "can't be handed to a worker: it reads what only this process has: write it to a file" in said.error
    assert (Run.objects.count(), waiting()) == (0, {})


def test_a_second_one_is_told_of_the_first() -> None:
    run = enqueued()
    said = command(*ENQUEUE)
    assert said.code == 3
    assert said.error == (
        f"Run {run.pk} of shelf.increment is queued and excludes this one: "
        f"'manage.py runs watch {run.pk}' follows it, 'manage.py runs cancel {run.pk}' gives it up."
    )
    # At a shell the same command carries it out, for whoever is in a hurry.
    assert command("run_job", "shelf.increment", "--no-input").code == 0
    assert (opened().pk, values()) == (run.pk, {1: ROWS})
    assert carried(run)["outcome"] == "done"
    assert values() == {1: ROWS}


def test_a_message_late_doubled_or_for_a_run_that_is_gone_does_nothing() -> None:
    run = enqueued()
    assert [carried(run)["outcome"] for _ in range(3)] == ["done", "done", "done"]
    assert values() == {1: ROWS}
    assert tasks.advance.apply(kwargs={"run": 999_999}).get() == {"run": 999_999, "outcome": "gone"}


def test_a_run_that_is_paused_or_cancelled_before_its_message_comes_stays_so() -> None:
    run = enqueued()
    assert control.pause("default", run)
    assert carried(run)["outcome"] == "paused"
    assert command("runs", "resume", str(run.pk), "--no-input").code == 0
    assert values() == {1: ROWS}
    run = enqueued()
    assert control.cancel("default", run)
    assert carried(run)["outcome"] == "cancelled"
    assert values() == {1: ROWS}


def test_a_task_whose_time_is_over_queues_its_run_again_and_sends_the_next_message(settings: LazySettings) -> None:
    settings.SETWISE_TASK_SECONDS = 0.3
    run = enqueued()
    with slow(0.2):
        outcomes = [carried(run)["outcome"]]
        run.refresh_from_db()
        assert (run.state, messages()) == ("queued", [("ops.advance", {"run": run.pk})])
        while outcomes[-1] == "queued":
            outcomes.append(carried(run)["outcome"])
    assert outcomes[-1] == "done"
    assert values() == {1: ROWS}


def test_a_soft_time_limit_leaves_the_run_to_the_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    run = enqueued()

    def stuck(*args: Any) -> None:
        raise SoftTimeLimitExceeded(900)

    monkeypatch.setattr("ops.engine.carrier.Carrier.write", stuck)
    result = tasks.advance.apply(kwargs={"run": run.pk})
    assert result.state == "FAILURE"
    run.refresh_from_db()
    assert (run.state, run.message) == ("queued", "SoftTimeLimitExceeded: SoftTimeLimitExceeded(900,)")
    monkeypatch.undo()
    assert carried(run)["outcome"] == "done"
    assert values() == {1: ROWS}


def test_a_refused_run_is_a_failed_task_that_says_why() -> None:
    command(*ENQUEUE, "--max-rows", "10")
    result = tasks.advance.apply(kwargs={"run": opened().pk})
    assert (result.state, opened().state, values()) == ("FAILURE", "refused", {0: ROWS})
    assert isinstance(result.result, tasks.Unfinished)
    assert isinstance(result.result.__cause__, Refused)
    assert str(result.result) == opened().message
    assert "--max-rows" in str(result.result)


def test_other_sql_installed_while_it_waited_is_what_it_begins_under() -> None:
    run = enqueued()
    Run.objects.update(sql_digest="of the version before", statements={})
    assert carried(run)["outcome"] == "done"
    run.refresh_from_db()
    assert (values(), acts(run)) == ({1: ROWS}, ["queued", "renewed", "resumed", "done"])
    assert run.sql_digest == registry.find("shelf.increment").digest({"by": 1})
    assert run.statements


def test_other_sql_installed_after_it_began_stops_it_with_the_choice() -> None:
    run = stopped(queue="slow")
    Run.objects.update(sql_digest="of the version before", state="queued")
    run.refresh_from_db()
    assert nudge("default", run, Options()).outcome == "refused"
    run.refresh_from_db()
    assert run.state == "stopped"
    assert f"'manage.py runs resume {run.pk} --as-begun' goes on" in run.message
    assert nudge("default", run, Options()).outcome == "stopped"


def test_a_run_that_loses_its_process_five_times_in_one_place_is_stopped() -> None:
    run = stopped(queue="slow")
    for _ in range(5):
        assert run.state in ("stopped", "queued")
        Run.objects.update(state="running")
        lose_owner(run)
        command("sweep")
        run.refresh_from_db()
    assert run.state == "stopped"
    assert acts(run).count("lost") == 5
    assert "lost its process 5 times in the same place, after 1 batches" in run.message
    assert f"'manage.py runs resume {run.pk}' carries it on from a shell" in run.message
    assert command("runs", "resume", str(run.pk), "--no-input").code == 0
    assert values() == {1: ROWS}


def test_a_stale_run_of_the_workers_is_queued_again_and_one_of_a_shell_is_carried_on() -> None:
    run = stopped(queue="slow")
    lose_owner(run)
    said = command("sweep")
    assert said.out == f"Run {run.pk} of shelf.increment: queued, its worker is gone\n"
    run.refresh_from_db()
    assert (run.state, messages()) == ("queued", [("ops.advance", {"run": run.pk})])
    control.cancel("default", run)
    run = stopped()
    lose_owner(run)
    assert command("sweep").out == f"Run {run.pk} of shelf.increment: done\n"


def age(seconds: int) -> None:
    """Let all messages have been sent so long ago."""
    Run.objects.update(sent_at=clock.now() - timedelta(seconds=seconds))


def test_a_lost_message_is_sent_again_and_one_that_waits_is_not() -> None:
    run = enqueued()
    tasks.send(run)
    assert (redeliver("default"), waiting()) == ([], {"slow": 1})
    age(60)
    assert (redeliver("default"), waiting()) == ([], {"slow": 1})
    current_app.control.purge()
    told = f"Run {run.pk} of shelf.increment: sent again to slow, for its message was lost."
    assert (redeliver("default"), waiting()) == ([told], {"slow": 1})
    current_app.control.purge()
    # A worker may just have taken it.
    assert (redeliver("default"), waiting()) == ([], {})
    age(9)
    assert (redeliver("default"), waiting()) == ([told], {"slow": 1})


def test_a_long_queue_is_not_made_longer() -> None:
    jobs = ("shelf.increment", "shelf.increment_range", "shelf.normalise")
    runs = [
        engine.enqueue(registry.find(name), {"by": 1} if "inc" in name else {}, Options(queue="slow")) for name in jobs
    ]
    for run in runs:
        tasks.send(run)
    age(3_600)
    assert (redeliver("default"), waiting()) == ([], {"slow": 3})
    assert len(messages()) == 3
    tasks.send(runs[2])
    age(3_600)
    # One of three is there, whichever it is: two are missing.
    assert len(redeliver("default")) == 2
    assert waiting() == {"slow": 3}


def test_a_run_that_was_opened_and_never_sent_is_sent() -> None:
    run = enqueued()
    assert (run.sent_at, redeliver("default")) == (None, [])
    Run.objects.update(created_at=clock.now() - timedelta(seconds=9))
    assert len(redeliver("default")) == 1
    assert messages() == [("ops.advance", {"run": run.pk})]


def test_without_a_broker_a_run_is_queued_all_the_same_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **more: Any) -> None:
        raise ConnectionRefusedError("Error 111 connecting to redis")

    monkeypatch.setattr(tasks.advance, "apply_async", away)
    said = command(*ENQUEUE)
    run = opened()
    assert (said.code, run.state, run.sent_at) == (0, "queued", None)
    assert said.err.strip() == (
        "The broker takes no message (Error 111 connecting to redis): what is queued stays so, and the sweeper sends "
        "it once the broker is back; 'manage.py doctor' looks into it."
    )
    with pytest.raises(Undelivered):
        tasks.send(run)
    lose_owner(run)
    swept = command("sweep")
    assert (swept.code, "The broker takes no message" in swept.error) == (3, True)
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_run_that_is_carried_out_elsewhere_is_left_to_it() -> None:
    run = stopped()
    Run.objects.update(state="running")
    run.refresh_from_db()
    # This connection owns it still.
    outcome = nudge("default", run, Options())
    assert (outcome.outcome, "it is being carried out by" in outcome.message) == ("held", True)


def test_the_debug_task_tells_its_request() -> None:
    result = tasks.debug_task.apply()
    assert result.get() == result.id


def test_a_stopped_run_is_handed_back_to_the_workers() -> None:
    run = stopped()
    said = command("runs", "resume", str(run.pk), "--enqueue", "--queue", "fast")
    assert (said.code, said.out) == (
        0,
        f"Run {run.pk}: queued on fast; 'manage.py runs watch {run.pk}' follows it.\n",
    )
    assert messages("fast") == [("ops.advance", {"run": run.pk})]
    assert carried(run)["outcome"] == "done"
    assert values() == {1: ROWS}
    assert command("runs", "resume", str(run.pk), "--enqueue").code == 3
    said = command("runs", "resume", str(stopped().pk), "--enqueue", "--as-begun")
    assert (said.code, said.error) == (2, "Workers go on under the SQL that is installed: leave --as-begun out.")


def test_a_run_that_nobody_has_said_yes_to_is_not_handed_on() -> None:
    run = stopped()
    Run.objects.update(consent=False)
    said = command("runs", "resume", str(run.pk), "--enqueue")
    assert said.code == 3
    assert said.error == (
        f"Nobody has said yes to the plan of run {run.pk}: 'manage.py runs resume {run.pk}' shows it and asks."
    )


def test_what_an_operator_wished_of_a_run_that_rests_is_heeded_by_the_next_task(settings: LazySettings) -> None:
    settings.SETWISE_TASK_SECONDS = 0.3
    run = enqueued()
    with slow(0.2):
        assert carried(run)["outcome"] == "queued"
    # As if it had been asked for while the run was planning, and its task's time was over before a batch.
    Run.objects.update(wish="cancel")
    written = values()
    assert carried(run)["outcome"] == "cancelled"
    run.refresh_from_db()
    assert (run.state, values()) == ("cancelled", written)


def test_a_plan_that_takes_all_of_a_tasks_time_is_not_made_again_and_again(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SETWISE_TASK_SECONDS = 0.1
    run = enqueued()
    stage = Carrier.stage
    monkeypatch.setattr(Carrier, "stage", lambda carrier: (clock.pause(0.5), stage(carrier)))
    make = plan.make
    monkeypatch.setattr(plan, "make", lambda *args, **more: (clock.pause(0.5), make(*args, **more))[1])
    outcomes = [carried(run)["outcome"] for _ in range(3)]
    assert outcomes == ["queued", "queued", "done"]
    assert (values(), acts(run).count("resumed")) == ({1: ROWS}, 3)


def test_a_run_whose_job_no_worker_knows_is_stopped_in_the_end() -> None:
    run = enqueued()
    Run.objects.update(job="shelf.gone")
    outcomes = [nudge("default", run, Options()).outcome for _ in range(6)]
    assert outcomes == ["failed"] * 4 + ["stopped"] * 2
    run.refresh_from_db()
    assert "met a worker that knows no such job 5 times" in run.message


def test_a_run_whose_queue_is_gone_is_said_and_the_others_are_sent() -> None:
    first, second = enqueued(), engine.enqueue(registry.find("shelf.increment_range"), {"by": 1}, Options(queue="slow"))
    Run.objects.filter(pk=first.pk).update(queue="quick")
    Run.objects.update(created_at=clock.now() - timedelta(seconds=9))
    said = command("sweep")
    assert said.code == 0
    assert "There is no queue 'quick', so nothing can be sent to it" in said.out
    assert f"Run {second.pk} of shelf.increment_range: sent again to slow" in said.out
    assert messages() == [("ops.advance", {"run": second.pk})]
