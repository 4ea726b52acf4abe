"""Read-only JSON for programs: an endpoint is declared once, and what reads, answers and describes it follows.

    SUBSCRIPTIONS = Endpoint(
        name="subscriptions",
        route="subscriptions/",
        summary="Subscriptions in the order of their ids.",
        form=Filters,                                  # what may be in the query string
        permissions=("billing.view_subscription",),
        tables=("billing_subscription",),              # what it is read from: its ETag
        handler=subscriptions,                         # takes the Call, returns the object
        answer={"type": "object", ..},                 # JSON Schema of that object
    )
    urlpatterns = urls(SUBSCRIPTIONS)

An endpoint answers GET and HEAD, to whom `api_access` knows and who has its permissions. `openapi.json` describes all
that the project's URLs lead to.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import SuspiciousOperation
from django.db import Error, InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from ops.engine.session import DatabaseTrouble, sqlstate
from ops.web import api_access, api_etag, api_params
from ops.web.api_answer import Problem, refuse, respond, text

if TYPE_CHECKING:
    from ops.cache.versions import Tags, Versions

logger = logging.getLogger("ops.web")

TIMEOUT = 20_000
"""Milliseconds that what an endpoint computes may take; gunicorn lets a request have 30 s."""

METHODS = "GET, HEAD, OPTIONS"
DATA = "22"
"""The class of errors of a value: out of range, no date, not of its type, a division by zero."""

Schema = dict[str, Any]


class Nothing(forms.Form):
    """No parameters."""


@dataclass(frozen=True)
class Endpoint:
    """One address: who may read it, what it takes, what its answer is read from and looks like."""

    name: str
    route: str
    """As `django.urls.path` takes it."""
    summary: str
    handler: "Callable[[Call], Mapping[str, Any]]"
    answer: Schema
    form: type[forms.Form] = Nothing
    permissions: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    """What the answer is read from. Without any it is computed to know its ETag: for what is found by its key."""
    tags: "Callable[[Call], Tags] | None" = None
    """Tags whose versions are read along with those of the tables."""
    basis: "Callable[[Call], Any] | None" = None
    """What the answer depends on beside its tables, as `Call.basis`; by default all parameters."""
    captures: Mapping[str, Schema] = field(default_factory=dict)
    """What the route captures, where its converter does not say all."""
    description: str = ""
    statuses: tuple[int, ...] = ()
    """Statuses that it answers beside those of every endpoint, such as 404."""
    module: str = ""
    """Whose app's code makes the answer, if that is not the handler's."""


@dataclass(frozen=True)
class Call:
    """One request to an endpoint that may be answered."""

    request: HttpRequest
    endpoint: Endpoint
    path: Mapping[str, Any]
    params: Mapping[str, Any]

    @cached_property
    def basis(self) -> Any:
        """Return what the answer depends on beside its tables."""
        return self.endpoint.basis(self) if self.endpoint.basis else self.params

    @cached_property
    def versions(self) -> "Versions | None":
        """Return the versions of the tables as they are before anything is computed, None where there are none."""
        endpoint = self.endpoint
        return (
            api_etag.read(endpoint.tables, endpoint.tags(self) if endpoint.tags else None) if endpoint.tables else None
        )

    @cached_property
    def etag(self) -> str:
        """Return the ETag of the answer that is still to be computed; '' where nothing tells it."""
        if self.versions is None:
            return ""
        # The address is a part of the answer: `next` has it.
        here = self.request.build_absolute_uri()
        module = self.endpoint.module or self.endpoint.handler.__module__
        return api_etag.made_of(module, self.endpoint.name, here, self.path, self.basis, self.versions.key)

    def next_page(self, after: Any, **more: Any) -> str:
        """Return the address of the page after a row, with everything else as it was asked for, or as in `more`."""
        asked = {**dict(self.request.GET.lists()), **more}
        asked.pop("after", None)
        return self.request.build_absolute_uri(
            f"{self.request.path}?{urlencode({**asked, 'after': after}, doseq=True)}"
        )


def urls(*endpoints: Endpoint) -> list[URLPattern]:
    """Return the URL patterns of endpoints, to be included under whatever prefix the project likes."""
    return [path(endpoint.route, view_of(endpoint), name=f"api_{endpoint.name}") for endpoint in endpoints]


def view_of(endpoint: Endpoint) -> Callable[..., HttpResponse]:
    """Return the view of an endpoint."""

    # Nothing is ever written, so there is nothing that another site could make a browser do; else Django would
    # refuse a POST for its missing token, where it is to be told that there is no POST.
    @csrf_exempt
    @transaction.non_atomic_requests
    def view(request: HttpRequest, **captured: Any) -> HttpResponse:
        return _guarded(request, lambda: _answer(endpoint, request, captured))

    view.endpoint = endpoint  # type: ignore[attr-defined]  # what the description looks for
    return view


@csrf_exempt
@transaction.non_atomic_requests
def unknown(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Answer under the prefix what no endpoint has; the last of its URL patterns."""
    hint = "" if not rest or rest.endswith("/") or "." in rest else " Addresses end with a slash."
    message = f"There is nothing at {request.path[:200]}.{hint} openapi.json describes what there is."
    return refuse(Problem(404, "not_found", message))


