"""Receivables once more, as a loop over orders that a person can read; the statement must agree to the last unit.

Written from docs/receivables.md, not from the SQL: exact fractions, zoneinfo, a rate looked up in a list. It is slow
(some 30 seconds a million orders), proves what the statement says ('manage.py receivables --verify'), and lists the
orders that a figure is made of ('--orders').
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from math import floor
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing import order_types
from billing.models import Currency, FxRate, Order, Partner
from billing.receivables import LOCK_TIMEOUT, NAMED, compute
from billing.receivables_account import (
    LATER,
    PENDING,
    REFUNDS,
    TODAY,
    TOMORROW,
    Account,
    Figure,
    Odd,
    Receivables,
    added,
    age_names,
    figure_names,
)
from ops.engine.lifecycle import trouble
from ops.engine.plan import Refused
from ops.engine.session import Session

EURO = "EUR"


@dataclass(frozen=True)
class Entry:
    """An amount of an order that counts, the figure that it counts in, and what it is in the reporting currency."""

    order: int
    type: str
    reference: str
    status: str
    figure: str
    """"" where type or status are unknown; then it is in no sum."""
    due_on: date
    amount: Decimal
    currency: str
    day: date | None
    """Of which day the rates are; None where the amount is in the reporting currency already."""
    rate: Decimal | None
    """Units of its currency for a euro."""
    into: Decimal | None
    """Units of the reporting currency for a euro."""
    converted: Decimal | None
    lacks: tuple[str, ...] = ()
    """The currencies whose rate is missing."""


class Rates:
    """The rates of the database, all in memory."""

    def __init__(self, max_age: int, database: str) -> None:
        self._max_age = max_age
        self._days: dict[str, list[date]] = {}
        self._rates: dict[str, list[Decimal]] = {}
        kept = FxRate.objects.using(database).order_by("currency", "day").values_list("currency", "day", "rate")
        for currency, day, rate in kept.iterator():
            self._days.setdefault(currency, []).append(day)
            self._rates.setdefault(currency, []).append(rate)

    def on(self, currency: str, day: date) -> Decimal | None:
        """Return the newest rate on or before a day, unless it is too old; that of the euro is 1."""
        if currency == EURO:
            return Decimal(1)
        place = bisect_right(self._days.get(currency, []), day)
        if place == 0 or (day - self._days[currency][place - 1]).days > self._max_age:
            return None
        return self._rates[currency][place - 1]


@dataclass(frozen=True)
class Asked:
    """As of when to look at orders, by which rates, and how ages are divided."""

    as_of: datetime
    rates: str
    ages: tuple[int, ...]


@dataclass(frozen=True)
class Reader:
    """Whose account it is: its reporting currency with its decimals, and its day as of the instant."""

    currency: str
    minor_units: int
    zone: ZoneInfo
    today: date


def both(
    asked: Mapping[str, Any], keep: Sequence[int] | None = None
) -> tuple[Receivables, Receivables, dict[int, list[Entry]]]:
    """Return what the statement and what the loop make of the same rows, and the entries of the partners to keep.

    `asked` is what `receivables.compute` takes. Both read as of one moment, unless a transaction is open already.
    """
    session = Session(asked["database"])
    with (
        trouble("Computing receivables twice"),
        session.transaction(lock_timeout=LOCK_TIMEOUT, statement_timeout=0, snapshot=True),
    ):
        found = compute(**asked)
        wanted, entries = loop(found, asked["partners"], asked["database"], keep=keep or ())
    return found, wanted, entries


def loop(
    asked: Receivables,
    partners: Sequence[int] | None = None,
    database: str = "default",
    *,
    keep: Collection[int] = (),
) -> tuple[Receivables, dict[int, list[Entry]]]:
    """Return what the loop makes of the question that was asked, and the entries of the partners to keep.

    Raises Refused where a partner's zone is one that Python does not know.
    """
    decimals = dict(Currency.objects.using(database).values_list("code", "minor_units"))
    rates = Rates(asked.max_age_of_rate, database)
    question = Asked(asked.as_of, asked.rates, asked.ages)
    rows = Partner.objects.using(database).select_related("client").order_by("pk")
    orders = Order.objects.using(database).order_by("partner_id", "pk")
    if partners is not None:
        rows, orders = rows.filter(pk__in=partners), orders.filter(partner__in=partners)
    # Before any order is read, which may take long.
    zones = {partner.pk: zone_of(partner) for partner in rows}
    of_partner = groupby(orders.iterator(), key=lambda order: order.partner_id)
    pk, found = next(of_partner, (None, iter(())))
    accounts, kept = [], {}
    for partner in rows:
        currency = asked.currency or partner.currency_id
        zone = zones[partner.pk]
        reader = Reader(currency, decimals[currency], zone, asked.as_of.astimezone(zone).date())
        entries: list[Entry] = []
        if pk == partner.pk:
            for order in found:
                entries += entries_of(order, reader, question, rates)
            pk, found = next(of_partner, (None, iter(())))
        accounts.append(account_of(partner, reader, entries, question, rates))
        if partner.pk in keep:
            kept[partner.pk] = entries
    return replace(asked, partners=tuple(accounts), totals=tuple(totals_of(accounts, asked.ages))), kept


def zone_of(partner: Partner) -> ZoneInfo:
    """Return the zone of a partner, whose day counts; raise Refused where only the server knows it."""
    try:
        return ZoneInfo(partner.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise Refused(
            f"Partner {partner.client.name} ({partner.pk}) has the zone {partner.zone!r}, which Python does not know: "
            "correct it in the admin to a name such as Asia/Seoul, or update the package tzdata."
        ) from exc


def entries_of(order: Order, reader: Reader, asked: Asked, rates: Rates) -> Iterator[Entry]:
    """Yield what of an order counts: what is owed for it, and the refund that is due."""
    if order.sold_at > asked.as_of:
        return
    is_open = order.paid_on is None or order.paid_on > reader.today
    is_unrefunded = order.refund_amount > 0 and (order.refunded_on is None or order.refunded_on > reader.today)
    try:
        counts = order_types.counts(order.type, order.status)
    except (order_types.UnknownType, order_types.UnknownStatus):
        # Nobody knows what it owes; it is named once for as long as it might owe something.
        if is_open:
            yield _entry(order, "", order.sell_amount, order.sell_currency_id)
        elif is_unrefunded:
            yield _entry(order, "", order.refund_amount, order.refund_currency_id or "")
        return
    if counts.refunds and is_unrefunded:
        entry = _entry(order, REFUNDS, order.refund_amount, order.refund_currency_id or "")
        yield convert(entry, order, order.refund_rate, reader, asked, rates)
    owed = {"sell": order.sell_amount, "penalty": order.penalty_amount, "": Decimal(0)}[counts.owes]
    if is_open and owed > 0:
        entry = _entry(order, figure_of(order, reader.today, asked.ages), owed, order.sell_currency_id)
        yield convert(entry, order, order.sell_rate, reader, asked, rates)


def figure_of(order: Order, today: date, ages: Sequence[int]) -> str:
    """Return the one figure in which what is owed for an order counts on a day."""
    if order.pending_on > today:
        return PENDING
    days = (order.due_on - today).days
    if days >= 0:
        return {0: TODAY, 1: TOMORROW}.get(days, LATER)
    for bound, name in zip(ages, age_names(ages), strict=False):
        if -days <= bound:
            return name
    return age_names(ages)[-1]


def convert(entry: Entry, order: Order, own: Decimal | None, reader: Reader, asked: Asked, rates: Rates) -> Entry:
    """Return an entry with its amount in the reporting currency; without, and with what lacks, where a rate does."""
    if entry.currency == reader.currency:
        return replace(entry, converted=rounded(Fraction(entry.amount), reader.minor_units))
    if asked.rates == "sale":
        day = order.sold_at.astimezone(reader.zone).date()
        rate = Decimal(1) if entry.currency == EURO else own
    else:
        day = reader.today
        rate = rates.on(entry.currency, day)
    into = rates.on(reader.currency, day)
    entry = replace(entry, day=day, rate=rate, into=into)
    if rate is None or into is None:
        pairs = ((entry.currency, rate), (reader.currency, into))
        return replace(entry, lacks=tuple(code for code, found in pairs if found is None))
    return replace(entry, converted=exchanged(entry.amount, rate, into, reader.minor_units))


def exchanged(amount: Decimal, rate: Decimal, into: Decimal, minor_units: int) -> Decimal:
    """Return an amount by its euro and the other currency's, rounded once."""
    return rounded(Fraction(amount) / Fraction(rate) * Fraction(into), minor_units)


