"""`manage.py load_rates FILE`."""

from typing import TYPE_CHECKING, Any

from billing.management.file_command import FileCommand

if TYPE_CHECKING:
    from billing.intake import Outcome


class Command(FileCommand):
    help = "Load the ECB's file of euro reference rates, a row for each currency and day."

    def load(self, options: dict[str, Any]) -> "Outcome":
        from billing import rates

        return rates.load(options["file"], options["database"])
