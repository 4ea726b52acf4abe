"""How the server itself is reached, past any pooler: for the guard of a repair, and for what makes databases."""

from typing import Any

from django.conf import settings
from django.db import connections

# What Django gives to psycopg 3, or to itself, and libpq knows nothing of.
_NOT_LIBPQ = ("context", "prepare_threshold", "cursor_factory")


def direct_params(alias: str) -> dict[str, Any]:
    """Return how to reach the server itself: as Django does, but where OPS_DIRECT_DATABASES says otherwise."""
    params = connections[alias].get_connection_params()
    names = {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user", "PASSWORD": "password"}
    other = getattr(settings, "OPS_DIRECT_DATABASES", {}).get(alias, {})
    params = {**params, **{names[name]: value for name, value in other.items()}}
    return {name: value for name, value in params.items() if name not in _NOT_LIBPQ}