def rounded(value: Fraction, minor_units: int) -> Decimal:
    """Round what is not negative to the minor unit, half away from zero."""
    return Decimal(f"{floor(value * 10**minor_units + Fraction(1, 2))}e-{minor_units}")


def account_of(partner: Partner, reader: Reader, entries: Sequence[Entry], asked: Asked, rates: Rates) -> Account:
    """Add a partner's entries up, and hold what is owed against the credit limit."""
    figures = dict.fromkeys(figure_names(asked.ages), Figure())
    for entry in entries:
        if entry.figure:
            lacks = entry.converted is None
            figures[entry.figure] += Figure(entry.converted or Decimal(0), 1, int(lacks))
    used = added(*(one.amount for name, one in figures.items() if name != REFUNDS))
    limit, lacking = _limit(partner, reader, rates)
    odd = [entry for entry in entries if not entry.figure or entry.converted is None]
    return Account(
        partner=partner.pk,
        name=partner.client.name,
        zone=partner.zone,
        today=reader.today,
        currency=reader.currency,
        minor_units=reader.minor_units,
        partners=1,
        figures=figures,
        limits=int(partner.credit_limit is not None),
        limit=limit,
        left=None if limit is None else max(added(limit, -used), Decimal(0)),
        over=None if limit is None else max(added(used, -limit), Decimal(0)),
        limits_lacking=int(lacking),
        unknown=sum(not entry.figure for entry in entries),
        odd=tuple(
            Odd(one.order, one.type, one.reference, one.status, one.figure, _text(one.day), one.lacks)
            for one in odd[:NAMED]
        ),
    )


