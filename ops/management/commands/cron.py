"""`manage.py cron`: crontab lines between zones, their next firings, in words, and what is wrong with them."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.cron_options import VERBS, add_verb_options
from ops.management.engine_command import REFUSED, USAGE, EngineCommand


class Command(EngineCommand):
    help = "Convert crontab lines between time zones, show when they fire, explain and check them."
    requires_system_checks = ()  # it looks at nothing but its arguments

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for verb, words in VERBS.items():
            add_verb_options(verbs.add_parser(verb, help=words, description=words.capitalize() + "."), verb)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        from ops.clock import CronRefused
        from ops.management import cron_verbs

        if verb not in VERBS:
            raise CommandError(f"There is no verb {verb!r}; there is: {', '.join(VERBS)}.", returncode=USAGE)
        try:
            getattr(cron_verbs, f"{verb}_line")(self, options)
        except CronRefused as exc:
            if options["json"]:
                self.print_json({"state": "refused", "lines": None, "reason": exc.reason})
            raise CommandError(exc.reason, returncode=REFUSED) from exc
        except ValueError as exc:
            raise CommandError(str(exc), returncode=USAGE) from exc
