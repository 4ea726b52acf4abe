"""The jobs of the billing domain."""

from typing import Any

from django import forms

from billing.models import Catalogue, Client, Mark, Plan, Service, Subscription
from billing.receivables_saving import SaveReceivables  # noqa: F401 - registered by its import
from ops.engine.jobs import Claim, Money, Params, Reconcile, Staged
from ops.engine.parameters import NamedRows
from ops.engine.registry import register

PRICE_RULE = (
    "billing/create_next_renewal.sql",
    "billing/create_followed_version.sql",
    "billing/create_combined_price.sql",
    "billing/create_list_values.sql",
    "billing/create_price_list.sql",
)


class RepriceForm(forms.Form):
    """Which subscriptions to reprice; without any of these, all."""

    service = NamedRows(Service, label="services", help_text="only subscriptions to this service (name or id)")
    plan = NamedRows(Plan, label="plans", help_text="only subscriptions on this plan (name or id)")
    client = NamedRows(Client, label="clients", help_text="only this client's subscriptions (name or id)")
    dirty = forms.BooleanField(required=False, help_text="only what is marked since the last run")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("dirty") and any(cleaned.get(name) for name in ("service", "plan", "client")):
            raise forms.ValidationError(
                "--dirty takes all marks, so it goes without --service, --plan and --client: leave one of them out."
            )
        return cleaned


@register
class Reprice(Reconcile):
    """Bring every subscription's price in line with its service, plan, promotions and quantity."""

    name = "billing.reprice"
    params = RepriceForm
    target = Subscription
    wanted = "billing/price_subscriptions.sql"
    columns = ("price",)
    money = Money("price", times="quantity", currency="currency")
    labels = "billing/list_labels.sql"
    uses = PRICE_RULE
    # Marks are claimed and settled; price changes that have taken effect are brought to what they change.
    writes = (Mark, Catalogue, Service, Plan)
    # An insert leaves a mark, so a row that is in flight when a run begins is the next one's.
    waits_for_writers = False

    def staged(self, params: Params) -> tuple[Staged, ...]:
        if params["dirty"]:
            looked_at: tuple[Staged, ...] = (
                Staged("billing_marked", "billing/list_marked.sql"),
                Staged("billing_repriced", "billing/list_repriced_marked.sql", view=True),
            )
        else:
            looked_at = (Staged("billing_repriced", "billing/list_repriced.sql", view=True),)
        return (
            *looked_at,
            Staged("billing_pair", "billing/list_pairs.sql"),
            Staged("billing_list_value", "billing/list_values.sql", indexes=("service_id", "plan_id")),
            Staged("billing_price", "billing/list_prices.sql"),
        )

    def claim(self, params: Params) -> Claim | None:
        if any(params[name] for name in ("service", "plan", "client")):
            return None
        return Claim(
            take=("billing/mark_passed_instants.sql", "billing/claim_marks.sql"),
            settle="billing/settle_marks.sql",
            release="billing/release_marks.sql",
        )

    def needs_claim(self, params: Params) -> bool:
        return bool(params["dirty"])

    def backdated(self, params: Params) -> tuple[str, ...]:
        return ("billing/mark_everything.sql",)

    def sql_params(self, params: Params, as_of: Any, run: int | None) -> dict[str, Any]:
        chosen = {f"{name}s": params[name] or None for name in ("service", "plan", "client")}
        return {**chosen, "as_of": as_of, "run": run}
