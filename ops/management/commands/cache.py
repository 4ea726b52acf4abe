"""`manage.py cache`: what is kept in the cache, and acting on it."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.cache_options import VERBS, add_verb_options
from ops.management.engine_command import FAILED, USAGE, EngineCommand


class Command(EngineCommand):
    help = "Show what the cache keeps, hold it against the tables, invalidate and warm it."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for verb, words in VERBS.items():
            add_verb_options(verbs.add_parser(verb, help=words, description=words.capitalize() + "."), verb)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        from ops.cache.registry import UnknownCached
        from ops.cache.store import StoreAway
        from ops.management import cache_verbs

        if verb not in VERBS:
            raise CommandError(f"There is no verb {verb!r}; there is: {', '.join(VERBS)}.", returncode=USAGE)
        try:
            with self.outcome():
                cache_verbs.ACTS[verb](self, options)
        except UnknownCached as exc:
            raise CommandError(str(exc), returncode=USAGE) from exc
        except StoreAway as exc:
            raise CommandError(str(exc), returncode=FAILED) from exc
