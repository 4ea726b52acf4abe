"""`manage.py runs`: what was run, what it changed, and taking it back."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management import run_verbs
from ops.management.job_command import USAGE, EngineCommand, add_verb_options

VERBS = {
    "list": "the newest runs",
    "show": "one run whole: who, what, when, its plan, its events",
    "history": "every change that runs made to one row",
    "resume": "carry an unfinished run on",
    "cancel": "give an unfinished run up; what it wrote stays and can be reverted",
    "revert": "set the rows of a run back where they still hold what it wrote",
    "lift": "lift the holds that a revert left, so that sweeps take its rows again",
}


class Command(EngineCommand):
    help = "List runs, show them, and act on them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for verb, words in VERBS.items():
            add_verb_options(verbs.add_parser(verb, help=words, description=words.capitalize() + "."), verb)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb not in VERBS:
            raise CommandError(f"There is no verb {verb!r}; there is: {', '.join(VERBS)}.", returncode=USAGE)
        with self.outcome():
            getattr(run_verbs, verb if verb != "list" else "list_runs")(self, {**options, "verb": verb})
