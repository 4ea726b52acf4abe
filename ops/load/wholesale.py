"""Whole blocks of CSV as lines of COPY text, without looking at the records one by one.

Measured on lines of 106 bytes with 5 columns: a million in 0.25 s, where Python's csv reader alone takes 1.5 s.
"""

import csv
from itertools import repeat


class Wholesale:
    """The translation of blocks with one delimiter and number of columns."""

    def __init__(self, delimiter: str, width: int) -> None:
        self._character = delimiter
        self._delimiter = delimiter.encode()
        self._width = width
        # Deleting what is plain text leaves the structure of all lines, which is then compared at once.
        self._plain = bytes(set(range(256)) - set(b'"\\\0\t\r\n' + self._delimiter))
        self._line = self._delimiter * (width - 1) + b"\n"

    def copied(self, text: bytes) -> bytes | None:
        """Return the same lines, their fields escaped and between tabs; None if one of them may be no good record.

        The text is UTF-8 and ends with its last line. Lines of the result are records and lines of the text alike, so
        that they can be numbered: with a blank line, or a record that goes on over several, it is None too.
        """
        delimiter = self._delimiter
        if len(delimiter) == 1:
            skeleton = text.translate(None, self._plain)
            if skeleton == self._line * (len(skeleton) // self._width) and not _has_blank(text):
                return text.replace(delimiter, b"\t")
        if b"\0" in text:
            return None
        # Inside quotes this changes values; but then there are more lines than records, which is seen below.
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\", b"\\\\")
        if delimiter != b"\t":
            text = text.replace(b"\t", b"\\t")
        if _has_blank(text):
            return None
        if b'"' not in text:
            return self._checked(text.replace(delimiter, b"\t"))
        return self._all_quoted(text) or self._some_quoted(text.split(b"\n")[:-1])

    def _checked(self, text: bytes) -> bytes | None:
        counts = set(map(bytes.count, text.split(b"\n")[:-1], repeat(b"\t")))
        return text if counts == {self._width - 1} else None

    def _all_quoted(self, text: bytes) -> bytes | None:
        """Take lines whose every field is between quotes, and has no quote and no line end in it."""
        if not (text.startswith(b'"') and text.endswith(b'"\n') and len(text) > 2):
            return None
        inner = text[1:-2]
        if inner.count(b'"\n"') != inner.count(b"\n"):
            return None
        # No match of the two shares a quote with another, so what has no quote left was nothing but fields.
        inner, between = inner.replace(b'"\n"', b"\n"), b'"' + self._delimiter + b'"'
        if self._delimiter == b"\t" and inner.count(between) != inner.count(b"\t"):
            return None
        inner = inner.replace(between, b"\t")
        return None if b'"' in inner else self._checked(inner + b"\n")

    def _some_quoted(self, lines: list[bytes]) -> bytes | None:
        places = [place for place, line in enumerate(lines) if b'"' in line]
        quoted = b"\n".join([lines[place] for place in places]).decode().split("\n")
        try:
            rows = list(csv.reader(quoted, delimiter=self._character, strict=True))
        except csv.Error:
            return None
        # Each record has a line at least, so as many records as lines are one on each line. One that goes on over
        # lines without quotes ends in a line with one.
        if len(rows) != len(places) or set(map(len, rows)) != {self._width}:
            return None
        if self._character == "\t":
            rows = [[field.replace("\t", "\\t") for field in row] for row in rows]
        else:
            lines = [line.replace(self._delimiter, b"\t") for line in lines]
        for place, row in zip(places, rows, strict=True):
            lines[place] = "\t".join(row).encode()
        return self._checked(b"\n".join((*lines, b"")))


def _has_blank(text: bytes) -> bool:
    return b"\n\n" in text or text.startswith(b"\n")
