"""What partners owe, as JSON for programs: `manage.py receivables --json`, page by page."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from billing import receivables
from ops import clock
from ops.engine.parameters import BadParameters
from ops.web.api import TIMEOUT, Call, Endpoint, Schema
from ops.web.api_answer import Problem
from ops.web.api_params import Instant, OneOf, Paged, Pattern, Wholes
from ops.web.api_runs import COUNT, INSTANT, NEXT, TEXT, closed, or_null

AMOUNT: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "An exact decimal."}
CODE: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
DAY: Schema = {"type": "string", "format": "date"}


class Asked(Paged):
    """Which partners, as of when, by which rates and in which currency."""

    partner = Wholes(help_text="Only these partners, by their ids; totals are of them.")
    as_of = Instant(help_text="As of this instant; the beginning of the present minute, if left out.")
    rates = OneOf(("sale", "as-of"), initial="sale", help_text="Rates of the moment of sale, or of the instant's day.")
    currency = Pattern(
        "[A-Z]{3}", "currency's code, such as KRW", help_text="Told in it, instead of each partner's own."
    )


def _as_of(call: Call) -> datetime:
    """Return the instant: one that is not given stands still for a minute, so that an answer can be known that long."""
    given: datetime | None = call.params["as_of"]
    return given or clock.now().replace(second=0, microsecond=0)


def _ages() -> tuple[int, ...]:
    """Return the ages of the settings; where those are none, whoever asks can do nothing about it."""
    try:
        return receivables.default_ages()
    except BadParameters as exc:
        raise Problem(503, "unavailable", str(exc)) from exc


def basis(call: Call) -> dict[str, Any]:
    """Return all that an answer depends on beside the tables: the rules of the order types are among it."""
    asked = call.params
    values = receivables.parameters_of(
        asked["partner"] or None,
        _as_of(call),
        asked["rates"],
        asked["currency"],
        _ages(),
        receivables.MAX_AGE_OF_RATE,
    )
    return {**values, "after": asked["after"], "limit": asked["limit"]}


def owed(call: Call) -> dict[str, Any]:
    """Return a page of partners with what they owe, and the totals of all that were asked for."""
    asked = call.basis
    try:
        found = receivables.compute(
            partners=asked["partners"],
            as_of=asked["as_of"],
            rates=asked["rates"],
            currency=asked["currency"],
            timeout=TIMEOUT,
        )
    except BadParameters as exc:
        field = "currency" if "currency" in str(exc) else "partner"
        raise Problem(400, "invalid_parameter", str(exc), field) from exc
    limit = asked["limit"]
    left = [one for one in found.partners if one.partner is not None and one.partner > (asked["after"] or 0)]
    more = len(left) > limit
    page = replace(found, partners=tuple(left[:limit]))
    # The pages of one answer are as of one instant.
    return {
        **page.as_json(),
        "next": call.next_page(left[limit - 1].partner, as_of=found.as_of.isoformat()) if more else None,
    }


FIGURE = closed(amount=AMOUNT, orders=COUNT, lacks=COUNT)
FIGURES: dict[str, Schema] = {
    **dict.fromkeys(("pending", "today", "tomorrow", "later"), FIGURE),
    "overdue": closed(
        amount=AMOUNT,
        orders=COUNT,
        lacks=COUNT,
        ages={"type": "array", "items": closed(age=TEXT, amount=AMOUNT, orders=COUNT, lacks=COUNT)},
    ),
    "refunds": FIGURE,
    "credit": closed(
        limit=or_null(AMOUNT),
        used=AMOUNT,
        left=or_null(AMOUNT),
        over=or_null(AMOUNT),
        lacks=COUNT,
        used_lacks=COUNT,
        unknown=COUNT,
    ),
    "unknown": COUNT,
}
LACKING = closed(
    order=COUNT,
    type=TEXT,
    reference=TEXT,
    status=TEXT,
    figure=or_null(TEXT),
    day=or_null(DAY),
    lacks={"type": "array", "items": CODE},
)

RECEIVABLES = Endpoint(
    name="receivables",
    route="receivables/",
    summary="What partners owe: to pay, overdue by age, refunds, credit.",
    description="Totals are of all partners that were asked for, not of the page. What is in no sum, for want of a "
    "rate, is counted (lacks) and the first of it named (lacking).",
    handler=owed,
    form=Asked,
    permissions=("billing.view_partner", "billing.view_order"),
    tables=receivables.TABLES,
    basis=basis,
    answer=closed(
        as_of=INSTANT,
        rates={"type": "string", "enum": ["sale", "as-of"]},
        currency=or_null(CODE),
        ages={"type": "array", "items": COUNT},
        max_age_of_rate=COUNT,
        lacks=COUNT,
        partners={
            "type": "array",
            "items": closed(
                partner=COUNT,
                name=TEXT,
                currency=CODE,
                zone=TEXT,
                day=DAY,
                **FIGURES,
                lacking={"type": "array", "items": LACKING},
            ),
        },
        totals={"type": "array", "items": closed(currency=CODE, partners=COUNT, **FIGURES)},
        next=NEXT,
    ),
)
