"""`manage.py rollup`: the sums that are kept of reports, and acting on them."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import USAGE, EngineCommand
from ops.management.rollup_options import VERBS, add_verb_options


class Command(EngineCommand):
    help = "List rollups of reports, refresh, rebuild and verify them, or drop one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for verb, words in VERBS.items():
            add_verb_options(verbs.add_parser(verb, help=words, description=words.capitalize() + "."), verb)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        from ops.management import rollup_verbs

        if verb not in VERBS:
            raise CommandError(f"There is no verb {verb!r}; there is: {', '.join(VERBS)}.", returncode=USAGE)
        with self.outcome():
            rollup_verbs.ACTS[verb](self, options)
