"""Rows of Python as COPY text: every type as PostgreSQL reads it, and rows that are none named."""

import dataclasses
import datetime as dt
import enum
import hashlib
import ipaddress
import json
import math
import uuid
from collections import UserDict, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateRange, NumericRange, Range
from django.db.models import F
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from psycopg2.extras import Json

from billing.models import Client, Currency
from ops.load.reading import BadInput, open_reader
from tests.ops.load.plain_reading import read


class Shade(enum.Enum):
    DARK = "dark"


class Level(enum.IntEnum):
    HIGH = 3


class Count(int):
    def __repr__(self) -> str:
        return f"Count({int(self)})"


KST = dt.timezone(dt.timedelta(hours=9))

SCALARS: list[tuple[Any, str, Any]] = [
    # A value, the type that PostgreSQL reads it as, and what it gives back.
    ("x", "text", "x"),
    ("", "text", ""),
    ("\\N", "text", "\\N"),
    ("a\tb\nc\rd\\e\x01\x85\u2028", "text", "a\tb\nc\rd\\e\x01\x85\u2028"),
    (SafeString("<b>"), "text", "<b>"),
    (gettext_lazy("words"), "text", "words"),
    (None, "text", None),
    (True, "boolean", True),
    (0, "integer", 0),
    (-(10**30), "numeric", Decimal(-(10**30))),
    (Count(7), "integer", 7),
    (Level.HIGH, "integer", 3),
    (Shade.DARK, "text", "dark"),
    (0.1, "double precision", 0.1),
    (1e300, "double precision", 1e300),
    (math.inf, "double precision", math.inf),
    (-math.inf, "double precision", -math.inf),
    (Decimal("1.10"), "numeric", Decimal("1.10")),
    (Decimal("1E+3"), "numeric", Decimal(1000)),
    (dt.date(2024, 2, 29), "date", dt.date(2024, 2, 29)),
    (dt.time(23, 59, 59, 1), "time", dt.time(23, 59, 59, 1)),
    (dt.datetime(2024, 2, 29, 1, 2, 3, 4, KST), "timestamptz", dt.datetime(2024, 2, 29, 1, 2, 3, 4, KST)),
    (dt.datetime(1, 1, 1), "timestamp", dt.datetime(1, 1, 1)),
    (dt.timedelta(days=-1, seconds=5, microseconds=7), "interval", dt.timedelta(days=-1, seconds=5, microseconds=7)),
    (uuid.UUID(int=5), "uuid", uuid.UUID(int=5)),
    (b"\\\0\xff", "bytea", b"\\\0\xff"),
    (bytearray(b"ab"), "bytea", b"ab"),
    (memoryview(b"ab"), "bytea", b"ab"),
    (b"", "bytea", b""),
    (ipaddress.ip_address("::1"), "text", "::1"),
    (NumericRange(1, 5), "int4range", NumericRange(1, 5)),
    (NumericRange(None, 5, "()"), "numrange", NumericRange(None, 5, "()")),
    (NumericRange(Decimal("1.5"), None, "[]"), "numrange", NumericRange(Decimal("1.5"), None, "[)")),
    (NumericRange(empty=True), "int4range", NumericRange(empty=True)),
    (DateRange(dt.date(2024, 1, 1), None), "daterange", DateRange(dt.date(2024, 1, 1), None)),
    (Range('a"b,\\', "c]", "[]"), "text", '["a\\"b,\\\\","c]"]'),
]


@pytest.mark.django_db
def test_the_server_reads_every_value_as_it_is() -> None:
    rows, bad, _ = read([[value] for value, _, _ in SCALARS], columns=["a"])
    assert bad == []
    with connection.cursor() as cursor:
        for (_, fields), (value, kind, expected) in zip(rows, SCALARS, strict=True):
            cursor.execute(f"SELECT %s::text::{kind}", [fields[0]])
            (found,) = cursor.fetchone()
            assert (bytes(found) if kind == "bytea" else found) == expected, value


def text(value: Any, arrays: frozenset[str] = frozenset()) -> str | None:
    rows, bad, _ = read([{"a": value}], arrays=arrays)
    assert bad == []
    return rows[0][1][0]


def test_json() -> None:
    value = {"b": [1, None, Decimal("1.10"), dt.date(2024, 1, 2)], "é": "\\"}
    assert text(value) == '{"b": [1, null, "1.10", "2024-01-02"], "é": "\\\\"}'
    assert text([1, "x"]) == '[1, "x"]'
    assert text((1,)) == "[1]"
    assert text(Json("x")) == '"x"'
    assert text(UserDict(a=1)) == '{"a": 1}'
    assert text(float("nan")) == "nan"
    assert text(Decimal("NaN")) == "NaN"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1, None, 2], "integer[]"),
        ([], "text[]"),
        (['a"b', "c\\d", "", "NULL", "{x}", None, "\t\n"], "text[]"),
        ([[1, 2], [3, 4]], "integer[]"),
        ([dt.date(2024, 1, 2)], "date[]"),
        ([{"a": '"'}, {"b": [1]}], "jsonb[]"),
    ],
)
def test_lists_are_arrays_where_they_are_to_be(value: list[Any], kind: str) -> None:
    literal = text(value, frozenset({"a"}))
    assert text(tuple(value), frozenset({"a"})) == literal
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::text::{kind}", [literal])
        found = cursor.fetchone()[0]
        assert (list(map(json.loads, found)) if kind == "jsonb[]" else found) == value


