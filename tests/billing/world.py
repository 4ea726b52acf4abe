"""Random worlds for the price rule: drawn as the reference's plain values, then stored in the database.

Instants crowd around one instant (on it, a microsecond beside it, months off), because that is where a rule breaks.
Keys are the primary keys, so a world wants empty tables.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from hypothesis import strategies as st

from billing import models
from tests.billing.reference import Catalogue, Change, Plan, Promotion, Service, Subscription, Tier, Wanted, wanted

CURRENCIES = {"KRW": 0, "JPY": 0, "GBP": 2, "USD": 2, "KWD": 3, "CLF": 4}
KINDS = ("promotion", "plan", "tier")
ZONES = ("Asia/Seoul", "UTC", "America/New_York")
POLICIES = ("best_of", "stack", "exclusive")
FOLLOWS = ("at_once", "renewal", "never")
SCOPES = ("all", "unchanged")

TICK = timedelta(microseconds=1)
NOTABLE = tuple(
    datetime.fromisoformat(text)
    for text in (
        "2024-02-29T00:00:00+09:00",
        "2023-12-01T00:00:00+09:00",
        "2024-01-31T23:59:59.999999+09:00",
        "2024-03-10T02:30:00-05:00",  # skipped in New York
        "2024-11-03T01:30:00-04:00",  # the first of two in New York
        "2024-11-03T01:30:00-05:00",  # the second
        "2024-07-15T12:34:56.789012+00:00",
        "2023-03-31T00:00:00-04:00",
    )
)
FUTURE = datetime(2091, 5, 31, 12, tzinfo=UTC)

MONEY = tuple(
    map(
        Decimal,
        (
            "0",
            "0.0001",
            "0.5",
            "1",
            "9.995",
            "99.99",
            "100",
            "237.5",
            "250",
            "250.5",
            "999.9999",
            "1234.5678",
            "50000",
            "100000000",
            "99999999999999.9999",
        ),
    )
)
PERCENTS = tuple(
    map(Decimal, ("0", "0.0001", "1", "5", "7.5", "10", "12.5", "20", "33.3333", "50", "66.6667", "99.9999", "100"))
)
QUANTITIES = (1, 2, 4, 5, 6, 9, 10, 11, 99, 100, 101, 2147483646, 2147483647)


@dataclass(frozen=True)
class World:
    """Everything prices follow from, at and around an instant."""

    as_of: datetime
    catalogue: Catalogue
    services: tuple[Service, ...]
    plans: tuple[Plan, ...]
    promotions: tuple[Promotion, ...]
    subscriptions: tuple[Subscription, ...] = field(repr=False)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # Hypothesis shows every field otherwise, in hundreds of kilobytes.
        printer.text(repr(self))

    def wanted(self, as_of: datetime, prices: Sequence[Decimal | None]) -> list[Wanted]:
        """Return what the reference says of each subscription, whose present price is given."""
        return [
            wanted(replace(subscription, price=price), self.promotions, self.catalogue, as_of)
            for subscription, price in zip(self.subscriptions, prices, strict=True)
        ]

    def boundaries(self) -> list[datetime]:
        """Return the instants at which something begins or ends."""
        found = {change.effective_at for subject in (*self.services, *self.plans) for change in subject.changes}
        found |= {promotion.starts_at for promotion in self.promotions}
        found |= {promotion.ends_at for promotion in self.promotions if promotion.ends_at}
        found |= {s.pinned_until for s in self.subscriptions if s.pinned_until}
        return sorted(found - {FUTURE})


# Drawing


def _near(around: datetime) -> st.SearchStrategy[datetime]:
    """Draw an instant: on the given one, just beside it, or months off."""
    days = (0, 1, 27, 28, 29, 30, 31, 32, 59, 61, 90, 92, 181, 365, 366, 400)
    offsets = [sign * timedelta(days=day) for day in days for sign in (-1, 1)]
    small = [timedelta(0), TICK, -TICK, timedelta(hours=1), -timedelta(hours=1), timedelta(hours=7, minutes=13)]
    return st.builds(lambda far, close: around + far + close, st.sampled_from(offsets), st.sampled_from(small))


money = st.one_of(
    st.sampled_from(MONEY), st.decimals(min_value=0, max_value=10**9, places=4, allow_nan=False, allow_infinity=False)
)
percents = st.one_of(st.sampled_from(PERCENTS), st.decimals(min_value=0, max_value=100, places=4))


@st.composite
def _changes(
    draw: st.DrawFn, around: datetime, before: Decimal | None, values: st.SearchStrategy[Decimal | None]
) -> tuple[Change, ...]:
    """Draw up to five changes, with values that come back, so that 'unchanged' has something to compare."""
    instants = draw(st.lists(st.one_of(_near(around), st.just(FUTURE)), max_size=5, unique=True))
    pool = [before, draw(values), draw(values)]
    made = []
    for effective_at in sorted(instants):
        value = draw(st.sampled_from(pool))
        follow, scope = draw(st.sampled_from(list(itertools.product(FOLLOWS, SCOPES))))
        made.append(Change(value, before, effective_at, follow, scope))
        before = value
    return tuple(made)


@st.composite
def _services(draw: st.DrawFn, around: datetime, key: int) -> Service:
    # The last service may lack its price or its currency; the other two never do.
    currency = draw(st.sampled_from([*CURRENCIES, None] if key == 3 else list(CURRENCIES)))
    current = draw(st.one_of(money, st.none()) if key == 3 else money)
    minimums = draw(st.lists(st.sampled_from(QUANTITIES), max_size=3, unique=True))
    return Service(
        key,
        current,
        CURRENCIES[currency] if currency else None,
        currency,
        draw(_changes(around, current, st.one_of(money, st.none()) if key == 3 else money)),
        tuple(Tier(minimum, draw(percents)) for minimum in minimums),
    )


@st.composite
def _plans(draw: st.DrawFn, around: datetime, key: int) -> Plan:
    current = draw(percents)
    return Plan(key, current, draw(_changes(around, current, percents)))


def overlap(a: Promotion, b: Promotion) -> bool:
    """Tell whether two promotions can hold at once for one pair of service and plan (what the database refuses)."""
    service = a.service is None or b.service is None or a.service == b.service
    plan = a.plan is None or b.plan is None or a.plan == b.plan
    a_first = a.ends_at is not None and a.ends_at <= b.starts_at
    b_first = b.ends_at is not None and b.ends_at <= a.starts_at
    return service and plan and not a_first and not b_first


@st.composite
def promotion_lists(draw: st.DrawFn, around: datetime, services: int, plans: int) -> tuple[Promotion, ...]:
    """Draw promotions that overlap freely, but never with one priority."""
    made: list[Promotion] = []
    subjects = [
        (service, plan)
        for service in (None, *range(1, services + 1))
        for plan in (None, *range(1, plans + 1))
        if service or plan
    ]
    for _ in range(draw(st.integers(0, 7))):
        service, plan = draw(st.sampled_from(subjects))
        starts_at, ends_at = sorted(draw(st.lists(_near(around), min_size=2, max_size=2, unique=True)))
        percent, amount = draw(st.one_of(st.tuples(percents, st.none()), st.tuples(st.none(), money)))
        endless = draw(st.integers(0, 4)) == 0
        new = Promotion(
            service, plan, percent, amount, starts_at, None if endless else ends_at, draw(st.integers(-1, 2))
        )
        while any(overlap(new, other) and new.priority == other.priority for other in made):
            new = replace(new, priority=new.priority + 1)
        made.append(new)
    return tuple(made)


@st.composite
def worlds(draw: st.DrawFn, subscriptions: int = 256) -> World:
    """Draw a world: its inputs one by one, its subscriptions at random out of pools that the inputs suggest."""
    as_of = draw(st.sampled_from(NOTABLE))
    catalogue = Catalogue(
        draw(st.sampled_from(POLICIES)), tuple(draw(st.permutations(KINDS))), draw(st.sampled_from(ZONES))
    )
    services = tuple(draw(_services(as_of, key)) for key in (1, 2, 3))
    plans = tuple(draw(_plans(as_of, key)) for key in (1, 2, 3))
    promotions = draw(promotion_lists(as_of, 3, 3))
    bare = World(as_of, catalogue, services, plans, promotions, ())
    edges = [as_of, *bare.boundaries()]
    instants = [edge + beside for edge in edges for beside in (-TICK, timedelta(0), TICK)]
    instants += [edge + timedelta(days=days) for edge in edges for days in (-400, -200, -45, -31, -30, 1, 15, 29, 31)]
    chance = random.Random(draw(st.integers(0, 2**32)))  # draws of Hypothesis itself would be too slow here
    no_plan = draw(st.booleans())
    made = []
    for _ in range(subscriptions):
        pinned = chance.random() < 0.1
        made.append(
            Subscription(
                service=chance.choice(services),
                plan=None if no_plan and chance.random() < 0.02 else chance.choice(plans),
                quantity=chance.choice(QUANTITIES),
                started_at=chance.choice(instants),
                renews_at=chance.choice(instants),
                months=chance.choice((1, 1, 3, 12)),
                price=Decimal("77.7") if pinned and chance.random() < 0.7 else None,
                pinned_until=chance.choice([*instants, FUTURE]) if pinned else None,
            )
        )
    return replace(bare, subscriptions=tuple(made))


# Storing


def store(world: World, *, chance: random.Random | None = None) -> None:
    """Insert a world into empty tables; price changes go in, in one statement, in any order."""
    models.Catalogue.objects.update_or_create(
        id=1,
        defaults={
            "policy": world.catalogue.policy,
            "reduction_order": list(world.catalogue.order),
            "zone": world.catalogue.zone,
        },
    )
    models.Currency.objects.bulk_create(models.Currency(code=code, minor_units=n) for code, n in CURRENCIES.items())
    models.Service.objects.bulk_create(
        models.Service(id=s.key, name=f"service {s.key}", full_price=s.current, currency_id=s.currency)
        for s in world.services
    )
    models.Plan.objects.bulk_create(
        models.Plan(id=p.key, name=f"plan {p.key}", discount_percent=p.current) for p in world.plans
    )
    changes = [
        models.PriceChange(
            service_id=subject.key if isinstance(subject, Service) else None,
            plan_id=subject.key if isinstance(subject, Plan) else None,
            new_value=change.new_value,
            effective_at=change.effective_at,
            follow=change.follow,
            scope=change.scope,
        )
        for subject in (*world.services, *world.plans)
        for change in subject.changes
    ]
    (chance or random.Random(0)).shuffle(changes)
    models.PriceChange.objects.bulk_create(changes)
    models.QuantityTier.objects.bulk_create(
        models.QuantityTier(service_id=s.key, minimum_quantity=t.minimum_quantity, percent=t.percent)
        for s in world.services
        for t in s.tiers
    )
    models.Promotion.objects.bulk_create(
        models.Promotion(
            service_id=p.service,
            plan_id=p.plan,
            percent=p.percent,
            amount=p.amount,
            starts_at=p.starts_at,
            ends_at=p.ends_at,
            priority=p.priority,
        )
        for p in world.promotions
    )
    client = models.Client.objects.create(name="client")
    models.Subscription.objects.bulk_create(
        models.Subscription(
            id=number,
            client=client,
            service_id=s.service.key,
            plan_id=s.plan.key if s.plan else None,
            quantity=s.quantity,
            price=s.price,
            started_at=s.started_at,
            renews_at=s.renews_at,
            billing_period=s.months,
            pinned_until=s.pinned_until,
        )
        for number, s in enumerate(world.subscriptions, start=1)
    )


def prices() -> list[Decimal | None]:
    """Return the stored prices, in the order of the world's subscriptions."""
    return list(models.Subscription.objects.order_by("id").values_list("price", flat=True))


def server_now() -> datetime:
    """Return the server's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]  # a timestamptz
