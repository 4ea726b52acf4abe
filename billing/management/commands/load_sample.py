"""`manage.py load_sample FILE`."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import FAILED, USAGE, EngineCommand, add_database_option


class Command(EngineCommand):
    help = "Turn a CSV file of invoice lines (UCI's Online Retail II), plain or gzip, into clients and subscriptions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file; loading it again adds nothing")
        add_database_option(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        from billing import sample

        with self.outcome():
            try:
                loaded = sample.load(options["file"], options["database"])
            except sample.NoFile as exc:
                raise CommandError(str(exc), returncode=USAGE) from exc
            except sample.BadFile as exc:
                raise CommandError(str(exc), returncode=FAILED) from exc
        if options["json"]:
            self.print_json(loaded.as_json())
        else:
            self.stdout.write(sample.shown(loaded, terminal=self.stdout.isatty()))
