"""What apply does on a real database: order, audit, history, what is blocked, what fails, what is refused."""

from collections.abc import Iterator
from threading import Event, Timer
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import transaction

from ops.drift import applying
from ops.drift.model import Finding, HistoryChange, Node, Step
from ops.engine.lifecycle import Declined
from ops.engine.plan import Refused
from ops.management import repair_actions
from ops.management.commands.repair_migrations import Command
from tests.drift import repairing
from tests.drift.repairing import ALIAS, Again, apply, ask, audit, column, history, index, recorded, states, table
from tests.ops.scratch import connected

FIRST = ("shop", "0001_initial", "2024-02-03 04:05:06.789012+00")


@pytest.fixture(autouse=True)
def _shop(db: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), repairing.shop("repair_applying"):
        yield


def told(outcome: applying.Outcome) -> list[tuple[str, str]]:
    return [(one.title, one.state) for one in outcome.steps]


def test_steps_are_done_in_the_order_of_phases_and_recorded() -> None:
    outcome = apply(recorded("0009_new", "index public.by_name"), index("by_name"), column("colour"), table("shop_tag"))
    assert (outcome.state, outcome.message) == ("done", "")
    assert told(outcome) == [
        (name, "done") for name in ("create shop_tag", "add colour", "build by_name", "record 0009_new")
    ]
    assert audit() == told(outcome)
    assert states() == ["done"]
    assert history()[-1][:2] == ("shop", "0009_new")
    kept = ask("SELECT kind, object_key, undo_statements, row_before, row_after ->> 'name' FROM ops_repair_entry")
    assert sorted(kept)[:1] == [("history", "migration shop.0009_new", [], None, "0009_new")]
    assert (
        "statement",
        "index public.by_name",
        ["DROP INDEX CONCURRENTLY IF EXISTS public.by_name"],
        None,
        None,
    ) in kept
    made = ask("SELECT made ->> 'name' FROM ops_repair_entry WHERE kind = 'statement' ORDER BY step")
    assert made == [("shop_tag",), ("colour",), ("by_name",)]


def test_the_same_step_of_two_findings_is_done_once() -> None:
    assert told(apply(column("colour"), column("colour"))) == [("add colour", "done")]


def test_only_some_codes_are_done() -> None:
    assert told(apply(column("colour"), table("shop_tag"), only=["S01"])) == [("create shop_tag", "done")]
    assert apply(column("colour"), only=["S99"]).state == "nothing"
    assert len(states()) == 1


def test_what_wants_another_step_goes_behind_it() -> None:
    needy = table("aa", "CREATE TABLE public.aa (id bigint PRIMARY KEY, b bigint REFERENCES public.zz (id))")
    hopeless = table("bb", "CREATE TABLE public.bb (id public.no_such_type)")
    outcome = apply(needy, hopeless, table("zz"))
    assert told(outcome) == [("create zz", "done"), ("create aa", "done"), ("create bb", "failed")]
    assert outcome.steps[2].detail == 'type "public.no_such_type" does not exist'
    assert audit() == told(outcome)


def test_what_needs_a_step_that_went_behind_goes_behind_it() -> None:
    needy = table("aa", "CREATE TABLE public.aa (id bigint PRIMARY KEY, b bigint REFERENCES public.zz (id))")
    over = table("over", "CREATE TABLE public.over (a bigint REFERENCES public.aa)", needs=["table public.aa"])
    outcome = apply(needy, over, table("zz"))
    assert told(outcome) == [("create zz", "done"), ("create aa", "done"), ("create over", "done")]


def test_one_that_fails_leaves_nothing_and_the_others_are_done() -> None:
    half = Step("S01", "table public.half", "table", "make half", ["CREATE TABLE public.half ()", "SELECT 1 / 0"])
    outcome = apply(half, column("colour"))
    assert told(outcome) == [("make half", "failed"), ("add colour", "done")]
    assert ask("SELECT to_regclass('public.half')") == [(None,)]
    assert outcome.state == "done"
    assert "not every step was done (make half: division by zero)" in outcome.message


def test_it_is_unverified_while_a_finding_that_it_worked_on_is_there() -> None:
    plan = repairing.planned(column("colour"))
    still = Finding("S03", "error", "column public.shop_product.colour", "it is of another type", steps=[table("x")])
    outcome = applying.apply(plan, Again(plan, still), read=repairing.objects)
    assert (outcome.state, states()) == ("unverified", ["unverified"])
    assert outcome.message == "1 of 1 findings are still there, the first: it is of another type"
    assert outcome.as_json()["remaining"][0]["code"] == "S03"


