"""`manage.py repair_migrations`: what differs from the recorded migrations, and mending it."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand
from ops.management.repair_options import add_repair_options


class Command(EngineCommand):
    help = "Show where the database differs from its recorded migrations; with --apply make what is missing."
    # It is for the project whose migrations or tables are broken.
    requires_migrations_checks = False
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_repair_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import repair_actions

        with repair_actions.outcome(self):
            repair_actions.run(self, options)
