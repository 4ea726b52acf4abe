"""`manage.py load_orders`: orders from the hotel bookings that are loaded."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.management.order_options import add_order_options, terms
from ops.management.engine_command import FOUND, USAGE, EngineCommand


class Command(EngineCommand):
    help = "Make orders, and the partners that they need, of the hotel bookings that load_bookings has loaded."

    def add_arguments(self, parser: CommandParser) -> None:
        add_order_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        from billing import intake, orders
        from ops.engine.lifecycle import Declined

        wanted, database, quiet = terms(options), options["database"], options["json"]
        only_plan = options["dry_run"] or options["check"]
        if not only_plan:
            self.must_not_guess(no_input=options["no_input"], quiet=quiet)
        with self.outcome():
            try:
                planned = orders.plan(wanted, database) if only_plan or not options["no_input"] else None
                if planned and not quiet:
                    self.stdout.write(planned.shown(terminal=self.stdout.isatty()))
                if not only_plan and not self.ask("Write these orders?", no_input=options["no_input"]):
                    raise Declined("Declined: no order was written.")
                done = None if only_plan else orders.load(wanted, database, started_from="manage.py load_orders")
            except intake.NotUsable as exc:
                raise CommandError(str(exc), returncode=USAGE) from exc
        if (told := done or planned) and quiet:
            self.print_json(told.as_json())
        elif done:
            self.stdout.write(done.shown(terminal=self.stdout.isatty()))
        if options["check"] and planned and planned.changes:
            raise CommandError("Orders would be written: 'manage.py load_orders' does so.", returncode=FOUND)
