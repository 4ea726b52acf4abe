"""Repairs among the runs: what each verb of `runs` does with one, and that no sweep carries one on."""

import json
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ops.engine import retention, sweeping
from ops.engine.lifecycle import Options
from ops.models import Run
from tests.drift import repairing
from tests.drift.repairing import ALIAS, apply, ask, column, index, killed, recorded, states, table
from tests.ops.crashing import until


@pytest.fixture(autouse=True)
def _shop(db: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), repairing.suite_database():
        yield


def runs(*words: str) -> str:
    out = StringIO()
    call_command("runs", *words, "--database", ALIAS, stdout=out, stderr=StringIO())
    return out.getvalue()


def only_run() -> Run:
    return Run.objects.using(ALIAS).get()


def test_a_repair_is_a_run_that_all_reading_verbs_show() -> None:
    done = apply(
        table("shop_tag"), recorded("0009_new"), started_from="manage.py repair_migrations", only=["S01", "H01"]
    )
    run = only_run()
    assert (run.pk, run.job, run.verb, run.state, run.changed) == (
        done.run,
        "ops.repair_migrations",
        "apply",
        "done",
        2,
    )
    assert run.params == {"repair": done.uuid, "only": ["S01", "H01"]}
    assert run.result == {"done": 2, "failed": 0, "left": 0}
    assert run.started_from == "manage.py repair_migrations"
    assert ask("SELECT run FROM ops_repair") == [(run.pk,)]
    assert "ops.repair_migrations" in runs("list", "--job", "ops.repair_migrations")
    shown = runs("show", str(run.pk))
    assert "ops.repair_migrations (apply)" in shown
    assert f"repair={done.uuid}" in shown
    assert json.loads(runs("show", str(run.pk), "--json"))["state"] == "done"
    assert "2 rows written" in runs("watch", str(run.pk))
    assert "No run has changed" in runs("history", "ops.Run", str(run.pk))


def test_runs_revert_takes_it_back_by_a_way_of_its_own() -> None:
    done = apply(table("shop_tag"), column("colour"), recorded("0009_new"), read=None)
    ask("UPDATE shop_product SET colour = 'red' WHERE id = 1")
    planned = json.loads(runs("revert", str(done.run), "--dry-run", "--json"))
    assert (planned["reverts"], [one["title"] for one in planned["back"]]) == (
        done.run, ["record 0009_new", "create shop_tag"]
    )  # fmt: skip
    assert planned["left_alone"] == [
        {
            "code": "S03", "object": "column public.shop_product.colour", "title": "add colour",
            "why": "it holds values by now",
        }
    ]  # fmt: skip
    with pytest.raises(CommandError, match="There is no terminal to ask at"):
        runs("revert", str(done.run))
    told = runs("revert", str(done.run), "--no-input")
    back = Run.objects.using(ALIAS).get(verb="revert")
    assert f"Run {back.pk}: 2 steps taken back, 1 left alone." in told
    assert (back.reverts_id, back.state, back.result) == (done.run, "done", {"done": 2, "failed": 0, "left": 1})
    assert ask("SELECT count(*) FROM django_migrations WHERE app = 'shop'") == [(0,)]
    assert json.loads(runs("revert", str(done.run), "--no-input", "--json"))["done"] == 0
    with pytest.raises(CommandError, match="took another one back"):
        runs("revert", str(back.pk), "--no-input")


def test_no_sweep_takes_a_repair_that_lives_for_one_left_behind() -> None:
    seen: list[Any] = []

    def look(*told: object) -> None:
        ask("UPDATE ops_run SET heartbeat_at = heartbeat_at - interval '1 day'")
        seen.extend([sweeping.sweep(ALIAS, Options(database=ALIAS)), sweeping.stale(ALIAS)])

    assert apply(table("shop_tag"), progress=look).state == "done"
    assert seen == [[], []]


def left_behind() -> Run:
    """Leave a repair behind that was killed between its two steps."""
    assert killed(16, lambda: apply(table("shop_tag"), column("colour")))
    until("the server hears of it", lambda: sweeping.stale(ALIAS))
    return only_run()


