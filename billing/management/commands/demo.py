"""`manage.py demo`."""

from dataclasses import replace
from textwrap import fill
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser

from ops.management.engine_command import EngineCommand, positive


class Command(EngineCommand):
    help = "Make demo data unless it is there, and walk through the main job on it; again and again if you like."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--subscriptions", type=positive, metavar="N", help="how many to make (100,000)")

    def handle(self, *args: Any, **options: Any) -> None:
        from billing import demo

        sizes = demo.Sizes()
        if options["subscriptions"]:
            sizes = replace(sizes, subscriptions=options["subscriptions"])
        with self.outcome():
            demo.ready(sizes, self.say)
            demo.walk(self.run_command, self.say)

    def say(self, words: str) -> None:
        """Print a sentence of the walk."""
        self.stdout.write("\n" + self.style.MIGRATE_HEADING(fill(words, 79)))

    def run_command(self, *words: str) -> None:
        """Print a command as one would type it, and run it."""
        self.stdout.write(self.style.MIGRATE_LABEL(f"$ manage.py {' '.join(words)}"))
        call_command(*words, stdout=self.stdout, stderr=self.stderr)
