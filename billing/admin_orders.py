"""Partners, orders and uploads in Django's admin.

An order's type and status are chosen from the registry of order types, so a new type is in the form when it is in the
registry. What was loaded from a file can be edited; what the next load says again of it is in docs/orders.md.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import order_types
from billing.models import Order, Partner, Upload
from ops.admin import BigAdmin, ReadOnlyAdmin, instant
from ops.management.display import money


@admin.register(Partner)
class PartnerAdmin(BigAdmin):
    list_display = ("id", "client", "reference", "currency_id", "limit", "zone")
    list_display_links = ("id", "client")
    list_select_related = ("client",)
    autocomplete_fields = ("client",)
    fields = ("client", "reference", "currency", "credit_limit", "credit_currency", "zone", "its_orders")
    readonly_fields = ("its_orders",)
    # What get_search_results looks at; Django shows the search box where there is something.
    search_fields = ("client__name", "reference")
    search_help_text = "The beginning of the client's name, or of the partner's reference"

    @admin.display(description="credit limit")
    def limit(self, partner: Partner) -> str:
        return "-" if partner.credit_limit is None else f"{money(partner.credit_limit)} {partner.credit_currency_id}"

    @admin.display(description="orders")
    def its_orders(self, partner: Partner) -> SafeString | str:
        if partner.pk is None:
            return "-"
        url = f"{reverse('admin:billing_order_changelist')}?partner__id__exact={partner.pk}"
        return format_html('<a href="{}">all orders of this partner</a>', url)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Partner], search_term: str
    ) -> tuple[QuerySet[Partner], bool]:
        """Find by the term as a whole: names and references have blanks in them."""
        term = search_term.strip()
        named = Q(client__name__istartswith=term) | Q(reference__istartswith=term)
        return queryset.filter(named) if term else queryset, False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Django's own answer to PROTECT fetches every order to list it.
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and obj.orders.exists())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # The action that deletes what is ticked asks no row whether it may go.
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}


LOADED = (
    *(
        "partner",
        "sold_at",
        "status",
        "sell_amount",
        "sell_currency",
        "sell_rate",
        "penalty_amount",
        "refund_amount",
        "refund_currency",
    ),
    *("refund_rate", "pending_on", "due_on", "paid_on", "refunded_on"),
)
"""What loads and jobs write as well: a form writes it only where it was edited in it, not where it is old by now."""


class OrderForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """An order, its type and status being of the registry; which statuses a type has, the model itself says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        types = {one.name: one.label for one in order_types.types()}
        statuses = sorted({status for one in order_types.types() for status in one.statuses})
        self._choose("type", types)
        self._choose("status", {status: status for status in statuses})
        for name in LOADED:
            if name in self.fields:
                self.fields[name].show_hidden_initial = True

    def _choose(self, name: str, choices: dict[str, str]) -> None:
        """Offer the choices, and what the order has where the registry does not know it any more."""
        field = self.fields.get(name)
        if field is None:
            return  # it is shown, and can't be edited
        stored = getattr(self.instance, name)
        offered = {"": "---------", **choices}
        if stored not in offered:
            offered[stored] = f"{stored} (unknown)"
        field.widget = forms.Select(choices=list(offered.items()))


@admin.register(Order)
class OrderAdmin(BigAdmin):
    form = OrderForm
    sold = instant("sold_at", "sold")
    list_display = ("id", "type", "reference", "status", "partner", "amount", "sold", "pending_on", "due_on", "paid_on")
    list_display_links = ("id", "reference")
    list_select_related = ("partner__client",)
    autocomplete_fields = ("partner",)
    fieldsets = (
        (None, {"fields": ("partner", "type", "reference", "status")}),
        ("Sale", {"fields": ("sold_at", "sell_amount", "sell_currency", "sell_rate")}),
        ("Cancelled", {"fields": ("penalty_amount", "refund_amount", "refund_currency", "refund_rate")}),
        ("Dates", {"fields": ("pending_on", "due_on", "paid_on", "refunded_on")}),
    )
    # What get_search_results looks at; Django shows the search box where there is something.
    search_fields = ("reference", "partner__client__name")
    search_help_text = "An order's reference, whole, or the beginning of its partner's name"

    @admin.display(description="amount")
    def amount(self, order: Order) -> str:
        return f"{money(order.sell_amount)} {order.sell_currency_id}"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Find by what has an index: a join with OR over it would read all orders."""
        term = search_term.strip()
        if not term:
            return queryset, False
        partners = Partner.objects.filter(client__name__istartswith=term).values("pk")
        return queryset.filter(Q(reference=term) | Q(partner__in=partners)), False


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    """What clients have uploaded; uploading itself is not the admin's business."""

    uploaded = instant("uploaded_at", "uploaded")
    list_display = ("id", "name", "client", "bytes", "uploaded")
    list_select_related = ("client",)
    fields = ("name", "client", "bytes", "uploaded")

    @admin.display(description="size in bytes")
    def bytes(self, upload: Upload) -> str:
        return f"{upload.size:,}"
