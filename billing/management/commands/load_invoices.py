"""`manage.py load_invoices FILE`."""

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from billing.management.file_command import FileCommand

if TYPE_CHECKING:
    from billing.intake import Outcome


class Command(FileCommand):
    help = "Load a file of invoice lines (UCI's Online Retail II), each accounted for."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--currency", default="GBP", help="of all prices in the file (GBP)")

    def load(self, options: dict[str, Any]) -> "Outcome":
        from billing import invoices

        return invoices.load(options["file"], options["currency"], options["database"])
