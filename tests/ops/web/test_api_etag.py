"""ETags: an answer that was computed is known until its tables are written to, and never a moment longer."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.urls import include, path
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from billing.models import Client
from ops.web import api_etag, api_urls
from ops.web.api import Call, Endpoint, urls
from ops.web.api_params import Paged
from tests.ops.web.asking import Program, user

NAMES = "billing_client"
SEEN: list[str] = []
BETWEEN: list[Any] = []


def names(call: Call) -> dict[str, Any]:
    SEEN.append("computed")
    for act in BETWEEN:
        act()
    return {"names": list(Client.objects.order_by("pk").values_list("name", flat=True))}


CLIENTS = Endpoint("names", "names/", "Names.", names, {"type": "object"}, form=Paged, tables=(NAMES,))
UNVERSIONED = Endpoint("types", "types/", "Types.", names, {"type": "object"}, tables=("django_content_type",))


class Patterns:
    urlpatterns = [path("api/", include([*urls(CLIENTS), *api_urls.urlpatterns]))]


class Unversioned:
    urlpatterns = [path("api/", include(urls(UNVERSIONED)))]


@pytest.fixture
def program(transactional_db: None) -> Iterator[Program]:
    """A program, while the URLs are those above; no longer, for the flush afterwards installs triggers by them."""
    SEEN.clear()
    BETWEEN.clear()
    with override_settings(ROOT_URLCONF=Patterns):
        yield Program(user("kim"))


def asked(program: Program, etag: str, address: str = "/api/names/") -> int:
    return int(program.ask(address, **{"if-none-match": etag}).status_code)


def test_it_is_known_and_not_computed_again(
    program: Program, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Client.objects.create(name="Kim")
    etag = program.ask("/api/names/").headers["ETag"]
    assert etag.startswith('W/"')
    assert SEEN == ["computed"]
    # Who asks, and the versions.
    with django_assert_num_queries(2):
        answer = program.ask("/api/names/", **{"if-none-match": etag})
    assert (answer.status_code, answer.headers["ETag"]) == (304, etag)
    assert SEEN == ["computed"]
    head = program.browser.head("/api/names/", headers={**program.headers, "if-none-match": etag})
    assert (head.status_code, head.headers["ETag"]) == (304, etag)


def test_any_write_ends_it(program: Program) -> None:
    kim = Client.objects.create(name="Kim")

    def raw(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    for write in (
        lambda: Client.objects.create(name="Lee"),
        lambda: Client.objects.filter(pk=kim.pk).update(name="Choi"),
        lambda: raw("UPDATE billing_client SET email = 'x@example.com'"),
        lambda: raw("DELETE FROM billing_client WHERE name = 'Lee'"),
        lambda: raw("TRUNCATE billing_client CASCADE"),
    ):
        answer = program.ask("/api/names/")
        assert asked(program, answer.headers["ETag"]) == 304
        write()
        again = program.ask("/api/names/", **{"if-none-match": answer.headers["ETag"]})
        assert again.status_code == 200
        assert again.headers["ETag"] != answer.headers["ETag"]


def test_what_was_rolled_back_ends_nothing(program: Program) -> None:
    etag = program.ask("/api/names/").headers["ETag"]
    with transaction.atomic():
        Client.objects.create(name="Kim")
        transaction.set_rollback(True)
    assert asked(program, etag) == 304


def test_a_write_while_it_is_computed_is_seen_the_next_time(program: Program) -> None:
    """Versions are read before: an answer is never older than its ETag says, at most newer."""
    other = connections["default"].copy()

    def write() -> None:
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO billing_client (name) VALUES ('Kim')")

    BETWEEN.append(write)
    try:
        answer = program.ask("/api/names/")
        BETWEEN.clear()
        # It has the row that came after the versions were read ..
        assert answer.json() == {"names": ["Kim"]}
        # .. and is asked for once more than needed.
        again = program.ask("/api/names/", **{"if-none-match": answer.headers["ETag"]})
        assert (again.status_code, again.json()) == (200, {"names": ["Kim"]})
        assert asked(program, again.headers["ETag"]) == 304
    finally:
        other.close()


def test_a_write_that_commits_after_it_was_computed_ends_it(program: Program) -> None:
    """The transaction was open when the answer was read, so its rows are not in it."""
    other = connections["default"].copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO billing_client (name) VALUES ('Kim')")
        answer = program.ask("/api/names/")
        assert answer.json() == {"names": []}
        assert asked(program, answer.headers["ETag"]) == 304
        other.commit()
        assert asked(program, answer.headers["ETag"]) == 200
    finally:
        other.close()


def test_another_question_has_another(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = program.ask
    found = [
        ask("/api/names/").headers["ETag"],
        ask("/api/names/?limit=7").headers["ETag"],
        ask("/api/names/?after=7").headers["ETag"],
        program.browser.get("/api/names/", headers={**program.headers, "host": "localhost"}).headers["ETag"],
    ]
    monkeypatch.setattr(api_etag, "code_digest", lambda app: "of the next release")
    found.append(ask("/api/names/").headers["ETag"])
    assert len(set(found)) == len(found)


def test_who_asks_makes_no_difference(program: Program) -> None:
    assert program.ask("/api/names/").headers["ETag"] == Program(user("lee")).ask("/api/names/").headers["ETag"]


def test_in_a_transaction_that_has_written_there_is_none(program: Program) -> None:
    """Its own rows are in no version that others see."""
    with transaction.atomic():
        Client.objects.create(name="Kim")
        assert "ETag" not in program.ask("/api/names/").headers
        assert asked(program, "*") == 200


def test_without_versions_there_is_none_and_it_is_said_once(
    program: Program, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_etag, "_said", set())
    # What URLs lead to is versioned by each migrate; this came after.
    with override_settings(ROOT_URLCONF=Unversioned):
        for _ in range(3):
            answer = program.ask("/api/types/")
            assert (answer.status_code, "ETag" in answer.headers) == (200, False)
            assert asked(program, "*", "/api/types/") == 200
    told = [record.getMessage() for record in caplog.records if record.name == "ops.web"]
    assert len(told) == 1
    assert told[0].startswith("Answers from django_content_type have no ETag: No trigger of database 'default' moves")


# How they are compared


def request(value: str | None) -> HttpRequest:
    return RequestFactory().get("/", headers={} if value is None else {"if-none-match": value})


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (None, False),
        ("", False),
        ("*", True),
        (' "abc" ', True),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", W/"abc", "y"', True),
        ('"x","y"', False),
        ("abc", False),
        ('w/"abc"', False),
        ('"abc', False),
        ('"ABC"', False),
        ('"x", *', False),
    ],
)
def test_they_are_compared_weakly(given: str | None, known: bool) -> None:
    assert api_etag.is_known(request(given), 'W/"abc"') is known
    assert api_etag.is_known(request(given), '"abc"') is known


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_whatever_is_sent_is_read(value: str) -> None:
    etag = 'W/"0123456789abcdef0123456789abcdef01234567"'
    assert api_etag.is_known(request(value), etag) == (value.strip() == "*")


def test_the_code_is_that_of_its_app() -> None:
    assert len({api_etag.code_digest("ops"), api_etag.code_digest("billing"), api_etag.code_digest("tests")}) == 3
