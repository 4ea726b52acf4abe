"""The text format of COPY: how a value is written in it, and lines with their numbers.

The format: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS. What is joined by tabs here
is text that was escaped before.
"""

from collections.abc import Sequence
from operator import add

NULL = "\\N"

_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_LOW = [b"%03d\t" % low for low in range(1000)]


def escaped(text: str) -> str:
    """Return the text as a field of COPY."""
    # A printable text has no control character, and asking is cheaper than translating.
    if text.isprintable() and "\\" not in text:
        return text
    return text.translate(_ESCAPES)


def shown(text: str, limit: int = 200) -> str:
    """Return the text so that a terminal can print it: odd characters, and bytes that were no text, as escapes."""
    cut = text[:limit]
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else _escape(char) for char in cut)[:limit]


def _escape(char: str) -> str:
    if "\udc00" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def numbered(lines: Sequence[bytes], first: int) -> bytes:
    """Return the lines, which have no line ends, each behind its number (the first's is `first`) and a tab."""
    parts: list[bytes] = []
    at = 0
    while at < len(lines):
        # The thousands are the same for up to a thousand lines: what differs is looked up instead of formatted, which
        # is twice as fast.
        high, low = divmod(first + at, 1000)
        run = lines[at : at + 1000 - low]
        if high:
            prefix = b"%d" % high
            parts += (prefix, (b"\n" + prefix).join(map(add, _LOW[low:], run)), b"\n")
        else:
            parts += (b"%d\t%b\n" % pair for pair in enumerate(run, low))
        at += len(run)
    return b"".join(parts)


def selected(text: bytes, width: int, places: Sequence[int]) -> list[bytes]:
    """Return, line by line, the columns at `places` of COPY text in which every line has `width` columns."""
    cells = text.replace(b"\n", b"\t").split(b"\t")
    # After the last tab there is one cell more, which is of no line.
    lines = len(cells) // width
    columns = [cells[place : lines * width : width] for place in places]
    return columns[0] if len(columns) == 1 else list(map(b"\t".join, zip(*columns, strict=True)))