def test_a_sweep_fails_one_that_is_left_behind_and_the_next_repair_marks_it() -> None:
    run = left_behind()
    assert run.state == "running"
    swept = sweeping.sweep(ALIAS, Options(database=ALIAS))
    assert [(one.run, one.outcome) for one in swept] == [(run.pk, "failed")]
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.message == (
        f"Run {run.pk} is a repair of migrations whose process was ended: it is not resumed; 'manage.py "
        "repair_migrations' plans what is left."
    )
    assert sweeping.sweep(ALIAS, Options(database=ALIAS)) == []
    assert apply(column("colour")).state == "done"
    assert states() == ["interrupted", "done"]


def test_the_next_repair_ends_the_run_of_one_that_was_killed() -> None:
    run = left_behind()
    until("the next repair", apply_when_free)
    run.refresh_from_db()
    assert (run.state, run.message) == ("failed", "Its process was ended; what it had done is in ops_repair_entry.")


def apply_when_free() -> bool:
    from ops.engine.plan import Refused

    try:
        apply(index("by_name"))
    except Refused:
        return False
    return True


def test_it_can_not_be_resumed() -> None:
    run = left_behind()
    with pytest.raises(CommandError, match="it is not resumed"):
        runs("resume", str(run.pk), "--no-input")
    assert only_run().state == "failed"


def test_pause_and_cancel_stop_it_after_its_step() -> None:
    def pause(*told: object) -> None:
        runs("pause", str(only_run().pk))

    done = apply(table("shop_tag"), column("colour"), progress=pause)
    assert (done.state, done.counts["done"]) == ("stopped", 1)
    assert "as 'manage.py runs pause' asked" in done.message
    assert only_run().state == "cancelled"


def test_it_is_started_by_its_own_command_alone() -> None:
    with pytest.raises(CommandError, match=r"Migrations are repaired by 'manage.py repair_migrations'") as refused:
        call_command("run_job", "ops.repair_migrations", "--database", ALIAS, "--no-input", stdout=StringIO())
    assert refused.value.returncode == 3


def test_pruned_runs_leave_the_audit() -> None:
    done = apply(table("shop_tag"))
    Run.objects.using(ALIAS).update(finished_at="2020-01-01T00:00:00Z")
    from ops import clock

    assert retention.prune(ALIAS, clock.now()).runs == 1
    assert ask("SELECT run, state FROM ops_repair") == [(done.run, "done")]
    assert ask("SELECT count(*) FROM ops_repair_entry") == [(1,)]


def test_where_ops_run_is_gone_the_audit_alone_has_it() -> None:
    ask("ALTER TABLE ops_run RENAME TO ops_run_away")
    try:
        done = apply(table("shop_tag"))
    finally:
        ask("ALTER TABLE ops_run_away RENAME TO ops_run")
    assert (done.state, done.run) == ("done", None)
    (note,) = done.notes
    assert note.startswith("ops_run could not take this run (")
    assert note.endswith(f"): it is recorded in ops_repair, as {done.uuid}.")
    assert ask("SELECT run, state FROM ops_repair") == [(None, "done")]


def test_a_run_that_could_not_be_taken_at_first_is_recorded_at_the_end() -> None:
    ask("ALTER TABLE ops_run RENAME TO ops_run_away")

    def mend(*told: object) -> None:
        ask("ALTER TABLE ops_run_away RENAME TO ops_run")

    done = apply(table("shop_tag"), progress=mend)
    run = only_run()
    assert (done.run, run.state, done.notes) == (run.pk, "done", [])
    assert ask("SELECT run FROM ops_repair") == [(run.pk,)]


def test_to_leave_at_once_cancels_what_runs() -> None:
    stop, leave = threading.Event(), threading.Event()
    slow = table("shop_tag", "SELECT pg_sleep(60)")

    def end() -> None:
        sleeping = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
        until("it sleeps", lambda: ask(sleeping))
        stop.set()
        leave.set()

    ending = threading.Thread(target=end)
    ending.start()
    done = apply(slow, column("colour"), stop=stop, leave=leave)
    ending.join()
    assert (done.state, done.steps[0].state) == ("stopped", "failed")
    assert "canceling statement due to user request; stopped, as asked" in done.steps[0].detail
