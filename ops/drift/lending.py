"""What the real database has and no migration makes, lent to the scratch database where a migration fails without it.

Schemas and extensions that somebody has made by hand, tables of apps without migrations. They are made at the first
failure that they may mend, not before: an extension that a migration makes is then that migration's.
"""

import re
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.contrib.postgres.operations import CreateExtension
from django.db import Error, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from psycopg2.sql import SQL, Identifier

from ops import sql
from ops.drift.model import Objects, key

# No such schema, object, function, table.
_WANTING = {"3F000", "42704", "42883", "42P01"}
_WORD = re.compile(r"[A-Za-z_][\w$]*")
_PRIVILEGES = re.compile(r"\s*(GRANT|REVOKE)\b", re.IGNORECASE)


def extension_of(operation: Operation) -> str:
    """Return the extension that an operation makes, "" for all other operations."""
    return str(operation.name) if isinstance(operation, CreateExtension) else ""


def text_of(operation: RunSQL) -> str:
    """Return the statements of RunSQL."""
    if isinstance(operation.sql, str):
        return operation.sql
    return ";\n".join(one if isinstance(one, str) else str(one[0]) for one in operation.sql)


def named_in(operation: RunSQL, objects: Objects) -> list[str]:
    """Return the keys of the tables that RunSQL names; of no table is more expected for what it grants."""
    text = text_of(operation)
    if _PRIVILEGES.match(text):
        return []
    words = {word.lower() for word in _WORD.findall(text)}
    return [name for name, one in objects.items() if one["kind"] == "table" and str(one["name"]).lower() in words]


def _state(exc: BaseException | None) -> str:
    """Return the SQLSTATE of an error of the server's, also where Django or the project has wrapped it."""
    while exc is not None:
        if code := getattr(exc, "pgcode", None) or getattr(exc, "sqlstate", None):
            return str(code)
        exc = exc.__cause__ or exc.__context__
    return ""


class Loan:
    """What is lent, once, to a scratch database."""

    def __init__(self, connection: BaseDatabaseWrapper, request: Mapping[str, Any], loader: MigrationLoader) -> None:
        self.connection = connection
        self.request = request
        self.unmigrated: set[str] = loader.unmigrated_apps
        self.notes: list[str] = []
        self.lent: Objects = {}
        self.done = False

    def helps(self, exc: BaseException) -> bool:
        """Say whether a failure may be for want of what can be lent, and has not been yet."""
        return not self.done and _state(exc) in _WANTING

    def schema(self, name: str) -> None:
        """Make a schema."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql.load("ops/create_scratch_schema.sql").compose(schema=name))

    def lend(self) -> None:
        """Make all that can be had, each by itself."""
        self.done = True
        for name in self.request["schemas"]:
            self.schema(name)
        for name, schema in self.request["extensions"]:
            statement = SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {} CASCADE").format(
                Identifier(name), Identifier(schema)
            )
            try:
                with self.connection.cursor() as cursor:
                    cursor.execute(statement)
            except Error as exc:
                self.notes.append(f"The scratch database can't have the extension {name}: {exc}".strip())
        self._tables()

    def _tables(self) -> None:
        """Make the tables of apps without migrations, as `migrate --run-syncdb` does."""
        there = set(self.connection.introspection.table_names())
        models = [
            model
            for label in sorted(self.unmigrated)
            for model in router.get_migratable_models(apps.get_app_config(label), self.connection.alias)
            if model._meta.can_migrate(self.connection) and model._meta.db_table not in there
        ]
        with self.connection.schema_editor() as editor:
            for model in models:
                editor.create_model(model)

    def needed(self, objects: Objects) -> Objects:
        """Return of what was lent the extensions and schemas that something depends on."""
        if not self.done:
            return {}
        with self.connection.cursor() as cursor:
            cursor.execute(sql.load("ops/list_scratch_needed.sql").compose())
            used = {str(row[0]) for row in cursor.fetchall()}
        names = [key("extension", name) for name, _ in self.request["extensions"] if name in used]
        schemas = {str(one["schema"]) for one in objects.values() if one["kind"] != "schema" and "schema" in one}
        names += [key("schema", name) for name in self.request["schemas"] if name in schemas and name != "public"]
        return {name: objects[name] for name in names if name in objects}