def test_what_it_needs_has_to_be_there() -> None:
    outcome = apply(recorded("0009_new", "table public.shop_tag"), recorded("0010_more", "table public.shop_product"))
    assert told(outcome) == [("record 0009_new", "left"), ("record 0010_more", "done")]
    assert outcome.steps[0].detail == "it needs table public.shop_tag, which is not there"
    assert [row[1] for row in history()][4:] == ["0010_more"]
    assert audit() == told(outcome)


def test_rows_of_history_are_in_the_audit_as_they_were() -> None:
    twice = ask("SELECT id FROM django_migrations WHERE name = '0003_twice' ORDER BY applied DESC")[0][0]
    changes = [
        HistoryChange("rename", Node("shop", "0002_old"), new_name="0002_new"),
        HistoryChange("delete", Node("shop", "0003_twice"), id=twice),
    ]
    outcome = apply(Step("H09", "migration shop.0002_old", "history", "mend history", history=changes))
    assert outcome.state == "done"
    assert history() == [
        FIRST, ("shop", "0002_new", "2024-03-04 05:06:07.000001+00"), ("shop", "0003_twice", "2024-04-01 00:00:00.5+00")
    ]  # fmt: skip
    assert ask("SELECT row_before ->> 'id', row_before ->> 'applied' FROM ops_repair_entry ORDER BY step") == [
        ("2", "2024-03-04T05:06:07.000001+00:00"), (str(twice), "2024-04-02T00:00:00.25+00:00")
    ]  # fmt: skip


def test_what_is_recorded_already_is_not_recorded_twice() -> None:
    outcome = apply(recorded("0001_initial"))
    assert told(outcome) == [("record 0001_initial", "left")]
    assert len(history()) == 4


def test_history_is_mended_whole_or_not_at_all() -> None:
    gone = [HistoryChange("insert", Node("shop", "0009_new")), HistoryChange("delete", Node("shop", "0099_never"))]
    both = Step("H09", "migration shop.0009_new", "history", "mend history", history=gone)
    outcome = apply(both, recorded("0010_more"))
    assert told(outcome) == [("mend history", "left"), ("record 0010_more", "done")]
    assert [row[1] for row in history()][4:] == ["0010_more"]


def test_the_table_of_history_is_mended_in_the_same_transaction() -> None:
    ask("ALTER TABLE django_migrations ALTER id DROP IDENTITY")
    mend = Step(
        "H18", "column public.django_migrations.id", "history table", "give it its identity",
        ["ALTER TABLE public.django_migrations ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START 100)"],
    )  # fmt: skip
    outcome = apply(recorded("0009_new"), mend)
    assert told(outcome) == [("give it its identity", "done"), ("record 0009_new", "done")]
    assert ask("SELECT id FROM django_migrations WHERE name = '0009_new'") == [(100,)]


def test_a_table_of_history_that_is_gone_is_made_by_the_guard() -> None:
    ask("DROP TABLE django_migrations")
    made = table(
        "django_migrations",
        "CREATE TABLE public.django_migrations (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,"
        " app varchar(255), name varchar(255), applied timestamptz)",
    )
    made.phase = "history table"
    assert told(apply(recorded("0001_initial"), made)) == [
        ("create django_migrations", "done"), ("record 0001_initial", "done")
    ]  # fmt: skip
    assert [row[:2] for row in history()] == [("shop", "0001_initial")]


def test_another_snapshot_is_refused_and_nothing_is_done() -> None:
    plan = repairing.planned(column("colour"))
    ask("ALTER TABLE shop_product ADD COLUMN meanwhile text")
    with pytest.raises(Refused, match="The database of 'repaired' changed since the plan was made"):
        applying.apply(plan, Again(plan), read=repairing.objects)
    assert "column public.shop_product.colour" not in repairing.objects()
    assert ask("SELECT to_regclass('ops_repair')") == [(None,)]


def test_it_asks_before_it_locks_anything() -> None:
    with pytest.raises(Declined, match="nothing was repaired"):
        apply(column("colour"), confirm=lambda steps: len(steps) != 1)
    assert ask("SELECT to_regclass('ops_repair')") == [(None,)]


