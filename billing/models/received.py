"""What comes from files of other systems, and what is counted: each row is known by what it says, not by an id.

Which key each has and why so: docs/loading-real-files.md. Rows are written by upsert only; the same input, whether it
comes again or with more around it, changes nothing.
"""

from django.db import models
from django.db.models import CompositePrimaryKey, Func, Q

from billing.models.pricing import Currency, MoneyField


def _at_the_call() -> Func:
    """Return the instant of the call; now() would be one instant for a whole transaction."""
    return Func(function="clock_timestamp", output_field=models.DateTimeField())


def _number(field: str, name: str) -> models.CheckConstraint:
    """Refuse NaN, which numeric takes and sorts above every number; sums with it are NaN for good."""
    return models.CheckConstraint(
        condition=Q(**{f"{field}__lt": 10**15}), name=name, violation_error_message="An amount is a number, not NaN."
    )


class FxRate(models.Model):
    """Units of a currency for one euro on a day, as the European Central Bank publishes them.

    The euro is 1 by definition and has no row. Days on which banks are closed have none either: a rate is that of the
    newest day on or before the one asked for, which the primary key finds.
    """

    pk = CompositePrimaryKey("currency", "day")
    # No foreign key: rates of currencies that have ended, or that nobody bills in, are kept as well.
    currency = models.CharField(max_length=3)
    day = models.DateField()
    # The largest published has 7 digits before the point (Turkish lira before 2005), the finest 6 after it.
    rate = models.DecimalField(max_digits=20, decimal_places=8)

    class Meta:
        constraints = [
            models.CheckConstraint(
                # The upper bound is the column's own, which NaN passes.
                condition=Q(rate__gt=0, rate__lt=10**12),
                name="billing_fx_rate_above_zero",
                violation_error_message="A rate is a number above zero.",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"),
                name="billing_fx_rate_currency",
                violation_error_message="A currency's code is three capital letters, such as KRW.",
            ),
            models.CheckConstraint(
                condition=~Q(currency="EUR"),
                name="billing_fx_rate_not_euro",
                violation_error_message="The euro is 1 by definition and has no rate.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rate} {self.currency} for 1 EUR on {self.day}"


class InvoiceLine(models.Model):
    """What an invoice charges for one stock code at one price; lines that agree in all three are one, their sum.

    Cancellations (C..) and adjustments are invoices of their own with negative quantities or prices, and are kept as
    they are: quantity times price, summed over an invoice, is what it charged to the last digit.
    """

    invoice = models.CharField(max_length=20)
    stock_code = models.CharField(max_length=20)
    price = MoneyField()
    quantity = models.IntegerField()
    description = models.CharField(max_length=200, blank=True, default="", db_default="")
    invoiced_at = models.DateTimeField()
    customer = models.CharField(max_length=20, null=True)  # noqa: DJ001 - null is 'not known', which '' becomes
    country = models.CharField(max_length=60, blank=True, default="", db_default="")
    # Nearly always one currency: an index on it would find nothing and cost every insert.
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, db_index=False, related_name="+")

    class Meta:
        constraints = [
            # Names the line for the upsert; by its first column it also finds the lines of an invoice.
            models.UniqueConstraint(
                fields=["invoice", "stock_code", "price"],
                name="billing_invoice_line",
                violation_error_message="An invoice has one line for a stock code at a price.",
            ),
            models.CheckConstraint(
                condition=~Q(invoice="") & ~Q(stock_code=""),
                name="billing_invoice_line_named",
                violation_error_message="An invoice line names its invoice and its stock code.",
            ),
            _number("price", "billing_invoice_line_price"),
        ]
        indexes = [
            # Serves the report `revenue`, whose windows it bounds. Lines are kept in the order of their days, so what
            # the report sums is found close together without being in the index.
            models.Index(fields=["invoiced_at"], name="billing_invoice_line_at"),
        ]

    def __str__(self) -> str:
        return f"Invoice {self.invoice}: {self.quantity} {self.stock_code} at {self.price} {self.currency_id}"


class HotelBooking(models.Model):
    """A booking of a hotel, known by what was fixed when it was made and by its place among those that agree in it.

    The daily rate is the file's, negative and absurd ones too; anomalies count them.
    """

    class Status(models.TextChoices):
        CHECK_OUT = "Check-Out", "completed"
        CANCELED = "Canceled", "cancelled"
        NO_SHOW = "No-Show", "no-show"

    class Deposit(models.TextChoices):
        NONE = "No Deposit", "none"
        NON_REFUND = "Non Refund", "not refundable"
        REFUNDABLE = "Refundable", "refundable"

    identity = models.UUIDField(help_text="A hash of what was fixed when the booking was made.")
    occurrence = models.PositiveIntegerField(help_text="Its place, from 1, among bookings of this identity.")
    hotel = models.CharField(max_length=60)
    status = models.CharField(max_length=20, choices=Status)
    status_on = models.DateField()
    booked_on = models.DateField()
    arrives_on = models.DateField()
    nights = models.PositiveSmallIntegerField()
    adults = models.PositiveSmallIntegerField()
    children = models.PositiveSmallIntegerField(null=True)
    babies = models.PositiveSmallIntegerField()
    daily_rate = MoneyField()
    # Nearly always one of two currencies: an index on it would find nothing and cost every insert.
    currency = models.ForeignKey(Currency, on_delete=models.PROTECT, db_index=False, related_name="+")
    deposit_type = models.CharField(max_length=20, choices=Deposit)
    agent = models.IntegerField(null=True)
    company = models.IntegerField(null=True)
    market_segment = models.CharField(max_length=40)
    channel = models.CharField(max_length=40)
    customer_type = models.CharField(max_length=40)
    meal = models.CharField(max_length=20)
    country = models.CharField(max_length=3, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identity", "occurrence"],
                name="billing_booking",
                violation_error_message="There is a booking of this identity in this place already.",
            ),
            _number("daily_rate", "billing_booking_daily_rate"),
            # What is due follows from the status and the deposit, so an unknown one is refused rather than guessed at.
            models.CheckConstraint(
                condition=Q(status__in=["Check-Out", "Canceled", "No-Show"]),
                name="billing_booking_status",
                violation_error_message="A booking's status is Check-Out, Canceled or No-Show.",
            ),
            models.CheckConstraint(
                condition=Q(deposit_type__in=["No Deposit", "Non Refund", "Refundable"]),
                name="billing_booking_deposit",
                violation_error_message="A deposit is No Deposit, Non Refund or Refundable.",
            ),
        ]

    def __str__(self) -> str:
        return f"Booking {self.pk}: {self.hotel} from {self.arrives_on}, {self.get_status_display()}"


class UsageCounter(models.Model):
    """How often an account used a meter, and when first and last; see billing/usage.py, which alone writes it."""

    digest = models.CharField(max_length=64, primary_key=True)
    account = models.TextField(null=True)  # noqa: DJ001 - null is 'no account', which '' becomes
    meter = models.TextField()
    count = models.BigIntegerField()
    first_at = models.DateTimeField(db_default=_at_the_call())
    last_at = models.DateTimeField(db_default=_at_the_call())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(count__gte=1),
                name="billing_usage_counted",
                violation_error_message="A counter counts at least 1.",
            ),
            models.CheckConstraint(
                condition=~Q(account=""),
                name="billing_usage_account",
                violation_error_message="An account without a name is null.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter} of {self.account or 'no account'}: {self.count}"
