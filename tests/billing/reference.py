"""The price rule once more, naively: one subscription at a time, loops over Decimal and zoneinfo, no database.

Written from what the issue, `billing/models.py` and the headers of `sql/billing/` promise, not from their SQL. It is
slow and meant to be read; the tests hold the SQL against it to the last unit.
"""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Change:
    """A new list price or discount from an instant on; `old_value` counts only on the earliest change of a subject."""

    new_value: Decimal | None
    old_value: Decimal | None
    effective_at: datetime
    follow: str = "at_once"
    scope: str = "all"


@dataclass(frozen=True)
class Tier:
    """A reduction in percent from a quantity on."""

    minimum_quantity: int
    percent: Decimal


@dataclass(frozen=True)
class Service:
    """What is sold; `minor_units` is None where the currency is missing."""

    key: int
    current: Decimal | None
    minor_units: int | None
    currency: str | None = None
    changes: tuple[Change, ...] = ()
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True)
class Plan:
    """On which terms; `current` is the discount in percent."""

    key: int
    current: Decimal | None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Promotion:
    """A reduction for a while; a missing service or plan means any."""

    service: int | None
    plan: int | None
    percent: Decimal | None
    amount: Decimal | None
    starts_at: datetime
    ends_at: datetime | None
    priority: int


@dataclass(frozen=True)
class Catalogue:
    """How reductions combine."""

    policy: str = "best_of"
    order: tuple[str, ...] = ("promotion", "plan", "tier")
    zone: str = "Asia/Seoul"


@dataclass(frozen=True)
class Subscription:
    """A subscription with the price it has now."""

    service: Service
    plan: Plan | None
    quantity: int
    started_at: datetime
    renews_at: datetime
    months: int = 1
    price: Decimal | None = None
    pinned_until: datetime | None = None


@dataclass(frozen=True)
class Wanted:
    """The price a subscription ought to have, or why there is none."""

    price: Decimal | None
    refused: str | None = None


# Time


def to_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of a local time, as PostgreSQL does it.

    A time that comes twice (clocks go back) is the later one, standard time; one that is skipped (clocks go forward)
    is counted with the offset before the gap.
    """
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    comes_twice = first.utcoffset() > second.utcoffset()  # type: ignore[operator]  # both have a zone
    return (second if comes_twice else first).astimezone(UTC)


def add_months(local: datetime, months: int) -> datetime:
    """Return the same day and time so many months later, or the month's last day where there is no such day."""
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    month += 1
    return local.replace(year=year, month=month, day=min(local.day, calendar.monthrange(year, month)[1]))


@cache
def next_renewal(renews_at: datetime, months: int, since: datetime, zone_name: str) -> datetime:
    """Return the first renewal at or after an instant; renewals reach back before renews_at as well."""
    zone = ZoneInfo(zone_name)
    anchor = renews_at.astimezone(zone).replace(tzinfo=None)

    def renewal(periods: int) -> datetime:
        return to_instant(add_months(anchor, periods * months), zone)

    periods = 0
    while renewal(periods) >= since:
        periods -= 1
    while renewal(periods) < since:
        periods += 1
    return renewal(periods)


# The list price or discount that one subscription pays


def in_force(current: Decimal | None, changes: Sequence[Change], as_of: datetime) -> Decimal | None:
    """Return a subject's value in force: the last change's, else what the earliest replaced, else the current."""
    if not changes:
        return current
    ordered = sorted(changes, key=lambda change: change.effective_at)
    passed = [change for change in ordered if change.effective_at <= as_of]
    return passed[-1].new_value if passed else ordered[0].old_value


def paid(
    current: Decimal | None,
    changes: Sequence[Change],
    subscription: Subscription,
    as_of: datetime,
    zone: str,
) -> Decimal | None:
    """Return the value that this subscription pays: that of the change it has followed which was declared last."""
    if not changes:
        return current
    ordered = sorted(changes, key=lambda change: change.effective_at)
    before_all = ordered[0].old_value
    followed: list[tuple[Change, datetime]] = []  # in declared order: the change, and when it is followed
    value_before = before_all
    for change in ordered:
        follows_at: datetime | None
        if subscription.started_at >= change.effective_at or change.follow == "at_once":
            follows_at = change.effective_at
        elif change.follow == "renewal":
            follows_at = next_renewal(subscription.renews_at, subscription.months, change.effective_at, zone)
        else:
            follows_at = None
        if change.scope == "unchanged" and subscription.started_at < change.effective_at:
            paid_before = before_all
            for earlier, at in followed:
                if at < change.effective_at:
                    paid_before = earlier.new_value
            if paid_before != value_before:
                follows_at = None
        if follows_at is not None:
            followed.append((change, follows_at))
        value_before = change.new_value
    value = before_all
    for change, at in followed:
        if at <= as_of:
            value = change.new_value
    return value


