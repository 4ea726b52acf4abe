"""Schedules in the admin: what each runs, when it is due in three zones, what waits, what was missed."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from django_celery_results.models import TaskResult
from pytest_django import Settings

from ops import clock
from ops.clock.schedules import Schedule as Declared
from ops.models import MissedSlots, Run, Schedule

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 3, 10, tzinfo=UTC)
LIST = "/admin/ops/schedule/"


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """A browser in which a superuser is logged in, ten minutes past noon in Seoul."""
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("admin", password="x"))
    monkeypatch.setattr("ops.admin_schedules.clock.now", lambda: NOW)
    return browser


def schedule(name: str, rule: str, *, settled: datetime = NOW, enabled: bool = True, row: bool = True) -> None:
    """Keep a schedule, with its row of beat as it was long ago."""
    if row:
        line, _, zone = rule.rpartition(" ")
        fields = dict(
            zip(("minute", "hour", "day_of_month", "month_of_year", "day_of_week"), line.split(), strict=True)
        )
        crontab, _ = CrontabSchedule.objects.get_or_create(timezone=zone, **fields)
        PeriodicTask.objects.create(name=name, task="ops.start_slot", crontab=crontab, enabled=enabled)
        PeriodicTask.objects.filter(name=name).update(date_changed=datetime(2020, 1, 1, tzinfo=UTC))
    Schedule.objects.create(name=name, rule=rule if enabled else "", settled_at=settled, seen_at=NOW)


def run_for(name: str, slot: datetime, **more: Any) -> Run:
    fields = {"job": "billing.reprice", "verb": "apply", "scope": str(slot), "state": "done", "as_of": slot}
    return Run.objects.create(schedule=name, slot=slot, **{**fields, **more})


def page(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def listed(browser: Browser, address: str = LIST) -> dict[str, list[str]]:
    """Return the texts of each line of the list, by the schedule's name."""
    lines = re.findall(r"<tr>.*?</tr>", page(browser, address).partition("<tbody>")[2], re.DOTALL)
    found = [re.findall(r'<t[dh] class="field-.*?</t[dh]>', line, re.DOTALL) for line in lines]
    texts = [
        ["on" if "icon-yes" in cell else "off" if "icon-no" in cell else strip_tags(cell) for cell in one]
        for one in found
    ]
    return {one[0]: one[1:] for one in texts}


def test_a_schedule_is_shown_in_its_own_zone_in_kst_and_in_utc(browser: Browser, settings: Settings) -> None:
    settings.SETWISE_SCHEDULES = (
        Declared("nightly", job="billing.reprice", params={"dirty": True}, cron="0 1 * * *", missed="skip"),
        Declared("abroad", job="billing.reprice", cron="30 2 * * *", zone="America/New_York"),
    )
    schedule("nightly", "0 1 * * * Asia/Seoul")
    schedule("abroad", "30 2 * * * America/New_York")
    run = run_for("nightly", datetime(2026, 11, 24, 16, tzinfo=UTC), state="failed")
    run_for("nightly", datetime(2026, 11, 23, 16, tzinfo=UTC))
    assert listed(browser) == {
        "abroad": [
            "billing.reprice",
            "30 2 * * * America/New_York",
            "on",
            "once",
            "-",
            "-",
            "2026-11-25 02:30:00 EST",
            "2026-11-25 16:30:00 KST",
            "2026-11-25 07:30:00 UTC",
        ],
        "nightly": [
            "billing.reprice",
            "0 1 * * * Asia/Seoul",
            "on",
            "skip, up to 5 min late",
            f"2026-11-25 01:00:00 KST: run {run.pk}, failed",
            "-",
            "2026-11-26 01:00:00 KST",
            "2026-11-26 01:00:00 KST",
            "2026-11-25 16:00:00 UTC",
        ],
    }
    assert reverse("admin:ops_run_change", args=[run.pk]) in page(browser, LIST)