def test_within_a_transaction_it_refuses() -> None:
    with transaction.atomic(using=ALIAS), pytest.raises(Refused, match="outside of any transaction"):
        apply(column("colour"))
    assert ask("SELECT to_regclass('ops_repair')") == [(None,)]


def test_what_is_locked_is_tried_again() -> None:
    notes: list[str] = []
    with connected("repair_applying") as other:
        other.cursor().execute("BEGIN; LOCK TABLE shop_product IN ACCESS SHARE MODE")
        timer = Timer(1.0, other.cursor().execute, ["COMMIT"])
        timer.start()
        outcome = apply(column("colour"), note=notes.append)
        timer.join()
    assert told(outcome) == [("add colour", "done")]
    assert "canceling statement due to lock timeout, held by process" in notes[0]
    assert "LOCK TABLE shop_product" in notes[0]


def test_what_stays_locked_fails_and_the_others_are_done() -> None:
    with connected("repair_applying") as other:
        other.cursor().execute("BEGIN; LOCK TABLE shop_product IN ACCESS SHARE MODE")
        outcome = apply(column("colour"), Step("S14", "x", "other", "say so", ["SELECT 1"]), retries=1)
    assert told(outcome) == [("add colour", "failed"), ("say so", "done")]
    assert outcome.steps[0].detail.endswith("tried 2 times")


def test_a_lock_that_is_not_had_ends_with_4_and_what_fails_otherwise_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Step("S14", "x", "other", "fail", ["SELECT 1 / 0"])
    with connected("repair_applying") as other:
        other.cursor().execute("BEGIN; LOCK TABLE shop_product IN ACCESS SHARE MODE")
        for steps, blocked, code in (([column("colour")], True, 4), ([column("colour"), bad], False, 1)):
            plan = repairing.planned(*steps)
            outcome = applying.apply(
                plan, Again(plan, *plan.findings), read=repairing.objects, lock_timeout=0.1, retries=1
            )
            assert (outcome.state, outcome.blocked) == ("unverified", blocked)
            with pytest.raises(CommandError) as ended:
                repair_actions._tell(Command(), {"json": False}, outcome)
            assert ended.value.returncode == code
    assert "failed  S03  add colour: canceling statement due to lock" in capsys.readouterr().out


def test_what_follows_one_that_failed_is_left() -> None:
    add = Step("S11", "constraint public.shop_product.dear", "constraint", "add dear", ["SELECT 1 / 0"])
    sql = ["ALTER TABLE public.shop_product VALIDATE CONSTRAINT dear"]
    outcome = apply(add, Step("S11", add.object, "validate", "validate dear", sql), index("by_name"))
    assert told(outcome) == [("add dear", "failed"), ("build by_name", "done"), ("validate dear", "left")]
    assert sorted(audit()) == sorted(told(outcome))


def test_for_whom_an_index_waits_is_said() -> None:
    notes: list[str] = []
    with connected("repair_applying") as other:
        other.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop_product")
        timer = Timer(2.5, other.cursor().execute, ["COMMIT"])
        timer.start()
        outcome = apply(index("by_name"), note=notes.append, lock_timeout=0.5)
        timer.join()
    assert told(outcome) == [("build by_name", "done")]
    [note] = notes
    assert note.startswith("build by_name waits until process ")
    assert "SELECT count(*) FROM shop_product" in note


def test_a_column_takes_no_null_before_it_gets_an_identity() -> None:
    name = "column public.shop_product.id"
    steps = [Step(code, name, "column", code, [f"SELECT '{code}'"]) for code in ("S05", "S13", "S13")]
    found = [Finding(step.code, "error", name, "", steps=[step]) for step in steps]
    assert [step.code for step in applying.ordered(found)] == ["S13", "S05"]


def test_it_stops_after_the_present_step_when_asked() -> None:
    stop = Event()
    outcome = apply(
        table("shop_tag"), column("colour"), recorded("0009_new"), stop=stop, progress=lambda done, total: stop.set()
    )
    assert outcome.state == "stopped"
    assert outcome.message == (
        "Stopped after 1 of 3 steps, as asked: 'manage.py repair_migrations --apply' goes on."
    )  # fmt: skip
    assert audit() == [("create shop_tag", "done")]
    assert len(history()) == 4
    assert states() == ["stopped"]
    assert apply(column("colour"), recorded("0009_new")).state == "done"
