"""Schemathesis asks every endpoint what its description allows, and what it does not, in this process.

What is answered is held against the description: statuses, content types, headers, bodies. Valid questions are to be
answered, others refused; without a token, or with another one, nothing is told. `make soak` asks for longer.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, settings

from billing.models import InvoiceLine, Upload
from ops import clock
from ops.models import Run, RunEvent
from ops.web.openapi import document
from tests.billing.conftest import build_shop
from tests.billing.test_api_receivables import make_debts
from tests.ops.web.asking import says, user

SCHEMA = schemathesis.openapi.from_dict(document("http://localhost"))
SCHEMA.app = get_wsgi_application()
# Who asks is said below; that nobody else is answered is one of the checks.
SCHEMA.config.generation.with_security_parameters = False
UNTOLD = {"as_of", "window", "zone", "partner", "currency"}
"""What JSON Schema can't tell: whether a day is in the calendar, one later than another; which zones, partners and
currencies there are."""


@pytest.fixture
def said(db: None) -> Iterator[dict[str, str]]:
    """Return the header of one who may read everything, in a database that has something of everything."""
    # As Django's own test client does: else the end of a request ends the transaction of the test.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    build_shop()
    make_debts(3)
    now = clock.now()
    for days in range(40):
        Upload.objects.create(name="x", size=days, uploaded_at=now - timedelta(days=days))
        Run.objects.create(
            job="any", verb="apply", scope="", state="done", as_of=now, created_at=now - timedelta(days=days), changed=7
        )
        InvoiceLine.objects.create(
            customer="Kim" if days % 3 else None,
            invoice=f"{days}",
            stock_code="x",
            quantity=-1 if days % 5 == 0 else 3,
            price="1.25",
            currency_id="USD" if days % 2 else "KRW",
            invoiced_at=now - timedelta(days=days),
        )
    run = Run.objects.latest("pk")
    RunEvent.objects.bulk_create(RunEvent(run=run, what="x", who="x") for _ in range(3))
    yield {"Authorization": says(user("root", is_superuser=True))["authorization"]}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def look(case: Any, said: dict[str, str]) -> None:
    """Ask as the case says, and hold the answer against the description."""
    valid = case.meta is None or case.meta.generation.mode.is_positive
    if valid and "run" in case.path_parameters:
        case.path_parameters["run"] = Run.objects.latest("pk").pk
    answer = case.call(headers=said)
    excluded = []
    error = answer.json()["error"] if answer.status_code == 400 else {}
    # A text of blanks is none.
    if valid and (error.get("field") in UNTOLD or error.get("message") == "This field is required."):
        excluded.append(schemathesis.checks.positive_data_acceptance)
    case.validate_response(answer, headers=said, excluded_checks=excluded)
    assert answer.status_code in (204, 304) or isinstance(answer.json(), dict)


@SCHEMA.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_answers_as_described(case: Any, said: dict[str, str]) -> None:
    look(case, said)


@pytest.mark.soak
@SCHEMA.parametrize()
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_answers_as_described_for_long(case: Any, said: dict[str, str]) -> None:
    look(case, said)


@SCHEMA.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_nobody_is_told_anything(case: Any, said: dict[str, str]) -> None:
    answer = case.call()
    # What is no address is told to everybody.
    statuses = {"GET": (401, 404), "OPTIONS": (204, 404)}.get(case.method, (405, 404))
    assert answer.status_code in statuses, case.method
    assert answer.status_code == 401 or "{" in case.operation.path or case.method != "GET"
