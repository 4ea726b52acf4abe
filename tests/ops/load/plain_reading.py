"""What the tests of reading share: a reader of CSV that is as simple as can be, and COPY text read back."""

import io
import re
from typing import Any

from ops.load.reading import BadRecord, Layout, Reader, open_reader

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BACK = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}

Row = tuple[int, list[str | None]]


def field(text: str) -> str | None:
    """Return what COPY reads of a field."""
    return None if text == r"\N" else re.sub(r"\\(.)", lambda found: _BACK[found[1]], text)


def rows_of(data: bytes) -> list[Row]:
    """Return number and fields of each line of COPY text."""
    assert data == b"" or data.endswith(b"\n")
    found: list[Row] = []
    for line in data.decode("utf-8").split("\n")[:-1]:
        number, *fields = line.split("\t")
        found.append((int(number), list(map(field, fields))))
    return found


def read(source: Any, layout: Layout | None = None, **options: Any) -> tuple[list[Row], list[BadRecord], Reader]:
    """Return the good rows, the bad records and the reader; bytes are a file's."""
    given = io.BytesIO(source) if isinstance(source, bytes) else source
    reader = open_reader(given, layout, **options)
    rows: list[Row] = []
    bad: list[BadRecord] = []
    records = 0
    for piece in reader.pieces():
        rows += rows_of(piece.data)
        bad += piece.bad
        records += piece.records
    assert records == len(rows) + len(bad)
    reader.close()
    return rows, bad, reader


def fields_of(text: str, delimiter: str) -> tuple[list[str], int] | None:
    """Return the first record of the text and how many characters it takes; None if it is malformed."""
    fields: list[str] = []
    at = 0
    while True:
        value = ""
        if text[at : at + 1] == '"':
            at += 1
            while True:
                end = text.find('"', at)
                if end < 0:
                    return None
                value += text[at:end]
                at = end + 1
                if text[at : at + 1] != '"':
                    break
                value += '"'
                at += 1
        else:
            while at < len(text) and text[at] not in f"{delimiter}\r\n":
                value += text[at]
                at += 1
        fields.append(value)
        if at == len(text):
            return fields, at
        if text[at] == delimiter:
            at += 1
        elif ending := re.match(r"\r\n|\r|\n", text[at : at + 2]):
            return fields, at + len(ending[0])
        else:
            return None


def expected(data: bytes, width: int, delimiter: str = ",", first: int = 1) -> tuple[list[Row], list[int]]:
    """Return the rows of UTF-8 CSV and the lines of the bad records, by the rules, a record at a time."""
    lines = LINE.findall(data.decode("utf-8", "surrogateescape"))
    rows: list[Row] = []
    bad: list[int] = []
    at = 0
    while at < len(lines):
        number = at + first
        if not lines[at].strip("\r\n"):
            at += 1
            continue
        # As many lines as a record may have in these tests, so that it does not take quadratic time.
        found = fields_of("".join(lines[at : at + 400]), delimiter)
        if found is None or len(found[0]) != width:
            bad.append(number)
            at += 1
            continue
        fields, size = found
        if re.search("[\0\udc00-\udcff]", "".join(fields)):
            bad.append(number)
        else:
            rows.append((number, list(fields)))
        while size > 0:
            size -= len(lines[at])
            at += 1
    return rows, bad
