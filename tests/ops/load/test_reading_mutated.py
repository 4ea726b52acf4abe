"""Whatever is done to a file, every good record arrives and every bad one is named by its line."""

import csv
import io
import random
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ops.load.delimited import Delimited
from ops.load.reading import Layout, open_reader
from tests.ops.load.plain_reading import LINE, expected, read, rows_of

HEADER = b"id,name,price,day,note\n"
TEXTS = st.text(st.sampled_from("ab,;\t\"\\\r\n N'é한\u2028\x85\x0c") | st.characters(codec="utf-8"), max_size=8).map(
    lambda text: text.replace("\0", "")
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), max_size=12)),
    st.sampled_from(",;\t| §"),
    st.sampled_from(("\n", "\r\n", "\r")),
    st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-32-be", "gb18030")),
    st.sampled_from((4, 16, 52, 400, 1 << 18)),
    st.booleans(),
)
def test_any_table_arrives_in_any_dialect(
    table: list[list[str]], delimiter: str, end: str, quoting: int, encoding: str, block: int, turned: bool
) -> None:
    names = [f"c{place}" for place in range(len(table[0]) if table else 2)]
    text, numbers, number = "", [], 1
    for row in (names, *table):
        # Before 3.13 the writer quotes only the line ends that are its own.
        written = io.StringIO()
        csv.writer(written, delimiter=delimiter, lineterminator="\r\n", quoting=quoting).writerow(row)
        text += written.getvalue()[:-2] + end
        numbers.append(number)
        number += len(LINE.findall(written.getvalue()))
    order = -1 if turned else 1
    reader = open_reader(io.BytesIO(text.encode(encoding)), Layout(delimiter=delimiter, encoding=encoding), block=block)
    reader.select(names[::order])
    pieces = list(reader.pieces())
    assert [bad for piece in pieces for bad in piece.bad] == []
    assert [row for piece in pieces for row in rows_of(piece.data)] == [
        (line, row[::order]) for line, row in zip(numbers[1:], table, strict=True)
    ]
    assert not pieces or (pieces[-1].offset, pieces[-1].line) == (len(text.encode(encoding)), number)


def _insert(what: bytes) -> Callable[[random.Random, bytes], bytes]:
    def mutate(chance: random.Random, line: bytes) -> bytes:
        at = chance.randrange(len(line))
        return line[:at] + what + line[at:]

    return mutate


MUTATIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "quote": _insert(b'"'),
    "quoted quote": _insert(b'"",""'),
    "quote at a field's start": lambda chance, line: line.replace(b",", b',"', chance.randint(1, 3)),
    "quote at a field's end": lambda chance, line: line.replace(b",", b'",', chance.randint(1, 3)),
    "NUL": _insert(b"\0"),
    "bad byte": _insert(b"\xe9"),
    "bad bytes": _insert(b"\xed\xa0\x80\xff"),
    "delimiter": _insert(b","),
    "no delimiter": lambda chance, line: line.replace(b",", b"", chance.randint(1, 2)),
    "lone CR": _insert(b"\r"),
    "CRLF": lambda chance, line: line.replace(b"\n", b"\r\n"),
    "LF": _insert(b"\n"),
    "blank line": lambda chance, line: line + b"\n" * chance.randint(1, 3),
    "blanks": lambda chance, line: b"   \n" + line,
    "huge field": lambda chance, line: line.replace(b",", b"," + b"x" * 200_000, 1),
    "backslash": _insert(b"\\"),
    "backslash N": lambda chance, line: b"\\N" + line,
    "end of data": lambda chance, line: b"\\.\n" + line,
    "tab": _insert(b"\t"),
    "BOM": _insert(b"\xef\xbb\xbf"),
    "quoted": lambda chance, line: b'"' + line.strip().replace(b",", b'","') + b'"\n',
    "several lines": lambda chance, line: line.rstrip() + b',"a\nb\r\n""c"""\n' if chance.random() < 0.1 else line,
    "a good record of several lines": lambda chance, line: line[: line.rindex(b",")] + b',"a\n\nb,\r\n""c"""\n',
    "no end": lambda chance, line: line.rstrip(b"\n"),
    "line separators": _insert("\u2028\x85\x0b\x0c".encode()),
}


