"""CSV and TSV as COPY text: what arrives, what is set aside and why, and what refuses the whole input."""

import gzip
import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ops.load.delimited import Delimited
from ops.load.files import FileReader
from ops.load.reading import BadInput, Layout, encode_record, kind_of, open_reader
from tests.ops.load.plain_reading import read


def fields(source: Any, layout: Layout | None = None, **options: Any) -> list[list[str | None]]:
    """Return the fields of a source in which nothing is bad."""
    rows, bad, _ = read(source, layout, **options)
    assert bad == []
    return [row for _, row in rows]


def reasons(data: bytes, layout: Layout | None = None, **options: Any) -> dict[int, str]:
    return {found.line: found.reason for found in read(data, layout, **options)[1]}


def refusal(source: Any, layout: Layout | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        read(source, layout)
    return str(caught.value)


# What arrives


def test_the_fields_of_plain_lines_arrive_behind_their_numbers() -> None:
    reader = open_reader(io.BytesIO(b"a,b\n1,x\n2,\n"))
    assert reader.names == ["a", "b"]
    (piece,) = reader.pieces()
    assert (piece.data, piece.records, piece.bad) == (b"2\t1\tx\n3\t2\t\n", 2, [])
    assert (piece.offset, piece.line) == (11, 4)


def test_numbers_of_lines_go_on_past_thousands() -> None:
    rows, _, _ = read(b"a\n" + b"x\n" * 2500)
    assert rows == [(line, ["x"]) for line in range(2, 2502)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_in_any_way(end: str, last: bool) -> None:
    data = end.join(("a,b", "1,2", "3,4", *([""] if last else []))).encode()
    for block in (1, 7, 1000):
        rows, bad, _ = read(data, block=block)
        assert (rows, bad) == ([(2, ["1", "2"]), (3, ["3", "4"])], [])


def test_a_line_end_inside_quotes_is_the_values() -> None:
    rows, _, _ = read(b'a,b\n"x\r\ny",1\n"x\ry",2\n"x\n\ny",3\nz,4\n')
    assert rows == [(2, ["x\r\ny", "1"]), (4, ["x\ry", "2"]), (6, ["x\n\ny", "3"]), (9, ["z", "4"])]


def test_blank_lines_count_as_lines_only() -> None:
    rows, bad, _ = read(b"\n\r\na,b\n\n1,2\n\r\n\n3,4\n\n")
    assert (rows, bad) == ([(5, ["1", "2"]), (8, ["3", "4"])], [])


def test_quotes_are_those_of_rfc_4180() -> None:
    data = b'a,b\n"x,y","say ""hi"""\n5" pipe,it"s\n"",""""\n"a",b\n'
    assert fields(data) == [["x,y", 'say "hi"'], ['5" pipe', 'it"s'], ["", '"'], ["a", "b"]]


def test_what_copy_would_take_for_its_own_is_escaped() -> None:
    data = b"a,b\n\\N,\\.\n\\,\\\\\nt\tab,\\t\n"
    assert fields(data) == [["\\N", "\\."], ["\\", "\\\\"], ["t\tab", "\\t"]]
    reader = open_reader(io.BytesIO(data))
    assert next(reader.pieces()).data.startswith(b"2\t\\\\N\t\\\\.\n")


def test_columns_are_chosen_in_any_order() -> None:
    data = b'a,b,c\n1,2,3\n"4",5,"6"\n'
    for names in (["c", "a"], ["b"], ["a", "b", "c"], ["c", "b", "a"], ["a", "a"]):
        reader = open_reader(io.BytesIO(data))
        reader.select(names)
        expected = b"".join(
            b"\t".join((str(line).encode(), *(row[name] for name in names))) + b"\n"
            for line, row in (
                (2, {"a": b"1", "b": b"2", "c": b"3"}),
                (3, {"a": b"4", "b": b"5", "c": b"6"}),
            )
        )
        assert b"".join(piece.data for piece in reader.pieces()) == expected
    with pytest.raises(BadInput, match="no column 'd': it has a, b, c"):
        reader.select(["d"])
    with pytest.raises(BadInput, match="at least one"):
        reader.select([])


def test_a_delimiter_at_the_end_of_every_line_is_no_column() -> None:
    _, _, reader = read(b"Date, USD ,\n2024-01-02,1.1,\n")
    assert reader.names == ["Date", "USD"]
    assert fields(b"Date,USD,\n2024-01-02,1.1,\n") == [["2024-01-02", "1.1"]]
    rows, bad, _ = read(b"a,b,\n1,2,\n3,4,x\n5,6\n7,8,\n")
    assert rows == [(2, ["1", "2"]), (5, ["7", "8"])]
    assert [(found.line, found.reason) for found in bad] == [
        (3, "a value in the column without a name"),
        (4, "2 columns instead of 3"),
    ]


def test_a_header_alone_is_no_record() -> None:
    for data in (b"a,b\n", b"a,b", b"a,b\n\n\n", b"\xef\xbb\xbfa,b\r\n"):
        rows, bad, reader = read(data)
        assert (rows, bad, reader.names) == ([], [], ["a", "b"])
        assert reader.preamble == data.rstrip(b"\n") + b"\n" * (b"\n" in data) or data.endswith(b"\r\n")


def test_a_header_may_be_given_or_quoted_or_go_over_lines() -> None:
    rows, _, reader = read(b"1,2\n3,4\n", Layout(header=("a", "b")))
    assert (rows, reader.names, reader.preamble) == ([(1, ["1", "2"]), (2, ["3", "4"])], ["a", "b"], b"")
    assert read(b"1,2\n", columns=("a", "b"))[2].names == ["a", "b"]
    rows, _, reader = read(b'"a\nb","c ""d"""\n1,2\n')
    assert (rows, reader.names) == ([(3, ["1", "2"])], ["a\nb", 'c "d"'])
    assert read(b'x,user"; DROP TABLE x; --\n')[2].names == ["x", 'user"; DROP TABLE x; --']


def test_a_field_may_be_huge() -> None:
    huge = b"x" * 3_000_000
    rows = fields(b"a,b\n1," + huge + b'\n2,"' + huge + b'"\n3,4\n')
    assert rows == [["1", huge.decode()], ["2", huge.decode()], ["3", "4"]]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "größe,한글,€,\U0001f600"),
        ("utf-8-sig", "größe,한글,€,\U0001f600"),
        ("latin-1", "größe,é,ÿ,x"),
        ("cp1252", "größe,€,“,x"),
        ("euc-kr", "한글,서울,x,값"),
        ("cp949", "한글,똠방,x,값"),
        ("shift-jis", "表示,ソ,十,ー"),
        ("gb18030", "中文,€,\U0001f600,x"),
        ("utf-16", "größe,한글,Ċ਍,\U0001f600"),
        ("utf-16-be", "größe,한글,Ċ਍,\U0001f600"),
        ("utf-32", "größe,한글,Ċ਍,\U0001f600"),
    ],
)
def test_encodings(encoding: str, text: str) -> None:
    table = f'a,b,c,d\r\n{text}\n"1",\'2",3,4\n{text}\n'.replace("'2\"", '"\r\n"')
    for block in (4, 50, 1 << 18):
        rows, bad, _ = read(table.encode(encoding), Layout(encoding=encoding), block=block)
        assert bad == []
        assert rows == [(2, text.split(",")), (3, ["1", "\r\n", "3", "4"]), (5, text.split(","))]


