"""A table as PostgreSQL's catalog has it: what it takes, what identifies its rows, what it refuses.

The catalog decides, not the model: so unmanaged models, constraints made by hand and types that Django does not know
are loaded as well.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from ops.engine.session import Session
from ops.engine.shape import quoted

NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
WHOLE = ("smallint", "integer", "bigint")


@dataclass(frozen=True)
class Column:
    """One column: its type as SQL writes it, and what becomes of a row that does not name it."""

    name: str
    kind: str
    length: int | None
    required: bool
    given: str | None
    """The default's expression, None where there is none."""
    generated: bool
    identity: str
    textual: bool
    bytewise: bool
    """Whether equal texts are equal bytes, so that they may be sorted by their bytes, which is far quicker."""
    hashable: bool
    partitioned: bool
    """Whether its table is made of partitions."""

    @property
    def base(self) -> str:
        """Return the type without its modifier."""
        return self.kind.partition("(")[0]

    @property
    def cuts(self) -> bool:
        """Tell whether a cast to the type cuts what is too long, in silence."""
        return self.base in ("character varying", "character", "bit", "bit varying") and self.kind != self.base

    @property
    def scale(self) -> int | None:
        """Return how many decimals a numeric column keeps; None where it keeps all."""
        found = re.fullmatch(r"numeric\(\d+,(\d+)\)", self.kind)
        return int(found[1]) if found else None

    @property
    def fills_itself(self) -> bool:
        """Tell whether a row that does not name the column has a value for it, or may be without one."""
        return not self.required or self.given is not None or bool(self.identity) or self.generated


@dataclass(frozen=True)
class Arbiter:
    """A unique index that may decide between insert and update.

    A part is a column's quoted name or an expression in parentheses; `names` has None for an expression.
    """

    name: str
    is_constraint: bool
    is_primary: bool
    parts: tuple[str, ...]
    names: tuple[str | None, ...]
    predicate: str | None
    equal_nulls: bool
    bytewise: tuple[bool, ...]
    kinds: tuple[str, ...]
    """The type of each part."""

    @property
    def is_plain(self) -> bool:
        """Tell whether it is of columns only, and of all rows."""
        return None not in self.names and self.predicate is None

    def shown(self) -> str:
        """Return the key as a person reads it."""
        where = f" where {self.predicate}" if self.predicate else ""
        nulls = ", nulls equal" if self.equal_nulls else ""
        return f"{', '.join(name or part for name, part in zip(self.names, self.parts, strict=True))}{where}{nulls}"


@dataclass(frozen=True)
class Check:
    """A check constraint: its expression over the table's own columns, and which these are."""

    name: str
    condition: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A foreign key between this table's `own` columns and the `others` of another table, whichever has it."""

    name: str
    own: tuple[str, ...]
    other: str
    others: tuple[str, ...]
    match_full: bool
    itself: bool
    """Whether the other table is this one."""


@dataclass(frozen=True)
class Table:
    """A table whole. `relation` is its quoted name."""

    relation: str
    columns: dict[str, Column]
    arbiters: tuple[Arbiter, ...]
    checks: tuple[Check, ...]
    refers_to: tuple[Reference, ...]
    referred_by: tuple[Reference, ...]


def read(session: Session, table: str) -> Table:
    """Read what the catalog has of a table; raises Django's database errors where there is no such table."""
    relation = quoted(table)
    asked = {"relation": relation}
    columns = [Column(*row) for row in session.execute("ops/list_columns.sql", asked)]
    arbiters = []
    for row in session.execute("ops/list_unique_indexes.sql", asked):
        found: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
        arbiters.append(Arbiter(*found))
    checks = [
        Check(name, condition, tuple(names)) for name, condition, names in session.execute("ops/list_checks.sql", asked)
    ]
    keys = [
        (outgoing, Reference(name, tuple(own), other, tuple(others), match_full, itself))
        for name, outgoing, own, other, others, match_full, itself in session.execute(
            "ops/list_foreign_keys.sql", asked
        )
    ]
    backwards = [replace(key, own=key.others, others=key.own) for _, key in keys if key.itself]
    return Table(
        relation,
        {column.name: column for column in columns},
        tuple(arbiters),
        tuple(checks),
        tuple(key for outgoing, key in keys if outgoing),
        # A table that refers to itself does both.
        tuple([key for outgoing, key in keys if not outgoing] + backwards),
    )
