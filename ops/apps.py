"""Django's entry to the engine."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ops import checks  # noqa: F401  # registers them

        autodiscover_modules("jobs", "reports", "cached")
        # Here `reports` is the package; the reports of ops itself are in a module of it.
        from ops.cache import triggers
        from ops.reports import rollup_triggers, runs  # noqa: F401  # registers them

        post_migrate.connect(triggers.after_migrate, sender=self)
        post_migrate.connect(rollup_triggers.after_migrate, sender=self)
