"""/api/stats/NAME/: a report as `manage.py stats --json` prints it, over HTTP; with reports of the test's own."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django import forms
from django.core.management import call_command
from django.test import override_settings
from django.urls import include, path
from pytest_django import DjangoAssertNumQueries, Settings

from billing.models import InvoiceLine
from ops import clock
from ops.models import Run
from ops.reports import Avg, Count, Filter, Percentile, Report, Sum, names
from ops.web import api_stats
from ops.web.api import urls
from ops.web.openapi import OPENAPI
from tests.ops.web.asking import Program, user

AS_OF = datetime(2026, 12, 1, 3, tzinfo=UTC)


class Odd(Report):
    """Runs, with filters of every kind, some named like other parameters."""

    name = "odd"
    source = Run
    time = "created_at"
    windows = ("today", "last_30_days")
    measures = {
        "count": Count(),
        "changed": Sum("t.changed"),
        "mean": Avg("t.changed"),
        "p50": Percentile("t.changed", 0.5),
        "late": Count(where="t.created_at > %(as_of)s"),
    }
    filters = {
        "window": Filter("t.schedule", forms.CharField(max_length=20)),
        "state": Filter("t.state", forms.ChoiceField(choices=Run.State.choices)),
        "verbs": Filter("t.verb", forms.MultipleChoiceField(choices=Run.Verb.choices)),
        "least": Filter("t.changed >= %(value)s", forms.IntegerField(min_value=0)),
    }


class Patterns:
    urlpatterns = [path("api/", include(urls(OPENAPI, api_stats.endpoint(Odd()), *api_stats.endpoints())))]


@pytest.fixture
def program(db: None, settings: Settings) -> Program:
    settings.ROOT_URLCONF = Patterns
    return Program(user("kim", "ops.view_run", "billing.view_upload", "billing.view_invoiceline"))


def opened(at: datetime = AS_OF, **more: Any) -> Run:
    values: dict[str, Any] = {
        "job": "any",
        "verb": "apply",
        "scope": "",
        "state": "done",
        "as_of": at,
        "created_at": at,
    }
    return Run.objects.create(**{**values, **more})


def printed(*words: str) -> Any:
    out = StringIO()
    call_command("stats", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.parametrize("name", ["runs", "uploads", "revenue"])
def test_it_is_what_the_command_prints(program: Program, name: str) -> None:
    opened(changed=7)
    InvoiceLine.objects.bulk_create([])
    for query, words in (
        ("as_of=2026-12-01T12:00:00%2B09:00", ["--as-of", "2026-12-01T12:00:00+09:00"]),
        ("as_of=2026-12-01&window=today&window=last_7_days&zone=America/New_York",
         ["--as-of", "2026-12-01", "--window", "today", "last_7_days", "--zone", "America/New_York"]),
    ):  # fmt: skip
        assert program.get(f"/api/stats/{name}/?{query}") == printed(name, *words)


def test_filters_restrict(program: Program) -> None:
    opened(changed=10, state="failed")
    opened(changed=20, verb="revert", schedule="nightly")
    opened(changed=30, created_at=AS_OF + timedelta(seconds=1))
    opened(changed=40, created_at=AS_OF - timedelta(days=3))
    today = f"as_of={AS_OF:%Y-%m-%dT%H:%M:%SZ}"

    def counts(query: str) -> tuple[int, int]:
        found = program.get(f"/api/stats/odd/?{today}&{query}")["odd"]
        return found["today"]["count"], found["last_30_days"]["count"]

    assert counts("") == (3, 4)
    assert counts("state=failed") == (1, 1)
    assert counts("state=failed&state=done") == (3, 4)
    assert counts("verbs=revert") == (1, 1)
    assert counts("verbs=revert&verbs=apply") == (3, 4)
    assert counts("least=20") == (2, 3)
    assert counts("filter_window=nightly") == (1, 1)
    found = program.get(f"/api/stats/odd/?{today}&window=today")["odd"]
    assert found == {
        "today": {"count": 3, "changed": 60, "mean": "20", "p50": 20.0, "late": 1},
    }


def test_what_is_exact_is_text(program: Program) -> None:
    for changed in (1, 2, 2):
        opened(changed=changed)
    found = program.get(f"/api/stats/odd/?as_of={AS_OF:%Y-%m-%dT%H:%M:%SZ}")["odd"]["today"]
    assert found["changed"] == 5
    assert Decimal(found["mean"]) == Decimal("1.6666666666666667")


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("window=tomorrow", "window", "'tomorrow' is no window: today, yesterday,"),
        ("window=today&window=today", "window", "One of the values is given twice: give it once."),
        ("window=2026-02-01..2026-01-01", "window", "The window '2026-02-01..2026-01-01' is empty: "),
        ("window=2026-02-30..2026-03-01", "window", "The window '2026-02-30..2026-03-01' names a day that no calendar"),
        ("window=last_999999_years", "window", "'last_999999_years' is no window: "),
        ("zone=Asia/Seul", "zone", "'Asia/Seul' is no IANA time zone: name one, as Asia/Seoul."),
        ("zone=Asia/Seul&as_of=2026-12-01", "zone", "'Asia/Seul' is no IANA time zone: name one, as Asia/Seoul."),
        ("zone=../../etc/passwd", "zone", "'../../etc/passwd' is no IANA time zone"),
        ("as_of=2026-02-30", "as_of", "'2026-02-30' is not"),
        ("as_of=9999-12-31", "as_of", "'9999-12-31' lies before 1900 or after 2199."),
        ("zone=America/New_York&as_of=2026-03-08T02:30", "as_of", "'2026-03-08T02:30' does not exist in America/New_"),
        ("state=asleep", "state", "Select a valid choice."),
        ("state=", "state", "Parameter state is empty"),
        ("least=-1", "least", "Ensure this value is greater than or equal to 0."),
        ("least=1&least=2", "least", "Parameter least is given 2 times"),
        ("filter_state=done", "filter_state", "There is no parameter 'filter_state'; there is: as_of, filter_window, "),
        ("least=99999999999999999999999999", "", None),
    ],
)
def test_what_there_is_not_is_told(program: Program, query: str, field: str, message: str | None) -> None:
    answer = program.ask(f"/api/stats/odd/?{query}")
    if message is None:
        # A number that no column can hold is none that a row has.
        assert answer.status_code == 200
        assert answer.json()["odd"]["today"]["count"] == 0
        return
    error = answer.json()["error"]
    assert (answer.status_code, error.get("field")) == (400, field)
    assert error["message"].startswith(message)


def test_there_is_no_such_report(program: Program, settings: Settings) -> None:
    settings.ROOT_URLCONF = "config.urls"
    code, _, message = program.error("/api/stats/nothing/", 404)
    assert code == "not_found"
    assert message.startswith("There is nothing at /api/stats/nothing/.")
    assert program.browser.get("/api/stats/nothing/").status_code == 404


def test_each_report_has_its_own_permission(program: Program) -> None:
    assert "subscriptions" in names()
    assert program.error("/api/stats/subscriptions/", 403)[2].endswith("missing: billing.view_subscription.")
    # A report that states none is for who may see runs.
    lee = Program(user("lee"))
    assert lee.error("/api/stats/odd/", 403)[2].endswith("missing: ops.view_run.")


def test_it_takes_as_many_queries_whatever_there_is(
    program: Program, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for rows in (0, 1, 50):
        Run.objects.bulk_create(
            [Run(job="x", verb="apply", scope="", state="done", as_of=AS_OF, created_at=AS_OF) for _ in range(rows)]
        )
        # Who asks, versions, the report.
        with django_assert_num_queries(3):
            program.get("/api/stats/odd/?window=today&window=last_year")


def test_it_is_known_as_long_as_its_windows_are_the_same(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(user("kim", "billing.view_upload"))
    now = datetime(2026, 12, 1, 3, tzinfo=UTC)

    def etag(at: datetime, name: str = "uploads", query: str = "") -> str:
        monkeypatch.setattr(clock, "now", lambda: at)
        found: str = program.ask(f"/api/stats/{name}/{query}").headers["ETag"]
        return found

    first = etag(now)
    # A day of Seoul is until 15:00 UTC.
    assert etag(now + timedelta(hours=11, minutes=59)) == first
    assert etag(now + timedelta(hours=12)) != first
    assert etag(now, query="?window=today") != first
    assert etag(now, query="?client=1") != first
    assert etag(now, query="?zone=UTC") != first
    known = program.ask("/api/stats/uploads/", **{"if-none-match": first})
    assert (known.status_code, known.content) == (304, b"")
    # Not longer than here: the flush afterwards installs triggers for what URLs lead to.
    with override_settings(ROOT_URLCONF=Patterns):
        program = Program(user("lee", "ops.view_run"))
        # An expression of it names the instant.
        assert etag(now, "odd") != etag(now + timedelta(seconds=1), "odd")


def test_the_description_has_each_reports_own_filters(program: Program) -> None:
    told = program.get("/api/openapi.json")["paths"]["/api/stats/odd/"]["get"]
    schemas = {one["name"]: one["schema"] for one in told["parameters"] if one["in"] == "query"}
    assert set(schemas) == {"as_of", "window", "zone", "filter_window", "state", "verbs", "least"}
    states = {"type": "string", "enum": list(Run.State.values)}
    assert schemas["state"] == {"type": "array", "items": states, "minItems": 1}
    assert schemas["least"] == {"type": "integer", "minimum": 0}
    assert told["summary"] == "Runs, with filters of every kind, some named like other parameters."
