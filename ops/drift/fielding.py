"""What Django's state says of tables and columns that no catalogue knows: their models, and the defaults of Python."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.apps.registry import Apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field as DjangoField
from django.db.models import Model
from django.db.models.fields import NOT_PROVIDED

from ops.drift.model import Field, key

Located = Callable[[str], tuple[str, str] | None]
"""From `db_table` of a model to schema and table; None where there is no such table."""

_WITH_SCHEMA = re.compile(r'"?([^"]+)"\."([^"]+)"?\Z')
# Callables that give the same for each row.
_CONSTANT = (dict, list, str, int, float, bool, tuple, set, bytes)


def named(db_table: str) -> tuple[str, str]:
    """Return the schema, "" where none is named, and the table; people name one as `stock"."item`, with the quotes."""
    match = _WITH_SCHEMA.match(db_table)
    return (match[1], match[2]) if match else ("", db_table.strip('"'))


def models_of(apps: Apps, connection: BaseDatabaseWrapper) -> Iterator[type[Model]]:
    """Yield the models whose tables migrations make in this database, those of ManyToManyFields too."""
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.managed and not meta.proxy and not meta.swapped and router.allow_migrate_model(connection.alias, model):
            yield model


def _default(field: "DjangoField[Any, Any]", connection: BaseDatabaseWrapper) -> tuple[str | None, str]:
    """Return the default that AddField gives the rows that are there as a literal, and why there is none."""
    if field.db_default is not NOT_PROVIDED or field.generated:
        return None, ""
    if field.has_default():
        if callable(field.default) and field.default not in _CONSTANT:
            name = getattr(field.default, "__qualname__", repr(field.default))
            return None, f"callable: {name} is called for each row"
    elif getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return None, "auto_now: it is the time at which a row is written"
    try:
        editor = connection.schema_editor(atomic=False)
        value = editor.effective_default(field)
        return (None if value is None else editor.quote_value(value)), ""
    except Exception as exc:
        return None, f"it can't be written as a literal: {type(exc).__name__}: {exc}"


def describe(
    apps: Apps, connection: BaseDatabaseWrapper, located: Located
) -> tuple[dict[str, Field], dict[str, dict[str, Any]]]:
    """Return what the state says of each column and of each table, by their keys."""
    connection.ensure_connection()
    fields: dict[str, Field] = {}
    tables: dict[str, dict[str, Any]] = {}
    for model in models_of(apps, connection):
        meta = model._meta
        place = located(meta.db_table)
        if place is None:
            continue
        auto = bool(meta.auto_created)
        tables[key("table", *place)] = {"model": meta.label, "m2m": auto, "app": meta.app_label}
        for one in meta.local_concrete_fields:
            default, trouble = _default(one, connection)
            fields[key("column", *place, str(one.column))] = Field(
                meta.label, one.name, bool(one.null), default, trouble, m2m=auto
            )
    return fields, tables
