"""sync_schedules: declared now, written last and stored now are compared; an operator's edits stay."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from ops.clock import schedules, slots, sync
from ops.engine.plan import Refused
from ops.management.engine_command import EngineCommand
from ops.models import Schedule as Kept
from tests.ops.clock.fakes import NEW_YORK, SEOUL, crontab, declared, nightly

pytestmark = pytest.mark.django_db(transaction=True)

TENTH = timedelta(minutes=10)


def synced(*words: str) -> str:
    """Run the command; return what it prints, blanks and dates made one."""
    out = StringIO()
    call_command("sync_schedules", *words, stdout=out)
    return " ".join(re.sub(r"\w{3} \d\d-\d\d", "DAY", out.getvalue()).split())


def document(*words: str) -> Any:
    out = StringIO()
    call_command("sync_schedules", "--json", *words, stdout=out)
    return json.loads(out.getvalue())


def rows() -> list[tuple[str, str, str, bool]]:
    return [
        (one.name, sync.stored(one)["when"], one.queue, one.enabled) for one in PeriodicTask.objects.order_by("name")
    ]


def test_a_declared_one_is_created_with_its_zone_and_counts_from_then_on() -> None:
    with declared(nightly(queue="slow"), nightly(name="often", every=TENTH)):
        said = synced("--no-input")
        assert rows() == [
            ("nightly", "0 1 * * * Asia/Seoul", "slow", True),
            ("often", "every 600 s", "fast", True),
        ]
        made = PeriodicTask.objects.get(name="nightly")
        assert (made.task, made.kwargs, str(made.crontab.timezone)) == (
            "ops.start_slot",
            '{"schedule": "nightly"}',
            SEOUL,
        )
        assert made.description == "shelf.lift_counter; missed: once. Declared in code: SETWISE_SCHEDULES."
        assert IntervalSchedule.objects.get(periodictask__name="often").period == "minutes"
        assert Kept.objects.get(pk="nightly").rule == "0 1 * * * Asia/Seoul"
        assert slots.look("default") == []
        assert "nightly shelf.lift_counter 0 1 * * * Asia/Seoul slow created" in said
        assert "Next firings schedule in its zone Asia/Seoul UTC" in said
        assert "nightly DAY 01:00 DAY 01:00 DAY 16:00" in said
        assert "as declared" in synced("--check")
        assert document("--dry-run")["written"] == 0


def test_beat_is_told_once_and_only_where_something_is_written() -> None:
    with declared(nightly()):
        synced("--no-input")
        told = PeriodicTasks.last_change()
        synced("--no-input")
        assert PeriodicTasks.last_change() == told
    with declared(nightly(queue="slow")):
        synced("--no-input")
        assert PeriodicTasks.last_change() > told


def test_a_new_declaration_is_written_into_a_crontab_of_its_own() -> None:
    with declared(nightly()):
        synced("--no-input")
    shared = CrontabSchedule.objects.get()
    PeriodicTask.objects.create(name="theirs", task="theirs.work", crontab=shared)
    with declared(nightly(cron="30 2 * * *")):
        assert "update: when" in synced("--dry-run")
        synced("--no-input")
        assert [row[:2] for row in rows()] == [
            ("nightly", "30 2 * * * Asia/Seoul"),
            ("theirs", "0 1 * * * Asia/Seoul"),
        ]
    with declared(nightly()):
        synced("--no-input")
    # The one that there is was taken again.
    assert CrontabSchedule.objects.count() == 2
    assert PeriodicTask.objects.get(name="nightly").crontab == shared


def test_of_duplicate_crontabs_one_is_taken() -> None:
    first = crontab("0 1 * * *", SEOUL)
    crontab("0 1 * * *", SEOUL)
    crontab("0 1 * * *", "UTC")
    with declared(nightly()):
        synced("--no-input")
    assert PeriodicTask.objects.get().crontab == first


def test_a_switch_off_and_an_edit_of_an_operator_stay_and_are_shown() -> None:
    with declared(nightly(queue="slow")):
        synced("--no-input")
        PeriodicTask.objects.update(enabled=False, queue="third")
        said = synced("--no-input")
        assert "nightly: switched off in the admin; '--reset nightly' takes the declaration." in said
        assert "nightly: edited in the admin: queue third, declared: slow; '--reset nightly' takes" in said
        assert "edited, off" in said
        synced("--check")
    with declared(nightly(cron="0 3 * * *", queue="fast")):
        # What was edited stays, what was not follows.
        synced("--no-input")
        assert rows() == [("nightly", "0 3 * * * Asia/Seoul", "third", False)]
        found = document("--dry-run")["schedules"][0]
        assert found["edited"] == {
            "queue": {"stored": "third", "declared": "fast"},
            "enabled": {"stored": False, "declared": True},
        }
        assert found["next"] == []
        synced("--no-input", "--reset", "nightly")
        assert rows() == [("nightly", "0 3 * * * Asia/Seoul", "fast", True)]
        assert "edited" not in synced("--check")


def test_what_an_operator_sets_back_is_no_edit_any_more() -> None:
    with declared(nightly()):
        synced("--no-input")
        PeriodicTask.objects.update(queue="slow")
        synced("--no-input")
        PeriodicTask.objects.update(queue="fast")
        synced("--no-input")
    with declared(nightly(queue="slow")):
        synced("--no-input")
    assert rows()[0][2] == "slow"


def test_a_row_that_was_deleted_stays_so_until_it_is_reset() -> None:
    with declared(nightly()):
        synced("--no-input")
        PeriodicTask.objects.all().delete()
        assert "nightly: deleted in the admin; '--reset nightly' makes it again." in synced("--no-input")
        assert rows() == []
        synced("--no-input", "--reset", "nightly")
        assert len(rows()) == 1


def test_one_that_is_no_longer_declared_is_switched_off_and_comes_back() -> None:
    with declared(nightly()):
        synced("--no-input")
    with declared():
        with pytest.raises(CommandError) as caught:
            synced("--check")
        assert (caught.value.returncode, "1 schedule would be written" in str(caught.value)) == (5, True)
        assert "nightly: no longer declared." in synced("--no-input")
        assert rows()[0][3] is False
        assert "no longer declared, and switched off" in synced("--check")
        PeriodicTask.objects.update(enabled=True)
        synced("--no-input")
        assert rows()[0][3] is False
    with declared(nightly()):
        synced("--no-input")
        assert rows()[0][3] is True


def test_rows_that_were_made_by_hand_are_shown_and_left() -> None:
    PeriodicTask.objects.create(name="theirs", task="theirs.work", crontab=crontab("0 5 * * *", NEW_YORK), queue="x")
    with declared(nightly()):
        said = synced("--no-input")
        assert "Not declared, and left as they are" in said
        assert "theirs theirs.work 0 5 * * * America/New_York on" in said
        assert ("theirs", "0 5 * * * America/New_York", "x", True) in rows()


def test_a_row_of_the_same_name_that_was_made_by_hand_is_in_the_way() -> None:
    PeriodicTask.objects.create(name="nightly", task="theirs.work", crontab=crontab("0 5 * * *", NEW_YORK))
    with declared(nightly()):
        with pytest.raises(CommandError) as caught:
            synced("--no-input")
        assert caught.value.returncode == 3
        assert "a row of this name was made by hand: it sends theirs.work; nothing was written" in str(caught.value)
        with pytest.raises(CommandError) as caught:
            synced("--check")
        assert caught.value.returncode == 3
        synced("--no-input", "--reset", "nightly")
        assert PeriodicTask.objects.get().task == "ops.start_slot"


def test_without_a_terminal_it_does_not_guess() -> None:
    with declared(nightly()), pytest.raises(CommandError) as caught:
        synced()
    assert (caught.value.returncode, rows()) == (2, [])
    with declared(nightly()), pytest.raises(CommandError) as caught:
        synced("--no-input", "--reset", "other")
    assert (caught.value.returncode, str(caught.value)) == (
        2,
        "There is no schedule 'other' to reset; declared is: nightly.",
    )


@pytest.mark.parametrize(
    ("answer", "code", "said"), [("y", 0, "1 schedule written."), ("n", 3, "Declined: nothing was")]
)
def test_at_a_terminal_it_asks(answer: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineCommand, "interactive", lambda self: True)
    monkeypatch.setattr("sys.stdin", StringIO(f"{answer}\n"))
    out, found = StringIO(), 0
    with declared(nightly()):
        try:
            call_command("sync_schedules", stdout=out)
        except CommandError as exc:
            found = exc.returncode
            out.write(str(exc))
    assert found == code
    assert "Write 1 schedule? [y/N]" in out.getvalue()
    assert said in out.getvalue()
    assert len(rows()) == (answer == "y")


def test_parameters_that_only_the_database_can_tell_are_refused() -> None:
    with (
        declared(nightly(job="billing.reprice", params={"service": ["Nowhere"]})),
        pytest.raises(CommandError) as caught,
    ):
        synced("--no-input")
    assert (caught.value.returncode, "There is no service 'Nowhere'" in str(caught.value)) == (2, True)
    assert rows() == []


def test_what_was_edited_while_the_plan_was_read_is_seen() -> None:
    with declared(nightly()):
        synced("--no-input")
    with declared(nightly(queue="slow")):
        seen = sync.plan("default")
        PeriodicTask.objects.update(queue="third")
        with pytest.raises(Refused, match="edited while you read the plan"):
            sync.apply("default", (), seen)
    assert rows()[0][2] == "third"


def test_hours_that_clocks_skip_or_double_are_shown() -> None:
    with declared(nightly(cron="30 1,2 * * *", zone=NEW_YORK)):
        said = synced("--dry-run")
    assert re.search(r"nightly: clocks skip 02:30 on 20\d\d-03-\d\d: it runs as soon as they have\.", said)
    assert re.search(r"nightly: clocks have 01:30 on 20\d\d-11-\d\d twice: it runs the first time\.", said)
    assert "in its zone Asia/Seoul UTC" in said


def test_a_project_without_beat_is_told_so() -> None:
    from django.conf import settings

    apps = [one for one in settings.INSTALLED_APPS if one != "django_celery_beat"]
    with override_settings(INSTALLED_APPS=apps), pytest.raises(CommandError) as caught:
        call_command("sync_schedules", "--no-input")
    assert (caught.value.returncode, "django-celery-beat is not in INSTALLED_APPS" in str(caught.value)) == (1, True)


def test_the_projects_own_declarations_are_sound() -> None:
    with override_settings(SETWISE_SCHEDULES="config.schedules.SCHEDULES"):
        found = document("--no-input")
        assert [one["name"] for one in found["schedules"]] == [one.name for one in schedules.declared()]
        assert [one["name"] for one in found["schedules"]][:2] == ["reprice-nightly", "reprice-marked"]
        assert document("--check")["schedules"][0]["action"] == "keep"
    assert found["schedules"][0]["next"][0].endswith("T16:00:00+00:00")
