"""Any input as COPY text: what a layout, a record that cannot be read, and a run of records are.

A reader promises that every record of its input is either in the data of a piece or among its bad records, under the
number of the physical line on which it begins, whatever the input is; and that it holds a few megabytes of it at most.
Lines end in LF, CRLF or CR, and a line end inside quotes belongs to the value. Blank lines count as lines and are no
records.
"""

import abc
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, BinaryIO

from ops.engine.lifecycle import Unusable

BLOCK = 1 << 18
"""Bytes that are read and translated at once."""

KINDS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PACKED = (".gz", ".gzip", ".zst", ".zstd")


class BadInput(Unusable):
    """The whole input cannot be read (on). The message says what was found, and what to do next."""


@dataclass(frozen=True)
class Layout:
    """How an input is written."""

    kind: str = ""
    """csv, tsv or jsonl; "" is by the file's name, and csv where that does not say."""
    delimiter: str = ""
    """One character; "" is a comma for csv and a tab for tsv."""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    """Names of the columns, where the file has no header line."""


@dataclass(frozen=True)
class BadRecord:
    """A record that could not be read."""

    line: int
    """The physical line on which it begins, from 1; of Python rows the row's number."""
    column: str
    """The source column concerned; "" is the whole record."""
    value: str | None
    """The offending value, printable, at most 200 characters."""
    reason: str
    raw: bytes
    """The record's own bytes with its line end (added where the input ends without one). Of a line that is too long to
    be held, its beginning."""


@dataclass
class Piece:
    """A run of whole records."""

    data: bytes
    """COPY text: the line's number and the selected columns of each good record."""
    records: int
    bad: list[BadRecord]
    offset: int
    """Where the next piece begins: bytes of the unpacked source from its start; of Python rows, rows."""
    line: int
    """The physical line on which the next piece begins."""


class Reader(abc.ABC):
    """Records of one input, as pieces of COPY text."""

    names: list[str]
    """The source columns, as the header has them."""
    layout: Layout
    """How the input is written, nothing left open: its `header` names every column of a record, one without a name
    too. With it, `encode_record` writes a record that the same command reads."""
    preamble: bytes = b""
    """What stands before the first record (byte order mark, header line): a file of rejects begins with it."""
    seekable: bool = False
    """Whether another process can open it again and go on at an offset."""

    _chosen: list[str]
    _arrays: frozenset[str] = frozenset()
    _documents: frozenset[str] = frozenset()
    _related: Mapping[str, str] = MappingProxyType({})

    def select(
        self,
        names: Sequence[str],
        arrays: frozenset[str] = frozenset(),
        documents: frozenset[str] = frozenset(),
        keys: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Choose the columns that go into the data, in this order; before that it is all of them.

        `arrays` are those of them whose lists are to be PostgreSQL's arrays instead of JSON. Of Python rows, a value
        of `documents` is JSON whatever its type is, and a model instance in `keys` stands for that attribute of it.
        Raises BadInput for a name that is none of the source's.
        """
        for name in names:
            if name not in self.names:
                found = ", ".join(self.names)[:200]
                raise BadInput(f"The input has no column {name!r}: it has {found}; name one of these.")
        if not names:
            raise BadInput("No column of the input is to be read: name at least one.")
        self._chosen = list(names)
        self._arrays = arrays or self._arrays
        self._documents, self._related = documents, keys

    @abc.abstractmethod
    def pieces(self, offset: int = 0, line: int = 0) -> Iterator[Piece]:
        """Yield the input from the start, or from a piece's `offset` and `line` on. Raises BadInput."""

    @abc.abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 of the whole unpacked source (of Python rows: of the data), once all pieces are read."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close what was opened."""


def open_reader(
    source: Path | str | BinaryIO | Iterable[Any],
    layout: Layout | None = None,
    *,
    columns: Sequence[str] = (),
    arrays: frozenset[str] = frozenset(),
    block: int = BLOCK,
) -> Reader:
    """Return the reader of a file (packed by gzip or zstd or not), of standard input ("-") or of Python rows.

    `columns` names the source columns where rows are sequences or a file has no header; `arrays` names those that are
    arrays in the target, whose lists are written as PostgreSQL's arrays instead of JSON. Raises BadInput.
    """
    layout = layout or Layout()
    if columns and not layout.header:
        layout = replace(layout, header=tuple(columns))
    if isinstance(source, str | PurePath) or hasattr(source, "read"):
        return _file_reader(source, layout, arrays, block)
    from ops.load.rows import Rows

    return Rows(source, layout.header, arrays, block)


def _file_reader(source: Any, layout: Layout, arrays: frozenset[str], block: int) -> Reader:
    from ops.load.delimited import Delimited
    from ops.load.sources import Source

    opened = Source(source)
    try:
        layout = replace(layout, kind=layout.kind or kind_of(opened.name))
        if layout.kind == "jsonl":
            from ops.load.jsonlines import JsonLines

            return JsonLines(opened, layout, arrays, block)
        if layout.kind in ("csv", "tsv"):
            return Delimited(opened, layout, block)
        raise BadInput(f"No input is of the kind {layout.kind!r}: give csv, tsv or jsonl.")
    except BaseException:
        opened.close()
        raise


def kind_of(name: str) -> str:
    """Return what the file's name says of its kind; csv where it says nothing."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return KINDS.get(suffixes[-1] if suffixes else "", "csv")


def delimiter_of(layout: Layout) -> str:
    """Return the character between two fields. Raises BadInput where it cannot be one."""
    found = layout.delimiter or ("\t" if layout.kind == "tsv" else ",")
    if len(found) != 1 or found in '"\r\n\0\\' or found.isalnum() or "\ud800" <= found <= "\udfff":
        raise BadInput(f"{found!r} cannot be a delimiter: give one character, such as ; or |.")
    return found


def encode_record(names: Sequence[str], values: Sequence[str | None], layout: Layout) -> bytes:
    """Return one record as the file itself would have it, line end included, so that it can be loaded again.

    `layout` is a reader's: all columns of its header are written, those that are not among `names` as empty.
    """
    given = dict(zip(names, values, strict=True))
    columns = layout.header or tuple(names)
    if layout.kind == "jsonl":
        line = json.dumps({name: given[name] for name in columns if name in given}, ensure_ascii=False) + "\n"
    else:
        text = io.StringIO()
        # Before Python 3.13 the writer quotes only those line ends that are its own.
        writer = csv.writer(text, delimiter=delimiter_of(layout), lineterminator="\r\n")
        writer.writerow(["" if (value := given.get(name)) is None else value for name in columns])
        line = text.getvalue()[:-2] + "\n"
    return line.encode(layout.encoding or "utf-8", "replace")
