"""The billing domain in Django's admin.

Prices are never typed in: the database prices a new subscription, records an edited list price as a price change and
marks what an edit touches, whichever way it was made. A constraint that an entry breaks is told in its own words.
"""

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from billing.models import (
    Catalogue,
    Client,
    Currency,
    FxRate,
    HotelBooking,
    InvoiceLine,
    Mark,
    Order,
    Partner,
    Plan,
    PriceChange,
    Promotion,
    QuantityTier,
    Service,
    Subscription,
    UsageCounter,
)
from ops import clock
from ops.admin import BigAdmin, ReadOnlyAdmin, cardinality, instant
from ops.management.display import money

LISTED = 20


class SubscribedAdmin(BigAdmin):
    """What subscriptions refer to: it goes only while none does.

    `remembered` columns are written by price changes as well. They are only written where they were edited in this
    form; else, whoever opened it before a change took effect would take the change back by saving a new name.
    """

    remembered: tuple[str, ...] = ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest | None, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[arg-type]  # None as in Django
        if field is not None and db_field.name in self.remembered:
            field.show_hidden_initial = True
        return field

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Django's own answer to PROTECT fetches every subscription to list it, a million if need be.
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and obj.subscriptions.exists())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return _without_delete(super().get_actions(request))


def _without_delete(actions: dict[str, Any]) -> dict[str, Any]:
    """Leave out the action that deletes what is ticked: it asks no row whether it may go."""
    return {name: action for name, action in actions.items() if name != "delete_selected"}


class TierInline(admin.TabularInline):  # type: ignore[type-arg]  # generic in the stubs only
    model = QuantityTier
    extra = 0
    ordering = ("minimum_quantity",)


@admin.register(Client)
class ClientAdmin(SubscribedAdmin):
    list_display = ("id", "name", "email")
    list_display_links = ("id", "name")
    search_fields = ("^name",)
    search_help_text = "The beginning of the name"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and Partner.objects.filter(client=obj).exists())