def test_mappings() -> None:
    rows, bad, reader = read([{"a": 1, "b": 2}, {"b": 3}, {"c": 4}, UserDict(a=5), {}])
    assert reader.names == ["a", "b"]
    assert rows == [(1, ["1", "2"]), (2, [None, "3"]), (4, ["5", None]), (5, [None, None])]
    assert [(found.line, found.column, found.value, found.reason, found.raw) for found in bad] == [
        (3, "c", "4", "'c' is no column of these rows", b'{"c": 4}\n')
    ]
    rows, _, reader = read(iter([{"b": 1}]), columns=("a", "b"))
    assert (reader.names, rows) == (["a", "b"], [(1, [None, "1"])])


def test_sequences() -> None:
    pair = namedtuple("pair", "a b")
    rows, bad, reader = read([pair(1, 2), (3, 4), [5, 6], (7,), "ab", None, 5])
    assert reader.names == ["a", "b"]
    assert rows == [(1, ["1", "2"]), (2, ["3", "4"]), (3, ["5", "6"])]
    assert [(found.line, found.reason, found.raw) for found in bad] == [
        (4, "1 column instead of 2", b"[7]\n"),
        (5, "a row is a mapping, a sequence or a model instance, not str", b'"ab"\n'),
        (6, "a row is a mapping, a sequence or a model instance, not NoneType", b"null\n"),
        (7, "a row is a mapping, a sequence or a model instance, not int", b"5\n"),
    ]
    reader = open_reader([(1, 2)], columns=("a", "b"))
    reader.select(["b"])
    assert [piece.data for piece in reader.pieces()] == [b"1\t2\n"]


def test_instances() -> None:
    rows, bad, _ = read([Currency(code="KRW", minor_units=0)], columns=("code", "minor_units"))
    assert (rows, bad) == ([(1, ["KRW", "0"])], [])
    assert read([Client(pk=5)], columns=("id",))[0] == [(1, ["5"])]
    assert "id" in read([Client(pk=5)])[2].names

    @dataclasses.dataclass
    class Point:
        x: int
        y: int

    assert read([Point(1, 2)])[0] == [(1, ["1", "2"])]


@pytest.mark.django_db
def test_a_queryset() -> None:
    Currency.objects.create(code="XTS", minor_units=3)
    rows, _, _ = read(Currency.objects.filter(code="XTS"), columns=("code",))
    assert rows == [(1, ["XTS"])]
    assert read(Currency.objects.filter(code="XTS").values("code"))[0] == rows


def test_values_that_cannot_be_stored() -> None:
    rows = [{"a": "x\0"}, {"a": "\ud800"}, {"a": {"b": object()}}, {"a": F("b")}, {"a": ["\0"]}, {"a": 1}]
    good, bad, _ = read(rows, arrays=frozenset({"a"}))
    assert good == [(6, ["1"])]
    assert [(found.line, found.column, found.reason) for found in bad] == [
        (1, "a", "a NUL character"),
        (2, "a", "half of a surrogate pair (U+D800)"),
        (3, "a", "no JSON: Object of type object is not JSON serializable"),
        (4, "a", "an expression of the database instead of a value"),
        (5, "a", "a NUL character"),
    ]
    assert bad[0].value == "x\\x00"
    assert bad[0].raw == b'{"a": "x\\u0000"}\n'


def test_what_refuses_the_whole_input() -> None:
    for given, found in (
        ({"a": 1}, "not from a dict"),
        (b"a", "not from a bytes"),
        (5, "not from a int"),
        ([(1, 2)], "does not name its columns"),
        ([{}], "does not name its columns"),
        ([{1: 2}], "does not name its columns"),
    ):
        with pytest.raises(BadInput, match=found):
            open_reader(given)  # type: ignore[arg-type]  # what must be refused
    with pytest.raises(BadInput, match="name one twice"):
        open_reader([], columns=("a", "a"))


def test_no_rows() -> None:
    rows, bad, reader = read([])
    assert (rows, bad, reader.names) == ([], [], [])
    assert read([], columns=("a",))[2].names == ["a"]


def test_what_the_rows_raise_is_raised_as_it_is() -> None:
    def failing() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise LookupError("the caller's own")

    reader = open_reader(failing())
    with pytest.raises(LookupError, match="the caller's own"):
        list(reader.pieces())


def test_pieces_are_bounded_and_can_be_gone_on_from() -> None:
    given = [{"a": number} for number in range(5000)] + [{"b": 1}]
    reader = open_reader(given)
    pieces = list(reader.pieces())
    assert [(piece.records, piece.offset, piece.line) for piece in pieces] == [
        (2000, 2000, 2001),
        (2000, 4000, 4001),
        (1001, 5001, 5002),
    ]
    whole = b"".join(piece.data for piece in pieces)
    assert reader.digest() == hashlib.sha256(whole).hexdigest()
    again = open_reader(iter(given))
    rest = list(again.pieces(2000, 2001))
    assert b"".join(piece.data for piece in rest) == whole[len(pieces[0].data) :]
    assert (rest[-1].bad, again.digest()) == (pieces[-1].bad, reader.digest())
    with pytest.raises(BadInput, match="cannot be read again"):
        next(again.pieces())
    # A list can be.
    assert len(list(reader.pieces())) == 3
    assert [piece.records for piece in open_reader([{"a": "x" * 300}] * 10, block=1000).pieces()] == [4, 4, 2]
