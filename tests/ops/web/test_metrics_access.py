"""Whom /metrics is told to."""

import sys

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from pytest_django import Settings

from tests.ops.web.scraping import SAYS_IT, TOKEN

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("said", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
def test_who_does_not_say_the_token_is_told_nothing(said: str) -> None:
    answer = Browser().get("/metrics", headers={"authorization": said} if said else None)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"setwise_" not in answer.content


@pytest.mark.parametrize("said", ["", "Bearer ", "Bearer None"])
def test_without_a_token_nobody_can_say_it(said: str, settings: Settings) -> None:
    settings.SETWISE_METRICS_TOKEN = ""
    answer = Browser().get("/metrics", headers={"authorization": said} if said else None)
    assert answer.status_code == 401
    del settings.SETWISE_METRICS_TOKEN
    assert Browser().get("/metrics", headers=SAYS_IT).status_code == 401


def test_this_machine_is_nobody_special() -> None:
    assert Browser(REMOTE_ADDR="127.0.0.1").get("/metrics").status_code == 401


def test_staff_may_look_and_customers_may_not() -> None:
    users = get_user_model().objects
    for staff, status in ((True, 200), (False, 401)):
        browser = Browser()
        browser.force_login(users.create_user(f"staff {staff}", password="x", is_staff=staff))
        assert browser.get("/metrics").status_code == status


def test_a_development_machine_has_no_secrets(settings: Settings) -> None:
    settings.DEBUG = True
    assert Browser().get("/metrics").status_code == 200


def test_a_scraper_comes_by_any_name_and_by_plain_http_if_it_says_the_token(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["billing.example.com"]
    host = {"host": "10.1.2.3:8000"}
    assert Browser().get("/metrics", headers=SAYS_IT | host).status_code == 200
    assert Browser().get("/metrics", headers=host).status_code == 400
    assert Browser().get("/metrics", headers={"host": "billing.example.com"}).status_code == 301


def test_it_is_to_read_and_never_cached() -> None:
    assert Browser().post("/metrics", headers=SAYS_IT).status_code == 405
    answer = Browser().head("/metrics", headers=SAYS_IT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "no-store" in answer.headers["Cache-Control"]


def test_without_the_library_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = Browser().get("/metrics", headers=SAYS_IT)
    assert (answer.status_code, b"install setwise[metrics]" in answer.content) == (501, True)