def test_a_page_shows_the_next_slots_over_a_change_of_clocks(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule("abroad", "30 2 * * * America/New_York")
    monkeypatch.setattr("ops.admin_schedules.clock.now", lambda: datetime(2027, 3, 13, 0, tzinfo=UTC))
    text = page(browser, "/admin/ops/schedule/abroad/change/")
    cells = re.findall(r"<td>([^<]+)</td>", text)
    assert cells == [
        "2027-03-13 02:30:00 EST",
        "2027-03-13 16:30:00 KST",
        "2027-03-13 07:30:00 UTC",
        # Clocks skip 02:30: it is due once, when the gap ends.
        "2027-03-14 03:00:00 EDT",
        "2027-03-14 16:00:00 KST",
        "2027-03-14 07:00:00 UTC",
        "2027-03-15 02:30:00 EDT",
        "2027-03-15 15:30:00 KST",
        "2027-03-15 06:30:00 UTC",
    ]
    task = PeriodicTask.objects.get(name="abroad")
    assert reverse("admin:django_celery_beat_periodictask_change", args=[task.pk]) in text
    for model, query in (("run", "schedule=abroad"), ("missedslots", "q=abroad")):
        assert f"/admin/ops/{model}/?{query}" in text


def test_a_slot_that_waits_is_late(browser: Browser, settings: Settings) -> None:
    settings.SETWISE_SCHEDULES = (Declared("late", job="billing.reprice", cron="0 12 * * *"),)
    schedule("late", "0 12 * * * Asia/Seoul", settled=NOW - timedelta(hours=1))
    assert listed(browser)["late"][5] == "10 min, since 2026-11-25 12:00:00 KST"


def test_what_is_off_gone_or_undeclared_is_shown_as_such(browser: Browser) -> None:
    schedule("off", "0 1 * * * Asia/Seoul", enabled=False, settled=NOW - timedelta(days=9))
    schedule("gone", "0 1 * * * Asia/Seoul", row=False, settled=NOW - timedelta(days=9))
    run_for("gone", NOW, job="old.job")
    found = listed(browser)
    nothing = ["-", "-", "-", "-"]
    assert found["off"] == ["-", "0 1 * * * Asia/Seoul", "off", "not declared", "-", *nothing]
    assert found["gone"][:4] == ["old.job", "-", "off", "not declared"]
    assert found["gone"][5:] == nothing
    assert "no row of django-celery-beat" in page(browser, "/admin/ops/schedule/gone/change/")


def test_an_interval_is_shown_in_the_projects_zone(browser: Browser) -> None:
    interval = IntervalSchedule.objects.create(every=10, period="minutes")
    PeriodicTask.objects.create(name="often", task="ops.start_slot", interval=interval)
    Schedule.objects.create(name="often", rule="every 600 s", settled_at=NOW, seen_at=NOW)
    assert listed(browser)["often"][6:] == [
        "2026-11-25 12:20:00 KST",
        "2026-11-25 12:20:00 KST",
        "2026-11-25 03:20:00 UTC",
    ]


def test_broken_declarations_do_not_take_the_page_away(browser: Browser, settings: Settings) -> None:
    settings.SETWISE_SCHEDULES = "nowhere.SCHEDULES"
    schedule("nightly", "0 1 * * * Asia/Seoul")
    assert listed(browser)["nightly"][3] == "not declared"


@pytest.mark.parametrize("model", ["schedule", "missedslots"])
def test_it_is_to_read(browser: Browser, model: str) -> None:
    schedule("nightly", "0 1 * * * Asia/Seoul")
    missed = MissedSlots.objects.create(
        schedule="nightly", first=NOW, last=NOW, count=3, reason="not started within 5 min"
    )
    address = f"/admin/ops/{model}/{'nightly' if model == 'schedule' else missed.pk}"
    assert browser.get(f"{address}/change/").status_code == 200
    assert browser.get(f"/admin/ops/{model}/add/").status_code == 403
    assert browser.post(f"{address}/change/", {"name": "x"}).status_code == 403
    assert browser.get(f"{address}/delete/").status_code == 403


def test_missed_slots_are_found_by_schedule(browser: Browser) -> None:
    for name in ("nightly", "hourly"):
        MissedSlots.objects.create(
            schedule=name, first=NOW, last=NOW + timedelta(hours=1), count=2, reason=f"of {name}"
        )
    text = page(browser, "/admin/ops/missedslots/?q=night")
    assert "of nightly" in text
    assert "of hourly" not in text
    assert "2026-11-25 13:10:00 KST" in text


@pytest.mark.parametrize("address", [LIST, "/admin/ops/run/", "/admin/ops/missedslots/"])
def test_the_queries_of_a_list_do_not_grow_with_its_rows(browser: Browser, address: str) -> None:
    def fill(numbers: range) -> int:
        for number in numbers:
            schedule(f"schedule {number}", f"{number} 1 * * * Asia/Seoul")
            run_for(f"schedule {number}", NOW, task_id=f"task {number}")
            MissedSlots.objects.create(schedule=f"schedule {number}", first=NOW, last=NOW, reason="")
        with CaptureQueriesContext(connection) as queries:
            page(browser, address)
        return len(queries)

    page(browser, address)
    few = fill(range(2))
    assert fill(range(2, 45)) == few <= 7


# Runs


def test_runs_are_found_by_their_schedule(browser: Browser) -> None:
    for name in ("nightly", "hourly"):
        schedule(name, "0 1 * * * Asia/Seoul")
    runs = [run_for(name, NOW + timedelta(hours=n)) for n, name in enumerate(("nightly", "hourly", "nightly"))]
    Run.objects.create(job="billing.reprice", verb="apply", scope="", state="done", as_of=NOW)
    found = browser.get("/admin/ops/run/", {"schedule": "nightly"}).context["cl"].result_list
    assert [run.pk for run in found] == [runs[2].pk, runs[0].pk]
    with CaptureQueriesContext(connection) as queries:
        text = page(browser, "/admin/ops/run/")
    assert "?schedule=hourly" in text
    assert [query["sql"] for query in queries if "DISTINCT" in query["sql"]] == []


def test_a_run_leads_to_its_schedule_and_to_its_tasks_result(browser: Browser) -> None:
    run = run_for("night/ly", NOW, queue="slow", sent_at=NOW, task_id="0f1c")
    address = f"/admin/ops/run/{run.pk}/change/"
    text = page(browser, address)
    assert '<a href="/admin/ops/schedule/night_2Fly/change/">night/ly</a>' in text
    assert clock.shown(NOW) in text
    assert ">slow<" in text
    assert "taskresult" not in text.partition("Celery task")[2][:300]
    result = TaskResult.objects.create(task_id="0f1c", status="FAILURE")
    text = page(browser, address)
    assert f'<a href="/admin/django_celery_results/taskresult/{result.pk}/change/">0f1c</a> (FAILURE)' in text
