"""`manage.py stats [NAME]`: what a report comes to in its windows: shown, drawn, saved, explained."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option
from ops.management.stats_options import add_options


class Command(EngineCommand):
    help = "Compute a report: a table, JSON, CSV or a picture; save it, and compare what was saved."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        add_options(parser)
        add_database_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import stats_actions

        with self.outcome():
            stats_actions.run(self, options)
