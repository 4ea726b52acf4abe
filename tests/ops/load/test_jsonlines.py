"""JSON lines as COPY text: every value to the letter, and every line that is no record named."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.load.reading import BadInput, Layout, encode_record, open_reader
from tests.ops.load.plain_reading import read

JSONL = Layout(kind="jsonl")


def one(text: str, arrays: frozenset[str] = frozenset()) -> str | None:
    rows, bad, _ = read(b'{"a": ' + text.encode() + b"}\n", JSONL, arrays=arrays)
    assert bad == []
    ((_, fields),) = rows
    (value,) = fields
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.10", "1.10"),
        ("12345678901234567890.123", "12345678901234567890.123"),
        ("1" * 5000, "1" * 5000),
        ("-0", "-0"),
        ("1E400", "1E400"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("true", "t"),
        ("false", "f"),
        ("null", None),
        ('""', ""),
        (r'"\\N"', r"\N"),
        (r'"a\tb\nc\rd\\e \"f\" \u00e9 \ud83d\ude00"', 'a\tb\nc\rd\\e "f" é 😀'),
        ('{"b": [1.10, null, true, "\\u00e9\\n"], "c": {}}', '{"b": [1.10, null, true, "é\\n"], "c": {}}'),
        ("[]", "[]"),
        ('[1.0, "x"]', '[1.0, "x"]'),
    ],
)
def test_values(text: str, expected: str | None) -> None:
    assert one(text) == expected


def test_lists_are_arrays_where_they_are_to_be() -> None:
    text = '[1.10, null, "a\\"b\\\\c,{}", "", "NULL", true, {"k": [1]}, [2, 3]]'
    assert one(text, frozenset({"a"})) == '{"1.10",NULL,"a\\"b\\\\c,{}","","NULL","t","{\\"k\\": [1]}",{"2","3"}}'
    assert one("[]", frozenset({"a"})) == "{}"
    assert one('"{1,2}"', frozenset({"a"})) == "{1,2}"


def test_columns_are_the_keys_of_the_first_records() -> None:
    rows, bad, reader = read(b'\n{"b": 1}\r\n  \n{"a": 2, "b": 3}\r{"c": null}\n', JSONL)
    assert reader.names == ["b", "a", "c"]
    assert (rows, bad) == ([(2, ["1", None, None]), (4, ["3", "2", None]), (5, [None, None, None])], [])
    late = b'{"a": 1}\n' * 1000 + b'{"a": 2, "b": 3}\n{"a": 4}'
    for block in (64, 1 << 18):
        rows, bad, reader = read(late, JSONL, block=block)
        assert reader.names == ["a"]
        assert len(rows) == 1001
        assert [(found.line, found.column, found.value, found.reason) for found in bad] == [
            (1001, "b", "3", "'b' is no column of this file")
        ]
    rows, bad, reader = read(b'{"b": 1}\n{"c": 1}\n', Layout(kind="jsonl", header=("a", "b")))
    assert (reader.names, rows, [found.column for found in bad]) == (["a", "b"], [(1, [None, "1"])], ["c"])


def test_columns_are_chosen() -> None:
    reader = open_reader(io.BytesIO(b'{"a": 1, "b": 2, "c": 3}\n'), JSONL)
    reader.select(["c", "a"])
    assert [piece.data for piece in reader.pieces()] == [b"1\t3\t1\n"]


def test_lines_that_are_no_record() -> None:
    lines = [
        b'{"a": 1}',
        b"[1]",
        b"5",
        b'"x"',
        b"null",
        b"{",
        b'{"a": 1} x',
        b"{'a': 1}",
        b'{"a": "x\0"}',
        b'{"a": "x\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": "caf\xe9"}',
        b"\xe9",
        b'{"a": ' + b"[" * 100_000 + b"}",
        b'{"a": ["\\udfff"]}',
        b'{"a": 2}',
    ]
    rows, bad, _ = read(b"\n".join(lines), JSONL)
    assert rows == [(1, ["1"]), (16, ["2"])]
    assert [(found.line, found.column, found.reason) for found in bad] == [
        (2, "", "no JSON object: a list"),
        (3, "", "no JSON object: a number"),
        (4, "", "no JSON object: a text"),
        (5, "", "no JSON object: null"),
        (6, "", "no JSON object: Expecting property name enclosed in double quotes at character 2"),
        (7, "", "no JSON object: Extra data at character 10"),
        (8, "", "no JSON object: Expecting property name enclosed in double quotes at character 2"),
        (9, "", "a NUL character"),
        (10, "a", "a NUL character"),
        (11, "a", "half of a surrogate pair (U+D800)"),
        (12, "a", "not UTF-8: byte 0xe9"),
        (13, "", "not UTF-8: byte 0xe9"),
        (14, "", "no JSON object: nested too deeply"),
        (15, "a", "half of a surrogate pair (U+DFFF)"),
    ]
    assert [found.raw for found in bad] == [line + b"\n" for line in lines[1:15]]
    assert all(found.value is None or found.value.isprintable() for found in bad)


def test_keys_that_cannot_be_columns() -> None:
    rows, bad, reader = read(b'{"a\\ud800": 1}\n{"b": 1}\n{"\\u0000": 1}\n', JSONL)
    assert (reader.names, rows) == (["b"], [(2, ["1"])])
    assert [(found.line, found.column) for found in bad] == [(1, "a\\ud800"), (3, "\\x00")]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "is empty: give a file with one JSON object a line"),
        (b"\n \n", "is empty"),
        (b'[\n{"a": 1},\n{"a": 2}\n]\n', "jq -c"),
        (b"{}\n{}\n", "no JSON object with a key among its first 2 records"),
        (b"x\n", "no JSON object with a key among its first 1 records"),
    ],
)
def test_what_refuses_the_whole_input(data: bytes, found: str) -> None:
    if found == "jq -c":
        # Its inner line is an object, and ends in a comma or not.
        assert [bad.line for bad in read(data, JSONL)[1]] == [1, 2, 4]
        return
    with pytest.raises(BadInput, match=found):
        open_reader(io.BytesIO(data), JSONL)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\n\\\"'é", max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"a": VALUES, 'b"\t\\': VALUES}), max_size=8),
    st.booleans(),
    st.sampled_from(("utf-8", "utf-16-be", "gb18030")),
    st.sampled_from((4, 64, 1 << 18)),
)
def test_any_objects_arrive(table: list[dict[str, Any]], plain: bool, encoding: str, block: int) -> None:
    text = "".join(json.dumps(row, ensure_ascii=plain) + "\n" for row in table)
    if not table:
        return
    rows, bad, reader = read(text.encode(encoding), Layout(kind="jsonl", encoding=encoding), block=block)
    assert bad == []
    for (_, found), row in zip(rows, table, strict=True):
        for field, value in zip(found, map(row.__getitem__, reader.names), strict=True):
            if value is None or isinstance(value, str):
                assert field == value
            elif isinstance(value, bool):
                assert field == ("t" if value else "f")
            else:
                assert field is not None
                assert json.loads(field) == value


def test_records_are_written_as_the_file_has_them() -> None:
    _, _, reader = read(b'{"a": 1, "b": 2}\n', JSONL)
    assert encode_record(["b", "a"], ['é"', None], reader.layout) == '{"a": null, "b": "é\\""}\n'.encode()
    assert encode_record(["b"], ["1"], reader.layout) == b'{"b": "1"}\n'
