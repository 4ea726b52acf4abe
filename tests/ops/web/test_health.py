"""/healthz and /readyz: what they look at, whom they answer, and how long they wait for a server that is away."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import path
from pytest_django import DjangoAssertNumQueries, Settings

from ops.web import health
from tests.ops.scratch import own_database, rows
from tests.ops.web.losing import PASSWORD, lose_broker, lose_database

pytestmark = pytest.mark.django_db
WELL = {"ready": True, "database": "answers", "migrations": "applied", "broker": "answers"}


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def hung() -> Iterator[int]:
    """Return the port of a server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield listening.getsockname()[1]


def readiness(browser: Browser, query: str = "") -> tuple[int, dict[str, Any]]:
    answer = browser.get(f"/readyz{query}")
    assert PASSWORD not in answer.content.decode()
    assert "127.0.0.1" not in answer.content.decode()
    found: dict[str, Any] = json.loads(answer.content)
    return answer.status_code, found


# Whom they answer


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_a_probe_is_answered_under_any_name_and_by_plain_http(
    browser: Browser, address: str, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["billing.example.com"]
    for host in ("billing.example.com", "10.1.2.3:8000", "probe_1", "[::1]:80"):
        # No query on the connection of the request: no session, no user.
        with django_assert_num_queries(0):
            answer = browser.get(address, headers={"host": host})
        assert answer.status_code == 200
        assert not answer.cookies
        assert "no-store" in answer.headers["Cache-Control"]
    assert browser.get("/admin/", headers={"host": "billing.example.com"}).status_code == 301
    assert browser.get("/admin/", headers={"host": "10.1.2.3"}).status_code == 400


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_a_probe_is_to_read(browser: Browser, address: str) -> None:
    head = browser.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert browser.post(address).status_code == 405
    assert browser.delete(address).status_code == 405


def test_other_addresses_go_the_way_of_every_page(browser: Browser, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    for address in ("/healthz/", "/admin/healthz", "/x/readyz", "/healthz/x"):
        assert browser.get(address).status_code == 301


def test_a_page_of_the_project_with_a_probes_name_is_the_projects(settings: Settings) -> None:
    def own(request: HttpRequest) -> HttpResponse:
        return HttpResponse("own")

    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("healthz", own)]})
    passed = health.Probes(lambda request: HttpResponse("passed on"))
    assert passed(RequestFactory().get("/healthz")).content == b"passed on"


def test_without_the_middleware_they_are_pages_like_others(browser: Browser, settings: Settings) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != "ops.web.health.Probes"]
    assert browser.get("/healthz").content == b"ok\n"
    assert readiness(Browser()) == (200, WELL)
    assert browser.get("/healthz", headers={"host": "10.1.2.3"}).status_code == 400


# What they look at


def test_the_process_lives_whatever_is_away(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_database(monkeypatch)
    lose_broker(monkeypatch)
    assert browser.get("/healthz").content == b"ok\n"


def test_all_is_well(browser: Browser) -> None:
    assert readiness(browser) == (200, WELL)


def test_the_broker_is_away(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose_broker(monkeypatch)
    assert readiness(browser) == (503, {**WELL, "ready": False, "broker": "does not answer"})
    assert "Not ready: the broker at redis://:**@127.0.0.1:1/0 does not answer" in caplog.text
    assert PASSWORD not in caplog.text
    found = {name: said for name, said in WELL.items() if name != "broker"}
    assert readiness(browser, "?exclude=broker") == (200, found)


def test_a_project_without_a_broker_has_none(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.broker, "app", lambda: None)
    assert readiness(browser) == (200, {**WELL, "broker": "none"})


def test_the_database_is_away(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose_database(monkeypatch)
    found = {**WELL, "ready": False, "database": "does not answer", "migrations": "may not be read"}
    assert readiness(browser) == (503, found)
    assert "Not ready: the database does not answer: " in caplog.text
    assert PASSWORD not in caplog.text


def test_servers_that_hang_are_not_waited_for(browser: Browser, monkeypatch: pytest.MonkeyPatch, hung: int) -> None:
    lose_database(monkeypatch, hung)
    lose_broker(monkeypatch, hung)
    begun = time.monotonic()
    status, found = readiness(browser)
    took = time.monotonic() - begun
    assert (status, found["database"], found["broker"]) == (503, "does not answer", "does not answer")
    assert 1.5 < took < 4


def test_a_migration_is_missing(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = health._migrations()
    assert "0007_rollups" in known
    monkeypatch.setattr(health, "_migrations", lambda: known | {"9999_of_tomorrow"})
    assert readiness(browser) == (503, {**WELL, "ready": False, "migrations": "missing"})
    assert "'manage.py migrate' was not run: 9999_of_tomorrow" in caplog.text


def test_a_database_that_was_never_migrated(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_database("never_migrated") as name, monkeypatch.context() as instead:
        instead.setitem(connection.settings_dict, "NAME", name)
        assert readiness(browser) == (503, {**WELL, "ready": False, "migrations": "missing"})


def test_a_role_that_may_not_read_migrations_is_no_fault(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_database("for_probes") as name:
        rows(name, "CREATE TABLE django_migrations (app text, name text)")
        rows(name, "DROP ROLE IF EXISTS probes_only")
        rows(name, "CREATE ROLE probes_only LOGIN PASSWORD 'only-for-tests'")
        with monkeypatch.context() as instead:
            for key, value in (("NAME", name), ("USER", "probes_only"), ("PASSWORD", "only-for-tests")):
                instead.setitem(connection.settings_dict, key, value)
            found = readiness(browser)
        rows(name, "DROP ROLE probes_only")
        assert found == (200, {**WELL, "migrations": "may not be read"})
