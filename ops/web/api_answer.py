"""What an endpoint answers: always a JSON object, numbers that must be exact as text, and errors of one form.

A decimal (money, a rate, a percentage) is a JSON string, for many a parser makes a float of a number; an instant is
ISO 8601 with its offset. An error is `{"error": {"code": .., "message": .., "field": ..}}`; not all have a field.
"""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.duration import duration_iso_string

from ops.engine.plan import plain

HEADERS = {
    # Kept by whoever asked, but asked for again each time: by the ETag that costs next to nothing.
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie, Authorization",
}


class Problem(Exception):
    """A request that is not answered as it was meant: the status, a word for programs and a sentence for people."""

    def __init__(
        self, status: int, code: str, message: str, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        """Return the object that is answered."""
        error = {"code": self.code, "message": str(self)}
        return {"error": error | ({"field": self.field} if self.field else {})}


def text(document: Mapping[str, Any]) -> str:
    """Return an object as JSON; what has no form there that is exact and safe is text."""
    try:
        return json.dumps(document, ensure_ascii=False, default=_as_text, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), ensure_ascii=False, default=_as_text, allow_nan=False)


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has: give the endpoint's handler a text for it.")


def _finite(value: Any) -> Any:
    """Return a document in which the floats that JSON does not have (NaN, infinity) are text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(Decimal(value))
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def respond(body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a response of JSON; one without a body (204, 304) has no content type either."""
    response = HttpResponse(body, status=status, content_type="application/json" if body else None)
    if not body:
        del response.headers["Content-Type"]
    for name, value in {**HEADERS, **(headers or {})}.items():
        response.headers[name] = value
    return response


def refuse(problem: Problem) -> HttpResponse:
    """Return a problem as a response."""
    return respond(text(problem.as_json()), problem.status, problem.headers)
