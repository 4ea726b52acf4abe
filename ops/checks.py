"""System checks: what in a host project keeps ops from working, or ops something of the host's, found beforehand.

What the doctor finds without a server is a check, too, by its own code: what makes instants wrong before every command,
what loses messages with `check --deploy`.

Those of a database run with `manage.py check --database default` and before `migrate`; they connect, and fail where the
server can't be reached, as all of Django's do. The others run before every command.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register  # noqa: A004 - Django's name for it
from django.core.management import find_commands, get_commands
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.backends.dummy.base import DatabaseWrapper as Unset
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.db.migrations import CreateModel, Migration, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader

from ops.doctor import Finding, settings, versions
from ops.doctor.catalogue import KNOWN
from ops.engine.session import Session
from ops.models import Run

OLDEST = 15
"""The oldest major version of PostgreSQL that ops is tested on."""


def _commands(app: AppConfig) -> set[str]:
    return set(find_commands(str(Path(app.path) / "management")))


@register()
def commands_are_named_once(**kwargs: Any) -> list[CheckMessage]:
    """ops.E001: another app's command hides one of ops; ops.W001: one of ops hides another app's.

    Django takes the one of the app that comes first in INSTALLED_APPS.
    """
    found: list[CheckMessage] = []
    ours = apps.get_app_config("ops")
    for app in apps.get_app_configs():
        for name in sorted(_commands(ours) & _commands(app)) if app is not ours else ():
            wins = get_commands()[name]
            if wins == ours.name:
                found.append(
                    Warning(
                        f"'manage.py {name}' is the command of ops; that of {app.name} is hidden by it.",
                        hint=(
                            f"Give the other one a name: make management/commands/another_name.py in an app of your "
                            f"own with 'from {app.name}.management.commands.{name} import Command', or put "
                            f"{app.name!r} before 'ops' in INSTALLED_APPS where you need it more."
                        ),
                        id="ops.W001",
                    )
                )
            elif wins == app.name:
                found.append(
                    Error(
                        f"'manage.py {name}' is the command of {app.name}; that of ops is hidden by it.",
                        hint=f"Put 'ops' before {app.name!r} in INSTALLED_APPS: the app that comes first wins.",
                        id="ops.E001",
                    )
                )
    return found


@register()
def psycopg2_is_the_driver(**kwargs: Any) -> list[CheckMessage]:
    """ops.E002: Django prefers psycopg 3 where it is installed, and ops composes its statements with psycopg2."""
    if not is_psycopg3 or not any(connections[alias].vendor == "postgresql" for alias in connections):
        return []
    return [
        Error(
            "Django talks to PostgreSQL by psycopg 3 here, and ops needs psycopg2.",
            hint="Run 'pip uninstall psycopg' in this environment; Django then takes psycopg2, which came with ops.",
            id="ops.E002",
        )
    ]


def _by_psycopg2(look: Callable[..., list[CheckMessage]]) -> Callable[..., list[CheckMessage]]:
    """Let a check that reads a database find nothing by psycopg 3: E002 has said why, and it could not read."""

    @wraps(look)
    def looked(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
        return [] if is_psycopg3 else look(databases, **kwargs)

    return looked


@register()
def the_default_database_is_postgresql(**kwargs: Any) -> list[CheckMessage]:
    """ops.E003: ops would keep its runs in a default database that is not PostgreSQL."""
    if isinstance(connections[DEFAULT_DB_ALIAS], Unset):
        return []  # every database has a name of its own; those are looked at when they are checked
    return _no_postgresql(DEFAULT_DB_ALIAS)


def _is_home(alias: str) -> bool:
    """Tell whether a database is to have the tables of ops."""
    return router.allow_migrate_model(alias, Run)


def _no_postgresql(alias: str) -> list[CheckMessage]:
    vendor = connections[alias].vendor
    if vendor == "postgresql" or not _is_home(alias):
        return []
    return [
        Error(
            f"Database {alias!r} is {vendor}, and ops keeps its runs in PostgreSQL.",
            hint=(
                f"Set DATABASES[{alias!r}]['ENGINE'] to 'django.db.backends.postgresql', or keep ops out of it by a "
                "router in DATABASE_ROUTERS whose allow_migrate returns False for this database and app_label 'ops'."
            ),
            id="ops.E003",
        )
    ]


def _said(found: Iterable[Finding]) -> list[CheckMessage]:
    """Turn findings into the messages of checks."""
    kinds = {"error": Error, "warning": Warning, "info": Info}
    return [
        kinds[one.severity](f"{one.found} {one.breaks}", hint=f"{one.mends[0].upper()}{one.mends[1:]}.", id=one.id)
        for one in found
    ]


@register()
def instants_are_right(**kwargs: Any) -> list[CheckMessage]:
    """ops.E010 to E018, W010 to W012: what makes beat fire at wrong instants, or keeps messages from being queued."""
    return _said([*settings.instants(settings.loaded_app()), *settings.declarations()])


@register(deploy=True)
def nothing_is_lost(**kwargs: Any) -> list[CheckMessage]:
    """ops.W013 to W026: what loses messages, or does them twice."""
    found = list(settings.losses(settings.loaded_app()))
    assert all(KNOWN[one.id].deploy for one in found)
    return _said(found)


@register()
def migrations_are_named(**kwargs: Any) -> list[CheckMessage]:
    """ops.W050 to W052: what the names of migrations' files tell."""
    from ops.drift import checks

    return _said(checks.of_names())


