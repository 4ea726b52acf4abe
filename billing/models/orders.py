"""What partners owe: orders of every type, each with its amounts, currencies, rates at the moment of sale and dates.

Which amounts of an order count follows from its type and status: see billing/order_types.py.
"""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from billing import order_types
from billing.models.pricing import Client, Currency, MoneyField, known_zone


class RateField(models.DecimalField):  # type: ignore[type-arg]  # generic in the stubs only
    """Units of a currency for one euro, as those of `FxRate`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("max_digits", 20)
        kwargs.setdefault("decimal_places", 8)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed through as Django gives them


def _amount_check(field: str) -> models.CheckConstraint:
    """Refuse what is below zero, and NaN, which numeric takes and sorts above every number."""
    return models.CheckConstraint(
        condition=Q(**{f"{field}__gte": 0, f"{field}__lt": 10**15}),
        name=f"billing_order_{field}",
        violation_error_message="An amount is a number and never negative.",
    )


def _rate_check(field: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gt": 0, f"{field}__lt": 10**12}),
        name=f"billing_order_{field}",
        violation_error_message="A rate is a number above zero.",
    )


class Partner(models.Model):
    """A client that buys on credit: in which currency it is told what it owes, its limit, and whose day it counts."""

    client = models.OneToOneField(Client, on_delete=models.PROTECT, related_name="partner")
    # Null is 'made by hand', and any number of partners are.
    reference = models.CharField(
        max_length=100,
        null=True,
        blank=True,
        unique=True,
        help_text="What the partner is called where its orders come from; empty for one that was made by hand.",
    )
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+", db_index=False)
    credit_limit = MoneyField(null=True, blank=True, help_text="Empty is no limit.")
    credit_currency = models.ForeignKey(
        Currency, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    zone = models.CharField(max_length=64, default="Asia/Seoul", db_default="Asia/Seoul", validators=[known_zone])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(credit_limit__isnull=True) | Q(credit_limit__gte=0, credit_limit__lt=10**15),
                name="billing_partner_credit_limit",
                violation_error_message="A credit limit is a number and never negative.",
            ),
            models.CheckConstraint(
                condition=Q(credit_limit__isnull=True) | Q(credit_currency__isnull=False),
                name="billing_partner_credit_currency",
                violation_error_message="A credit limit has a currency.",
            ),
        ]

    def __str__(self) -> str:
        return str(self.client)


class Order(models.Model):
    """A sale to a partner. Amounts are in their own currencies; a rate is units of that currency for one euro."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="orders")
    # From the registry of order types, as is the status: a new type is no change of the schema.
    type = models.CharField(max_length=30)
    reference = models.CharField(max_length=100, help_text="What the order is called where it comes from.")
    status = models.CharField(max_length=30)
    sold_at = models.DateTimeField()
    sell_amount = MoneyField()
    sell_currency = models.ForeignKey(Currency, on_delete=models.PROTECT, related_name="+", db_index=False)
    sell_rate = RateField(null=True, blank=True, help_text="At the moment of sale; empty where it was not known.")
    penalty_amount = MoneyField(default=0, db_default=0, help_text="Owed for a cancelled order, in the sell currency.")
    refund_amount = MoneyField(default=0, db_default=0)
    refund_currency = models.ForeignKey(
        Currency, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    refund_rate = RateField(null=True, blank=True, help_text="At the moment of sale; empty where it was not known.")
    pending_on = models.DateField(help_text="From this day on it is to be paid; before it, it only uses credit.")
    due_on = models.DateField(help_text="The last day on which it is paid in time.")
    paid_on = models.DateField(null=True, blank=True)
    refunded_on = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            # The reference first, so that its index finds an order by what a partner quotes.
            models.UniqueConstraint(
                fields=["reference", "type"],
                name="billing_order_reference",
                violation_error_message="There is an order of this type and reference already.",
            ),
            *(_amount_check(field) for field in ("sell_amount", "penalty_amount", "refund_amount")),
            *(_rate_check(field) for field in ("sell_rate", "refund_rate")),
            models.CheckConstraint(
                condition=Q(refund_amount=0) | Q(refund_currency__isnull=False),
                name="billing_order_refund_currency",
                violation_error_message="A refund has a currency.",
            ),
            models.CheckConstraint(
                condition=Q(due_on__gte=F("pending_on")),
                name="billing_order_due_on",
                violation_error_message="An order is due on the day from which it is to be paid, or later.",
            ),
        ]
        indexes = [
            # These serve total_receivables.sql. Of years of orders few are not paid, or were not as of some day ..
            models.Index(fields=["paid_on"], name="billing_order_paid_on"),
            # .. few have a refund that is due ..
            models.Index(fields=["refunded_on"], condition=Q(refund_amount__gt=0), name="billing_order_refunded_on"),
            # .. and the first sale says since when rates are wanted.
            models.Index(fields=["sold_at"], name="billing_order_sold_at"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.reference}"

    def clean(self) -> None:
        """Refuse a type or status that no entry of billing/order_types.py names; says which there are."""
        super().clean()
        try:
            order_types.counts(self.type, self.status)
        except order_types.UnknownType as exc:
            raise ValidationError({"type": str(exc)}) from exc
        except order_types.UnknownStatus as exc:
            raise ValidationError({"status": str(exc)}) from exc


class Upload(models.Model):
    """A file that a client has uploaded."""

    client = models.ForeignKey(
        Client, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    name = models.CharField(max_length=200)
    size = models.BigIntegerField(help_text="In bytes.")
    uploaded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(size__gte=0),
                name="billing_upload_size",
                violation_error_message="A size is never negative.",
            )
        ]
        indexes = [
            # Serves the report `uploads`: its windows are counted and summed from the index alone.
            models.Index(fields=["uploaded_at"], include=["size"], name="billing_upload_windows"),
        ]

    def __str__(self) -> str:
        return self.name
