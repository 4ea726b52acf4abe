"""Programs that ask the JSON endpoints, as tests have them."""

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db.models import Q
from django.test import Client as Browser

from ops.web import api_access


def user(name: str, *permissions: str, **more: Any) -> Any:
    """Make a user who may do just this."""
    made = get_user_model().objects.create_user(name, password=f"{name}'s", **more)
    for one in permissions:
        app, _, codename = one.partition(".")
        made.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return made


def says(made: Any, days: int = 3_000) -> dict[str, str]:
    """Return the header with which a program asks as a user."""
    token, _ = api_access.make_token(made, days)
    return {"authorization": f"Bearer {token}"}


class Program:
    """Asks with a token, and sees that every answer is what all answers are."""

    def __init__(self, made: Any) -> None:
        self.headers = says(made)
        self.browser = Browser()

    def ask(self, address: str, **headers: str) -> Any:
        """Return the response."""
        answer = self.browser.get(address, headers={**self.headers, **headers})
        assert_sound(answer)
        return answer

    def get(self, address: str) -> dict[str, Any]:
        """Return the object that is answered."""
        answer = self.ask(address)
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = json.loads(answer.content)
        return found

    def error(self, address: str, status: int = 400) -> tuple[str, str, str]:
        """Return code, field and message of a refusal."""
        answer = self.ask(address)
        assert answer.status_code == status, answer.content
        error = json.loads(answer.content)["error"]
        return error["code"], error.get("field", ""), error["message"]


def assert_sound(answer: Any) -> None:
    """Assert what holds for every answer: an object, or nothing, and headers that let no other's cache keep it."""
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert {"Cookie", "Authorization"} <= {one.strip() for one in answer.headers["Vary"].split(",")}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.status_code in (204, 304):
        assert answer.content == b""
        assert "Content-Type" not in answer.headers
        return
    assert answer.headers["Content-Type"] == "application/json"
    document = json.loads(answer.content)
    assert isinstance(document, dict)
    if answer.status_code != 200:
        assert set(document) == {"error"}
        assert {"code", "message"} <= set(document["error"]) <= {"code", "message", "field"}


def permissions_of(made: Any) -> set[str]:
    """Return what a user may, found without any backend."""
    if not made.is_active:
        return set()
    found = Permission.objects.all()
    if not made.is_superuser:
        found = found.filter(Q(user=made.pk) | Q(group__user=made.pk))
    return {f"{one.content_type.app_label}.{one.codename}" for one in found.select_related("content_type")}