@register(deploy=True)
def migrations_load(**kwargs: Any) -> list[CheckMessage]:
    """ops.E050 and E051: why migrate can't begin. Not before every command: it reads all files, and some are a cure."""
    from ops.drift import checks

    return _said(checks.of_texts())


@register(Tags.database)
@_by_psycopg2
def histories_take_rows(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """ops.E052, E053 and W053: migrate would change tables and could not record it, or begin anew elsewhere."""
    from ops.drift import checks

    return _said(
        one
        for alias in databases or ()
        if connections[alias].vendor == "postgresql"
        for one in checks.of_database(alias)
    )


@register(Tags.database)
@_by_psycopg2
def databases_are_fit(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """ops.E003 to E005 and W002: the server's kind and version, tables in the way, privileges that are missing."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if not _is_home(alias):
            continue
        if connections[alias].vendor == "postgresql":
            found += [*_too_old(alias), *_not_granted(alias), *_in_the_way(alias)]
        elif alias != DEFAULT_DB_ALIAS:  # that one is looked at without a connection, too
            found += _no_postgresql(alias)
    return found


@register(Tags.database)
@_by_psycopg2
def versions_are_moved(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """ops.W048: a trigger that moves the version of a table was altered or disabled; `migrate` makes it anew."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor == "postgresql" and _is_home(alias):
            more = "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
            found += _said(
                one
                for one in versions.unmoved(alias, f"run 'manage.py migrate{more}'", new=False)
                if one.id == "ops.W048"
            )
    return found


def _too_old(alias: str) -> Iterator[CheckMessage]:
    version = connections[alias].pg_version  # type: ignore[attr-defined]  # only PostgreSQL's connections have it
    if version < OLDEST * 10_000:
        yield Error(
            f"Database {alias!r} is on PostgreSQL {version // 10_000}, and ops needs {OLDEST} or newer.",
            hint=f"Move it to PostgreSQL {OLDEST} or newer (pg_upgrade), or set DATABASES[{alias!r}] to one that is.",
            id="ops.E004",
        )


def _made_by(migration: Migration) -> Iterator[str]:
    """Yield the tables that a migration of ops makes."""
    pending = list(migration.operations)
    while pending:
        operation = pending.pop(0)
        if isinstance(operation, CreateModel):
            yield operation.options.get("db_table") or f"ops_{operation.name_lower}"
        elif isinstance(operation, SeparateDatabaseAndState):
            pending += operation.state_operations


def _in_the_way(alias: str) -> Iterator[CheckMessage]:
    """Find tables that a migration, which is not recorded, would make."""
    if not Session(alias).execute("ops/find_migrations.sql")[0][0]:
        return  # who may not read them does not migrate
    loader = MigrationLoader(connections[alias])
    missing = [key for key in loader.graph.nodes if key[0] == "ops" and key not in loader.applied_migrations]
    if not missing:
        return
    wanted = {table for key in missing for table in _made_by(loader.graph.nodes[key])}
    there = sorted(wanted & set(connections[alias].introspection.table_names()))
    if not there:
        return
    hint = f"Move it away in 'manage.py dbshell': ALTER TABLE {there[0]} RENAME TO {there[0]}_before; then migrate."
    if not loader.applied_migrations:
        more = "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
        hint = f"No migration is recorded at all: 'manage.py repair_migrations{more}' shows which were applied (H16)."
    elif len(there) == len(wanted):
        hint += (
            " Where an earlier installation of ops left these tables, record its migrations instead: "
            "'manage.py migrate ops --fake --skip-checks'."
        )
    yield Error(
        f"Database {alias!r} has {', '.join(there)} already, and no migration of ops that made "
        f"{'it' if len(there) == 1 else 'them'} is recorded there.",
        hint=hint,
        id="ops.E005",
    )


def _not_granted(alias: str) -> Iterator[CheckMessage]:
    missing = Session(alias).execute("ops/list_missing_grants.sql")
    if missing:
        objects = ", ".join(f"{lacking} on {thing.lower()}" for lacking, thing, _ in missing)
        grants = " ".join(f"GRANT {lacking} ON {thing} TO {grantee};" for lacking, thing, grantee in missing)
        yield Warning(
            f"The role of database {alias!r} lacks privileges that ops needs: {objects}.",
            hint=f"As the owner, in psql: {grants}",
            id="ops.W002",
        )
