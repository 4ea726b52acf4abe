"""The billing domain: who subscribes to what, and everything a price follows from.

What depends on these rows is kept by the database itself (see `sql/billing/`): a new subscription has its price
when its insert commits, and every change of an input marks the subscriptions it touches.
"""

from zoneinfo import available_timezones

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Now

PERCENT = [MinValueValidator(0), MaxValueValidator(100)]


class MoneyField(models.DecimalField):  # type: ignore[type-arg]  # generic in the stubs only
    """An amount in units of its currency: 15 digits before the point and 4 after (the finest currency has 4)."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("max_digits", 19)
        kwargs.setdefault("decimal_places", 4)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed through as Django gives them


class PercentField(models.DecimalField):  # type: ignore[type-arg]  # generic in the stubs only
    """A percentage from 0 to 100 with up to 4 decimals."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("max_digits", 7)
        kwargs.setdefault("decimal_places", 4)
        kwargs.setdefault("validators", PERCENT)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed through as Django gives them


def _percent_check(field: str, name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(**{f"{field}__gte": 0, f"{field}__lte": 100}),
        name=name,
        violation_error_message="A percentage lies between 0 and 100.",
    )


def _not_negative(field: str, name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(**{f"{field}__gte": 0}), name=name, violation_error_message="An amount is never negative."
    )


class Client(models.Model):
    """Who pays."""

    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, default="", db_default="")

    class Meta:
        indexes = [models.Index(fields=["name"], name="billing_client_name")]

    def __str__(self) -> str:
        return self.name


class Currency(models.Model):
    """An ISO 4217 currency and the decimals of its minor unit: KRW 0, USD 2, KWD 3."""

    code = models.CharField(max_length=3, primary_key=True)
    minor_units = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name_plural = "currencies"
        constraints = [
            models.CheckConstraint(
                condition=Q(minor_units__lte=4),
                name="billing_currency_minor_units",
                violation_error_message="A currency has at most 4 decimals.",
            ),
            models.CheckConstraint(
                condition=Q(code__regex=r"^[A-Z]{3}$"),
                name="billing_currency_code",
                violation_error_message="A currency's code is three capital letters, such as KRW.",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Reduction(models.TextChoices):
    """The kinds of reduction from a list price."""

    PROMOTION = "promotion", "promotion"
    PLAN = "plan", "plan discount"
    TIER = "tier", "quantity tier"


def default_order() -> list[str]:
    """Return the order of reductions a new catalogue has."""
    return [Reduction.PROMOTION.value, Reduction.PLAN.value, Reduction.TIER.value]


READ_OTHERWISE = ("CET", "EET", "MET", "WET")
"""Zones that PostgreSQL takes for abbreviations: what has summer time elsewhere has none there."""


def known_zone(name: str) -> None:
    """Refuse a name that is no IANA zone; the database refuses what its server does not know."""
    if name in READ_OTHERWISE:
        raise ValidationError(f"{name!r} is without summer time to PostgreSQL: write a name such as Europe/Paris.")
    if name not in available_timezones():
        raise ValidationError(f"{name!r} is no time zone: write a name such as Asia/Seoul.")


class Catalogue(models.Model):
    """The one row that says how reductions combine, and in which zone renewals are counted."""

    class Policy(models.TextChoices):
        BEST_OF = "best_of", "the single reduction that gives the lowest price"
        STACK = "stack", "all reductions, one after the other in the stated order"
        EXCLUSIVE = "exclusive", "the first kind in the stated order that applies, alone"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    policy = models.CharField(max_length=10, choices=Policy, default=Policy.BEST_OF, db_default=Policy.BEST_OF)
    reduction_order = ArrayField(
        models.CharField(max_length=10, choices=Reduction),
        size=3,
        default=default_order,
        help_text="For the policies 'stack' and 'exclusive': each of promotion, plan, tier once.",
    )
    zone = models.CharField(
        max_length=64,
        default="Asia/Seoul",
        validators=[known_zone],
        help_text="The zone in which a renewal's month is counted.",
    )
    marked_until = models.DateTimeField(
        default=None, null=True, editable=False, help_text="Instants up to here have been turned into marks."
    )

    class Meta:
        verbose_name_plural = "catalogue"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="billing_catalogue_is_one"),
            models.CheckConstraint(condition=Q(policy__in=["best_of", "stack", "exclusive"]), name="billing_policy"),
            models.CheckConstraint(
                condition=Q(reduction_order__contains=["promotion", "plan", "tier"]) & Q(reduction_order__len=3),
                name="billing_reduction_order",
                violation_error_message="State each of promotion, plan and tier exactly once.",
            ),
        ]

    def __str__(self) -> str:
        return f"Catalogue ({self.get_policy_display()})"


