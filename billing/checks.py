"""System checks of the billing domain, run by `manage.py check --database default` and by `migrate`."""

import re
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from ops import sql
from ops.engine.session import Session

_FUNCTION = re.compile(r"CREATE\b.*? FUNCTION (\w+)\(.*?AS \$body\$(.*)\$body\$$", re.DOTALL)


def functions() -> dict[str, tuple[str, str]]:
    """Return for each function that sql/billing/ defines its file and its body, as the server keeps it."""
    found = {}
    for name in sql.names():
        if name.startswith("billing/create_"):
            body = sql.load(name).body.replace("{{", "{").replace("}}", "}").replace("%%", "%")
            if match := _FUNCTION.match(body):
                found[match[1]] = (name, match[2])
    return found


def _migrated(alias: str) -> bool:
    """Tell whether all of billing's migrations are applied; until then `migrate` must not be kept from mending."""
    loader = MigrationLoader(connections[alias])
    mine = {key for key in loader.graph.nodes if key[0] == "billing"}
    return mine <= set(loader.applied_migrations)


@register(Tags.database)
def the_price_rule_is_that_of_the_files(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """billing.E001: a file of the rule was edited without a migration, or a function was edited in the database."""
    errors: list[CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor != "postgresql" or not _migrated(alias):
            continue
        there = dict(Session(alias).execute("billing/list_functions.sql"))
        files = functions()
        differing = sorted(files[name][0] for name in files if files[name][1] != there.get(name))
        if differing:
            listed = ", ".join(f"sql/{name}" for name in differing)
            errors.append(
                Error(
                    f"The price rule in database {alias!r} differs from {listed}.",
                    hint=(
                        "Add a migration with migrations.RunSQL(for_migration(..)) of these files (as in "
                        "billing/migrations/0002_pricing.py), then run 'manage.py migrate'; a database for development "
                        "can be made anew instead."
                    ),
                    id="billing.E001",
                )
            )
    return errors
