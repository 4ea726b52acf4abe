"""The frame of the JSON endpoints: methods, errors, and what every answer has; with endpoints of the test's own."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import include, path
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from ops.web import api_urls
from ops.web.api import Call, Endpoint, unknown, urls, view_of
from ops.web.api_answer import Problem, text
from ops.web.api_params import Paged
from tests.ops.web.asking import Program, assert_sound, says, user

pytestmark = pytest.mark.django_db


class Numbers(Paged):
    """A list of numbers."""


def numbers(call: Call) -> dict[str, Any]:
    after, limit = call.params["after"] or 0, call.params["limit"]
    found = list(range(after + 1, min(after + limit, 250) + 1))
    return {"result": found, "next": call.next_page(found[-1]) if found and found[-1] < 250 else None}


def refuses(call: Call) -> dict[str, Any]:
    raise Problem(404, "not_found", "There is none.")


FAILURES = {"cast": "%(limit)s::text::uuid", "ours": "'x'::integer", "zero": "1 / 0"}

NUMBERS = Endpoint("numbers", "numbers/", "Numbers.", numbers, {"type": "object"}, form=Numbers)
REFUSES = Endpoint("refuses", "refuses/", "Nothing.", refuses, {"type": "object"})


def endpoint_that(what: str) -> Endpoint:
    def fails(call: Call) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {FAILURES[what]}", {"limit": str(call.params.get("limit"))})
        return {}

    return Endpoint(what, f"{what}/", "Fails.", fails, {"type": "object"}, form=Numbers)


class Patterns:
    """A project whose prefix is another."""

    urlpatterns = [
        path("deep/v1/", include([*urls(NUMBERS, REFUSES, *map(endpoint_that, FAILURES)), *api_urls.urlpatterns]))
    ]


@pytest.fixture(autouse=True)
def own(settings: Settings) -> None:
    settings.ROOT_URLCONF = Patterns


@pytest.fixture
def program() -> Program:
    return Program(user("kim"))


# Methods


def test_it_is_to_read() -> None:
    browser = Browser(enforce_csrf_checks=True)
    for method in ("post", "put", "patch", "delete", "trace"):
        answer = getattr(browser, method)("/deep/v1/numbers/")
        assert_sound(answer)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert answer.json()["error"] == {
            "code": "method_not_allowed",
            "message": f"{method.upper()} is not allowed: this is to read.",
        }


def test_options_are_told_to_everybody() -> None:
    answer = Browser().options("/deep/v1/numbers/")
    assert_sound(answer)
    assert (answer.status_code, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


def test_head_is_get_without_its_body(program: Program) -> None:
    got = program.ask("/deep/v1/numbers/")
    head = Browser().head("/deep/v1/numbers/", headers=program.headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == got.headers
    assert Browser().head("/deep/v1/numbers/").status_code == 401


# Pages


def test_pages_are_followed_to_the_last(program: Program) -> None:
    found, address = [], "/deep/v1/numbers/?limit=100"
    while address:
        page = program.get(address)
        found.append(page["result"])
        address = page["next"]
        assert address is None or address.startswith("http://testserver/deep/v1/numbers/?limit=100&after=")
    assert [len(page) for page in found] == [100, 100, 50]
    assert [one for page in found for one in page] == list(range(1, 251))


# Errors


def test_a_handlers_problem_is_answered(program: Program) -> None:
    assert program.error("/deep/v1/refuses/", 404) == ("not_found", "", "There is none.")


def test_what_is_not_there_is_told_in_json() -> None:
    for address in (
        "/deep/v1/",
        "/deep/v1/x/",
        "/deep/v1/numbers",
        "/deep/v1/runs/x/",
        "/deep/v1/runs/-1/",
        "/deep/v1/%00/",
        "/deep/v1/runs/1%0A/",
        "/deep/v1/%FF%0A/",
    ):
        answer = Browser().get(address)
        assert_sound(answer)
        assert answer.status_code == 404
    assert Browser().get("/deep/v1/numbers").json()["error"] == {
        "code": "not_found",
        "message": "There is nothing at /deep/v1/numbers. Addresses end with a slash. "
        "openapi.json describes what there is.",
    }
    assert Browser().post("/deep/v1/x/").status_code == 404


def test_too_many_parameters_are_a_bad_request(program: Program) -> None:
    code, _, message = program.error(f"/deep/v1/numbers/?{'&'.join(f'x{i}=1' for i in range(1100))}")
    assert code == "bad_request"
    assert "DATA_UPLOAD_MAX_NUMBER_FIELDS" in message


def test_a_value_that_the_server_refuses_is_a_bad_request(program: Program) -> None:
    assert program.error("/deep/v1/cast/?limit=7") == (
        "invalid_parameter",
        "limit",
        'The database takes no such value: invalid input syntax for type uuid: "7".',
    )


@pytest.mark.parametrize("which", ["ours", "zero"])
def test_a_value_that_is_not_the_callers_is_not_blamed_on_him(
    program: Program, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert program.error(f"/deep/v1/{which}/?limit=7", 500) == (
        "internal_error",
        "",
        "This could not be computed; the server's log says why.",
    )
    assert f"/deep/v1/{which}/: the database takes no such value: " in caplog.text


def test_an_error_that_is_nobodys_fault_but_ours_is_one() -> None:
    kim = user("kim")
    answer = Browser(raise_request_exception=False).get("/deep/v1/zero/", headers=says(kim))
    assert answer.status_code == 500


def test_a_database_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def away(request: HttpRequest, permissions: Any) -> None:
        raise OperationalError("connection to server at 10.1.2.3 failed\nIs it running?")

    monkeypatch.setattr("ops.web.api_access.caller", away)
    answer = Browser().get("/deep/v1/numbers/")
    assert_sound(answer)
    assert answer.status_code == 503
    assert "10.1.2.3" not in answer.content.decode()
    assert "/deep/v1/numbers/: the database does not answer, or not in time: connection to server" in caplog.text


def test_it_needs_no_middleware(settings: Settings) -> None:
    """A project without sessions has tokens."""
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
    assert Program(user("kim")).get("/deep/v1/numbers/?limit=1")["result"] == [1]
    assert Browser().get("/deep/v1/numbers/").status_code == 401


# JSON


def test_numbers_that_are_exact_are_text() -> None:
    document = {
        "money": Decimal("12345678901234567.8900"),
        "whole": Decimal("50000.0000"),
        "large": Decimal("1E+3"),
        "small": -Decimal("0E-8"),
        "none": Decimal("NaN"),
        "count": 2**63,
        "float": 0.5,
        "at": datetime(2026, 12, 1, 0, 0, 1, 5, tzinfo=UTC),
        "on": date(2026, 12, 1),
        "took": timedelta(days=1, seconds=2),
        "id": UUID(int=1),
        "name": "김",
    }
    told = text(document)
    assert "김" in told
    assert json.loads(told) == {
        "money": "12345678901234567.89",
        "whole": "50000",
        "large": "1000",
        "small": "0",
        "none": "NaN",
        "count": 9223372036854775808,
        "float": 0.5,
        "at": "2026-12-01T00:00:01.000005+00:00",
        "on": "2026-12-01",
        "took": "P1DT00H00M02S",
        "id": "00000000-0000-0000-0000-000000000001",
        "name": "김",
    }


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_the_same_number(number: Decimal) -> None:
    (told,) = json.loads(text({"n": number})).values()
    assert isinstance(told, str)
    assert Decimal(told) == number
    assert "E" not in told


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_answered_is_json_for_every_parser(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert set(json.loads(text({"value": value}), parse_constant=refuse)) == {"value"}


def test_what_has_no_form_in_json_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="object is nothing that JSON has: give the endpoint's handler a text for it"):
        text({"value": object()})


def test_views_say_what_they_are_of() -> None:
    view = view_of(NUMBERS)
    assert view.endpoint is NUMBERS  # type: ignore[attr-defined]  # what the description looks for
    answer: HttpResponse = unknown(RequestFactory().get("/x"))
    assert answer.status_code == 404
