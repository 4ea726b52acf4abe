"""Python values as the texts that PostgreSQL reads: one converter a type, found once."""

import datetime as dt
import enum
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.backends.postgresql.psycopg_any import Range
from django.db.models import Model
from django.db.models.expressions import Combinable, DatabaseDefault, Value
from psycopg2.extras import Json

from ops.load.copytext import NULL, escaped

FAULTS = re.compile("[\0\ud800-\udfff]")
"""NUL and halves of surrogate pairs, which PostgreSQL has in no text."""


class BadValue(Exception):
    """A value that PostgreSQL cannot hold as text. Has it as text, where it has one."""

    def __init__(self, reason: str, value: str | None = None) -> None:
        super().__init__(reason)
        self.value = value


def copied(text: str | None) -> str:
    """Return the text as a field of COPY. Raises BadValue for NUL and halves of surrogate pairs."""
    if text is None:
        return NULL
    if text.isprintable() and "\\" not in text:
        return text
    if found := FAULTS.search(text):
        what = "a NUL character" if found[0] == "\0" else f"half of a surrogate pair (U+{ord(found[0]):04X})"
        raise BadValue(what, text)
    return escaped(text)


def array(items: Iterable[Any], text_of: Callable[[Any], str | None]) -> str:
    """Return the literal of a PostgreSQL array; lists in it are dimensions."""
    found = []
    for item in items:
        if isinstance(item, list | tuple):
            found.append(array(item, text_of))
        else:
            text = text_of(item)
            found.append("NULL" if text is None else _quoted(text))
    return "{" + ",".join(found) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Texts(dict[type, Callable[[Any], str | None]]):
    """Converters by the exact type of a value; one that is met first is found by what it is an instance of."""

    def __init__(self, *, arrays: bool = False, key: str = "pk") -> None:
        super().__init__()
        self._arrays = arrays
        self._key = key

    def __call__(self, value: Any) -> str | None:
        """Return the value's text; None is null."""
        return self[type(value)](value)

    def __missing__(self, kind: type) -> Callable[[Any], str | None]:
        # What is not listed says itself what it is: a Decimal, a UUID, an IP address.
        found = next((converter for base, converter in self._converters().items() if issubclass(kind, base)), str)
        self[kind] = found
        return found

    def _converters(self) -> dict[type, Callable[[Any], str | None]]:
        listed = self._array if self._arrays else _json
        return {
            type(None): lambda _: None,
            # Before str and int, of which it may be one too.
            enum.Enum: lambda value: self(value.value),
            str: str.__str__,
            bool: lambda value: "t" if value else "f",
            # The type's own, as repr of a subclass says its name.
            int: int.__repr__,
            float: float.__repr__,
            dt.datetime: dt.datetime.isoformat,
            dt.date: dt.date.isoformat,
            dt.time: dt.time.isoformat,
            dt.timedelta: _interval,
            bytes: _bytea,
            bytearray: _bytea,
            memoryview: _bytea,
            Range: self._range,
            Json: lambda value: _json(value.adapted),
            Mapping: lambda value: _json(dict(value)),
            list: listed,
            tuple: listed,
            set: listed,
            frozenset: listed,
            DatabaseDefault: self._default,
            Combinable: _expression,
            # An object of another model stands for its key, as in Django.
            Model: lambda value: self(getattr(value, self._key)),
        }

    def _default(self, value: Any) -> str | None:
        """Return what a column's default is where Python can tell: a constant."""
        return self(value.expression.value) if isinstance(value.expression, Value) else _expression(value)

    def _array(self, items: Iterable[Any]) -> str:
        return array(items, self)

    def _range(self, value: Any) -> str:
        if value.isempty:
            return "empty"
        lower, upper = (
            "" if bound is None or (text := self(bound)) is None else _quoted(text)
            for bound in (value.lower, value.upper)
        )
        return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"


class Documents(Texts):
    """Converters of values that are JSON as they are: a text is a JSON string, as `save()` has it."""

    def __missing__(self, kind: type) -> Callable[[Any], str | None]:
        if issubclass(kind, Json):
            return lambda value: _json(value.adapted)
        return (lambda _: None) if kind is type(None) else _json


def _json(value: Any) -> str:
    if isinstance(value, set | frozenset):
        value = list(value)
    try:
        return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise BadValue(f"no JSON: {exc}", repr(value)[:1000]) from None


def _interval(value: dt.timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def _bytea(value: bytes | bytearray | memoryview) -> str:
    return "\\x" + value.hex()


def _expression(value: Any) -> str:
    raise BadValue("an expression of the database instead of a value", repr(value))


def json_line(value: Any) -> bytes:
    """Return the value as one line of JSON; where it has none, its repr."""
    try:
        text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
        return text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError):
        return repr(value).encode("utf-8", "backslashreplace") + b"\n"