# Reductions


def promotions_in_force(promotions: Sequence[Promotion], service: int, plan: int, as_of: datetime) -> list[Promotion]:
    """Return the promotions that hold for a pair at an instant, highest priority first."""
    found = []
    for promotion in promotions:
        for_service = promotion.service is None or promotion.service == service
        for_plan = promotion.plan is None or promotion.plan == plan
        begun = promotion.starts_at <= as_of
        ended = promotion.ends_at is not None and promotion.ends_at <= as_of
        if for_service and for_plan and begun and not ended:
            found.append(promotion)
    return sorted(found, key=lambda promotion: -promotion.priority)


def less_percent(price: Decimal, percent: Decimal) -> Decimal:
    """Return a price less a percentage of it."""
    return price - price * percent / 100


def less_promotion(price: Decimal, promotion: Promotion) -> Decimal:
    """Return a price less a promotion, at least 0."""
    if promotion.percent is not None:
        return less_percent(price, promotion.percent)
    assert promotion.amount is not None
    return max(Decimal(0), price - promotion.amount)


def best_of(price: Decimal, plan: Decimal, tier: Decimal, promotions: Sequence[Promotion]) -> Decimal:
    """Return the lowest price that a single reduction gives."""
    candidates = [less_percent(price, plan), less_percent(price, tier)]
    candidates += [less_promotion(price, promotion) for promotion in promotions]
    return min(candidates)


def stack(
    price: Decimal, plan: Decimal, tier: Decimal, promotions: Sequence[Promotion], order: Sequence[str]
) -> Decimal:
    """Return the price after all reductions, one after the other."""
    for kind in order:
        if kind == "plan":
            price = less_percent(price, plan)
        elif kind == "tier":
            price = less_percent(price, tier)
        else:
            for promotion in promotions:
                price = less_promotion(price, promotion)
    return price


def exclusive(
    price: Decimal, plan: Decimal, tier: Decimal, promotions: Sequence[Promotion], order: Sequence[str]
) -> Decimal:
    """Return the price after the first kind of reduction in the order that applies, alone."""
    for kind in order:
        if kind == "plan" and plan > 0:
            return less_percent(price, plan)
        if kind == "tier" and tier > 0:
            return less_percent(price, tier)
        if kind == "promotion" and promotions:
            return less_promotion(price, promotions[0])
    return price


def tier_percent(tiers: Sequence[Tier], quantity: int) -> Decimal:
    """Return the percentage of the highest tier that a quantity reaches, else 0."""
    percent = Decimal(0)
    for tier in sorted(tiers, key=lambda tier: tier.minimum_quantity):
        if quantity >= tier.minimum_quantity:
            percent = tier.percent
    return percent


def rounded(amount: Decimal, minor_units: int) -> Decimal:
    """Round half away from zero to a currency's minor unit (amounts are never negative)."""
    return amount.quantize(Decimal(1).scaleb(-minor_units), rounding=ROUND_HALF_UP)


# The rule


def wanted(
    subscription: Subscription, promotions: Sequence[Promotion], catalogue: Catalogue, as_of: datetime
) -> Wanted:
    """Return the unit price of a subscription at an instant."""
    pinned = subscription.pinned_until is not None and subscription.pinned_until > as_of
    if pinned and subscription.price is not None:
        return Wanted(subscription.price)
    service, plan = subscription.service, subscription.plan
    if plan is None:
        return Wanted(None, "it has no plan")
    if service.minor_units is None:
        return Wanted(None, "its service has no currency")
    list_price = paid(service.current, service.changes, subscription, as_of, catalogue.zone)
    if list_price is None:
        return Wanted(None, "its service has no price")
    discount = paid(plan.current, plan.changes, subscription, as_of, catalogue.zone)
    assert discount is not None  # the database refuses a plan without one
    tier = tier_percent(service.tiers, subscription.quantity)
    found = promotions_in_force(promotions, service.key, plan.key, as_of)
    # 28 digits are too few for several percentages of a large price, and nothing may be rounded before the end.
    with localcontext(prec=120):
        if catalogue.policy == "best_of":
            price = best_of(list_price, discount, tier, found)
        elif catalogue.policy == "stack":
            price = stack(list_price, discount, tier, found, catalogue.order)
        else:
            price = exclusive(list_price, discount, tier, found, catalogue.order)
        return Wanted(rounded(max(Decimal(0), price), service.minor_units))
