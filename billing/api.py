"""Subscriptions and receivables as JSON for programs: `path("api/", include("billing.api"))`."""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from psycopg2.sql import Composable

from billing import totals
from billing.api_receivables import AMOUNT, CODE, RECEIVABLES
from billing.models import Client, Currency, Plan, Service, Subscription
from ops import clock
from ops.cache import versions
from ops.cache.questions import Question
from ops.engine.session import Session
from ops.web.api import TIMEOUT, Call, Endpoint, urls
from ops.web.api_params import Paged, Pattern, Whole
from ops.web.api_rows import Rows, limited, together
from ops.web.api_runs import COUNT, NEXT, TEXT, closed, or_null

PAGE, TOTAL = "billing/list_subscriptions.sql", "billing/total_subscriptions.sql"


class Filters(Paged):
    """Which subscriptions, and which page of them."""

    client = Whole(help_text="Only those of a client, by its id.")
    plan = Whole(help_text="Only those on a plan, by its id.")
    service = Whole(help_text="Only those to a service, by its id.")
    currency = Pattern("[A-Z]{3}", "currency's code, such as KRW", help_text="Only those priced in it.")


def subscriptions(call: Call) -> dict[str, Any]:
    """Return a page of subscriptions, and what all that the filter leaves come to."""
    limit = call.params["limit"]
    rows, total = _page_and_total(call, {"after": call.params["after"] or 0, "rows": limit + 1})
    return {
        "result": [_subscription(*row) for row in rows[:limit]],
        **total,
        "next": call.next_page(rows[limit - 1][0]) if len(rows) > limit else None,
    }


def _question(call: Call) -> Question:
    return totals.total_of.question((), {name: call.params[name] or None for name in totals.FILTERS})


def _page_and_total(call: Call, page: Mapping[str, int]) -> tuple[Rows, totals.Total]:
    """Return a page and the total in one query: where the total is kept only the page is read, else both at once."""
    question, total_of = _question(call), totals.total_of
    tables, tags = question.tables, question.tags
    values = {**question.bound.arguments, **page}
    if call.versions is not None and (kept := total_of.known(question, call.versions.of(tables, tags))):
        return Session(total_of.database).execute(limited(PAGE, TIMEOUT), values), kept.value
    wanted: list[str | Composable] = [PAGE, TOTAL]
    if call.versions is not None:
        wanted.append(versions.statement(tables, tags))
    began, start = clock.now(), clock.monotonic()
    rows, summands, *found = together(total_of.database, values, *wanted, timeout=TIMEOUT)
    total = totals.summed(
        [(code, None if amount is None else Decimal(amount), *counts) for code, amount, *counts in summands]
    )
    with suppress(versions.Unversioned):
        for told in found:
            known = versions.made_of(told, tables, tags, total_of.database)
            total_of.keep(question, known, total, began, clock.monotonic() - start)
    return rows, total


def _subscription(
    pk: int, plan: int | None, client: str, email: str, plan_type: str, percent: Any, price: Any, currency: str | None
) -> dict[str, Any]:
    return {
        "id": pk,
        "plan_id": plan,
        "client_name": client,
        "email": email,
        "plan": None if plan is None else {"id": plan, "plan_type": plan_type, "discount_percent": percent},
        "price": price,
        "currency": currency,
    }


SUBSCRIPTIONS = Endpoint(
    name="subscriptions",
    route="subscriptions/",
    summary="Subscriptions in the order of their ids, and what they come to.",
    description="The totals are of all subscriptions that the filter leaves, not of the page: price times quantity, "
    "rounded to the minor unit of the currency, row by row. total_amount is null where currencies mix.",
    handler=subscriptions,
    form=Filters,
    permissions=("billing.view_subscription", "billing.view_client", "billing.view_plan"),
    tables=tuple(model._meta.db_table for model in (Subscription, Client, Plan, Service, Currency)),
    tags=lambda call: _question(call).tags,
    answer=closed(
        result={
            "type": "array",
            "items": closed(
                id=COUNT,
                plan_id=or_null(COUNT),
                client_name=TEXT,
                email=TEXT,
                plan={
                    "oneOf": [
                        {"type": "null"},
                        closed(
                            id=COUNT,
                            plan_type={"type": "string", "enum": list(Plan.Type.values)},
                            discount_percent=AMOUNT,
                        ),
                    ]
                },
                price=or_null(AMOUNT),
                currency=or_null(CODE),
            ),
        },
        total_amount=or_null(AMOUNT),
        totals={"type": "array", "items": closed(currency=CODE, amount=AMOUNT)},
        subscriptions=COUNT,
        unpriced=COUNT,
        next=NEXT,
    ),
)

urlpatterns = urls(SUBSCRIPTIONS, RECEIVABLES)
