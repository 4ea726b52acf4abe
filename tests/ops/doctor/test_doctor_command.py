"""`manage.py doctor` as people and monitors meet it: what it prints, its exit codes, and what it mends."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django_celery_beat.models import PeriodicTask

from ops import clock
from ops.doctor import asking
from ops.doctor import settings as settings_of_celery
from ops.doctor.catalogue import KNOWN
from ops.management.commands.doctor import Command
from ops.models import Run
from tests.ops.doctor.conftest import daily, every
from tests.ops.shop import Said, command, ended, manage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("conf", "redis")]


@pytest.fixture(autouse=True)
def all_answer(monkeypatch: pytest.MonkeyPatch) -> asking.Answers:
    """Let a worker and a beat have answered, without the second that it takes; test_workers.py asks real ones."""
    queues = [{"name": "fast"}, {"name": "slow"}]
    answers = asking.Answers(
        by={
            "ping": [("fast@one", {"ok": "pong"}), ("celerybeat@one", {"ok": "pong"})],
            "registered": [("fast@one", ["ops.advance", "ops.debug_task", "ops.start_slot"])],
            "active_queues": [("fast@one", queues)],
        }
    )
    monkeypatch.setattr(asking, "_ask", lambda app: answers)
    return answers


def told(said: Said) -> list[str]:
    """Return the ids in a JSON object that are more than information."""
    return [one["id"] for one in json.loads(said.out)["findings"] if one["severity"] != "info"]


def test_a_healthy_set_up_has_a_line_for_each_area_and_exit_code_0() -> None:
    daily("nightly")
    said = command("doctor")
    assert (said.code, said.error, said.err) == (0, "", "")
    first, *lines = said.out.splitlines()
    assert first.startswith("Database 'default' and what is around it, in ")
    assert first.endswith(" s: nothing wrong.")
    starts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert starts == ["settings", "database", "migrating", "schedules", "broker", "workers", "runs"]
    assert "workers   fast@one, celerybeat@one" in lines
    assert max(map(len, lines)) <= 80


def test_findings_are_told_where_they_belong_with_what_they_break_and_what_mends_them() -> None:
    daily("sundays", day_of_week="7")
    said = command("doctor", "--only", "E060")
    assert said.code == 5
    assert said.error == "1 error: docs/doctor.md tells more about each id."
    assert said.out.splitlines()[1:] == [
        "schedules 1 schedule is on",
        "  error E060  Schedule 'sundays' (0 1 * * 7 (m/h/dM/MY/d) Asia/Seoul) can't be",
        "          read: Invalid end range: 7 > 6.",
        "          Celery can't read it, so it never fires; neither beat nor the admin",
        "          says so.",
        "          -> correct it in the admin; 'manage.py cron lint' says what each",
        "             program makes of a crontab",
    ]


def test_what_is_alike_is_told_together_and_one_screen_is_enough() -> None:
    for number in range(7):
        daily(f"sundays {number}", day_of_week="7")
    lines = command("doctor", "--only", "E060").out.splitlines()
    assert sum(line.startswith("  error E060  ") for line in lines) == 5
    assert "          and 2 more like these: --json lists all" in lines
    assert sum("Celery can't read it" in line for line in lines) == 1
    assert sum(line.startswith("          -> ") for line in lines) == 1


def test_a_project_without_celery_is_told_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_of_celery, "loaded_app", lambda: None)
    monkeypatch.setattr(settings_of_celery, "uses_beat", lambda: False)
    said = command("doctor")
    assert (said.code, said.error) == (0, "")
    told = dict(line.split(None, 1) for line in said.out.splitlines()[1:] if not line.startswith(" "))
    assert told["settings"] == "this project has no Celery: nothing of it was looked at"
    assert told["schedules"] == "not looked at: django_celery_beat is not installed"
    assert (told["broker"], told["workers"]) == ("this project has no Celery", "this project has no Celery")


def test_json_is_one_object() -> None:
    every("stalled", 600, last_run_at=clock.now() + timedelta(hours=9))
    said = command("doctor", "--json", "--only", "ops.E063")
    assert said.code == 5
    document = json.loads(said.out)
    assert set(document) == {"database", "healthy", "seconds", "areas", "findings"}
    assert (document["database"], document["healthy"]) == ("default", False)
    assert document["areas"] == [{"area": "schedules", "looked_at": "1 schedule is on"}]
    (finding,) = document["findings"]
    assert set(finding) == {"id", "severity", "area", "found", "breaks", "mends", "mendable"}
    assert (finding["id"], finding["severity"], finding["mendable"]) == ("ops.E063", "error", True)


def test_only_takes_ids_that_there_are() -> None:
    said = command("doctor", "--only", "E999")
    assert said.code == 2
    assert "there is no id 'E999'; docs/doctor.md lists them" in said.error


def test_a_silenced_check_is_silent_here_too_unless_it_is_asked_for(settings: Any) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["ops.E060"]
    daily("sundays", day_of_week="7")
    assert told(command("doctor", "--json")) == []
    assert told(command("doctor", "--json", "--only", "E060")) == ["ops.E060"]


def test_twenty_things_that_are_wrong_at_the_same_time_are_all_named(
    all_answer: asking.Answers, conf: Any, settings: Any
) -> None:
    conf(task_acks_late=False, worker_prefetch_multiplier=4, task_time_limit=1_500, task_publish_retry=False)
    conf(result_extended=False, beat_sync_every=0, accept_content=["pickle"], broker_connection_max_retries=9)
    settings.DJANGO_CELERY_BEAT_TZ_AWARE = False
    settings.CELERY_TIMEZONE = None
    daily("sundays", day_of_week="7")
    daily("february", day_of_month="30", month_of_year="2")
    every("flood", 0)
    every("stalled", 600, last_run_at=clock.now() + timedelta(hours=9), task="gone")
    every("over", 600, one_off=True, total_run_count=1, queue="nobody")
    all_answer.by["ping"] = [("fast@one", {}), ("fast@one", {}), ("celerybeat@one", {}), ("celerybeat@one", {})]
    all_answer.apart["fast@one"] = 60.0
    Run.objects.create(job="x", verb="apply", scope="x", state="running", as_of=clock.now(), consent=True)
    before = clock.now() - timedelta(days=2)
    Run.objects.create(job="y", verb="apply", scope="y", state="paused", as_of=before, heartbeat_at=before)
    expected = (
        "E011 E012 W013 W014 W015 W018 W019 W020 W022 W025 E046 E060 E060 E062 E063 W061 E067 E081 E082 W081 W090 W092"
    )
    said = command("doctor", "--json")
    assert said.code == 5
    assert sorted(told(said)) == sorted(f"ops.{one}" for one in expected.split())
    assert len(set(told(said))) >= 20


# Mending


def test_mend_says_what_it_does_and_mends_only_that() -> None:
    every("stalled", 600, last_run_at=clock.now() + timedelta(hours=9))
    daily("sundays", day_of_week="7")
    said = command("doctor", "--mend", "--no-input")
    assert said.code == 5
    assert "\nTo mend:\n- set last_run_at of 'stalled' to now\n" in said.out
    assert "\nMended: last_run_at of 'stalled' is now.\n" in said.out
    # Shown before and after; afterwards only the other one is left.
    assert [line.count("E063") for line in said.out.split("To mend:")] == [1, 0]
    assert said.error == "1 error: docs/doctor.md tells more about each id."
    assert PeriodicTask.objects.get(name="stalled").last_run_at < clock.now()


def test_mend_asks_at_a_terminal_and_a_no_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = clock.now() + timedelta(hours=9)
    every("stalled", 600, last_run_at=ahead)
    monkeypatch.setattr(Command, "interactive", lambda self: True)
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    said = command("doctor", "--mend")
    assert (said.code, said.error) == (3, "Nothing was mended.")
    assert said.out.endswith("Do it? [y/N] ")
    assert PeriodicTask.objects.get(name="stalled").last_run_at == ahead
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))
    assert command("doctor", "--mend").code == 0


def test_mend_does_not_guess_without_a_terminal() -> None:
    every("stalled", 600, last_run_at=clock.now() + timedelta(hours=9))
    for words in ((), ("--json",)):
        said = command("doctor", "--mend", *words)
        assert said.code == 2
        assert said.error.endswith("add --no-input to write, or leave --mend out to look only.")


def test_mend_of_a_stale_run_is_a_sweep() -> None:
    Run.objects.create(job="billing.reprice", verb="plan", scope="x", state="running", as_of=clock.now())
    said = command("doctor", "--mend", "--no-input", "--json")
    assert said.code == 0
    (mended,) = json.loads(said.out)["mended"]
    assert mended.endswith("of billing.reprice: failed, a plan whose process is gone")


def test_without_anything_to_mend_nothing_is_asked() -> None:
    daily("nightly")
    said = command("doctor", "--mend", "--no-input")
    assert (said.code, "To mend" in said.out) == (0, False)


# Processes


def test_a_database_that_is_away_is_one_sentence_and_exit_code_1() -> None:
    code, out, err = ended(manage("doctor", DB_HOST="/nowhere"))
    assert code == 1
    assert "error E047  Looking at database 'default': connection to server on socket" in out
    assert err.startswith("CommandError: Looking at database 'default': connection to server")
    assert "Traceback" not in out + err


def test_it_takes_less_than_three_seconds_and_a_broker_that_is_away_leaves_the_rest() -> None:
    began = clock.monotonic()
    code, out, err = ended(manage("doctor", REDIS_URL="redis://127.0.0.1:1/0"))
    assert clock.monotonic() - began < 3
    assert code == 5
    assert "error E070 The broker at redis://:**@127.0.0.1:1/0 does not answer: Error 111" in " ".join(out.split())
    assert "workers   not asked: the broker is away" in out
    assert "runs      none is unfinished" in out
    assert err.startswith("CommandError: ")


def test_an_error_of_the_checks_does_not_keep_the_doctor_from_looking(settings: Any) -> None:
    settings.USE_TZ = False
    with pytest.raises(CommandError) as raised:
        call_command("doctor", "--only", "E010", stdout=StringIO())
    assert raised.value.returncode == 5


def test_every_id_has_a_place() -> None:
    assert len(KNOWN) > 50
    assert {one.id[4] for one in KNOWN.values()} == set("EWI")
