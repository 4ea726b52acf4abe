"""`manage.py jobs`: what jobs there are, their parameters, and how the last run of each ended."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option


class Command(EngineCommand):
    help = "List the jobs there are, their parameters and last runs."

    def add_arguments(self, parser: CommandParser) -> None:
        add_database_option(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import job_list

        with self.outcome():
            found = job_list.listed(options["database"])
        if options["json"]:
            self.print_json({"jobs": found})
        else:
            self.stdout.write(job_list.shown(found, terminal=self.stdout.isatty()))