class Service(models.Model):
    """What is sold. `full_price` is the list price now in force; PriceChange is its history and its future."""

    name = models.CharField(max_length=200, unique=True)
    full_price = MoneyField(null=True, blank=True)
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, null=True, blank=True, related_name="services")

    class Meta:
        constraints = [_not_negative("full_price", "billing_service_full_price")]

    def __str__(self) -> str:
        return self.name


class Plan(models.Model):
    """On which terms. `discount_percent` is the discount now in force; PriceChange is its history and its future."""

    class Type(models.TextChoices):
        FULL = "full", "full price"
        STUDENT = "student", "student"
        DISCOUNT = "discount", "discount"

    name = models.CharField(max_length=200, unique=True)
    plan_type = models.CharField(max_length=10, choices=Type, default=Type.FULL, db_default=Type.FULL)
    discount_percent = PercentField(default=0, db_default=0)

    class Meta:
        constraints = [
            _percent_check("discount_percent", "billing_plan_percent"),
            models.CheckConstraint(
                condition=Q(plan_type__in=["full", "student", "discount"]), name="billing_plan_type"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """A client's subscription to a service on a plan; `price` is per unit, in the service's currency."""

    class Period(models.IntegerChoices):
        MONTH = 1, "month"
        QUARTER = 3, "quarter"
        YEAR = 12, "year"

    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="subscriptions")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="subscriptions")
    quantity = models.PositiveIntegerField(default=1, db_default=1)
    # Unindexed on purpose: a column that jobs rewrite stays out of indexes, so that its updates are HOT.
    price = MoneyField(null=True, blank=True, editable=False)
    billing_period = models.PositiveSmallIntegerField(choices=Period, default=Period.MONTH, db_default=Period.MONTH)
    started_at = models.DateTimeField(db_default=Now())
    renews_at = models.DateTimeField(db_default=Now())
    comment = models.TextField(blank=True, default="", db_default="")
    pinned_until = models.DateTimeField(null=True, blank=True, help_text="Until then the price stays as it is.")

    class Meta:
        constraints = [
            _not_negative("price", "billing_subscription_price"),
            models.CheckConstraint(
                condition=Q(quantity__gte=1),
                name="billing_subscription_quantity",
                violation_error_message="A quantity is at least 1.",
            ),
            models.CheckConstraint(
                condition=Q(billing_period__gte=1),
                name="billing_subscription_period",
                violation_error_message="A billing period is at least a month.",
            ),
        ]
        indexes = [
            # Serves sql/billing/claim_marks.sql: the pins that ran out since the last claim.
            models.Index(
                fields=["pinned_until"], condition=Q(pinned_until__isnull=False), name="billing_subscription_pinned"
            ),
            # Serves the report `subscriptions`. Without the price, as above: no job rewrites when one began.
            models.Index(fields=["started_at"], name="billing_subscription_started"),
        ]

    def __str__(self) -> str:
        return f"Subscription {self.pk}"


class _Range(Func):
    """A PostgreSQL range constructor, with NULL for 'any' or 'for ever'."""

    output_field = models.TextField()


class Promotion(models.Model):
    """A reduction for a while, of a service, a plan or the pair (a missing one of the two means any)."""

    name = models.CharField(max_length=200, blank=True, default="", db_default="")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True, blank=True, related_name="promotions")
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, null=True, blank=True, related_name="promotions")
    percent = PercentField(null=True, blank=True)
    amount = MoneyField(null=True, blank=True, help_text="Off the list price, in the service's currency.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="The first instant it no longer holds.")
    priority = models.IntegerField(default=0, db_default=0, help_text="Higher goes first.")

    class Meta:
        constraints = [
            _percent_check("percent", "billing_promotion_percent"),
            _not_negative("amount", "billing_promotion_amount"),
            models.CheckConstraint(
                condition=Q(percent__isnull=True) ^ Q(amount__isnull=True),
                name="billing_promotion_one_reduction",
                violation_error_message="State either a percentage or an amount.",
            ),
            models.CheckConstraint(
                condition=Q(service__isnull=False) | Q(plan__isnull=False),
                name="billing_promotion_subject",
                violation_error_message="State a service, a plan or both.",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=models.F("starts_at")),
                name="billing_promotion_ends_after_start",
                violation_error_message="A promotion ends after it starts.",
            ),
            # A range over NULLs is unbounded, which is just what "a missing one means any" says. Ranges of one
            # integer need no btree_gist, which the embedded PostgreSQL does not have. Fields by their names, not their
            # columns: validation of a form replaces only names by the entered values.
            ExclusionConstraint(
                name="billing_promotion_no_overlap",
                expressions=[
                    (_Range("service", "service", Value("[]"), function="int8range"), "&&"),
                    (_Range("plan", "plan", Value("[]"), function="int8range"), "&&"),
                    (_Range("priority", "priority", Value("[]"), function="int4range"), "&&"),
                    (_Range("starts_at", "ends_at", function="tstzrange"), "&&"),
                ],
                violation_error_message="Another promotion of this priority overlaps it; choose another priority.",
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"Promotion {self.pk}"

    def clean(self) -> None:
        # Else the exclusion's validation would ask the server for a range that ends before it starts (SQLSTATE 22000).
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "A promotion ends after it starts."})


