"""What the commands that load files of other systems share: the file, the outcome, and what is said of a bad file."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import FAILED, USAGE, EngineCommand, add_database_option

if TYPE_CHECKING:
    from billing.intake import Outcome


class FileCommand(EngineCommand):
    """Load one file and say what came of it."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the file, plain, gzip or zstd; loading it again changes nothing")
        add_database_option(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    @abstractmethod
    def load(self, options: dict[str, Any]) -> "Outcome":
        """Load the file."""

    def handle(self, *args: Any, **options: Any) -> None:
        from billing.intake import NotUsable
        from ops.load import BadInput

        with self.outcome():
            try:
                done = self.load(options)
            except NotUsable as exc:
                raise CommandError(str(exc), returncode=USAGE) from exc
            except BadInput as exc:
                raise CommandError(str(exc), returncode=FAILED) from exc
        if options["json"]:
            self.print_json(done.as_json())
        else:
            self.stdout.write(done.shown(terminal=self.stdout.isatty()))
