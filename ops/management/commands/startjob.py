"""`manage.py startjob APP.NAME [--model APP.MODEL] [--columns a,b] [--own-statement]`."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import FAILED, REFUSED, USAGE, EngineCommand


class Command(EngineCommand):
    help = "Write the beginnings of a job: its class, its statement and its test; nothing is overwritten."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="APP.NAME", help="the job's name, e.g. billing.renew_licences")
        parser.add_argument("--model", metavar="APP.MODEL", help="whose rows it writes (the app's only model)")
        parser.add_argument("--columns", metavar="A,B", help="the columns it writes (the model's first)")
        parser.add_argument("--own-statement", action="store_true", help="a Job with its own UPDATE, not a Reconcile")

    def handle(self, *args: Any, **options: Any) -> None:
        from ops.management import scaffold

        columns = [name.strip() for name in (options["columns"] or "").split(",") if name.strip()]
        try:
            made = scaffold.make(options["name"], options["model"], columns, own_statement=options["own_statement"])
            made.write()
        except scaffold.Unknown as exc:
            raise CommandError(str(exc), returncode=USAGE) from exc
        except scaffold.Taken as exc:
            raise CommandError(str(exc), returncode=REFUSED) from exc
        except OSError as exc:
            raise CommandError(f"{options['name']}: {exc}", returncode=FAILED) from exc
        for line in made.told():
            self.stdout.write(line)