# What is set aside


def test_a_wrong_number_of_columns() -> None:
    assert reasons(b"a,b,c\n1,2\n1,2,3\n1,2,3,4\nx\n   \n") == {
        2: "2 columns instead of 3",
        4: "4 columns instead of 3",
        5: "1 column instead of 3",
        6: "1 column instead of 3",
    }


def test_broken_quoting_costs_its_own_line_only() -> None:
    rows, bad, _ = read(b'a,b\n1,"x\n2,y\n3,"z" z\n4,"ok"\n5,w\n')
    assert rows == [(3, ["2", "y"]), (5, ["4", "ok"]), (6, ["5", "w"])]
    assert [(found.line, found.column, found.value, found.raw) for found in bad] == [
        (2, "b", '"x', b'1,"x\n'),
        (4, "b", '"z" z', b'3,"z" z\n'),
    ]
    assert bad[0].reason == (
        "broken quoting: the quote opened in column 'b' is not closed on its line, and line 4 has text after one"
    )
    assert bad[1].reason == "broken quoting: text after the closing quote in column 'b'"


def test_a_quote_that_is_never_closed() -> None:
    rows, bad, _ = read(b'a,b\n1,"x\n2,y\n')
    assert rows == [(3, ["2", "y"])]
    assert bad[0].reason == "broken quoting: the quote opened in column 'b' is not closed"


