"""What the readers of files have in common: blocks of lines become pieces, and a place to go on from."""

import abc
import re
from collections.abc import Iterator
from dataclasses import replace

from ops.load.blocks import RECORD, Blocks, Codec, TooLong, codec_of
from ops.load.copytext import shown
from ops.load.reading import BadInput, BadRecord, Layout, Piece, Reader
from ops.load.sources import Source

SMALL = 1 << 11
"""Bytes that are read record by record where a block cannot be translated as a whole."""

_FAULTS = re.compile("[\0\udc00-\udcff]")
"""NUL, and bytes that were no text."""


class FileReader(Reader):
    """Records of a file, of standard input or of a stream."""

    longest = RECORD
    """Bytes of the longest line that is read."""
    _unfinished: bool
    """Whether the source broke off within a record of several lines, which is not read then."""

    def __init__(self, source: Source, layout: Layout, block: int) -> None:
        self._source = source
        self._given = layout
        self._block = block
        self.seekable = source.seekable
        self._begin()
        self._chosen = list(self.names)
        self._fresh = True

    def _begin(self) -> None:
        self._offset, self._line = 0, 1
        self._unfinished = False
        start = self._source.read(self._block)
        self._codec, mark = codec_of(self._given.encoding, start)
        if not start and self._source.broken:
            raise self._broken()
        self.layout = replace(self._given, encoding=self._codec.name)
        self._blocks = Blocks(self._source, self._codec, start[mark:], self._block, self.longest)
        self._offset = mark
        self.preamble = start[:mark]
        self._header()

    @abc.abstractmethod
    def _header(self) -> None:
        """Find `names`; take what is no record. Raises BadInput."""

    @abc.abstractmethod
    def _data(self, block: bytes, piece: Piece) -> bytes:
        """Return COPY text of the block's records (and of lines after it, where the last one goes on there).

        Advances `_offset` and `_line` and counts in the piece.
        """

    def pieces(self, offset: int = 0, line: int = 0) -> Iterator[Piece]:
        if not self._fresh:
            self._source.rewind()
            self._begin()
        self._fresh = False
        if offset > self._offset:
            self._skip(offset)
            self._line = line
        while block := self._blocks.take():
            before = self._offset
            piece = Piece(b"", 0, [], 0, 0)
            piece.data = self._piece(block, piece)
            piece.offset, piece.line = self._offset, self._line
            if self._offset > before:
                yield piece
            if self._unfinished:
                break
        if self._source.broken:
            raise self._broken()

    def _piece(self, block: bytes, piece: Piece) -> bytes:
        if not isinstance(block, TooLong):
            return self._data(block, piece)
        piece.records += 1
        reason = f"longer than {self.longest:,} bytes, of which only the first are kept"
        lf = self._codec.lf
        value = shown(self._codec.decode(block))
        piece.bad.append(BadRecord(self._line, "", value, reason, bytes(block) + lf))
        self._offset += block.size
        self._line += 1
        return b""

    def _skip(self, offset: int) -> None:
        while self._offset < offset:
            block = self._blocks.take()
            if not block:
                if self._source.broken:
                    raise self._broken()
                raise BadInput(
                    f"{self._source.name} ends before byte {offset:,}, where reading was to go on: give the file as it "
                    "was."
                )
            size = block.size if isinstance(block, TooLong) else len(block)
            if size > offset - self._offset:
                self._blocks.give([block[offset - self._offset :]])
                size = offset - self._offset
            self._offset += size

    def _broken(self) -> BadInput:
        return BadInput(
            f"{self._source.name} is whole only up to line {self._line - 1}: after that, {self._source.broken}."
        )

    def _reject(self, piece: Piece, column: str, value: str | None, reason: str, raw: bytes) -> None:
        """Set a record aside, which begins on the present line."""
        if not raw.endswith((self._codec.lf, self._codec.cr)):
            raw += self._codec.lf
        piece.bad.append(BadRecord(self._line, column, None if value is None else shown(value), reason, raw))

    def _fault_of(self, text: str) -> str:
        """Say why the value cannot be stored as text; "" if it can."""
        found = _FAULTS.search(text)
        if not found:
            return ""
        return (
            "a NUL character" if found[0] == "\0" else f"not {self._codec.spoken}: byte 0x{ord(found[0]) - 0xDC00:02x}"
        )

    def digest(self) -> str:
        return self._source.digest()

    def close(self) -> None:
        self._source.close()


def plural(number: int, word: str) -> str:
    """Return the number and the word, in its plural where it must be."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def small(block: bytes, codec: Codec) -> list[bytes]:
    """Cut a block into runs of whole lines of about SMALL bytes."""
    if len(block) <= SMALL:
        return [block]
    found: list[bytes] = []
    lines: list[bytes] = []
    size = 0
    for line in codec.split(block):
        lines.append(line)
        size += len(line)
        if size >= SMALL:
            found.append(b"".join(lines))
            lines, size = [], 0
    return [*found, b"".join(lines)] if lines else found
