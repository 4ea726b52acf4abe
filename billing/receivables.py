"""What partners owe as of an instant: to pay today, tomorrow and later, overdue by age, refunds due, credit.

One statement answers for all partners; docs/receivables.md has the rules in words, billing/receivables_loop.py the same
once more as a loop over orders, which must agree to the last unit. A missing rate is never taken as 1 and an order of
unknown type or status never guessed at: each sum says how many amounts it lacks, and the first of them are named.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from django.conf import settings
from psycopg2.sql import SQL

from billing import order_types
from billing.models import Client, Currency, FxRate, Order, Partner
from billing.receivables_account import Account, Figure, Odd, Receivables, figure_names
from ops import sql
from ops.engine.lifecycle import decoded, server_now, trouble
from ops.engine.parameters import BadParameters
from ops.engine.session import Session

AGES_SETTING = "SETWISE_RECEIVABLES_AGES"

STATEMENT = "billing/total_receivables.sql"

TABLES = tuple(model._meta.db_table for model in (Order, Partner, Client, FxRate, Currency))
"""What receivables are read from."""

MAX_AGE_OF_RATE = 10
"""A rate that is older than so many days is missing: banks are closed for at most some days on end."""

MOST_BOUNDS = 7
"""So many bounds of ages the statement has figures for, and one more for what is older."""

NAMED = 20
"""So many of a partner's amounts that lack a rate, or whose orders are unknown, are named."""

LOCK_TIMEOUT = 5_000
"""Milliseconds that a reader waits for a table that somebody alters."""

EXPLAIN = SQL("EXPLAIN (ANALYZE, BUFFERS) ")

Rates = Literal["sale", "as-of"]


def default_ages() -> tuple[int, ...]:
    """Return the last day overdue of each age but the oldest: SETWISE_RECEIVABLES_AGES, else 30, 60 and 90.

    Raises BadParameters, which names the setting, where they are none; the system check billing.E003 finds that, too.
    """
    given = getattr(settings, AGES_SETTING, (30, 60, 90))
    if not isinstance(given, list | tuple) or not _are_ages(given):
        raise BadParameters(f"{AGES_SETTING}: {given!r} are no ages: {_advice('(30, 60, 90)')}")
    return tuple(given)


def checked_ages(ages: Sequence[int] | None) -> tuple[int, ...]:
    """Return the bounds of ages; raise BadParameters where they do not rise, are not positive or too many."""
    if ages is None:
        return default_ages()
    if not _are_ages(ages):
        raise BadParameters(f"--ages: {','.join(map(str, ages)) or 'nothing'} are no ages: {_advice('30,60,90')}")
    return tuple(ages)


def _are_ages(bounds: Sequence[int]) -> bool:
    if not 1 <= len(bounds) <= MOST_BOUNDS or not all(type(one) is int for one in bounds):
        return False
    return all(one < other for one, other in zip((0, *bounds), (*bounds, 2**31), strict=True))


def _advice(example: str) -> str:
    return f"give 1 to {MOST_BOUNDS} rising numbers of days, such as {example}."


FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""From the one to the other every zone's day is one that Python can tell."""


def present(session: Session) -> datetime:
    """Return the server's instant in whole seconds, as it is written and asked for again."""
    return server_now(session).replace(microsecond=0)


def compute(
    *,
    partners: Sequence[int] | None = None,
    as_of: datetime | None = None,
    rates: Rates = "sale",
    currency: str = "",
    ages: Sequence[int] | None = None,
    max_age_of_rate: int = MAX_AGE_OF_RATE,
    database: str = "default",
    timeout: int = 0,
) -> Receivables:
    """Return what partners (all, unless ids are given) owe as of an instant (now), by id; and the totals by currency.

    `rates` says which rates convert an order: those of the moment of its sale, or the newest as of the instant's day.
    Everything is told in `currency`, or each partner in its own. `timeout` is in milliseconds, 0 is none.
    Raises BadParameters where a partner, the currency or the ages are none or the instant is at an end of time, and
    DatabaseTrouble.
    """
    session = Session(database)
    bounds = checked_ages(ages)
    with trouble("Computing receivables"):
        as_of = as_of or present(session)
        if not FIRST <= as_of <= LAST:
            raise BadParameters(f"{as_of.isoformat()} lies at an end of time: name a nearer instant.")
        values = parameters_of(partners, as_of, rates, currency, bounds, max_age_of_rate)
        with session.transaction(lock_timeout=LOCK_TIMEOUT, statement_timeout=timeout):
            rows = session.execute(STATEMENT, values)
        found = Receivables(
            as_of=as_of,
            rates=rates,
            currency=currency,
            ages=bounds,
            max_age_of_rate=max_age_of_rate,
            partners=tuple(_account(row, bounds) for row in rows if row[0] is not None),
            totals=tuple(_account(row, bounds) for row in rows if row[0] is None),
        )
        refuse_unknown(found, partners, database)
    return found


