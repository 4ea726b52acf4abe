"""`manage.py api_token`: a token with which a program reads the JSON endpoints as a user."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ops.management.engine_command import REFUSED, USAGE, EngineCommand, positive


class Command(EngineCommand):
    help = "Make a token with which a program reads the JSON endpoints as a user; it is kept nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="the user's name, as it is typed at the login")
        parser.add_argument("--days", type=positive, default=30, metavar="DAYS", help="how long it is good (30)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, user: str, days: int, **options: Any) -> None:
        from ops import clock
        from ops.web import api_access

        with self.outcome():
            found = api_access.user_named(user)
        if found is None:
            raise CommandError(f"There is no user {user!r}: 'manage.py createsuperuser' makes one.", returncode=USAGE)
        if not found.is_active:
            raise CommandError(f"User {user!r} is not active: activate it in the admin first.", returncode=REFUSED)
        if days > api_access.MOST_DAYS:
            said = f"{days} days are too long for a token: give at most {api_access.MOST_DAYS}."
            raise CommandError(said, returncode=USAGE)
        token, until = api_access.make_token(found, days)
        if options["json"]:
            self.print_json({"user": found.get_username(), "token": token, "expires_at": until.isoformat()})
            return
        self.note(f"For {found.get_username()}, until {clock.shown(until)}; a new password ends it at once.")
        self.stdout.write(token)