def _limit(partner: Partner, reader: Reader, rates: Rates) -> tuple[Decimal | None, bool]:
    """Return the limit in the reporting currency at the rates of the day, and whether one is missing for it."""
    limit, currency = partner.credit_limit, partner.credit_currency_id
    if limit is None:
        return None, False
    if currency == reader.currency or limit == 0:
        return rounded(Fraction(limit), reader.minor_units), False
    rate, into = rates.on(currency or "", reader.today), rates.on(reader.currency, reader.today)
    if rate is None or into is None:
        return None, True
    return exchanged(limit, rate, into, reader.minor_units), False


def totals_of(accounts: Sequence[Account], ages: Sequence[int]) -> Iterator[Account]:
    """Yield what all that report in a currency owe together."""
    for currency in sorted({account.currency for account in accounts}):
        those = [account for account in accounts if account.currency == currency]
        limited = [account for account in those if account.limit is not None]
        yield Account(
            partner=None,
            name="",
            zone="",
            today=None,
            currency=currency,
            minor_units=those[0].minor_units,
            partners=len(those),
            figures={name: sum((account.figures[name] for account in those), Figure()) for name in figure_names(ages)},
            limits=sum(account.limits for account in those),
            limit=added(*(account.limit or Decimal(0) for account in limited)) if limited else None,
            left=added(*(account.left or Decimal(0) for account in limited)) if limited else None,
            over=added(*(account.over or Decimal(0) for account in limited)) if limited else None,
            limits_lacking=sum(account.limits_lacking for account in those),
            unknown=sum(account.unknown for account in those),
            odd=(),
        )


def _entry(order: Order, figure: str, amount: Decimal, currency: str) -> Entry:
    return Entry(
        order=order.pk,
        type=order.type,
        reference=order.reference,
        status=order.status,
        figure=figure,
        due_on=order.due_on,
        amount=amount,
        currency=currency,
        day=None,
        rate=None,
        into=None,
        converted=None,
    )


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
