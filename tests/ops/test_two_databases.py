"""Runs of several databases: `runs list` and `runs pause --all` look at all of them, and say which one they mean."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from ops.models import Run
from tests.ops.counters import make_counters, stopped
from tests.ops.shop import ended, manage

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = """
from tests.settings import *
DATABASES = {**DATABASES, "second": {**DATABASES["default"], "NAME": "setwise_second"}}
"""


class Two:
    """A project with two databases, each with its runs."""

    def __init__(self, directory: Path) -> None:
        (directory / "two_databases.py").write_text(SETTINGS, encoding="utf-8")
        self.environment = {"DJANGO_SETTINGS_MODULE": "two_databases", "PYTHONPATH": str(directory)}

    def command(self, *words: str) -> tuple[int, str, str]:
        return ended(manage(*words, **self.environment))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE setwise_second")
    made = Two(tmp_path)
    code, _, err = made.command("migrate", "--database", "second", "--verbosity", "0")
    assert (code, err) == (0, "")
    yield made
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE setwise_second WITH (FORCE)")


def test_runs_of_all_databases_are_listed_and_paused(two: Two) -> None:
    make_counters()
    here = stopped()
    code, _, err = two.command("run_job", "shelf.normalise", "--dry-run", "--database", "second")
    assert (code, err) == (0, "")
    code, out, err = two.command("runs", "list", "--json")
    assert (code, err) == (0, "")
    found = [(one["database"], one["run"], one["job"]) for one in json.loads(out)["runs"]]
    assert found == [("second", 1, "shelf.normalise"), ("default", here.pk, "shelf.increment")]
    code, out, _ = two.command("runs", "list")
    assert out.strip().splitlines()[1].split() == ["database", "run", "job", "verb", "state", "changed", "opened"]
    assert max(map(len, out.splitlines())) <= 80
    assert two.command("runs", "list", "--database", "second", "--json")[1].count('"run":') == 1

    # As a run that was stopped there.
    _sql(two, "UPDATE ops_run SET verb = 'apply', state = 'stopped', finished_at = NULL")
    code, out, err = two.command("runs", "pause", "--all")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"Run {here.pk} of shelf.increment: paused.",
        f"'manage.py runs resume {here.pk}' carries it on.",
        "Run 1 of shelf.normalise: paused.",
        "'manage.py runs resume 1 --database second' carries it on.",
    ]
    assert Run.objects.get(pk=here.pk).state == "paused"
    assert json.loads(two.command("runs", "show", "1", "--database", "second", "--json")[1])["state"] == "paused"


def test_pause_all_of_one_database_leaves_the_other_alone(two: Two) -> None:
    make_counters()
    here = stopped()
    assert two.command("runs", "pause", "--all", "--database", "second")[1] == "No run is unfinished.\n"
    assert Run.objects.get(pk=here.pk).state == "stopped"


def _sql(two: Two, statement: str) -> None:
    code = f"from django.db import connections; connections['second'].cursor().execute({statement!r})"
    assert two.command("shell", "--verbosity", "0", "-c", code)[0] == 0