def test_a_quote_that_is_closed_too_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Delimited, "span", 100)
    rows, bad, _ = read(b'a,b\n1,"x\n' + b"2,y\n" * 30 + b'3,z"\n', block=40)
    assert len(rows) == 31
    assert bad[0].reason.endswith("in column 'b' is not closed within 100 bytes")


def test_a_record_of_several_lines_with_too_many_columns_costs_its_first_line() -> None:
    rows, bad, _ = read(b'a,b\n1,"x\n2,y\n3,",z\n4,5\n')
    assert rows == [(3, ["2", "y"]), (5, ["4", "5"])]
    assert [found.line for found in bad] == [2, 4]
    assert bad[0].reason == (
        "broken quoting: the quote opened in column 'b' is not closed on its line, and up to line 4 there are "
        "3 columns instead of 2"
    )


def test_nul_and_bytes_that_are_no_text() -> None:
    rows, bad, _ = read(b'a,b\n1,\0x\n2,caf\xe9\n"3\n\0",4\n"\xff\n5",6\n7,8\n')
    assert rows == [(8, ["7", "8"])]
    assert [(found.line, found.column, found.value, found.reason, found.raw) for found in bad] == [
        (2, "b", "\\x00x", "a NUL character", b"1,\0x\n"),
        (3, "b", "caf\\xe9", "not UTF-8: byte 0xe9", b"2,caf\xe9\n"),
        (4, "a", "3\\n\\x00", "a NUL character", b'"3\n\0",4\n'),
        (6, "a", "\\xff\\n5", "not UTF-8: byte 0xff", b'"\xff\n5",6\n'),
    ]


def test_bytes_that_are_no_text_in_other_encodings() -> None:
    assert reasons(b"a\n\x81\nx\n", Layout(encoding="cp1252")) == {2: "not cp1252: byte 0x81"}
    assert reasons(b"a\n\xb0\nx\n", Layout(encoding="euc-kr")) == {2: "not euc-kr: byte 0xb0"}
    half = "a\nx\n".encode("utf-16") + b"\x00\xd8" + "\ny\n".encode("utf-16-le") + b"z"
    rows, bad, _ = read(half, Layout(encoding="utf-16"))
    assert rows == [(2, ["x"]), (4, ["y"])]
    assert [(found.line, found.reason) for found in bad] == [(3, "not utf-16: byte 0x00"), (5, "not utf-16: byte 0x7a")]
    assert bad[0].raw == b"\x00\xd8\n\x00"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch, end: bytes, quote: bytes) -> None:
    monkeypatch.setattr(FileReader, "longest", 5000)
    monkeypatch.setattr(Delimited, "span", 4000)
    data = b"a,b" + end + b"1,2" + end + quote + b"x" * 20_000 + quote + b",2" + end + b"3,4" + end + b"5,6"
    for block in (64, 1000, 1 << 18):
        rows, bad, _ = read(data, block=block)
        if block > 20_000:
            # What was read at once is there, and fits.
            assert len(rows) == 4
            continue
        assert rows == [(2, ["1", "2"]), (4, ["3", "4"]), (5, ["5", "6"])]
        assert [found.line for found in bad] == [3]
        assert bad[0].reason == "longer than 5,000 bytes, of which only the first are kept"
        assert len(bad[0].raw) == 1001


def test_a_bad_last_line_gets_a_line_end() -> None:
    assert read(b"a,b\n1")[1][0].raw == b"1\n"


