"""Reports of the billing domain, and examples of how reports are written."""

from django import forms

from billing.models import InvoiceLine, Subscription, Upload
from ops.reports import Count, Distinct, Filter, Report, Sum, register


def _currency() -> forms.Field:
    return forms.RegexField(r"^[A-Z]{3}$", error_messages={"invalid": "Give three capital letters, such as KRW."})


@register
class Uploads(Report):
    """How many files were uploaded, and how many bytes they have."""

    name = "uploads"
    source = Upload
    time = "uploaded_at"
    windows = ("today", "yesterday", "this_week", "last_week", "this_month", "last_month", "last_30_days")
    measures = {"count": Count(), "total_size": Sum("size")}
    filters = {"client": Filter("t.client_id", forms.IntegerField(min_value=1))}
    rollup = "day"
    permission = "billing.view_upload"


@register
class Subscriptions(Report):
    """How many subscriptions were begun, by plan, and what they come to a month in their currency.

    A price is for a billing period of so many months; its month is price times quantity over those, to 16 digits and
    not rounded to the minor unit: three times the month of a quarter may lack 1E-16 of its price.
    """

    name = "subscriptions"
    source = Subscription
    time = "started_at"
    windows = ("today", "yesterday", "this_month", "last_month", "this_quarter", "this_year", "last_year")
    joins = "LEFT JOIN billing_plan AS p ON p.id = t.plan_id INNER JOIN billing_service AS s ON s.id = t.service_id"
    groups = {"plan": "p.name", "currency": "s.currency_id"}
    # Amounts of two currencies make no sum.
    totals = ("currency",)
    measures = {
        "count": Count(),
        "quantity": Sum("t.quantity"),
        "monthly": Sum("t.quantity * t.price / t.billing_period"),
        "unpriced": Count(where="t.price IS NULL"),
    }
    filters = {
        "plan": Filter("p.name", forms.CharField(max_length=200)),
        "service": Filter("s.name", forms.CharField(max_length=200)),
        "currency": Filter(
            "s.currency_id",
            _currency(),
        ),
    }
    permission = "billing.view_subscription"


@register
class Revenue(Report):
    """What was invoiced, by customer and month; cancellations, which are negative, among it.

    The customer is the text that the invoice has, and no row of billing_client: files name customers who are none.
    """

    name = "revenue"
    source = InvoiceLine
    time = "invoiced_at"
    windows = ("this_month", "last_month", "this_quarter", "last_quarter", "this_year", "last_year")
    groups = {
        "customer": "t.customer",
        "month": "to_char(t.invoiced_at AT TIME ZONE %(zone)s, 'YYYY-MM')",
        "currency": "t.currency_id",
    }
    totals = ("currency",)
    measures = {"revenue": Sum("t.quantity * t.price"), "invoices": Distinct("t.invoice"), "lines": Count()}
    filters = {
        # Without a value: what has no known customer.
        "customer": Filter("t.customer", forms.CharField(max_length=20, required=False, empty_value=None)),
        "country": Filter("t.country", forms.CharField(max_length=60)),
        "currency": Filter(
            "t.currency_id",
            _currency(),
        ),
    }
    permission = "billing.view_invoiceline"
