"""Rows of Python as COPY text: mappings, sequences, model instances and other objects with attributes.

What the caller's iterable raises is raised as it is.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import DatabaseDefault, Value

from ops.load.copytext import shown
from ops.load.reading import BadInput, BadRecord, Layout, Piece, Reader
from ops.load.values import BadValue, Documents, Texts, copied, json_line

LINE = "_line"
"""The column in which a row may carry the line of a file that it was made of: bad rows are named by it."""

AT_ONCE = 2000
"""Rows of a piece, at most."""


class _BadRow(Exception):
    """A row that cannot be read. Has the key concerned ("" is the whole row) and the value."""

    def __init__(self, reason: str, column: str = "", value: str | None = None) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value


class Rows(Reader):
    """Rows of an iterable, numbered from 1. The columns are those given, or those of the first row."""

    def __init__(self, source: Iterable[Any], columns: Sequence[str], arrays: frozenset[str], block: int) -> None:
        if isinstance(source, Mapping | bytes | bytearray) or not hasattr(source, "__iter__"):
            raise BadInput(
                f"Rows are read from an iterable of mappings, sequences or model instances, not from a "
                f"{type(source).__name__}: give a list of them, or the path of a file."
            )
        self._source = source
        self._block = block
        self._arrays = arrays
        self._fresh = True
        self._hash = hashlib.sha256()
        self._rows = self._begin()
        self.names = list(columns)
        self._derived = not columns
        first = next(self._rows, None) if not columns else None
        if first is not None:
            self._rows = chain((first,), self._rows)
            self.names = _names_of(first)
        if len(set(self.names)) < len(self.names):
            raise BadInput(f"The columns of the rows name one twice: they are {', '.join(self.names)[:200]}.")
        self._known = frozenset(self.names)
        # Rows that were made of a file's lines may say which.
        self._lines = self.names.index(LINE) if LINE in self.names else None
        self._chosen = list(self.names)
        self.layout = Layout(kind="jsonl", header=tuple(self.names))
        self._last = 0
        self._takers: dict[type, Callable[[Any], Sequence[Any]]] = {}

    def _begin(self) -> Iterator[Any]:
        if isinstance(self._source, QuerySet):
            # Iterating over it would keep all instances.
            return iter(self._source.iterator(chunk_size=AT_ONCE))
        return iter(self._source)

    def pieces(self, offset: int = 0, line: int = 0) -> Iterator[Piece]:
        if not self._fresh:
            if isinstance(self._source, Iterator):
                raise BadInput("The rows were read already and cannot be read again: give a new iterator.")
            self._rows = self._begin()
            self._hash = hashlib.sha256()
        self._fresh = False
        plain = Texts()
        shared = {
            **dict.fromkeys(self._arrays, Texts(arrays=True)),
            **dict.fromkeys(self._documents, Documents()),
            **{name: Texts(key=key) for name, key in self._related.items()},
        }
        places = [self.names.index(name) for name in self._chosen]
        columns = [(place, shared.get(self.names[place], plain)) for place in places]
        parts: list[bytes] = []
        bad: list[BadRecord] = []
        number = begun = size = 0
        self._last = 0
        for number, row in enumerate(self._rows, 1):
            line = self._line_of(number, row)
            try:
                part = self._copied(line, row, columns)
            except _BadRow as exc:
                value = None if exc.value is None else shown(exc.value)
                bad.append(BadRecord(line, exc.column, value, str(exc), self._raw(row)))
            else:
                self._hash.update(part)
                size += len(part)
                parts.append(part)
            if number <= offset:
                begun, size = number, 0
                parts.clear()
                bad.clear()
            elif number - begun >= AT_ONCE or size >= self._block:
                yield Piece(b"".join(parts), number - begun, bad, number, number + 1)
                begun, size, bad = number, 0, []
                parts.clear()
        if number > begun:
            yield Piece(b"".join(parts), number - begun, bad, number, number + 1)

    def _copied(self, number: int, row: Any, columns: list[tuple[int, Texts]]) -> bytes:
        kind = type(row)
        taker = self._takers.get(kind)
        if taker is None:
            taker = self._takers[kind] = self._taker(row)
        values = taker(row)
        fields = [str(number)]
        place = 0
        try:
            for place, texts in columns:
                value = values[place]
                fields.append(copied(texts[type(value)](value)))
        except BadValue as exc:
            raise _BadRow(str(exc), self.names[place], exc.value) from None
        return "\t".join(fields).encode() + b"\n"

    def _line_of(self, number: int, row: Any) -> int:
        if self._lines is None:
            return number
        found = row.get(LINE) if isinstance(row, Mapping) else row[self._lines] if len(row) > self._lines else None
        if not isinstance(found, int) or found <= self._last:
            raise BadInput(
                f"Row {number:,} has {found!r} as {LINE}, after {self._last:,}: it names the row, so it is a whole "
                "number that grows with each."
            )
        self._last = found
        return found

    def _taker(self, row: Any) -> Callable[[Any], Sequence[Any]]:
        """Return how values are taken from rows of this type, in the order of the columns."""
        if isinstance(row, Mapping):
            return self._of_mapping
        if isinstance(row, Sequence) and not isinstance(row, str | bytes | bytearray):
            return self._of_sequence
        if isinstance(row, Model) and self._derived:
            return self._of_instance
        if isinstance(row, Model) or (dataclasses.is_dataclass(row) and not isinstance(row, type)):
            if len(self.names) > 1:
                return attrgetter(*self.names)
            return lambda found: (getattr(found, self.names[0]),)
        return self._of_none

    def _of_instance(self, row: Model) -> list[Any]:
        """Return the values of the columns that the first instance had; another that is set must not be lost."""
        for field in row._meta.concrete_fields:
            if field.attname not in self._known and _is_set(field, row):
                raise _BadRow(f"{field.attname!r} is set here and was not in the first row: give columns=(..)")
        return [getattr(row, name) for name in self.names]

    def _of_mapping(self, row: Mapping[str, Any]) -> list[Any]:
        if not row.keys() <= self._known:
            key = next(key for key in row if key not in self._known)
            raise _BadRow(f"{key!r} is no column of these rows", str(key), repr(row[key]))
        return [row.get(name) for name in self.names]

    def _of_sequence(self, row: Sequence[Any]) -> Sequence[Any]:
        if len(row) != len(self.names):
            raise _BadRow(f"{len(row):,} {'column' if len(row) == 1 else 'columns'} instead of {len(self.names):,}")
        return row

    def _of_none(self, row: Any) -> Sequence[Any]:
        raise _BadRow(f"a row is a mapping, a sequence or a model instance, not {type(row).__name__}", "", repr(row))

    def _raw(self, row: Any) -> bytes:
        if isinstance(row, Mapping):
            return json_line(dict(row))
        if isinstance(row, Model) or (dataclasses.is_dataclass(row) and not isinstance(row, type)):
            return json_line({name: getattr(row, name) for name in self.names})
        if isinstance(row, Sequence) and not isinstance(row, str) and len(row) == len(self.names):
            return json_line(dict(zip(self.names, row, strict=True)))
        return json_line(row)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close nothing: the iterable is the caller's."""


def _names_of(row: Any) -> list[str]:
    """Return the columns that the first row has. Raises BadInput where it names none."""
    found: Iterable[Any] = ()
    if isinstance(row, Mapping):
        found = row
    elif isinstance(row, Model):
        found = [field.attname for field in row._meta.concrete_fields if _is_set(field, row)]
    elif dataclasses.is_dataclass(row):
        found = [field.name for field in dataclasses.fields(row)]
    elif isinstance(row, tuple):
        found = getattr(row, "_fields", ())
    names = list(found)
    if not names or not all(isinstance(name, str) for name in names):
        raise BadInput(f"The first row, {shown(repr(row))}, does not name its columns: give columns=(..).")
    return names


def _is_set(field: Any, row: Model) -> bool:
    """Tell whether an instance has a value for a field that Django itself would write."""
    if field.generated or getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return False
    value = getattr(row, field.attname)
    if isinstance(value, DatabaseDefault):
        return isinstance(value.expression, Value)  # type: ignore[attr-defined]  # the stubs lack it
    return not (value is None and field.primary_key)
