"""`manage.py load_bookings FILE`."""

from typing import TYPE_CHECKING, Any

from billing.management.file_command import FileCommand

if TYPE_CHECKING:
    from billing.intake import Outcome


class Command(FileCommand):
    help = "Load a file of hotel bookings, which has no booking id, a row for each."

    def load(self, options: dict[str, Any]) -> "Outcome":
        from billing import bookings

        return bookings.load(options["file"], options["database"])
