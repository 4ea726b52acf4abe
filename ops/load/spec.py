"""What a load is to do, resolved: which source column feeds which column, what identifies a row, what it becomes."""

import re
from dataclasses import dataclass, field
from typing import Any

from django.db.models import DateField, DateTimeField, Field, Model, TimeField
from django.utils import timezone

from ops import sql
from ops.engine.catalog import Arbiter, Column, Reference, Table

_REFERS = re.compile(r"\b(target|excluded)\s*\.", re.IGNORECASE)
_SETTLES = re.compile(r"^\s*(greatest|least|coalesce)\s*\(.*\)\s*$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Lookup:
    """A foreign key that is given by a natural key: columns of the parent, each fed by a source column."""

    column: str
    parent: Reference
    parts: tuple[tuple[str, str, int], ...]
    """Column of the parent, its type, and which source column feeds it."""
    create: bool
    word: str
    table: str
    """The parent's table as messages name it."""


@dataclass(frozen=True)
class Wanted:
    """What an existing row's column becomes: SQL over `target` and `excluded`."""

    field: str
    column: Column
    text: str | None
    """None is the loaded value itself."""
    clock: bool = False


@dataclass
class Spec:
    """A load, resolved. `sources` are the staged source columns, by their place."""

    model: type[Model]
    table: Table
    sources: list[str]
    fed: dict[str, int]
    """Column of the target by the place of the source that feeds it."""
    lookups: list[Lookup]
    constants: dict[str, Any]
    """Column by the value that all rows get."""
    inserted: dict[str, Any]
    """Column by the SQL, or the `Value`, that only an inserted row gets."""
    arbiter: Arbiter
    wanted: list[Wanted]
    policy: str
    newest: str | None
    duplicates: str
    summed: tuple[str, ...]
    masked: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)
    """Column by the name under which messages speak of it."""

    @property
    def merged(self) -> list[str]:
        """Return the target's columns that the merge table holds."""
        return [*self.fed, *(lookup.column for lookup in self.lookups), *self.constants]

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the fields whose values the changesets keep: what is written, but keys, which say which row it was."""
        if self.policy != "keep":
            return tuple(one.field for one in self.wanted)
        keys = {name for name in self.arbiter.names if name} | {str(one.column) for one in self.model._meta.pk_fields}
        return tuple(
            one.name
            for one in self.model._meta.local_concrete_fields
            if one.column in self.merged and one.column not in keys
        )

    @property
    def adds(self) -> bool:
        """Tell whether loading the same rows again would change them again."""
        return any(
            one.text is not None and "target" in referred(one.text) and not settles(one.text) for one in self.wanted
        )

    @property
    def refers_to_itself(self) -> bool:
        """Tell whether rows of the input may refer to others of it."""
        return any(key.itself and set(key.own) & set(self.merged) for key in self.table.refers_to)


@dataclass(frozen=True)
class Value:
    """A Python value that becomes a literal of a column's type."""

    value: Any


def referred(text: str) -> set[str]:
    """Return which of target and excluded an expression names."""
    return {found.lower() for found in _REFERS.findall(sql.without_quoted(text))}


def settles(text: str) -> bool:
    """Tell whether an expression of what is there comes to rest: the same input again changes nothing."""
    return _SETTLES.match(text) is not None


def quoted_name(name: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def clock_of(one: "Field[Any, Any]") -> str:
    """Return the SQL of the present moment for a field; a day and a time of day are those of the project's zone."""
    if isinstance(one, DateTimeField):
        return "clock_timestamp()"
    zone = timezone.get_default_timezone_name().replace("'", "''")
    kind = "date" if isinstance(one, DateField) else "time" if isinstance(one, TimeField) else "timestamp"
    return f"(clock_timestamp() AT TIME ZONE '{zone}')::{kind}"
