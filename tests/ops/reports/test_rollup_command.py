"""`manage.py rollup` as people and scripts see it: the list, runs, what verify finds, and how it refuses."""

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from ops.management.commands.rollup import Command
from ops.management.rollup_options import VERBS
from ops.models import Rollup, Run
from tests.ops import shop
from tests.ops.reports import rolled
from tests.ops.reports.rolled import AS_OF, Events, Plainest, ask, assert_same, registered, touched

pytestmark = pytest.mark.django_db

DAY = datetime.fromisoformat("2026-05-18T00:00+09:00")


def command(*words: str) -> tuple[int, str, str]:
    """Return how a command ended: its code, its output, and its errors as a shell shows them."""
    said = shop.command(*words)
    return said.code, said.out, said.err + (f"CommandError: {said.error}\n" if said.error else "")


@pytest.fixture(autouse=True)
def _events(db: None) -> Iterator[None]:
    rolled.make()
    ask("DELETE FROM ops_rollup")
    with registered(Events, Plainest):
        rolled.fill(20)
        yield


def test_the_list_says_what_is_used_and_why_not() -> None:
    code, out, err = command("rollup", "list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Rollups",
        "report    by   zone        rows  touched  triggers  refreshed  used",
        "───────────────────────────────────────────────────────────────────",
        "events    day  Asia/Seoul     0        0  -         -          no",
        "plainest  day  Asia/Seoul     0        0  -         -          no",
        "",
        "events is not used: its rollup was never built: 'manage.py rollup rebuild",
        "  events'.",
        "plainest is not used: its rollup was never built: 'manage.py rollup rebuild",
        "  plainest'.",
    ]
    assert command("rollup", "rebuild", "plainest", "--no-input") == (
        0,
        f"Run {Run.objects.latest('pk').pk}: 7 buckets of plainest computed, 7 rows written.\n",
        "",
    )
    rolled.fill(1)
    code, out, _ = command("rollup", "list", "plainest", "--json")
    (found,) = json.loads(out)["rollups"]
    kept = Rollup.objects.get(report="plainest")
    assert kept.built_at is not None
    assert kept.refreshed_at is not None
    assert (code, found) == (
        0,
        {
            "report": "plainest",
            "grain": "day",
            "zone": "Asia/Seoul",
            "declared": True,
            "used": True,
            "reason": "",
            "built_at": kept.built_at.isoformat(),
            "refreshed_at": kept.refreshed_at.isoformat(),
            "buckets": 7,
            "rows": 7,
            "touched": 1,
            "all_touched": False,
            "triggers": {"tables": 1, "wanted": 4, "there": 4, "disabled": 0},
        },
    )


def test_disabled_and_missing_triggers_are_listed() -> None:
    command("rollup", "rebuild", "plainest", "--no-input")
    touch = Rollup.objects.get(report="plainest").touch
    ask(f"ALTER TABLE rolled_event DISABLE TRIGGER {touch}_insert")
    ask(f"DROP TRIGGER {touch}_delete ON rolled_event")
    _, out, _ = command("rollup", "list", "plainest")
    assert "1 missing, 1" in out
    assert "disabled" in out
    assert "plainest is not used: the triggers of its rollup are missing, or were disabled" in out
    code, out, err = command("rollup", "refresh", "plainest", "--no-input")
    assert code == 0
    assert err == "Mended the triggers of rollup plainest on public.rolled_event.\n"
    assert "in place" in command("rollup", "list", "plainest")[1]


def test_a_truncate_is_listed_as_all() -> None:
    command("rollup", "rebuild", "plainest", "--no-input")
    ask("TRUNCATE rolled_event")
    assert command("rollup", "list")[1].splitlines()[4].split()[:6] == [
        "plainest",
        "day",
        "Asia/Seoul",
        "7",
        "all",
        "in",
    ]
    assert json.loads(command("rollup", "list", "plainest", "--json")[1])["rollups"][0]["all_touched"] is True


def test_a_rollup_that_no_report_declares_is_listed_and_dropped() -> None:
    command("rollup", "rebuild", "events", "--no-input")
    with registered(Plainest):
        assert (
            "events is not used: no report declares it: 'manage.py rollup drop events'." in command("rollup", "list")[1]
        )
        code, _out, err = command("rollup", "refresh", "--no-input")
        assert (code, err) == (0, "Report 'events' was passed over: There is no report 'events'; there is: plainest.\n")
        assert command("rollup", "drop", "events", "--no-input") == (0, "The rollup of 'events' is removed.\n", "")
        assert command("rollup", "drop", "events", "--no-input") == (
            2,
            "",
            "CommandError: There is no rollup of 'events'; there is: plainest.\n",
        )
    assert ask("SELECT count(*) FROM ops_rolluprow") == [(0,)]
    assert ask("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass") == [(0,)]