def _guarded(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """Answer, or say in JSON why not."""
    try:
        if request.method == "OPTIONS":
            return respond("", 204, {"Allow": METHODS})
        if request.method not in ("GET", "HEAD"):
            raise Problem(
                405,
                "method_not_allowed",
                f"{request.method} is not allowed: this is to read.",
                headers={"Allow": METHODS},
            )
        return answer()
    except Problem as problem:
        return refuse(problem)
    except SuspiciousOperation as exc:
        # More parameters than DATA_UPLOAD_MAX_NUMBER_FIELDS.
        return refuse(Problem(400, "bad_request", f"The request is not one that is taken: {exc}"))
    except (Error, DatabaseTrouble) as exc:
        return _in_trouble(request, exc)


def _in_trouble(request: HttpRequest, exc: Exception) -> HttpResponse:
    """Answer for an error of the database that somebody else can help: who asked, or the server's keeper."""
    cause = exc.__cause__ if isinstance(exc, DatabaseTrouble) else exc
    if isinstance(cause, Error) and sqlstate(cause).startswith(DATA):
        said = _first_line(cause)
        logger.error("%s: the database takes no such value: %s", request.path, said, exc_info=exc)
        field = _parameter_in(request, said)
        if field is None:
            return refuse(Problem(500, "internal_error", "This could not be computed; the server's log says why."))
        return refuse(Problem(400, "invalid_parameter", f"The database takes no such value: {said}.", field))
    if not isinstance(cause, OperationalError | InterfaceError):
        raise exc
    logger.error("%s: the database does not answer, or not in time: %s", request.path, _first_line(cause))
    return refuse(Problem(503, "unavailable", "The database does not answer, or not in time: ask again later."))


def _parameter_in(request: HttpRequest, said: str) -> str | None:
    """Return the parameter whose value the server names, '' if it is of the address, None where it names none.

    It may be a value of ours, or of a row, for which who asks can do nothing.
    """
    for name, values in request.GET.lists():
        if any(value and f'"{value}"' in said for value in values):
            return str(name)
    captured = request.resolver_match.kwargs.values() if request.resolver_match else ()
    return "" if any(f'"{value}"' in said for value in captured) else None


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().partition("\n")[0].rstrip(".")


def _answer(endpoint: Endpoint, request: HttpRequest, captured: Mapping[str, Any]) -> HttpResponse:
    api_access.caller(request, endpoint.permissions)
    call = Call(request, endpoint, captured, api_params.read(endpoint.form, request.GET))
    # First: it refuses what can't be answered.
    _ = call.basis
    etag = call.etag
    if etag and api_etag.is_known(request, etag):
        return respond("", 304, {"ETag": etag})
    body = text(endpoint.handler(call))
    if not endpoint.tables:
        etag = api_etag.of_body(body)
        if api_etag.is_known(request, etag):
            return respond("", 304, {"ETag": etag})
    return respond(body, headers={"ETag": etag} if etag else {})
