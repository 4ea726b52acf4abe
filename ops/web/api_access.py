"""Who asks, and whether they may: by the admin's session, or by a token that `manage.py api_token` has made.

A token is a signed text; nothing of it is stored. It names its user, the instant at which it ends, and a digest of
what Django's sessions are bound to: a new password, or a user who is no longer active, ends it at once.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_backends, get_user_model
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from ops import clock
from ops.web.api_answer import Problem

MOST_DAYS = 3_660
"""What a token may last at most."""

CHALLENGE = 'Bearer realm="setwise"'
HOW = "log in to the admin, or send 'Authorization: Bearer TOKEN' with a token made by 'manage.py api_token USER'"


def _signer() -> Signer:
    # Where SECRET_KEY is replaced, those of SECRET_KEY_FALLBACKS are still taken.
    return Signer(salt="ops.web.api_access")


def _digest(session_auth_hash: str) -> str:
    """Return what tells whether a password is still the same; that hash itself would be a part of a session."""
    return hashlib.sha256(f"ops.web.api_access {session_auth_hash}".encode()).hexdigest()


def user_named(name: str) -> Any:
    """Return the user of that name, None where there is none."""
    model = get_user_model()
    return model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()


def make_token(user: Any, days: int) -> tuple[str, datetime]:
    """Return a token for a user that ends after so many days, and the instant at which it does."""
    until = clock.now().replace(microsecond=0) + timedelta(days=days)
    payload = {
        "user": user._meta.pk.value_to_string(user),
        "key": _digest(user.get_session_auth_hash()),
        "until": int(until.timestamp()),
    }
    return _signer().sign_object(payload), until


@sensitive_variables()
def user_of_token(token: str) -> Any:
    """Return a token's user; raise a Problem, which repeats nothing of the token, where it is not or no longer good."""
    try:
        payload = _signer().unsign_object(token)
        owner, key, until = payload["user"], payload["key"], int(payload["until"])
    except (BadSignature, ValueError, TypeError, KeyError) as exc:
        raise _bad("The token is not one that was made here, or was cut off") from exc
    if datetime.fromtimestamp(until, UTC) <= clock.now():
        raise _bad("The token has expired")
    user = _user(owner)
    if user is None or not user.is_active:
        raise _bad("The token's user is gone or no longer active")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    if not any(constant_time_compare(_digest(one), key) for one in hashes):
        raise _bad("The password of the token's user was changed since")
    return user


def _bad(found: str) -> Problem:
    message = f"{found}: make a new one by 'manage.py api_token USER'."
    challenge = f'{CHALLENGE}, error="invalid_token", error_description="{found}"'
    return Problem(401, "unauthenticated", message, headers={"WWW-Authenticate": challenge})


def _user(key: str) -> Any:
    """Return the user with a primary key, as the project's backends find those of sessions."""
    for backend in get_backends():
        try:
            found = backend.get_user(key)
        except (ValueError, ValidationError):
            continue
        if found is not None:
            return found
    return None


@sensitive_variables("said", "token")
def caller(request: HttpRequest, permissions: Sequence[str]) -> Any:
    """Return the user who asks; raise a Problem: 401 where nobody is known, 403 where they may not.

    Whoever sends a bearer token is its user or nobody, even with a session as well.
    """
    scheme, _, said = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user = user_of_token(said.strip())
    else:
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated or not user.is_active:
            raise Problem(
                401, "unauthenticated", f"Nobody is logged in: {HOW}.", headers={"WWW-Authenticate": CHALLENGE}
            )
    missing = [name for name in permissions if not user.has_perm(name)]
    if missing:
        raise Problem(403, "forbidden", f"User {user.get_username()} may not read this; missing: {', '.join(missing)}.")
    return user