def test_nothing_is_listed_where_nothing_is_declared() -> None:
    with registered():
        assert command("rollup", "list") == (
            0,
            "No report declares a rollup: docs/rollups.md shows how one is.\n",
            "",
        )
    assert command("rollup", "list", "nothing") == (
        2,
        "",
        "CommandError: There is no rollup of 'nothing'; there is: events, plainest.\n",
    )


def test_a_refresh_computes_what_waits_as_a_run() -> None:
    command("rollup", "rebuild", "plainest", "--no-input")
    command("rollup", "rebuild", "events", "--no-input")
    rolled.fill(2)
    code, out, err = command("rollup", "refresh", "--no-input", "--json")
    run = Run.objects.latest("pk")
    assert (code, json.loads(out), err) == (
        0,
        {
            "run": run.pk,
            "state": "done",
            # A sum of another day is the same as before: its row stays.
            "rows": run.changed,
            "refreshed": ["events", "plainest"],
            "passed_over": {},
            "buckets": 4,
        },
        "",
    )
    assert (run.job, run.started_from, run.params) == (
        "ops.refresh_rollup",
        "manage.py rollup refresh",
        {"report": "", "rebuild": False},
    )
    assert touched("plainest") == []
    assert command("rollup", "refresh", "--no-input")[1] == (
        f"Run {run.pk + 1}: 0 buckets of 2 rollups computed, 0 rows written.\n"
    )
    assert_same(Plainest())


def test_a_rollup_that_has_to_be_rebuilt_is_passed_over_or_refused() -> None:
    command("rollup", "rebuild", "plainest", "--no-input")

    class Changed(Plainest):
        where = "t.size > 3"

    why = "its declaration is another one than its rollup was built for: 'manage.py rollup rebuild plainest'"
    with registered(Changed):
        code, _, err = command("rollup", "refresh", "--no-input")
        assert (code, err) == (0, f"Report 'plainest' was passed over: {why}.\n")
        assert Run.objects.latest("pk").result["passed_over"] == {"plainest": why}
        assert command("rollup", "refresh", "plainest", "--no-input") == (
            3,
            "",
            f"CommandError: Report 'plainest' can have no rollup: {why}; nothing was changed.\n",
        )
        assert command("rollup", "verify", "plainest") == (
            3,
            "",
            f"CommandError: Rollup 'plainest' can't be verified: {why}.\n",
        )
        assert command("rollup", "verify") == (0, f"plainest: not verified: {why}.\n", "")


def test_verify_names_what_differs() -> None:
    command("rollup", "rebuild", "events", "--no-input")
    command("rollup", "rebuild", "plainest", "--no-input")
    assert command("rollup", "verify") == (
        0,
        "events: 36 rows compared, 0 differ.\nplainest: 7 rows compared, 0 differ.\n",
        "",
    )
    touch = Rollup.objects.get(report="plainest").touch
    ask("ALTER TABLE rolled_event DISABLE TRIGGER USER")
    ask("UPDATE rolled_event SET size = size + 1000 WHERE at >= %s AND at < %s", DAY, AS_OF.replace(day=18, hour=15))
    ask("DELETE FROM rolled_event WHERE at < %s", AS_OF.replace(day=14, hour=15))
    ask("INSERT INTO rolled_event (at, size) VALUES ('2026-01-01', 1)")
    for event in ("insert", "update", "delete", "truncate"):
        ask(f"ALTER TABLE rolled_event ENABLE ALWAYS TRIGGER {touch}_{event}")
    # As if nothing had happened; only the sums tell.
    code, out, err = command("rollup", "verify", "plainest")
    assert code == 1
    assert [" ".join(line.split()) for line in out.splitlines() if "─" not in line] == [
        "plainest: 8 rows compared, 3 differ.",
        "",
        "The first differences",
        "bucket group measure kept source",
        "2026-01-01 00:00:00 KST - a row of the source that the - 1",
        "rollup has not",
        "2026-05-14 00:00:00 KST - a row of the rollup that the 1 -",
        "source has not",
        "2026-05-18 00:00:00 KST - total 15 3015",
    ]
    assert max(map(len, out.splitlines())) <= 80
    assert err == (
        "CommandError: Rollup 'plainest' differs from its source in 3 of 8 rows: 'manage.py rollup rebuild plainest' "
        "builds it anew.\n"
    )
    code, out, _ = command("rollup", "verify", "plainest", "--json")
    (found,) = json.loads(out)["rollups"]
    assert (code, found["compared"], found["differing"], found["touched"], found["trouble"]) == (1, 8, 3, 0, "")
    assert found["first"][2] == {
        "bucket": "2026-05-17T15:00:00+00:00",
        "group": {},
        "measure": "total",
        "kept": "15",
        "source": "3015",
    }
    command("rollup", "rebuild", "plainest", "--no-input")
    assert command("rollup", "verify", "plainest") == (0, "plainest: 7 rows compared, 0 differ.\n", "")


