"""Whether this process lives (`/healthz`) and can work (`/readyz`), for probes of any kind.

Neither needs a login, a session or a cookie. With the middleware `Probes` in the first place they also answer where
other pages would refuse or redirect: under any host name, and by plain HTTP.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import resolve
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ops import sql
from ops.engine.session import sqlstate
from ops.web import broker

logger = logging.getLogger("ops.web")

SECONDS = 1
"""How long a server may take to be reached, and to answer."""

PROBES = ("healthz", "readyz", "metrics")

Answer = Callable[[HttpRequest], HttpResponseBase]


class Probes:
    """Middleware that answers probes before any other looks at host name, scheme or session; the first of its list.

    What asks a process whether it lives comes by its address, not by the site's name, and without TLS. Metrics are
    among them for those only who bring the token; others go the way of every page.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.rpartition("/")[2] in PROBES:
            try:
                found = resolve(request.path_info)
            except Http404:
                found = None
            if found is not None and found.app_names[-1:] == ["ops_web"] and self._is_open(request, found.func):
                answer: HttpResponseBase = found.func(request)
                return answer
        return self.get_response(request)

    def _is_open(self, request: HttpRequest, view: Any) -> bool:
        only_for: Callable[[HttpRequest], bool] = getattr(view, "open_to", lambda request: True)
        return only_for(request)


@transaction.non_atomic_requests
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers; look at nothing else, so that no server's trouble makes anyone restart it."""
    return HttpResponse("ok\n", content_type="text/plain")


@transaction.non_atomic_requests
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether database, migrations and broker are as they should be, 503 where one is not.

    `?exclude=broker` leaves the broker out. What was found in detail is in the log: this page is everybody's.
    """
    found = database()
    if "broker" not in request.GET.getlist("exclude"):
        found["broker"] = messages()
    ready = not set(found.values()) & FAULTS
    return JsonResponse({"ready": ready, **found}, status=200 if ready else 503)


ANSWERS, SILENT, MISSING, APPLIED, UNREADABLE, NONE = (
    "answers",
    "does not answer",
    "missing",
    "applied",
    "may not be read",
    "none",
)
FAULTS = {SILENT, MISSING}


def database() -> dict[str, str]:
    """Return whether the default database answers, and whether the migrations of ops are applied in it."""
    try:
        with briefly(DEFAULT_DB_ALIAS) as cursor:
            cursor.execute(sql.load("ops/list_applied.sql").compose())
            applied = {name for (name,) in cursor.fetchall()}
    except Error as exc:
        code = sqlstate(exc)
        if code == "42501":  # insufficient_privilege: a role that only carries runs out need not read them
            return {"database": ANSWERS, "migrations": UNREADABLE}
        if code == "42P01":  # undefined_table: nothing was ever migrated
            return {"database": ANSWERS, "migrations": MISSING}
        logger.warning("Not ready: the database does not answer: %s", str(exc).strip())
        return {"database": SILENT, "migrations": UNREADABLE}
    missing = sorted(_migrations() - applied)
    if missing:
        logger.warning("Not ready: 'manage.py migrate' was not run: %s", ", ".join(missing))
    return {"database": ANSWERS, "migrations": MISSING if missing else APPLIED}


def messages() -> str:
    """Return whether the broker answers; a project without one has none."""
    try:
        return ANSWERS if broker.ping() else NONE
    except broker.Unreachable as exc:
        logger.warning("Not ready: %s", exc)
        return SILENT


@cache
def _migrations() -> frozenset[str]:
    """Return the names of the migrations of ops that are installed."""
    return frozenset(name for app, name in MigrationLoader(None).disk_migrations or () if app == "ops")


@contextmanager
def briefly(alias: str) -> Iterator[Any]:
    """Yield a cursor of a connection of its own, which has to be had within SECONDS, as has each of its answers.

    Django's own may hang for minutes where a host is gone, and a probe would hang with it.
    """
    connection = connections[alias].copy()
    connection.settings_dict["OPTIONS"] = {**connection.settings_dict.get("OPTIONS", {}), "connect_timeout": SECONDS}
    connection.settings_dict["CONN_MAX_AGE"] = 0
    try:
        # One transaction: behind a pooler, what is set for a session may stay with another's.
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            limit = f"{SECONDS * 1000}ms"
            limits: dict[str, Any] = {"lock_timeout": limit, "statement_timeout": limit, "ordered": False}
            cursor.execute(sql.load("ops/set_limits.sql").compose(), limits)
            yield cursor
    finally:
        connection.close()
