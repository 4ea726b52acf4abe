"""A schedule whose runs are in another database than the tables of beat: its frontier is there, with its runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.shop import ROOT, environment
from tests.ops.test_two_databases import Two, two

__all__ = ["two"]

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULES = """
from ops.clock.schedules import Schedule
SCHEDULES = (Schedule("there", "shelf.normalise", cron="0 1 * * *", zone="Asia/Seoul", database="second"),)
"""
SETTINGS = """
from two_databases import *
SETWISE_SCHEDULES = "two_schedules.SCHEDULES"
"""
WORK = """
import json, django
django.setup()
from datetime import timedelta
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask
from ops import clock
from ops.clock import slots
from ops.engine.lifecycle import Options
from ops.models import Run, Schedule

call_command("sync_schedules", "--no-input", verbosity=0)
later = clock.now() + timedelta(days=1)
found = {
    "rows": PeriodicTask.objects.filter(name="there").count(),
    "here": Schedule.objects.count(),
    "waiting": [one.schedule for one in slots.look("second", later)] + slots.look("default", later),
    "came to": [one.outcome for one in slots.start("there", Options(), now=lambda: later)],
    "runs": list(Run.objects.using("second").values_list("schedule", "state")) + list(Run.objects.values_list("pk")),
    "declared": Schedule.objects.using("second").get().declared["when"],
}
call_command("sync_schedules", "--check", verbosity=0)
print(json.dumps(found))
"""


@pytest.fixture
def scheduled(two: Two, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "two_schedules.py").write_text(SCHEDULES)
    (tmp_path / "two_settings.py").write_text(SETTINGS)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}", "DJANGO_SETTINGS_MODULE": "two_settings"}


def test_its_runs_and_how_far_it_is_settled_are_there(scheduled: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK],
        env=environment(**scheduled),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "rows": 1,
        "here": 0,
        "waiting": ["there"],
        "came to": ["done"],
        "runs": [["there", "done"]],
        "declared": "0 1 * * * Asia/Seoul",
    }
