"""Django's entry to the billing domain."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from billing import jobs  # noqa: F401  # registers them