def _good(chance: random.Random, number: int) -> bytes:
    note = chance.choice(("", "some words", "größer", "한글", "it's", "50%"))
    return f"{number},name {number},{chance.randint(1, 9999) / 100},2024-01-{number % 28 + 1:02d},{note}\n".encode()


@pytest.mark.parametrize(("seed", "block"), [(1, 1 << 18), (2, 1 << 12), (3, 1 << 9), (4, 97), (5, 1 << 15)])
def test_mutated_lines_are_read_as_the_rules_say(seed: int, block: int) -> None:
    chance = random.Random(seed)
    lines = []
    for number in range(2000):
        line = _good(chance, number)
        if chance.random() < 0.15:
            names = [name for name in MUTATIONS if name != "huge field" or chance.random() < 0.1]
            for name in chance.choices(names, k=chance.choice((1, 1, 1, 2))):
                line = MUTATIONS[name](chance, line) if line else line
        lines.append(line)
    data = b"".join(lines)

    rows, bad, _ = read(HEADER + data, block=block)

    good, bad_lines = expected(data, 5, first=2)
    assert [found.line for found in bad] == bad_lines
    assert rows == good
    assert len(bad) > 60
    physical = data.splitlines(keepends=True)
    for found in bad:
        assert found.reason
        assert found.value is None or (found.value.isprintable() and len(found.value) <= 200)
        # Its own bytes, from its line on.
        begin = b"".join(physical[found.line - 2 : found.line + 400])
        assert begin.startswith(found.raw) or found.raw == begin + b"\n"


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_line_costs_no_other(name: str) -> None:
    chance = random.Random(name)
    for block in (64, 1 << 18):
        lines = [_good(chance, number) for number in range(60)]
        spoilt = set(chance.sample(range(60), 3))
        for place in spoilt:
            lines[place] = MUTATIONS[name](chance, lines[place])
        rows, _, _ = read(HEADER + b"".join(lines), block=block)
        arrived = {row[0] for _, row in rows}
        # The one after a line without an end is a part of it.
        lost = {str(place + 1) for place in spoilt if name == "no end"}
        assert {str(place) for place in range(60) if place not in spoilt} - lost <= arrived


def test_stray_quotes_take_no_quadratic_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0
    record = Delimited._parsed

    def counted(self: Delimited, *lines: str) -> list[str]:
        nonlocal parsed
        parsed += len(lines)
        return record(self, *lines)

    monkeypatch.setattr(Delimited, "_parsed", counted)
    rows, bad, _ = read(b"a,b\n" + b'x","y\n' * 2000)
    assert (rows, len(bad)) == ([], 2000)
    assert parsed < 30_000


PARTS = (
    b'"',
    b'"',
    b'""',
    b'","',
    b",",
    b",",
    b"\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"a",
    b"\\",
    b"\t",
    b"\0",
    b"\xe9",
    b"a,b\n",
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from((*PARTS, b'"a","b"\n', b'"x",y\n', "é".encode())), max_size=40),
    st.integers(1, 3),
    st.sampled_from((1, 20, 1 << 18)),
    st.sampled_from(",;\t"),
)
@example([b'"', b"\n"], 1, 1, ",")
@example([b'"', b"\n", b'"', b"\n"], 1, 1, ",")
@example([b'"', b",", b'"'], 2, 1, "\t")
@example([b'"', b"\n", b"a", b'"', b"\n"], 1, 1, ",")
def test_any_bytes_are_read_as_the_rules_say(parts: list[bytes], width: int, block: int, delimiter: str) -> None:
    header = delimiter.join(f"c{place}" for place in range(width)).encode() + b"\n"
    data = b"".join(parts).replace(b",", delimiter.encode())
    rows, bad, _ = read(header + data, Layout(delimiter=delimiter), block=block)
    assert (rows, [found.line for found in bad]) == expected(data, width, delimiter, first=2)
