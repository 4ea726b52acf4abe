"""`manage.py receivables`: what partners owe."""

from typing import Any

from django.core.management.base import CommandParser

from billing.management.receivables_options import add_options
from ops.management.engine_command import EngineCommand, add_database_option


class Command(EngineCommand):
    help = "Tell what partners owe: to pay today, tomorrow and later, overdue by age, refunds due, credit left."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        add_options(parser)
        add_database_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from billing.management import receivables_actions

        with self.outcome():
            receivables_actions.run(self, options)
