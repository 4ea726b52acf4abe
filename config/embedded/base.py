"""Django's PostgreSQL backend, except that the embedded servers are started before the first connection."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base, client
from django.db.utils import OperationalError

from . import Home, StartError


def start() -> Home:
    """Start the embedded servers if they do not run; Django's OperationalError if they cannot be had."""
    home = settings.EMBEDDED
    assert home is not None
    try:
        home.ensure()
    except StartError as exc:
        raise OperationalError(str(exc)) from exc
    return home


class DatabaseClient(client.DatabaseClient):
    """`manage.py dbshell` with the psql of the embedded server."""

    def runshell(self, parameters: Iterable[str]) -> None:
        """Run psql as long as the user likes."""
        self.executable_name = str(start().psql)
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the embedded server."""

    client_class = DatabaseClient

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, starting the server first."""
        start()
        return super().get_new_connection(conn_params)
