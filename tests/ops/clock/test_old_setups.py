"""The set-up of 2020 that ran at 16:00 what was meant for 01:00, reproduced; ours is refused, or right."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings
from django_celery_beat.models import PeriodicTask

from config.celery import app
from ops import clock
from ops.clock import beat
from tests.ops.clock.beats import Beat, stock_clock
from tests.ops.clock.fakes import SEOUL, at, crontab

# Two days of Celery's own scheduler in a process of Seoul, by a clock that is moved; prints when it sent, in Seoul.
OLD = """
import json, sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab

present = datetime(2026, 11, 19, 15, 0, 30, tzinfo=timezone.utc)  # half a minute after midnight in Seoul
old = json.loads(sys.argv[1])
app = Celery("old", broker="memory://")
app.conf.update(timezone="Asia/Seoul", enable_utc=not old, result_expires=None)
app.conf.beat_schedule = {"nightly": {"task": "work", "schedule": crontab(minute=0, hour=1)}}

# What `app.now = datetime.now` returns in this process: the local time, without a zone.
naive = lambda: present.astimezone().replace(tzinfo=None)
aware = lambda: present.astimezone(app.timezone)
app.now = naive if old else aware
assert naive() == present.astimezone(ZoneInfo("Asia/Seoul")).replace(tzinfo=None)
sent = []

class Recorder(Scheduler):
    producer = None
    def apply_async(self, entry, producer=None, advance=True, **more):
        sent.append(present.astimezone(ZoneInfo("Asia/Seoul")).strftime("%d %H:%M"))

scheduler = Recorder(app=app, max_interval=60)
for _ in range(2 * 24 * 60):
    scheduler.tick()
    present += timedelta(seconds=60)
print(json.dumps(sent))
"""


def celerys_own(*, old: bool) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OLD, json.dumps(old)],
        env={"PATH": os.environ["PATH"], "TZ": SEOUL},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_set_up_of_2020_fires_at_16() -> None:
    assert celerys_own(old=True) == ["20 16:00", "21 16:00"]
    # Without `app.now = datetime.now` and `enable_utc=False` Celery's own is right, too.
    assert celerys_own(old=False) == ["20 01:00", "21 01:00"]


@pytest.fixture
def old_app() -> Iterator[Any]:
    app.now = datetime.now
    app.conf.enable_utc = False
    yield app
    del app.now
    app.conf.enable_utc = True


@pytest.mark.django_db
def test_ours_is_refused_with_it_and_would_fire_at_1(old_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = at("2026-11-20T00:00:00+09:00")
    with pytest.raises(SystemExit) as caught:
        beat.SlotScheduler(app=old_app)
    assert str(caught.value).startswith("Beat does not start: app.now() has no zone, and Celery reads that as UTC")
    monkeypatch.setattr(beat, "problems", lambda app: [])
    with stock_clock(midnight) as moved:
        old_app.now = lambda: moved.now.astimezone().replace(tzinfo=None)
        PeriodicTask.objects.create(name="nightly", task="work", crontab=crontab("0 1 * * *", SEOUL))
        sent = Beat(moved, every=1e6).upto(midnight + timedelta(days=2))
    assert [instant - midnight for instant, _ in sent] == [timedelta(hours=1), timedelta(hours=25)]


def test_what_keeps_beat_from_starting_is_told() -> None:
    right = SimpleNamespace(now=clock.now)
    assert beat.problems(app) == beat.problems(right) == []
    ahead = SimpleNamespace(now=lambda: clock.now() + timedelta(hours=9))
    assert [told.partition(",")[2] for told in beat.problems(ahead)] == [
        " which is not now: leave app.now as Celery has it."
    ]
    with override_settings(USE_TZ=False, DJANGO_CELERY_BEAT_TZ_AWARE=False):
        assert [told.split()[0] for told in beat.problems(right)] == ["USE_TZ", "DJANGO_CELERY_BEAT_TZ_AWARE"]
