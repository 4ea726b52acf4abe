"""`manage.py anomalies`: what jobs have met that is odd and did not stop them, and how often."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option, positive


class Command(EngineCommand):
    help = "List what jobs have met that is odd and did not stop them, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kind", help="only those of this kind")
        parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many to list")
        add_database_option(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.load import anomalies
        from ops.management import load_display

        with self.outcome():
            found = anomalies.listed(options["database"], options["kind"], options["limit"])
        if options["json"]:
            self.print_json({"anomalies": [load_display.anomaly(one) for one in found]})
        else:
            self.stdout.write(load_display.anomalies(found, terminal=self.stdout.isatty()))
