"""`manage.py raise_prices --percent 7 --best-selling 100 --from INSTANT`."""

from typing import Any

from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, add_database_option, instant, percent, positive


class Command(EngineCommand):
    help = "Raise list prices by a percentage from an instant on, as price changes; reprice does the rest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--percent", type=percent, required=True, help="by how much, such as 7 or 2.5")
        parser.add_argument("--best-selling", type=positive, metavar="N", help="the N with most units; else all")
        parser.add_argument("--from", dest="since", type=instant, metavar="INSTANT", help="since when (now)")
        parser.add_argument("--follow", choices=("at_once", "renewal", "never"), default="at_once", help="who pays")
        parser.add_argument("--dry-run", action="store_true", help="plan only")
        parser.add_argument("--no-input", action="store_true", help="do not ask")
        add_database_option(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        from billing import raises

        if not options["dry_run"]:
            self.must_not_guess(no_input=options["no_input"], quiet=options["json"])
        with self.outcome():
            since = options["since"] or raises.now(options["database"])
            wanted = raises.Raise(options["percent"], options["best_selling"], since, options["follow"])
            lines, written = raises.plan(wanted, options["database"]), 0
            if not options["json"]:
                self.stdout.write(raises.shown(wanted, lines, terminal=self.stdout.isatty()))
            if not options["dry_run"] and raises.raised(lines):
                raises.agreed(self.ask("Write the price changes?", no_input=options["no_input"]))
                written = raises.apply(wanted, lines, options["database"])
        if options["json"]:
            self.print_json(raises.as_json(wanted, lines, written))
        else:
            self.stdout.write(f"{written:,} price changes written." if written else "Nothing was written.")
