"""Django's entry to the billing domain."""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.db.models.functions import Now
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


def make_catalogue(using: str, apps: Any = None, **kwargs: Any) -> None:
    """Make the catalogue's one row where it is missing: after the first `migrate`, and after a `flush`.

    `apps` is the state that was migrated to; a flush hands none, and the models are those of the code. Instants before
    now need no marks, as there is nothing yet to reprice.
    """
    try:
        catalogue = (apps or installed).get_model("billing", "Catalogue")
    except LookupError:
        return  # migrated back to before there was one
    catalogue.objects.using(using).get_or_create(id=1, defaults={"marked_until": Now()})


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from billing import checks, totals  # noqa: F401  # registers them

        autodiscover_modules("order_types")
        post_migrate.connect(make_catalogue, sender=self)
