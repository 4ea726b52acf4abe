"""The runbooks of schedules that need no worker, run in their order with the exit codes and words that they state.

Their blocks are those of docs/loading.md (see test_loading_page.py), and a block of crontab is a file, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config import schedules as declared
from ops import clock, tasks
from ops.clock import sync
from ops.clock.schedules import Schedule
from ops.doctor.asking import connected
from ops.engine import run as engine
from ops.models import Schedule as Kept
from tests.docs.test_loading_page import PIECE, commands, console, run_line
from tests.ops.shop import EVERYTHING, ROOT, job, make_shop, raise_prices, small

DIRECTORY = ROOT / "docs" / "runbooks"
PAGES = ("wrong-hour.md", "did-not-run.md", "move-schedule.md")
NIGHTLY = declared.SCHEDULES[0]
KST = ZoneInfo("Asia/Seoul")

Given = Mapping[str, Callable[[], None]]


def text_of(page: str) -> str:
    return (DIRECTORY / page).read_text(encoding="utf-8")


def run_page(page: str, given: Given, run: Callable[[str, list[str]], None]) -> int:
    """Do all that a page says, files being made in the present directory; return how many commands were run."""
    ran = 0
    for piece in PIECE.finditer(text_of(page)):
        if piece["given"]:
            given[piece["given"]]()
        elif piece["language"] == "crontab":
            Path(piece["file"]).write_text(piece["text"], encoding="utf-8")
        else:
            for line, said in console(piece["text"]):
                run(line, said)
                ran += 1
    return ran


def nothing_is_overlooked(page: str, given: Given) -> None:
    """Assert that every block of a page is one that is run, and that what it is given is there."""
    text = text_of(page)
    found = list(PIECE.finditer(text))
    blocks = [one for one in found if one["language"]]
    assert text.count("\n```") == 2 * len(blocks)
    assert {one["language"] for one in blocks} <= {"console", "crontab"}
    assert {one["given"] for one in found if one["given"]} <= given.keys()
    assert commands("".join(one["text"] for one in blocks if one["language"] == "console")) == commands(text)


@dataclass
class World:
    """What goes on outside of the operator's shell."""

    patch: pytest.MonkeyPatch

    def declare(self, *schedules: Schedule) -> None:
        self.patch.setattr(declared, "SCHEDULES", schedules)

    def in_utc(self) -> None:
        """Let an operator set the zone to UTC, and a slot run as it was due then."""
        utc = CrontabSchedule.objects.create(minute="0", hour="1", timezone="UTC")
        row = PeriodicTask.objects.get(name=NIGHTLY.name)
        row.crontab = utc
        row.save()
        due = datetime(2026, 11, 25, 1, tzinfo=UTC)
        options = small(schedule=NIGHTLY.name, slot=due, queue="slow", started_from="Celery ops.start_slot")
        engine.apply(job(), EVERYTHING, options)

    def switched_off(self) -> None:
        row = PeriodicTask.objects.get(name=NIGHTLY.name)
        row.enabled = False
        row.save()

    def down(self) -> None:
        """Let ten minutes pass since it was due, in which nobody was there."""
        before = clock.now() - timedelta(minutes=30)
        Kept.objects.update(settled_at=before, seen_at=before)
        PeriodicTask.objects.update(date_changed=before)
        raise_prices()

    def worker_is_there(self) -> None:
        """It takes nothing before the message is sent, so there is nothing to do."""

    def worker_takes_it(self) -> None:
        from config import celery_app

        with connected(celery_app) as opened:
            client = opened.default_channel.client
            assert client.llen("slow") == 1
            client.delete("slow")
        assert tasks.start_slot.apply(kwargs={"schedule": NIGHTLY.name}).state == "SUCCESS"

    def but_on_sundays(self) -> None:
        self.declare(replace(NIGHTLY, cron="0 1 * * 1-6"))

    def in_new_york(self) -> None:
        self.declare(replace(NIGHTLY, cron="0 1 * * 1-6", zone="America/New_York"))

    def by_hand(self) -> None:
        at = CrontabSchedule.objects.create(minute="0", hour="1", timezone="UTC")
        PeriodicTask.objects.create(name="nightly-by-hand", task="billing.tasks.reprice", crontab=at)


def given(world: World) -> Given:
    return {
        "an operator has set the zone of reprice-nightly to UTC, and it ran at 10:00": world.in_utc,
        "an operator has switched reprice-nightly off": world.switched_off,
        "beat, the workers and the sweeper were down at its hour": world.down,
        "a worker is there again": world.worker_is_there,
        "the worker takes it": world.worker_takes_it,
        "reprice-nightly is declared for 01:00 in Seoul but on Sundays": world.but_on_sundays,
        "reprice-nightly is declared for 01:00 in New York": world.in_new_york,
        "a row nightly-by-hand, at 01:00 in UTC, that starts billing.reprice": world.by_hand,
    }


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.django_db(transaction=True)
def test_a_runbook_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call_command("flush", interactive=False, verbosity=0)
    make_shop()
    world = World(monkeypatch)
    if page == "did-not-run.md":
        # Due ten minutes ago, whenever that is.
        due = (clock.now() - timedelta(minutes=10)).astimezone(KST)
        world.declare(replace(NIGHTLY, cron=f"{due.minute} {due.hour} * * *"))
    if page != "move-schedule.md":
        sync.apply("default")
    ran = run_page(page, given(world), lambda line, said: run_line(line, said, monkeypatch))
    assert ran == len(commands(text_of(page))) > 8


def test_no_block_and_no_command_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    made = given(World(monkeypatch))
    for page in PAGES:
        nothing_is_overlooked(page, made)
    asked = {one["given"] for page in PAGES for one in PIECE.finditer(text_of(page)) if one["given"]}
    assert asked == made.keys()
