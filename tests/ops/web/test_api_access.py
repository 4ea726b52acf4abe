"""Who may read the JSON endpoints: tokens, the admin's session, permissions, and what each of them costs."""

import json
import logging
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.core.signing import Signer
from django.test import Client as Browser
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from ops import clock
from ops.models import Run
from ops.web import api_access
from tests.ops.web.asking import Program, assert_sound, permissions_of, says, user

pytestmark = pytest.mark.django_db
MAY = "ops.view_run"


@pytest.fixture
def address() -> str:
    run = Run.objects.create(job="any", verb="apply", scope="", state="done", as_of=clock.now())
    return f"/api/runs/{run.pk}/"


def refusal(answer: Any) -> tuple[int, str, str]:
    assert_sound(answer)
    return answer.status_code, answer.headers.get("WWW-Authenticate", ""), answer.json()["error"]["message"]


# Nobody, and those who may not


def test_nobody_is_told_nothing(address: str) -> None:
    status, challenge, message = refusal(Browser().get(address))
    assert (status, challenge) == (401, 'Bearer realm="setwise"')
    assert "manage.py api_token" in message
    assert refusal(Browser().get("/api/openapi.json"))[0] == 401


@pytest.mark.parametrize("said", ["Bearer", "Bearer ", "bearer x", "Bearer a:b", "Bearer None", "Bearer \u00fc"])
def test_what_is_no_token_is_refused(address: str, said: str) -> None:
    status, challenge, message = refusal(Browser().get(address, headers={"authorization": said}))
    assert status == 401
    assert 'error="invalid_token"' in challenge
    assert message.startswith("The token is not one that was made here, or was cut off: ")


def test_another_scheme_is_nobody(address: str) -> None:
    assert refusal(Browser().get(address, headers={"authorization": "Basic a2ltOmtpbQ=="}))[:2] == (
        401,
        'Bearer realm="setwise"',
    )


def test_without_the_permission_it_is_refused_by_name(address: str) -> None:
    kim = user("kim", "ops.view_schedule")
    assert Program(kim).error(address, 403) == (
        "forbidden",
        "",
        "User kim may not read this; missing: ops.view_run.",
    )
    browser = Browser()
    browser.force_login(kim)
    assert refusal(browser.get(address))[0] == 403
    # What is not there, and what is malformed, is none of theirs to know.
    assert Program(kim).error("/api/runs/999999/?x=1", 403)[0] == "forbidden"


def test_the_description_is_for_any_user() -> None:
    assert Program(user("kim")).get("/api/openapi.json")["openapi"] == "3.1.0"


# Tokens


def test_a_token_and_a_session_read_the_same(address: str) -> None:
    kim = user("kim", MAY)
    browser = Browser()
    browser.force_login(kim)
    by_session = browser.get(address)
    by_token = Browser().get(address, headers=says(kim))
    assert by_session.status_code == by_token.status_code == 200
    assert by_session.content == by_token.content
    assert_sound(by_session)


def test_a_token_ends(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kim = user("kim", MAY)
    said = says(kim, days=2)
    now = clock.now()
    monkeypatch.setattr(api_access.clock, "now", lambda: now + timedelta(days=2, seconds=-2))
    assert Browser().get(address, headers=said).status_code == 200
    monkeypatch.setattr(api_access.clock, "now", lambda: now + timedelta(days=2, seconds=1))
    status, challenge, message = refusal(Browser().get(address, headers=said))
    assert (status, message) == (401, "The token has expired: make a new one by 'manage.py api_token USER'.")
    assert challenge == 'Bearer realm="setwise", error="invalid_token", error_description="The token has expired"'


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda kim: kim.set_password("another"), "The password of the token's user was changed since"),
        (lambda kim: kim.set_unusable_password(), "The password of the token's user was changed since"),
        (lambda kim: setattr(kim, "is_active", False), "The token's user is gone or no longer active"),
    ],
)
def test_a_token_ends_with_what_it_is_bound_to(address: str, change: Any, found: str) -> None:
    kim = user("kim", MAY)
    said = says(kim)
    assert Browser().get(address, headers=said).status_code == 200
    change(kim)
    kim.save()
    assert refusal(Browser().get(address, headers=said)) == (
        401,
        f'Bearer realm="setwise", error="invalid_token", error_description="{found}"',
        f"{found}: make a new one by 'manage.py api_token USER'.",
    )


def test_a_token_ends_with_its_user(address: str) -> None:
    kim = user("kim", MAY)
    said = says(kim)
    kim.delete()
    assert refusal(Browser().get(address, headers=said))[0] == 401


def test_a_permission_that_is_taken_away_is_gone_at_once(address: str) -> None:
    kim = user("kim", MAY)
    said = says(kim)
    kim.user_permissions.clear()
    assert refusal(Browser().get(address, headers=said))[0] == 403


def test_another_users_token_is_no_key_to_ones_own_session(address: str) -> None:
    browser = Browser()
    browser.force_login(user("kim", MAY))
    assert browser.get(address).status_code == 200
    assert refusal(browser.get(address, headers={"authorization": "Bearer x"}))[0] == 401
    assert refusal(browser.get(address, headers=says(user("lee"))))[0] == 403