def test_verify_leaves_out_what_is_touched_and_tells_groups() -> None:
    command("rollup", "rebuild", "events", "--no-input")
    rolled.fill(1)
    assert (
        command("rollup", "verify", "events")[1] == "events: 34 rows compared, 0 differ. 1 touched bucket left out.\n"
    )
    ask("UPDATE ops_rolluprow SET sums[5] = '0.125' WHERE report = 'events' AND groups = '{a,there}' AND level = 1")
    code, out, _ = command("rollup", "verify", "events", "--json")
    found = json.loads(out)["rollups"][0]["first"]
    assert code == 1
    assert {one["measure"] for one in found} == {"money, average"}
    assert found[0]["group"] == {"kind": "a", "place": "there"}


def test_at_most_twenty_differences_are_shown_and_all_counted() -> None:
    rolled.fill(60, step="-1 day")
    command("rollup", "rebuild", "plainest", "--no-input")
    ask("UPDATE ops_rolluprow SET sums[2] = '-1', sums[1] = '-1' WHERE report = 'plainest'")
    code, out, err = command("rollup", "verify", "plainest", "--json")
    (found,) = json.loads(out)["rollups"]
    assert (code, found["differing"], len(found["first"])) == (1, 60, 20)
    assert "differs from its source in 60 of 60 rows" in err


def test_a_trigger_that_was_off_is_said_by_verify_too() -> None:
    command("rollup", "rebuild", "plainest", "--no-input")
    ask("ALTER TABLE rolled_event DISABLE TRIGGER USER")
    code, out, _ = command("rollup", "verify", "plainest")
    assert (code, out) == (
        0,
        (
            "plainest: 7 rows compared, 0 differ.\nplainest is not used: the triggers of its rollup are missing, or "
            "were "
            "disabled meanwhile: 'manage.py rollup refresh plainest'.\n"
        ),
    )


@pytest.mark.parametrize("verb", ["refresh", "rebuild", "drop"])
def test_what_writes_does_not_guess(verb: str) -> None:
    command("rollup", "rebuild", "plainest", "--no-input")
    runs = Run.objects.count()
    assert command("rollup", verb, "plainest") == (
        2,
        "",
        "CommandError: There is no terminal to ask at: add --no-input to write.\n",
    )
    assert command("rollup", verb, "plainest", "--json")[2] == (
        "CommandError: --json prints one object and asks nothing: add --no-input to write.\n"
    )
    assert Run.objects.count() == runs


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("refresh", "nothing", "--no-input"),
            2,
            "--report: There is no report 'nothing'; there is: events, plainest.",
        ),
        (("verify", "nothing"), 2, "There is no report 'nothing'; there is: events, plainest."),
        (
            ("rebuild", "none", "--no-input"),
            2,
            "--report: Report 'none' declares no rollup: give it rollup = 'day', or 'hour'.",
        ),
    ],
)
def test_unknown_names_are_usage(words: tuple[str, ...], code: int, said: str) -> None:
    class WithNone(Plainest):
        name = "none"
        rollup = ""

    with registered(Events, Plainest, *([WithNone] if "none" in words else [])):
        assert command("rollup", *words) == (code, "", f"CommandError: {said}\n")


def test_every_verb_has_its_help() -> None:
    assert set(VERBS) == {"list", "refresh", "rebuild", "verify", "drop"}
    assert Command().create_parser("manage.py", "rollup").parse_args(["list"]).verb == "list"
