"""CSV and TSV as COPY text: whole blocks where they are plain, record by record where they are not.

Quotes are RFC 4180's, as Python's strict csv reader takes them. A quote that opens a field which is not closed on its
line begins a record of several lines. Where that record turns out malformed in any way, only its first line is a bad
record and reading goes on at the second, so that one stray quote never swallows good lines. A record of several lines
has SPAN bytes at most.
"""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

from ops.load.blocks import RECORD, TooLong
from ops.load.copytext import escaped, numbered, selected
from ops.load.files import FileReader, plural, small
from ops.load.reading import BadInput, Layout, Piece, delimiter_of
from ops.load.sources import Source
from ops.load.wholesale import Wholesale

SPAN = 8 << 20
"""Bytes of the longest record that has several lines: so much is looked through for the end of a stray quote."""

# The last star gives nothing back: an even number of quotes never ends a field.
_QUOTED = re.compile('"[^"]*(?:""[^"]*)*+"')


class _Malformed(Exception):
    """A record is none."""

    def __init__(self, reason: str, column: str = "", value: str | None = None) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value


class _Unfinished(Exception):
    """The source broke off within the record, so that nothing can be said of it."""


class Delimited(FileReader):
    """Records of a CSV or TSV file."""

    span = SPAN

    def __init__(self, source: Source, layout: Layout, block: int) -> None:
        self._delimiter = delimiter_of(layout)
        # The limit is the interpreter's and for fields of 128 KiB; what bounds a record here is its lines.
        csv.field_size_limit(max(csv.field_size_limit(), RECORD))
        super().__init__(source, layout, block)

    # The header

    def _header(self) -> None:
        self._width, self._columns = 0, []
        first = self._first()
        if not self._given.header:
            self._take(*first)
        columns = self._given.header or first[0]
        self._columns = [name.strip() for name in columns]
        self._width = len(self._columns)
        if not any(self._columns):
            raise BadInput(f"{self._source.name} names no column: give a file whose first line names its columns.")
        # A delimiter at the end of every line makes one column more, which has no name.
        self._nameless = not self._columns[-1]
        self.names = self._columns[: self._width - self._nameless]
        for name in self.names:
            if self.names.count(name) > 1:
                raise BadInput(f"{self._source.name} names the column {name!r} twice: rename one of them.")
        self.layout = replace(self.layout, delimiter=self._delimiter, header=tuple(self._columns))
        self._wholesale = Wholesale(self._delimiter, self._width)

    def _first(self) -> tuple[list[str], list[bytes]]:
        """Return the first record and its lines, with the blank ones before it taken, itself not."""
        while block := self._blocks.take():
            lines = self._lines_of(block)
            while lines and not self._codec.decode(lines[0]).strip("\r\n"):
                self._advance(lines.pop(0))
            if lines:
                self._blocks.give([block if isinstance(block, TooLong) else b"".join(lines)])
                return ([], []) if self._given.header else self._named(lines)
        if self._source.broken:
            raise self._broken()
        raise BadInput(f"{self._source.name} is empty: give a file whose first line names its columns.")

    def _named(self, lines: list[bytes]) -> tuple[list[str], list[bytes]]:
        try:
            if isinstance(lines[0], TooLong):
                raise _Malformed("it is too long")
            text = self._codec.decode(lines[0])
            # The lines were given back, so that they are the first block ahead.
            record, more = self._record(lines[0], text, partial(self._following, lines, 1, skip=1))
            if fault := self._fault_of("".join(record)):
                raise _Malformed(fault)
        except (_Malformed, _Unfinished) as exc:
            raise BadInput(
                f"Line {self._line} of {self._source.name} cannot name its columns: {str(exc) or 'it is cut short'}; "
                "give a file whose first line names them."
            ) from exc
        return record, [lines[0], *more]

    def _take(self, _: list[str], lines: list[bytes]) -> None:
        self._blocks.drop(len(lines))
        for line in lines:
            self._advance(line)
            self.preamble += line

    def _advance(self, raw: bytes, lines: int = 1) -> None:
        self._offset += len(raw)
        self._line += lines

    def _lines_of(self, block: bytes) -> list[bytes]:
        return [block] if isinstance(block, TooLong) else self._codec.split(block)

    def _following(self, lines: list[bytes], at: int, skip: int = 0) -> Iterator[bytes]:
        """Yield the lines from `at` on, then those of the blocks ahead, save so many."""
        yield from islice(lines, at, None)
        for block in islice(self._blocks.ahead(), skip, None):
            yield from self._lines_of(block)

    # Blocks

    def _data(self, block: bytes, piece: Piece) -> bytes:
        places = [self.names.index(name) for name in self._chosen]
        quick = self._quick(block, piece, places)
        if quick is not None:
            return quick
        self._blocks.give(small(block, self._codec))
        end = self._offset + len(block)
        parts: list[bytes] = []
        try:
            while self._offset < end:
                run = self._blocks.take()
                quick = self._quick(run, piece, places)
                if quick is not None:
                    parts.append(quick)
                else:
                    self._slow(self._codec.split(run), piece, places, parts)
        except _Unfinished:
            self._unfinished = True
        return b"".join(parts)

    def _quick(self, block: bytes, piece: Piece, places: list[int]) -> bytes | None:
        """Return the COPY text of a block in which every line is a good record; None if one may not be."""
        text = self._codec.utf8(block)
        if text is None:
            return None
        if not text.endswith((b"\n", b"\r")):
            text += b"\n"
        copied = self._wholesale.copied(text)
        if copied is None or (self._nameless and copied.count(b"\t\n") != copied.count(b"\n")):
            return None
        if places == list(range(self._width)):
            lines = copied.split(b"\n")[:-1]
        else:
            lines = selected(copied, self._width, places)
        data = numbered(lines, self._line)
        piece.records += len(lines)
        self._advance(block, len(lines))
        return data

    # Records

    def _slow(self, lines: list[bytes], piece: Piece, places: list[int], parts: list[bytes]) -> None:
        texts = list(map(self._codec.decode, lines))
        at = 0
        while (at := self._good(lines, texts, at, piece, places, parts)) < len(lines):
            # A record that is bad, or that goes on in the next block.
            raw = lines[at]
            at += 1
            piece.records += 1
            try:
                record, more = self._record(raw, texts[at - 1], partial(self._following, lines, at))
            except _Malformed as exc:
                self._reject(piece, exc.column, exc.value, str(exc), raw)
                self._advance(raw)
                continue
            raw = b"".join((raw, *more))
            if self._acceptable(record, raw, piece):
                parts.append(self._copied(record, places))
            self._advance(raw, 1 + len(more))
            at += len(more)
        self._blocks.drop(at - len(lines))

    def _good(
        self, lines: list[bytes], texts: list[str], at: int, piece: Piece, places: list[int], parts: list[bytes]
    ) -> int:
        """Take the good records and blank lines from `at` on, and return where something else is."""
        begin = at
        reader = csv.reader(islice(texts, at, None), delimiter=self._delimiter, strict=True)
        # What is malformed from here on, or goes on in the next block, is looked at by itself.
        with contextlib.suppress(csv.Error):
            for record in reader:
                if record:
                    if len(record) != self._width or not self._acceptable(record, b"", None):
                        break
                    parts.append(self._copied(record, places))
                    piece.records += 1
                end = begin + reader.line_num
                self._advance(lines[at] if end == at + 1 else b"".join(lines[at:end]), end - at)
                at = end
        return at

    def _copied(self, record: list[str], places: list[int]) -> bytes:
        fields = [record[place] for place in places]
        whole = "".join(fields)
        if not whole.isprintable() or "\\" in whole:
            fields = list(map(escaped, fields))
        return "\t".join((str(self._line), *fields)).encode() + b"\n"

    def _acceptable(self, record: list[str], raw: bytes, piece: Piece | None) -> bool:
        """Whether the values of a record can be stored; if not, it is set aside in the piece, if there is one."""
        whole = "".join(record)
        if not whole.isprintable() and self._fault_of(whole):
            for column, value in zip(self._columns, record, strict=True):
                if piece and (fault := self._fault_of(value)):
                    self._reject(piece, column, value, fault, raw)
                    break
            return False
        if self._nameless and record[-1]:
            if piece:
                self._reject(piece, "", record[-1], "a value in the column without a name", raw)
            return False
        return True

    def _record(self, raw: bytes, text: str, following: Callable[[], Iterator[bytes]]) -> tuple[list[str], list[bytes]]:
        """Return the record that begins with this line, and its other lines. Raises _Malformed and _Unfinished."""
        body = text.rstrip("\r\n")
        lines: list[bytes] = []
        if '"' not in body:
            record = body.split(self._delimiter)
        else:
            try:
                record = self._parsed(body)
            except csv.Error:
                record, lines = self._spanning(text, len(raw), following)
        if self._width and len(record) != self._width:
            raise _Malformed(f"{plural(len(record), 'column')} instead of {self._width}")
        return record, lines

    def _parsed(self, *lines: str) -> list[str]:
        return next(csv.reader(lines, delimiter=self._delimiter, strict=True))

    def _spanning(
        self, first: str, size: int, following: Callable[[], Iterator[bytes]]
    ) -> tuple[list[str], list[bytes]]:
        """Return the record of several lines that begins with this one, and its other lines.

        Every line is parsed once as it comes, behind a quote that stands for the open one, so that a record with too
        many columns is given up at once: files full of stray quotes would take quadratic time otherwise.
        """
        body = first.rstrip("\r\n")
        try:
            columns = len(self._parsed(body, '"'))
        except csv.Error:
            column, value = self._broken_at(body)
            where = f" in column {column!r}" if column else ""
            raise _Malformed(f"broken quoting: text after the closing quote{where}", column, value) from None
        # The lines are not kept but read again where they are a record: mostly the quote is a stray one.
        for more, raw in enumerate(following(), 1):
            size += len(raw)
            if size > self.span or isinstance(raw, TooLong):
                raise self._unclosed(body, f" within {self.span:,} bytes")
            text = self._codec.decode(raw)
            if '"' not in text:
                continue
            added, closed = self._continued(text.rstrip("\r\n"))
            columns += added - 1
            if not added:
                raise self._unclosed(body, f" on its line, and line {self._line + more} has text after one")
            if self._width and (columns > self._width or (closed and columns < self._width)):
                found = f"{plural(columns, 'column')} instead of {self._width}"
                raise self._unclosed(body, f" on its line, and up to line {self._line + more} there are {found}")
            if closed:
                lines = list(islice(following(), more))
                return self._parsed(first, *map(self._codec.decode, lines)), lines
        if self._source.broken:
            raise _Unfinished
        raise self._unclosed(body, "")

    def _unclosed(self, body: str, how: str) -> _Malformed:
        column, value = self._broken_at(body)
        where = f" in column {column!r}" if column else ""
        return _Malformed(f"broken quoting: the quote opened{where} is not closed{how}", column, value)

    def _continued(self, body: str) -> tuple[int, bool]:
        """Return the fields of a line that begins inside quotes (0: it is malformed), and whether it closes them."""
        try:
            return len(self._parsed('"' + body)), True
        except csv.Error:
            pass
        try:
            return len(self._parsed('"' + body, '"')), False
        except csv.Error:
            return 0, False

    def _broken_at(self, body: str) -> tuple[str, str]:
        """Return the column, and what it begins with, whose quoting is not whole on its line."""
        at = column = 0
        while True:
            end = body.find(self._delimiter, at)
            if body.startswith('"', at):
                found = _QUOTED.match(body, at)
                end = found.end() if found else -1
                if end < len(body) and body[end] != self._delimiter:
                    end = -1
            if end < 0 or end >= len(body):
                break
            at, column = end + 1, column + 1
        return self._columns[column] if column < len(self._columns) else "", body[at:]
