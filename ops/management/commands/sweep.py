"""`manage.py sweep`: find the runs whose owner is gone, and carry them on."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option, positive


class Command(EngineCommand):
    help = "Carry on the runs whose process was killed or whose host is lost; for cron, or with --every a service."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=positive, metavar="SECONDS", help="look again and again, until stopped")
        add_database_option(parser, default=None)
        parser.add_argument("--json", action="store_true", help="print one JSON object for each look")

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import sweeping

        with self.outcome():
            sweeping.sweep(self, options)
