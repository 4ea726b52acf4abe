"""`manage.py doctor`: what silently makes instants wrong or loses work, and the command that mends it."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option


class Command(EngineCommand):
    help = "Look for everything that silently makes instants wrong or loses work; say what mends it."
    requires_migrations_checks = False
    # What they say it says itself, and more.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        from ops.management.doctor_display import identity

        parser.add_argument("--mend", action="store_true", help="mend what can be mended safely")
        parser.add_argument("--no-input", action="store_true", help="with --mend: do not ask")
        parser.add_argument(
            "--only", type=identity, nargs="+", default=[], metavar="ID", help="only these, such as ops.E063"
        )
        add_database_option(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import doctor_display

        with self.outcome():
            doctor_display.run(self, options)
