"""The OpenAPI 3.1 description of the endpoints that the project's URLs lead to, made of their declarations.

Nothing of it is written by hand, so it says what is: addresses with their prefixes come from the URL configuration,
parameters from the forms that read them, answers from the endpoints.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from ops.engine import owner
from ops.web.api import Call, Endpoint
from ops.web.api_params import Schema, parameters

CAPTURE = re.compile(r"<(?:(\w+):)?(\w+)>")
CAPTURED: dict[str, Schema] = {
    "int": {"type": "integer", "minimum": 0},
    "slug": {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},
    "uuid": {"type": "string", "format": "uuid"},
}
"""What Django's converters of a path take; another one takes a text."""

ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string", "description": "A word for programs."},
                "message": {"type": "string", "description": "A sentence for people."},
                "field": {"type": "string", "description": "The parameter that it is about."},
            },
        }
    },
}
DESCRIPTION = """\
Read-only. Every answer is one JSON object. Money, rates and percentages are strings, exact decimals; instants are ISO
8601 with an offset. An ETag comes with what can be asked for again cheaply: send it as If-None-Match."""

WORDS = {
    400: "A parameter is unknown, malformed, empty or repeated.",
    401: "Nobody is logged in, or the token is no good (any more).",
    403: "The user may not read this.",
    404: "There is no such thing.",
    500: "The database could not compute it, by no fault of a parameter.",
    503: "The database does not answer, or not in time.",
}


def endpoints(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, Endpoint]]:
    """Yield each endpoint of the URL configuration with its address, as OpenAPI writes it (`/api/runs/{run}/`)."""
    for one in get_resolver().url_patterns if patterns is None else patterns:
        if not isinstance(one.pattern, RoutePattern):
            continue
        address = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from endpoints(one.url_patterns, address)
        elif isinstance(one, URLPattern) and isinstance(found := getattr(one.callback, "endpoint", None), Endpoint):
            yield CAPTURE.sub(r"{\2}", address), found


def document(server: str = "/") -> Schema:
    """Return the description; `server` is the address under which the project is asked."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Setwise", "version": owner.code_version(), "description": DESCRIPTION},
        "servers": [{"url": server}],
        "security": [{"session": []}, {"token": []}],
        "paths": {address: {"get": _operation(found)} for address, found in endpoints()},
        "components": {
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": _cookie(), "description": "The admin's session."},
                "token": {"type": "http", "scheme": "bearer", "description": "Made by `manage.py api_token USER`."},
            },
            "schemas": {"Error": ERROR},
            "headers": {
                "ETag": {"schema": {"type": "string"}, "description": "Absent where nothing tells of a change."}
            },
        },
    }


def _cookie() -> str:
    from django.conf import settings

    return str(settings.SESSION_COOKIE_NAME)


def _operation(endpoint: Endpoint) -> Schema:
    needed = f"Permissions: {', '.join(endpoint.permissions)}." if endpoint.permissions else "For any user."
    captured = []
    for kind, name in CAPTURE.findall(endpoint.route):
        schema = endpoint.captures.get(name) or CAPTURED.get(kind, {"type": "string", "minLength": 1})
        captured.append({"name": name, "in": "path", "required": True, "schema": schema})
    known = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
    statuses = sorted({*WORDS, *endpoint.statuses} - ({404} - set(endpoint.statuses)))
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": " ".join(filter(None, (endpoint.description, needed))),
        "parameters": [*captured, *parameters(endpoint.form), known],
        "responses": {
            "200": {
                "description": endpoint.summary,
                "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
                "content": {"application/json": {"schema": endpoint.answer}},
            },
            "304": {"description": "The answer is still the one whose ETag was sent."},
            **{str(status): _error(WORDS[status]) for status in statuses},
        },
    }


def _error(description: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": description, "content": content}


def _described(call: Call) -> Schema:
    # The address of the site, without a path: the description's own paths have theirs.
    return document(call.request.build_absolute_uri("/").rstrip("/") or "/")


OPENAPI = Endpoint(
    name="openapi",
    route="openapi.json",
    summary="This description, as OpenAPI 3.1.",
    handler=_described,
    answer={"type": "object", "required": ["openapi", "info", "paths"]},
)