def explain(
    *,
    partners: Sequence[int] | None = None,
    as_of: datetime | None = None,
    rates: Rates = "sale",
    currency: str = "",
    ages: Sequence[int] | None = None,
    max_age_of_rate: int = MAX_AGE_OF_RATE,
    database: str = "default",
) -> list[str]:
    """Return the server's plan of the statement, with real times and rows: it is executed for that."""
    session = Session(database)
    bounds = checked_ages(ages)
    with trouble("Explaining receivables"):
        values = parameters_of(partners, as_of or present(session), rates, currency, bounds, max_age_of_rate)
        with session.transaction(lock_timeout=LOCK_TIMEOUT, statement_timeout=0):
            explained = EXPLAIN + sql.load(STATEMENT).compose()
            return [line for (line,) in session.execute(explained, values)]


def parameters_of(
    partners: Sequence[int] | None,
    as_of: datetime,
    rates: Rates,
    currency: str,
    ages: Sequence[int],
    max_age_of_rate: int,
) -> dict[str, Any]:
    """Return the values of the statement; the rules of the order types are among them, a row each."""
    rules = [
        (entry.name, status, counts.owes, counts.refunds)
        for entry in order_types.types()
        for status, counts in entry.statuses.items()
    ]
    types, statuses, owes, refunds = (list(column) for column in zip(*rules, strict=True)) if rules else ([],) * 4
    return {
        "as_of": as_of,
        "partners": None if partners is None else list(partners),
        "currency": currency,
        "rates": rates,
        "max_age_of_rate": max_age_of_rate,
        "ages": list(ages),
        "types": types,
        "statuses": statuses,
        "owes": owes,
        "refunds": refunds,
        "most": NAMED,
    }


def refuse_unknown(found: Receivables, partners: Sequence[int] | None, database: str) -> None:
    """Raise BadParameters where a partner that was asked for is not there, or the currency."""
    there = {account.partner for account in found.partners}
    if not there:
        check_currency(found.currency, database)
    if missing := sorted(set(partners or ()) - there):
        raise BadParameters(f"There is no partner {missing[0]}: 'manage.py receivables' lists them.")


def check_currency(code: str, database: str) -> None:
    """Raise BadParameters where there is no such currency; "" is none, which is right."""
    codes = Currency.objects.using(database).order_by("code").values_list("code", flat=True)
    if code and code not in codes:
        raise BadParameters(f"There is no currency {code!r}; there is: {', '.join(codes) or 'none'}.")


def _account(row: tuple[Any, ...], ages: Sequence[int]) -> Account:
    values: Mapping[str, Any] = dict(zip(sql.load(STATEMENT).returns, row, strict=True))
    columns = zip(values["amounts"], values["orders"], values["lacks"], strict=True)
    names = figure_names(ages)
    return Account(
        partner=values["partner_id"],
        name=values["name"] or "",
        zone=values["zone"] or "",
        today=values["today"],
        currency=values["currency"],
        minor_units=values["minor_units"],
        partners=values["partners"],
        figures={
            name: Figure(amount, int(orders), int(lacks))
            for name, (amount, orders, lacks) in zip(names, columns, strict=True)
        },
        limits=values["limits"],
        limit=values["credit_limit"],
        left=values["credit_left"],
        over=values["credit_over"],
        limits_lacking=values["credit_lacks"],
        unknown=int(values["unknowns"]),
        odd=tuple(_odd(decoded(values["named"]) or [], names)),
    )


def _odd(named: list[dict[str, Any]], names: Sequence[str]) -> Iterator[Odd]:
    for one in named:
        yield Odd(
            order=one["order"],
            type=one["type"],
            reference=one["reference"],
            status=one["status"],
            figure=names[one["figure"] - 1] if one["figure"] else "",
            day=one["day"],
            lacks=tuple(code for code in (one["from"], one["into"]) if code),
        )
