"""The rows that a load has written, read back from its changesets: a batch is held at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections

from ops.engine.batches import values_of
from ops.engine.shape import Shape
from ops.models import Changeset, Run


class Row(NamedTuple):
    """One written row: its primary key (a tuple), whether it was inserted, and the fields that were asked for."""

    key: tuple[Any, ...]
    inserted: bool
    values: tuple[Any, ...]


def written(run: Run, fields: Sequence[str]) -> Iterator[Row]:
    """Yield the rows that a load inserted and updated, with these fields as they are now; not those that are gone."""
    alias = run.alias
    model = apps.get_model(run.target)
    shape = Shape(model, (), connections[alias])
    kept = Changeset.objects.using(alias).filter(run=run, month=run.month).order_by("id").defer("before", "after")
    for one in kept.iterator(chunk_size=1):
        keys = values_of(shape, one.keys)
        inserted = one.kind == Changeset.Kind.INSERT
        if not fields:
            yield from (Row(key, inserted, ()) for key in keys)
            continue
        wanted = [key[0] if len(key) == 1 else key for key in keys]
        names = [field.attname for field in shape.key_fields]
        rows = model._default_manager.using(alias).filter(pk__in=wanted).values_list(*names, *fields)
        by_key = {row[: len(names)]: row[len(names) :] for row in rows}
        yield from (Row(key, inserted, by_key[key]) for key in keys if key in by_key)
