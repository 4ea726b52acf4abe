"""`manage.py runs`: what the engine has done and is doing, acting on it, and taking it back."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import USAGE, EngineCommand
from ops.management.run_options import VERBS, add_verb_options


class Command(EngineCommand):
    help = "List runs, show them, and act on them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for verb, words in VERBS.items():
            add_verb_options(verbs.add_parser(verb, help=words, description=words.capitalize() + "."), verb)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        from ops.management import run_actions, run_verbs

        if verb not in VERBS:
            raise CommandError(f"There is no verb {verb!r}; there is: {', '.join(VERBS)}.", returncode=USAGE)
        name = verb if verb != "list" else "list_runs"
        with self.outcome():
            act = getattr(run_actions, name, None) or getattr(run_verbs, name)
            act(self, {**options, "verb": verb})
