"""`manage.py safe_migrate`: Django's own migrate, once it is safe to start, and one at a time."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand
from ops.management.repair_options import add_safe_migrate_options


class Command(EngineCommand):
    help = "Look whether it is safe to migrate, then do, one at a time: deployments that start at once wait."
    requires_migrations_checks = False
    # Those of the project run before its own migrate does.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_safe_migrate_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import repair_actions, repair_migrate

        with repair_actions.outcome(self):
            repair_migrate.run(self, options)
