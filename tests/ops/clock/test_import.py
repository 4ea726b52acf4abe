"""Rows made by hand and crontabs become declarations; what can't, a comment with the reason."""

import io
import re
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ops.clock import slots
from ops.clock.schedules import Schedule
from tests.ops.clock.fakes import NEW_YORK, SEOUL, at, crontab, declared, nightly

pytestmark = pytest.mark.django_db


def imported(*words: str) -> str:
    out = StringIO()
    call_command("sync_schedules", "--import", *words, stdout=out)
    return out.getvalue()


def made(text: str) -> dict[str, Schedule]:
    """Execute what was printed, as whoever pastes it does."""
    space: dict[str, Any] = {}
    exec(text, space)
    return {one.name: one for one in space["SCHEDULES"]}


def test_rows_that_send_a_job_by_its_name_become_declarations() -> None:
    PeriodicTask.objects.create(
        name="Reprice all", task="billing.tasks.reprice", crontab=crontab("0 1 * * 1-5", NEW_YORK), queue="slow"
    )
    ten = IntervalSchedule.objects.create(every=10, period="minutes")
    PeriodicTask.objects.create(
        name="marked", task="billing.reprice", interval=ten, kwargs='{"dirty": true}', enabled=False
    )
    with declared(nightly()):
        call_command("sync_schedules", "--no-input", stdout=StringIO())
        text = imported()
    assert "# was the task billing.tasks.reprice\n" in text
    assert made(text) == {
        "Reprice all": Schedule("Reprice all", "billing.reprice", cron="0 1 * * 1-5", zone=NEW_YORK, queue="slow"),
        "marked": Schedule(
            "marked", "billing.reprice", params={"dirty": True}, every=timedelta(minutes=10), enabled=False
        ),
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"task": "theirs.work"}, "there is no job of this name"),
        ({"args": "[1]"}, "it has positional arguments"),
        ({"kwargs": '{"dirt": 1}'}, "There is no parameter 'dirt'"),
        ({"kwargs": '{"service": ["Nowhere"]}'}, "There is no service 'Nowhere'"),
        ({"one_off": True}, "its one_off can't be declared"),
        ({"task": "ops.backfill"}, "ops.backfill is for a shell only"),
        ({"queue": "gone"}, "there is no queue 'gone'"),
    ],
)
def test_rows_that_cannot_be_declared_say_why(words: dict[str, Any], reason: str) -> None:
    given = {"name": "row", "task": "billing.reprice", "crontab": crontab("0 1 * * *", SEOUL), **words}
    PeriodicTask.objects.create(**given)
    text = imported()
    assert made(text) == {}
    assert reason in text


CRONTAB = """
# m h dom mon dow command
SHELL=/bin/sh
CRON_TZ=America/New_York
*/15 9-17 * * 1-5 cd /srv/billing && .venv/bin/python manage.py reprice --dirty --no-input >> /var/log/x.log 2>&1
0 1 * * 7 /srv/venv/bin/python /srv/billing/manage.py run_job billing.reprice --no-input --max-rows 1000 --workers 2
@daily manage.py run_job shelf.increment --by 3 --no-input --batch-size 500
0 1 1 * 1 python manage.py run_job shelf.normalise --no-input --verify
@reboot manage.py reprice --no-input
0 2 * * * pg_dump billing > /backup/billing.sql
0 3 * * * python manage.py clearsessions
0 4 * * * python manage.py reprice --dry-run
0 5 * * * python manage.py reprice --no-such-option
0 6 * * * python manage.py reprice --no-input && python manage.py sweep
0 7 30 2 * python manage.py reprice --no-input
0 8 * * * date +%d
9 * * *
0 9 * * * python manage.py backfill billing.Client.name --value "trim(name)" --no-input
"""

REASONS = (
    ("@reboot", "'@reboot' has no time"),
    ("pg_dump", "it calls no manage.py"),
    ("clearsessions", "'clearsessions' is no command of a job"),
    ("--dry-run", "it plans only"),
    ("--no-such-option", "unrecognized arguments: --no-such-option"),
    ("sweep", "it does more than one thing"),
    ("30 2", "it never fires: February has no day 30"),
    ("+%d", "a percent sign begins its standard input"),
    ("9 * * *", "it is no line of a crontab"),
    ("backfill", "ops.backfill is for a shell only"),
)


def test_lines_of_a_crontab_become_declarations(tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text(CRONTAB)
    text = imported(str(file))
    found = made(text)
    assert list(found) == ["reprice", "reprice-2", "increment", "normalise-1", "normalise-2"]
    assert found["reprice"] == Schedule(
        "reprice", "billing.reprice", params={"dirty": True}, cron="*/15 9-17 * * 1-5", zone=NEW_YORK
    )
    assert found["reprice-2"] == Schedule(
        "reprice-2", "billing.reprice", cron="0 1 * * 0", zone=NEW_YORK, max_rows=1000, workers=2
    )
    assert found["increment"] == Schedule(
        "increment", "shelf.increment", params={"by": "3"}, cron="0 0 * * *", zone=NEW_YORK
    )
    assert "# --batch-size is left out" in text
    assert all(found[name].verify for name in ("normalise-1", "normalise-2"))
    begin = at("2026-01-01T00:00:00-05:00")
    both = sorted(
        {*slots.next_slots(found["normalise-1"], begin, 80), *slots.next_slots(found["normalise-2"], begin, 80)}
    )
    # The first of the month OR Monday, each day once.
    days = [one.astimezone(at("2026-01-01T00:00:00-05:00").tzinfo) for one in both[:30]]
    assert len(set(both)) == len(both)
    assert all(day.day in (1, 2) or day.isoweekday() in (1, 2) for day in days)
    assert "It names no zone" not in text
    for line, reason in REASONS:
        assert re.search(rf"    # [^\n]*{re.escape(line)}[^\n]*\n    #   {re.escape(reason)}", text), (line, text)
    assert text.count("    #   ") == len(REASONS)


def test_a_crontab_that_names_no_zone_is_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("0 1 * * * python manage.py reprice --no-input\n"))
    text = imported("-")
    assert "It names no zone (CRON_TZ): its hours are read in Asia/Seoul, which --zone changes." in text
    assert made(text)["reprice"].zone == SEOUL
    monkeypatch.setattr("sys.stdin", io.StringIO("0 1 * * * python manage.py reprice --no-input\n"))
    text = imported("-", "--zone", "UTC")
    assert ("names no zone" in text, made(text)["reprice"].zone) == (False, "UTC")


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        imported(str(tmp_path / "gone"))
    assert (caught.value.returncode, "can't be read" in str(caught.value)) == (2, True)
    with pytest.raises(CommandError) as caught:
        imported(str(Path(__file__)), "--zone", "Asia/Soul")
    assert (caught.value.returncode, "did you mean Asia/Seoul?" in str(caught.value)) == (2, True)
    assert "There is nothing to take over." in imported()
