"""/api/runs/ID/: a run as `manage.py runs show --json` tells it, its events page by page."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django import forms
from django.core.management import call_command
from django.test import Client as Browser
from pytest_django import DjangoAssertNumQueries

from ops import clock
from ops.engine import parameters
from ops.models import Run, RunEvent
from ops.web.api_runs import RUN
from tests.ops.web.asking import Program, user

pytestmark = pytest.mark.django_db


class Secretive(forms.Form):
    """Parameters of a job, one of them secret."""

    name = forms.CharField()
    password = forms.CharField(widget=forms.PasswordInput())


@pytest.fixture
def program() -> Program:
    return Program(user("kim", "ops.view_run"))


def opened(**more: object) -> Run:
    return Run.objects.create(
        **{"job": "any", "verb": "apply", "scope": "", "state": "running", "as_of": clock.now()} | more
    )


def test_it_is_what_the_command_shows(program: Program) -> None:
    run = opened(params={"as": "given"}, changed=12, batches=3, started_by="kim@host", message="half way")
    RunEvent.objects.create(run=run, what="opened", who="kim@host", detail="by hand")
    out = StringIO()
    call_command("runs", "show", str(run.pk), "--json", stdout=out)
    shown = json.loads(out.getvalue())
    found = program.get(f"/api/runs/{run.pk}/")
    assert found["changed"] == 12
    assert shown.pop("plan") is None
    (event,) = found.pop("events")
    assert shown.pop("events") == [{name: value for name, value in event.items() if name != "id"}]
    assert {**shown, "database": "default", "next": None} == found


def test_a_secret_stays_one(program: Program) -> None:
    run = opened(params=parameters.shown(Secretive, {"password": "open sesame", "name": "kim"}))
    answer = program.ask(f"/api/runs/{run.pk}/")
    assert "sesame" not in answer.content.decode()
    assert answer.json()["params"]["password"].startswith("*** ")
    assert answer.json()["params"]["name"] == "kim"


def test_events_come_page_by_page_while_more_happen(program: Program) -> None:
    run, other = opened(), opened(scope="another", state="done")
    for number in range(7):
        RunEvent.objects.create(run=run, what=f"event {number}", who="x")
        RunEvent.objects.create(run=other, what="another's", who="x")
    found, address = [], f"/api/runs/{run.pk}/?limit=3"
    while address:
        page = program.get(address)
        found += [event["what"] for event in page["events"]]
        address = page["next"]
        if len(found) == 3:
            RunEvent.objects.create(run=run, what="event 7", who="x")
    assert found == [f"event {number}" for number in range(8)]
    last = RunEvent.objects.filter(run=run).latest("pk").pk
    # Who follows a run asks for what came since.
    assert program.get(f"/api/runs/{run.pk}/?after={last}")["events"] == []


def test_it_is_known_until_something_happens(program: Program) -> None:
    run = opened()
    address = f"/api/runs/{run.pk}/"
    etag = program.ask(address).headers["ETag"]
    assert program.ask(address, **{"if-none-match": etag}).status_code == 304
    Run.objects.filter(pk=run.pk).update(changed=1)
    answer = program.ask(address, **{"if-none-match": etag})
    assert (answer.status_code, answer.json()["changed"]) == (200, 1)
    assert answer.headers["ETag"] != etag


@pytest.mark.parametrize("run", ["999999999", str(2**63 - 1), str(2**63), "9" * 300, "0"])
def test_there_is_no_such_run(program: Program, run: str) -> None:
    code, _, message = program.error(f"/api/runs/{run}/", 404)
    assert code == "not_found"
    assert message == f"There is no run {run[:40]} in database default."


def test_there_is_no_such_database(program: Program) -> None:
    assert program.error(f"/api/runs/{opened().pk}/?database=other") == (
        "invalid_parameter",
        "database",
        "'other' is none of default.",
    )


def test_it_takes_as_many_queries_whatever_happened(
    program: Program, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    run = opened()
    for events in (0, 1, 400):
        RunEvent.objects.bulk_create(RunEvent(run=run, what="x", who="x") for _ in range(events))
        with django_assert_num_queries(3):
            program.get(f"/api/runs/{run.pk}/?limit=1000")


def test_its_schema_names_what_is_answered(program: Program) -> None:
    run = opened(finished_at=clock.now() + timedelta(seconds=1), slot=clock.now(), schedule="nightly")
    found = program.get(f"/api/runs/{run.pk}/")
    assert list(found) == RUN.answer["required"]
    assert Browser().get(f"/api/runs/{run.pk}/").status_code == 401