# What refuses the whole input


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    assert "No such file or directory; give the path of a file" in refusal(tmp_path / "none.csv")
    assert "Is a directory" in refusal(tmp_path)
    assert "null byte" in refusal("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_bytes(b"a\n1\n")
    path.chmod(0)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize("data", [b"", b"\n\r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", gzip.compress(b"", mtime=0)])
def test_an_empty_input(data: bytes) -> None:
    assert refusal(data) == "the stream is empty: give a file whose first line names its columns."


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"a,b,a\n1,2,3\n", "names the column 'a' twice"),
        (b"a, b,b \n1,2,3\n", "names the column 'b' twice"),
        (b",,a\n1,2,3\n", "names the column '' twice"),
        (b",,\n1,2,3\n", "names no column"),
        (b'a,"b\n1,2\n', "Line 1 of the stream cannot name its columns: broken quoting"),
        (b"\na,\0\n1,2\n", "Line 2 of the stream cannot name its columns: a NUL character"),
        (b"a,\xe9\n1,2\n", "not UTF-8: byte 0xe9"),
        ("a,b\n".encode("utf-16"), "give --encoding utf-16"),
        ("a,b\n".encode("utf-32"), "give --encoding utf-32"),
        (b"PK\x03\x04....", "a zip archive or a spreadsheet"),
    ],
)
def test_headers_that_name_no_columns(data: bytes, found: str) -> None:
    assert found in refusal(data)


def test_layouts_that_cannot_be() -> None:
    assert "No encoding is called 'klingon'" in refusal(b"a\n", Layout(encoding="klingon"))
    for name in ("utf-7", "iso2022_jp", "cp037", "rot13", "unicode_escape"):
        assert f"Lines cannot be told apart in {name}" in refusal(b"a\n", Layout(encoding=name))
    assert "No input is of the kind 'xml'" in refusal(b"a\n", Layout(kind="xml"))
    for delimiter in (";;", '"', "\n", "\\", "x"):
        assert "cannot be a delimiter" in refusal(b"a\n", Layout(delimiter=delimiter))
    assert "names the column 'a' twice" in refusal(b"1,2\n", Layout(header=("a", "a")))
    assert "open it in binary mode" in refusal(io.StringIO("a\n1\n"))


# Where it comes from


def test_standard_input_and_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(into, b'a,b\n1,2\n3,"x'), os.close(into)))
    writer.start()
    with open(out, "rb") as pipe:
        rows, bad, reader = read(pipe, block=4)
    writer.join()
    # The last record is judged for itself: the pipe ends, and nothing says that there was more.
    assert rows == [(2, ["1", "2"])]
    assert [found.reason for found in bad] == ["broken quoting: the quote opened in column 'b' is not closed"]
    assert not reader.seekable
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert fields("-") == [["1", "2"]]


def test_kinds_by_name() -> None:
    names = {"a.csv": "csv", "a.TSV.gz": "tsv", "a.tab": "tsv", "a.b.jsonl": "jsonl", "x/a.ndjson.zst": "jsonl"}
    assert {name: kind_of(name) for name in names} == names
    assert [kind_of(name) for name in ("a", "a.gz", "jsonl", "a.txt", "")] == ["csv"] * 5


def test_tsv(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b'a\tb\n1,2\t"x\ty"\n"3"\t4\n')
    assert fields(path) == [["1,2", "x\ty"], ["3", "4"]]


def test_records_are_written_as_the_file_has_them() -> None:
    for data, layout in (
        (b"a,b,c,\n", Layout()),
        ("a;b;c\n".encode("utf-16"), Layout(delimiter=";", encoding="utf-16")),
        (b"a\tb\tc\n", Layout(kind="tsv")),
    ):
        _, _, reader = read(data, layout)
        values = ["x\ty,;", 'say "hi"\r', None]
        written = encode_record(["b", "a", "c"], values, reader.layout)
        assert fields(reader.preamble + written, layout) == [['say "hi"\r', "x\ty,;", ""]]
    assert encode_record(["a"], ["é"], Layout(encoding="latin-1")) == b"\xe9\n"
    assert encode_record(["b"], ["1"], Layout(header=("a", "b"))) == b",1\n"
