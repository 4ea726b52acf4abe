"""What Django's `flush` empties after each test that commits: only tables that hold rows, and those that refer to them.

To truncate all tables takes a third of a second, since each of them and each of its indexes gets a new file; of two
thousand tests that was a fifth of the suite's time. Content types and permissions stay as long as they are what
`migrate` makes.
"""

from typing import Any

from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.management import create_contenttypes
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.core.management.sql import emit_post_migrate_signal
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate
from psycopg2.sql import SQL, Identifier, Literal

_PERMISSIONS = "django.contrib.auth.management.create_permissions"
OF_MIGRATE: tuple[type[models.Model], ...] = (ContentType, Permission)
_SIGNATURE = """
SELECT
    (SELECT md5(string_agg(concat_ws('.', c.app_label, c.model), ',' ORDER BY c.app_label, c.model))
     FROM django_content_type AS c),
    (SELECT md5(string_agg(concat_ws('.', c.app_label, c.model, p.codename, p.name), ','
                           ORDER BY c.app_label, c.model, p.codename))
     FROM auth_permission AS p INNER JOIN django_content_type AS c ON p.content_type_id = c.id)
"""
_REFERRING = """
SELECT c.relname, r.relname
FROM pg_constraint AS f INNER JOIN pg_class AS c ON f.conrelid = c.oid INNER JOIN pg_class AS r ON f.confrelid = r.oid
WHERE f.contype = 'f' AND pg_table_is_visible(c.oid)
"""
_made: dict[str, tuple[str, str]] = {}


def remember(connection: BaseDatabaseWrapper) -> None:
    """Keep what a database that was just migrated has of content types and permissions."""
    _made[connection.alias] = _signature(connection)


def _signature(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(_SIGNATURE)
        found: tuple[str, str] = cursor.fetchone()
        return found


def _kept(connection: BaseDatabaseWrapper) -> bool:
    return _made.get(connection.alias) == _signature(connection)


def filled(connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
    """Return those of some tables that hold rows, and all that refer to one of them."""
    looks = [SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(Literal(one), Identifier(one)) for one in tables]
    with connection.cursor() as cursor:
        cursor.execute(SQL(" UNION ALL ").join(looks))
        found = {name for (name,) in cursor.fetchall()}
        cursor.execute(_REFERRING)
        referring = cursor.fetchall()
    if _kept(connection):
        found -= {one._meta.db_table for one in OF_MIGRATE}
    size = -1
    while size != len(found):
        size = len(found)
        found |= {one for one, other in referring if other in found}
    return sorted(found)


def _statements(style: Any, connection: BaseDatabaseWrapper, reset_sequences: bool, allow_cascade: bool) -> list[str]:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    # An empty table's sequence may have gone on all the same.
    emptied = tables if reset_sequences else filled(connection, tables)
    return connection.ops.sql_flush(style, emptied, reset_sequences=reset_sequences, allow_cascade=allow_cascade)


def _tell(verbosity: int, interactive: bool, db: str, **kwargs: Any) -> None:
    """Emit post_migrate; to those who make content types and permissions only where some are missing."""
    if not _kept(connections[db]):
        emit_post_migrate_signal(verbosity, interactive, db, **kwargs)
        return
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid=_PERMISSIONS)
    try:
        emit_post_migrate_signal(verbosity, interactive, db, **kwargs)
    finally:
        post_migrate.connect(create_contenttypes)
        post_migrate.connect(create_permissions, dispatch_uid=_PERMISSIONS)


def install() -> None:
    """Let Django's `flush` work so in this process."""
    flush.sql_flush = _statements
    flush.emit_post_migrate_signal = _tell
