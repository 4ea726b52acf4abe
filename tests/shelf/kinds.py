"""A table of each kind of key: made, read and changed the same way whatever its key is, by any connection."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import Model
from psycopg2.extras import register_uuid
from psycopg2.sql import SQL, Identifier, Placeholder

from ops.engine import run as engine
from ops.engine.batches import values_of
from ops.engine.lifecycle import Options
from ops.engine.registry import find
from ops.engine.shape import Shape
from ops.models import Run
from tests.shelf.models import Counter, CWord, Rate, Reading, Ticket, Word

register_uuid()

Key = tuple[Any, ...]

# What breaks a statement that was put together by hand, and what sorts differently in every collation.
WORDS = (
    "a",
    "B",
    "%s",
    "100%",
    "it's",
    '"',
    "{x}",
    "{",
    "back\\slash",
    "ä",
    "Z",
    "日本",
    "😀",
    "new\nline",
    " ",
    "%(v)s",
)


@dataclass(frozen=True)
class Kind:
    """A model with one kind of key; `key` makes the i-th, `between` others among those, `above` others after them."""

    model: type[Model]
    key: Callable[[int], Key]
    between: Callable[[int], Key]
    above: Callable[[int], Key]

    @property
    def name(self) -> str:
        return self.model.__name__.lower()

    @property
    def columns(self) -> list[str]:
        return [str(field.column) for field in self.model._meta.pk_fields]

    def _table(self) -> Identifier:
        return Identifier(self.model._meta.db_table)

    def insert(self, rows: Iterable[tuple[Key, int]], other: Any = connection) -> None:
        """Insert keys with their v, on this connection or another one."""
        names = [*self.columns, "v"]
        more = {"note": "", "email": ""} if self.model is Counter else {}
        statement = SQL("INSERT INTO {} ({}) VALUES ({})").format(
            self._table(),
            SQL(", ").join(map(Identifier, [*names, *more])),
            SQL(", ").join(Placeholder() * (len(names) + len(more))),
        )
        with other.cursor() as cursor:
            for key, v in rows:
                cursor.execute(statement, [*key, v, *more.values()])

    def fill(self, numbers: Iterable[int]) -> None:
        """Insert the keys of these numbers; every ninth row is as the job wants it already."""
        self.insert((self.key(i), i % 9) for i in numbers)

    def _where(self) -> SQL:
        return SQL(" AND ").join(SQL("{} = {}").format(Identifier(c), Placeholder()) for c in self.columns)

    def delete(self, key: Key, other: Any = connection) -> None:
        with other.cursor() as cursor:
            cursor.execute(SQL("DELETE FROM {} WHERE {}").format(self._table(), self._where()), key)

    def set(self, key: Key, v: int, other: Any = connection) -> None:
        with other.cursor() as cursor:
            cursor.execute(
                SQL("UPDATE {} SET v = {} WHERE {}").format(self._table(), Placeholder(), self._where()), [v, *key]
            )

    def values(self) -> dict[Key, int]:
        """Return v of every row by its key."""
        names = [field.attname for field in self.model._meta.pk_fields]
        return {row[:-1]: row[-1] for row in self.model._default_manager.values_list(*names, "v")}

    def apply(self, **options: Any) -> Run:
        """Bring every row to 7."""
        return engine.apply(find(f"shelf.lift_{self.name}"), {}, Options(**options))[0]

    def text(self, key: Key) -> list[str]:
        """Return a key as one types it."""
        return [part.isoformat() if isinstance(part, date) else str(part) for part in key]

    def written(self, run: Run) -> list[tuple[Key, str, str]]:
        """Return key, before and after of every row in a run's changesets."""
        shape = Shape(self.model, ["v"], connection)
        rows: list[tuple[Key, str, str]] = []
        for kept in run.changesets.order_by("window", "batch"):
            assert len(kept.before) == len(kept.after) == kept.rows == len(kept.keys) // len(self.columns)
            rows += zip(values_of(shape, kept.keys), kept.before, kept.after, strict=True)
        return rows


def _random(number: int) -> Key:
    return (uuid.uuid5(uuid.NAMESPACE_OID, str(number)),)


def _word(number: int) -> Key:
    return (f"{WORDS[number % len(WORDS)]}{number}",)


def _rate(number: int) -> Key:
    return ("KRW", "EUR", "it%")[number % 3], number // 15, date(2026, 1, 1) + timedelta(days=number // 3 % 5)


def _last_word(number: int) -> Key:
    return (f"\U0010fffd{number}",)


NEW = 10_000
"""Where the numbers of keys in between begin."""

KINDS = {
    "integer": Kind(Counter, lambda i: (i * i + 7 * i + 1,), lambda i: (i * i + 7 * i + 3,), lambda i: (10**12 + i,)),
    "uuid": Kind(
        Ticket,
        _random,
        lambda i: (uuid.UUID(int=_random(NEW + i)[0].int % 2**127),),
        lambda i: (uuid.UUID(int=2**128 - 10_000 + i),),
    ),
    "text": Kind(Word, _word, lambda i: _word(NEW + i), _last_word),
    "text in C": Kind(CWord, _word, lambda i: _word(NEW + i), _last_word),
    "composite": Kind(Rate, _rate, lambda i: ("ITL", i, date(2026, 1, 2)), lambda i: ("zz~", i, date(2026, 1, 1))),
    "partitioned": Kind(
        Reading,
        lambda i: (date(2025, 12, 1) + timedelta(days=i % 60), i),
        lambda i: (date(2025, 12, 1) + timedelta(days=i % 59), NEW + i),
        lambda i: (date(2030, 1, 1), i),
    ),
}
