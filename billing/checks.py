"""System checks of the billing domain, run by `manage.py check --database default` and by `migrate`."""

import re
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from billing import order_types, receivables
from ops import sql
from ops.engine.parameters import BadParameters
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


@register()
def order_types_are_whole(**kwargs: Any) -> list[CheckMessage]:
    """billing.E002: an entry of the registry of order types contradicts itself or another, and is not known."""
    return [
        Error(
            wrong,
            hint=(
                "Correct the entry in the module order_types of its app (see docs/orders.md), then run "
                "'manage.py check'; until then orders of the type count nowhere, and receivables name them."
            ),
            id="billing.E002",
        )
        for wrong in order_types.broken()
    ]


@register()
def ages_are_ages(**kwargs: Any) -> list[CheckMessage]:
    """billing.E003: by the ages of the settings nothing that is overdue can be told."""
    try:
        receivables.default_ages()
    except BadParameters as exc:
        return [
            Error(
                str(exc),
                hint=(
                    "Correct the setting (see docs/receivables.md), then run 'manage.py check'; until then receivables "
                    "are told by --ages only, and the API and billing.save_receivables refuse."
                ),
                id="billing.E003",
            )
        ]
    return []
