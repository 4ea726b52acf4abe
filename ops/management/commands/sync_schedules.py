"""`manage.py sync_schedules`: bring the rows of django-celery-beat in line with the declared schedules."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option


class Command(EngineCommand):
    help = "Bring the rows of django-celery-beat in line with the declared schedules; an operator's edits stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="plan only")
        parser.add_argument("--check", action="store_true", help="plan only; exit 5 if anything would be written")
        parser.add_argument("--no-input", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--reset", action="append", default=[], metavar="NAME", help="take the declaration over edits; repeatable"
        )
        parser.add_argument(
            "--import",
            dest="import_from",
            nargs="?",
            const="",
            metavar="FILE",
            help="print declarations of the rows made by hand, or of a crontab in a file (- is standard input)",
        )
        parser.add_argument("--zone", metavar="ZONE", help="of a crontab that names none, with --import")
        add_database_option(parser, default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import sync_display

        sync_display.carry_out(self, options)