@given(st.data())
def test_a_token_that_was_tampered_with_is_none(data: st.DataObject) -> None:
    token = Signer(salt="ops.web.api_access").sign_object({"user": "1", "key": "x", "until": 4_000_000_000})
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("Aa0_-:.").filter(lambda letter: letter != token[place]))
    changed = token[:place] + other + token[place + 1 :]
    with pytest.raises(api_access.Problem) as caught:
        api_access.user_of_token(changed)
    assert caught.value.status == 401


@pytest.mark.parametrize("payload", [[], "x", 1, None, {}, {"user": "1"}, {"user": "1", "key": "x", "until": "soon"}])
def test_what_was_signed_for_something_else_is_no_token(payload: Any) -> None:
    for salt in ("ops.web.api_access", "another"):
        with pytest.raises(api_access.Problem, match="not one that was made here"):
            api_access.user_of_token(Signer(salt=salt).sign_object(payload))


def test_a_user_that_is_no_key_is_nobody() -> None:
    token = Signer(salt="ops.web.api_access").sign_object({"user": "kim", "key": "x", "until": 4_000_000_000})
    with pytest.raises(api_access.Problem, match="gone or no longer active"):
        api_access.user_of_token(token)


def test_a_new_secret_key_leaves_tokens_their_time(address: str, settings: Settings) -> None:
    said = says(user("kim", MAY))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one" * 5, [settings.SECRET_KEY]
    assert Browser().get(address, headers=said).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert refusal(Browser().get(address, headers=said))[0] == 401


def test_nothing_of_a_token_is_logged(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = says(user("kim"))
    token = said["authorization"].removeprefix("Bearer ")
    Browser().get(address, headers=said)
    Browser().get(address, headers={"authorization": f"Bearer {token}x"})
    Browser().get(f"{address}?token={token}", headers=says(user("lee", MAY)))
    told = " ".join(record.getMessage() for record in caplog.records if record.name.startswith(("django", "ops")))
    assert "Forbidden" in told
    assert "Unauthorized" in told
    for part in token.split(":"):
        assert part not in told


# What it costs, and that nothing else is decided than Django decides


def test_who_asks_and_what_they_may_is_one_query(
    address: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    kim = user("kim", MAY)
    said = says(kim)
    with django_assert_num_queries(1):
        assert api_access.user_of_token(said["authorization"].removeprefix("Bearer ")).has_perm(MAY)
    # The run and its events are two.
    with django_assert_num_queries(3):
        assert Browser().get(address, headers=said).status_code == 200
    browser = Browser()
    browser.force_login(kim)
    with django_assert_num_queries(4):
        assert browser.get(address).status_code == 200


def test_djangos_own_backend_does_as_well(address: str, settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert Browser().get(address, headers=says(user("kim", MAY))).status_code == 200
    assert Program(user("lee")).error(address, 403)[0] == "forbidden"


def test_permissions_are_those_that_django_finds() -> None:
    users = get_user_model()
    some = list(Permission.objects.order_by("?")[:6])
    groups = [Group.objects.create(name=f"group {number}") for number in range(3)]
    for number, group in enumerate(groups):
        group.permissions.set(some[number : number + 2])
    made = [
        user("none"),
        user("own"),
        user("by groups"),
        user("both"),
        user("asleep", is_active=False),
        user("root", is_superuser=True),
    ]
    for one in (made[1], made[3], made[4]):
        one.user_permissions.set(some[3:])
    for one in (made[2], made[3], made[4]):
        one.groups.set(groups[:2])
    for one in made:
        found = users.objects.get(pk=one.pk)
        by_session = api_access._user(str(one.pk)) if one.is_active else found
        for asked in (found, by_session):
            assert asked.get_all_permissions() == permissions_of(found)
            assert asked.get_user_permissions() | asked.get_group_permissions() == permissions_of(found)
            assert asked.has_perm("billing.view_client") == ("billing.view_client" in permissions_of(found))
    assert api_access._user(str(made[4].pk)) is None


# The command


def made_by(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("api_token", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_a_token_and_nothing_else(address: str) -> None:
    user("kim", MAY)
    out, err = made_by("kim")
    assert Browser().get(address, headers={"authorization": f"Bearer {out.strip()}"}).status_code == 200
    assert len(out.splitlines()) == 1
    until = clock.shown(clock.now() + timedelta(days=30))[:10]
    assert err.startswith(f"For kim, until {until} ")
    assert err.endswith("; a new password ends it at once.\n")


def test_the_command_prints_json(address: str) -> None:
    user("kim", MAY)
    document = json.loads(made_by("kim", "--days", "7", "--json")[0])
    assert set(document) == {"user", "token", "expires_at"}
    until = clock.parse_instant(document["expires_at"])
    assert timedelta(days=7, minutes=-1) < until - clock.now() <= timedelta(days=7)
    assert api_access.user_of_token(document["token"]).get_username() == document["user"] == "kim"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("lee",), 2, "There is no user 'lee': 'manage.py createsuperuser' makes one."),
        (("asleep",), 3, "User 'asleep' is not active: activate it in the admin first."),
        (("kim", "--days", "1999999999"), 2, "1999999999 days are too long for a token: give at most 3660."),
        (("kim", "--days", "0"), 2, "'0' is not a whole number of at least 1"),
    ],
)
def test_the_command_refuses(words: tuple[str, ...], code: int, message: str) -> None:
    user("kim")
    user("asleep", is_active=False)
    with pytest.raises(CommandError) as caught:
        made_by(*words)
    assert caught.value.returncode == code
    assert message in str(caught.value)