class QuantityTier(models.Model):
    """A reduction for everyone who takes at least so many of a service."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="tiers")
    minimum_quantity = models.PositiveIntegerField()
    percent = PercentField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "minimum_quantity"], name="billing_tier_one_per_minimum"),
            models.CheckConstraint(
                condition=Q(minimum_quantity__gte=1),
                name="billing_tier_minimum",
                violation_error_message="A tier begins at a quantity of at least 1.",
            ),
            _percent_check("percent", "billing_tier_percent"),
        ]

    def __str__(self) -> str:
        return f"{self.percent} % from {self.minimum_quantity}"


class PriceChange(models.Model):
    """A new list price of a service or a new discount of a plan from an instant on, and who follows it.

    `old_value` is kept by the database: the value the change replaces.
    """

    class Follow(models.TextChoices):
        AT_ONCE = "at_once", "at once"
        RENEWAL = "renewal", "at their next renewal"
        NEVER = "never", "never: only new subscriptions pay it"

    class Scope(models.TextChoices):
        ALL = "all", "all subscriptions"
        UNCHANGED = "unchanged", "only those still at the old price"

    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True, blank=True, related_name="price_changes")
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, null=True, blank=True, related_name="price_changes")
    # Null only where a price was taken away by an edit of the service itself.
    new_value = MoneyField(null=True, help_text="A service's full price, or a plan's discount in percent.")
    old_value = MoneyField(null=True, blank=True, editable=False)
    effective_at = models.DateTimeField()
    follow = models.CharField(max_length=10, choices=Follow, default=Follow.AT_ONCE, db_default=Follow.AT_ONCE)
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.ALL, db_default=Scope.ALL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(service__isnull=False) ^ Q(plan__isnull=False),
                name="billing_change_one_subject",
                violation_error_message="State either a service or a plan.",
            ),
            _not_negative("new_value", "billing_change_value"),
            models.CheckConstraint(
                # A service may lose its price, a plan's discount is always a number.
                condition=Q(plan__isnull=True) | Q(new_value__isnull=False, new_value__lte=100),
                name="billing_change_percent",
                violation_error_message="A percentage lies between 0 and 100.",
            ),
            models.CheckConstraint(condition=Q(follow__in=["at_once", "renewal", "never"]), name="billing_follow"),
            models.CheckConstraint(condition=Q(scope__in=["all", "unchanged"]), name="billing_scope"),
            models.UniqueConstraint(fields=["service", "effective_at"], name="billing_change_service_instant"),
            models.UniqueConstraint(fields=["plan", "effective_at"], name="billing_change_plan_instant"),
        ]

    def __str__(self) -> str:
        return f"{self.service or self.plan}: {self.new_value} from {self.effective_at:%Y-%m-%d %H:%M %Z}"


class Mark(models.Model):
    """What may need repricing: all of a service, a plan or a pair, or the listed subscriptions (no subject: all).

    Written by triggers in the transaction of the change; a run claims marks before it reads its inputs
    and deletes them when it is done.
    """

    service_id = models.BigIntegerField(null=True)
    plan_id = models.BigIntegerField(null=True)
    subscription_ids = ArrayField(models.BigIntegerField(), null=True)
    reason = models.CharField(max_length=40)
    made_at = models.DateTimeField(db_default=Now())
    run_id = models.BigIntegerField(null=True, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=Q(run_id__isnull=True), name="billing_mark_unclaimed")]

    def __str__(self) -> str:
        return f"{self.reason} ({self.made_at:%Y-%m-%d %H:%M})"