@admin.register(Currency)
class CurrencyAdmin(BigAdmin):
    """A currency with its newest rates: a model whose primary key has two columns can't have pages of its own."""

    list_display = ("code", "minor_units")
    ordering = ("code",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("code", "minor_units", "newest_rates") if obj else ("code", "minor_units")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        # Another code would be another currency: Django would insert it beside the old one.
        return ("code", "newest_rates") if obj else ()

    @admin.display(description="newest rates, units for one euro")
    def newest_rates(self, currency: Currency) -> SafeString | str:
        if currency.code == "EUR":
            return "1, by definition"
        rates = FxRate.objects.filter(currency=currency.code).order_by("-day")[:LISTED]
        return format_html_join(mark_safe("<br>"), "{} {}", ((r.day, money(r.rate)) for r in rates)) or "-"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # As for what is subscribed to: Django would fetch every line in a currency to say why it stays.
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and _in_use(obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return _without_delete(super().get_actions(request))


def _in_use(currency: Currency) -> bool:
    """Tell whether anything is priced, owed or reported in a currency."""
    users: tuple[type[Service | InvoiceLine | HotelBooking], ...] = (Service, InvoiceLine, HotelBooking)
    return (
        Partner.objects.filter(Q(currency=currency) | Q(credit_currency=currency)).exists()
        or Order.objects.filter(Q(sell_currency=currency) | Q(refund_currency=currency)).exists()
        or any(user._default_manager.filter(currency=currency).exists() for user in users)
    )


class CatalogueForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """The catalogue, its zone being one that there is."""

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"]
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise forms.ValidationError(f"There is no zone {zone!r}: write one such as Asia/Seoul.") from exc
        return zone


@admin.register(Catalogue)
class CatalogueAdmin(BigAdmin):
    form = CatalogueForm
    marked = instant("marked_until")
    list_display = ("__str__", "reduction_order", "zone", "marked")
    readonly_fields = ("marked",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Service)
class ServiceAdmin(SubscribedAdmin):
    list_display = ("name", "list_price", "currency_id")
    search_fields = ("^name",)
    search_help_text = "The beginning of the name"
    ordering = ("name",)
    remembered = ("full_price",)
    inlines = (TierInline,)

    @admin.display(description="full price")
    def list_price(self, service: Service) -> str:
        return money(service.full_price)


@admin.register(Plan)
class PlanAdmin(SubscribedAdmin):
    list_display = ("name", "plan_type", "discount")
    search_fields = ("^name",)
    search_help_text = "The beginning of the name"
    ordering = ("name",)
    remembered = ("discount_percent",)

    @admin.display(description="discount percent")
    def discount(self, plan: Plan) -> str:
        return money(plan.discount_percent)


@admin.register(Subscription)
class SubscriptionAdmin(BigAdmin):
    renews = instant("renews_at")
    pinned = instant("pinned_until")
    list_display = ("id", "client", "service", "plan", "quantity", "price_now", "renews", "pinned")
    list_select_related = ("client", "service", "plan")
    autocomplete_fields = ("client", "service", "plan")
    readonly_fields = ("price_now",)
    fields = (
        "client",
        "service",
        "plan",
        "quantity",
        "price_now",
        "pinned_until",
        "billing_period",
        "started_at",
        "renews_at",
        "comment",
    )
    # What get_search_results looks at; Django shows the search box where there is something.
    search_fields = ("client__name", "service__name")
    search_help_text = "The beginning of the client's or the service's name, or the subscription's number"

    @admin.display(description="price per unit")
    def price_now(self, subscription: Subscription) -> str:
        if subscription.pk is None:
            return "computed when it is saved"
        if subscription.price is None:
            return "none: the service's price, its currency or the plan is missing"
        return f"{money(subscription.price)} {subscription.service.currency_id or ''}"

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        now = clock.now()
        return {"started_at": now, "renews_at": now, **super().get_changeform_initial_data(request)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Subscription], search_term: str
    ) -> tuple[QuerySet[Subscription], bool]:
        """Find by the beginning of a name. Two subqueries: a join with OR over both would read all three tables."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = Q(client__in=Client.objects.filter(name__istartswith=term).values("pk"))
        named |= Q(service__in=Service.objects.filter(name__istartswith=term).values("pk"))
        if term.isdecimal() and len(term) < 19:
            named |= Q(pk=int(term))
        return queryset.filter(named), False


@admin.register(Promotion)
class PromotionAdmin(BigAdmin):
    starts = instant("starts_at")
    ends = instant("ends_at")
    list_display = ("__str__", "service", "plan", "reduction", "starts", "ends", "priority")
    list_select_related = ("service", "plan")
    autocomplete_fields = ("service", "plan")
    search_fields = ("^name", "^service__name", "^plan__name")
    search_help_text = "The beginning of its name, the service's or the plan's"

    @admin.display(description="reduction")
    def reduction(self, promotion: Promotion) -> str:
        if promotion.percent is not None:
            return f"{money(promotion.percent)} %"
        return f"{money(promotion.amount)} {promotion.service.currency_id or '' if promotion.service else ''}"


@admin.register(QuantityTier)
class QuantityTierAdmin(BigAdmin):
    list_display = ("id", "service", "minimum_quantity", "reduction")
    list_select_related = ("service",)
    autocomplete_fields = ("service",)
    search_fields = ("^service__name",)
    search_help_text = "The beginning of the service's name"

    @admin.display(description="reduction")
    def reduction(self, tier: QuantityTier) -> str:
        return f"{money(tier.percent)} %"


@admin.register(PriceChange)
class PriceChangeAdmin(BigAdmin):
    effective = instant("effective_at")
    created = instant("created_at")
    list_display = ("id", "subject", "value_before", "value_after", "effective", "follow", "scope")
    list_select_related = ("service", "plan")
    autocomplete_fields = ("service", "plan")
    readonly_fields = ("value_before", "created")
    fields = ("service", "plan", "new_value", "value_before", "effective_at", "follow", "scope", "created")
    search_fields = ("^service__name", "^plan__name")
    search_help_text = "The beginning of the service's or the plan's name"

    @admin.display(description="of")
    def subject(self, change: PriceChange) -> str:
        return str(change.service or change.plan)

    @admin.display(description="old value")
    def value_before(self, change: PriceChange) -> str:
        return money(change.old_value)

    @admin.display(description="new value")
    def value_after(self, change: PriceChange) -> str:
        return money(change.new_value)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What took effect is history; the way back is another price change.
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and obj.effective_at <= clock.now())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return _without_delete(super().get_actions(request))


@admin.register(Mark)
class MarkAdmin(ReadOnlyAdmin):
    made = instant("made_at")
    list_display = ("id", "reason", "service_id", "plan_id", "how_many", "made", "run_id")
    fields = ("reason", "service_id", "plan_id", "how_many", "first_listed", "made", "run_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mark]:
        found: QuerySet[Mark] = super().get_queryset(request)
        return found.defer("subscription_ids").annotate(listed=cardinality("subscription_ids"))

    @admin.display(description="subscriptions")
    def how_many(self, mark: Any) -> str:
        if mark.listed is not None:
            return f"{mark.listed:,}"
        return "all" if mark.service_id is None and mark.plan_id is None else "all of these"

    @admin.display(description="the first of them")
    def first_listed(self, mark: Mark) -> str:
        return ", ".join(map(str, (mark.subscription_ids or [])[:LISTED])) or "-"


@admin.register(InvoiceLine)
class InvoiceLineAdmin(ReadOnlyAdmin):
    invoiced = instant("invoiced_at", "invoiced")
    list_display = ("id", "invoice", "stock_code", "description", "quantity", "priced", "customer", "invoiced")
    fields = ("invoice", "stock_code", "description", "quantity", "priced", "customer", "country", "invoiced")
    # Exact, so that the key's index finds it.
    search_fields = ("invoice__exact",)
    search_help_text = "An invoice's number, whole"

    @admin.display(description="price")
    def priced(self, line: InvoiceLine) -> str:
        return f"{money(line.price)} {line.currency_id}"


@admin.register(HotelBooking)
class HotelBookingAdmin(ReadOnlyAdmin):
    list_display = ("id", "hotel", "status", "arrives_on", "nights", "rate", "deposit_type", "agent", "company")

    @admin.display(description="daily rate")
    def rate(self, booking: HotelBooking) -> str:
        return f"{money(booking.daily_rate)} {booking.currency_id}"


@admin.register(UsageCounter)
class UsageCounterAdmin(ReadOnlyAdmin):
    first = instant("first_at", "first")
    last = instant("last_at", "last")
    list_display = ("meter", "account", "count", "first", "last")
    fields = ("meter", "account", "count", "first", "last", "digest")


# Last, since its lists are made of what is above; the admin looks for this module only.
from billing import admin_orders  # noqa: E402, F401 - registers them
