"""Whole physical lines of a source, many at once, and how its bytes become text."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator

from ops.load.reading import BadInput
from ops.load.sources import Source

RECORD = 64 << 20
"""Bytes of the longest line that is read; a longer one is a bad record, and is never held whole."""
_HEAD = 1000
"""Bytes that are kept of a line that is too long."""

_STATEFUL = re.compile("utf-7|hz|iso2022.*|.*unicode.escape")
_MULTIBYTE = re.compile("big5.*|cp9(32|49|50)|euc_(jp|kr|jis.*)|gb.*|johab|shift_jis.*")
_WIDE = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}


def _keep(exc: UnicodeError) -> tuple[str, int]:
    """Keep bytes that are no text as surrogates, as surrogateescape does, but any byte and in any encoding."""
    if not isinstance(exc, UnicodeDecodeError):
        raise exc
    return "".join(chr(0xDC00 + byte) for byte in exc.object[exc.start : exc.end]), exc.end


_KEEP = "setwise.keep"
codecs.register_error(_KEEP, _keep)


class Codec:
    """An encoding in which LF and CR are single bytes that are part of no other character."""

    def __init__(self, name: str, spoken: str) -> None:
        self.name = name
        self.spoken = spoken
        """As a message says it."""
        self.utf8_itself = name == "utf-8"
        self.unit = 1
        self._holds_ascii = bytes(range(128)).decode(name, "replace") == bytes(range(128)).decode("ascii")

    @property
    def cr(self) -> bytes:
        """The bytes of a carriage return."""
        return "\r".encode(self.name)

    @property
    def lf(self) -> bytes:
        """The bytes of a line feed."""
        return "\n".encode(self.name)

    def cut(self, data: bytes) -> int:
        """Return where the last line ends that is whole for certain; 0 if none does.

        A carriage return in the last place may be the first half of a line end.
        """
        feed = data.rfind(b"\n")
        return max(feed, data.rfind(b"\r", feed + 1, max(len(data) - 1, 0))) + 1

    def split(self, data: bytes) -> list[bytes]:
        """Return the physical lines with their ends."""
        return data.splitlines(keepends=True)

    def utf8(self, data: bytes) -> bytes | None:
        """Return it in UTF-8; None where some of it is no text."""
        if self._holds_ascii and data.isascii():
            return data
        try:
            text = data.decode(self.name)
            return data if self.utf8_itself else text.encode()
        except UnicodeError:
            return None

    def decode(self, data: bytes) -> str:
        """Return the text; what is none as surrogates U+DC00 to U+DCFF."""
        return data.decode(self.name, "surrogateescape" if self.utf8_itself else _KEEP)


class WideCodec(Codec):
    """UTF-16 or UTF-32."""

    def __init__(self, name: str, spoken: str) -> None:
        super().__init__(name, spoken)
        self.unit = _WIDE[name]

    def cut(self, data: bytes) -> int:
        return max(self._find(data, self.lf, len(data)), self._find(data, self.cr, len(data) - self.unit))

    def _find(self, data: bytes, mark: bytes, end: int) -> int:
        while (at := data.rfind(mark, 0, max(end, 0))) >= 0:
            if at % self.unit == 0:
                return at + self.unit
            # The last byte of one character and the first of the next.
            end = at + len(mark) - 1
        return 0

    def split(self, data: bytes) -> list[bytes]:
        lines = io.StringIO(self.decode(data), newline="")
        return [self._encode(line) for line in lines]

    def _encode(self, line: str) -> bytes:
        try:
            return line.encode(self.name)
        except UnicodeEncodeError:
            # A handler of errors must not give half a character, which a byte that was no text is.
            return b"".join(
                bytes((ord(char) - 0xDC00,)) if "\udc00" <= char <= "\udcff" else char.encode(self.name)
                for char in line
            )


def codec_of(encoding: str, start: bytes) -> tuple[Codec, int]:
    """Return the codec for a source that starts so, and the length of its byte order mark.

    Raises BadInput for an encoding that is unknown or that reading by lines is not possible in, and for a mark that
    belies it.
    """
    try:
        name = codecs.lookup(encoding or "utf-8").name
    except (LookupError, ValueError) as exc:
        raise BadInput(f"No encoding is called {encoding!r}: give one such as utf-8, cp1252 or euc-kr.") from exc
    spoken = "UTF-8" if name.startswith("utf-8") else encoding
    if name in ("utf-8", "utf-8-sig"):
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            wide = "utf-32" if start[:4] == codecs.BOM_UTF32_LE else "utf-16"
            raise BadInput(f"The input is not UTF-8: it begins with the mark of {wide}; give --encoding {wide}.")
        return Codec("utf-8", spoken), len(codecs.BOM_UTF8) * start.startswith(codecs.BOM_UTF8)
    if name in ("utf-16", "utf-32"):
        little, big = (getattr(codecs, f"BOM_UTF{name[-2:]}_{order}") for order in ("LE", "BE"))
        mark = len(little) * start.startswith((little, big))
        return WideCodec(f"{name}-be" if start.startswith(big) else f"{name}-le", spoken), mark
    if name in _WIDE:
        return WideCodec(name, spoken), _WIDE[name] * start.startswith("\ufeff".encode(name))
    if _MULTIBYTE.fullmatch(name) or _is_single_byte(name):
        return Codec(name, spoken), 0
    raise BadInput(f"Lines cannot be told apart in {encoding}: convert it to UTF-8 first, with iconv for example.")


def _is_single_byte(name: str) -> bool:
    if _STATEFUL.fullmatch(name):
        return False
    try:
        text = bytes(range(256)).decode(name, "replace")
    except (LookupError, UnicodeError):
        return False
    plain = "\t\n\r ,;|"
    return len(text) == 256 and all(text[ord(char)] == char for char in plain)


class TooLong(bytes):
    """The beginning of a line that is longer than RECORD, in place of the line; `size` is the line's."""

    size: int = 0


class Blocks:
    """Runs of whole lines, about `size` bytes each: taken from the front, or looked at before they are taken.

    A line that is too long is a block of its own. Only the last line may be without an end.
    """

    def __init__(self, source: Source, codec: Codec, start: bytes, size: int, longest: int = RECORD) -> None:
        self._source = source
        self._codec = codec
        self._size = max(size - size % codec.unit, codec.unit)
        self._longest = longest
        self._queue: deque[bytes] = deque()
        self._held = b""
        self._hold(start)

    def take(self) -> bytes:
        """Return the next block; b"" at the end."""
        return self._queue.popleft() if self._queue or self._read() else b""

    def give(self, blocks: list[bytes]) -> None:
        """Put blocks back at the front."""
        self._queue.extendleft(reversed(blocks))

    def ahead(self) -> Iterator[bytes]:
        """Yield the blocks that follow, without taking them."""
        at = 0
        while at < len(self._queue) or self._read():
            yield self._queue[at]
            at += 1

    def drop(self, lines: int) -> None:
        """Leave out as many lines."""
        while lines:
            block = self.take()
            found = [block] if isinstance(block, TooLong) else self._codec.split(block)
            if len(found) > lines:
                self.give([b"".join(found[lines:])])
            lines -= min(lines, len(found))

    def _read(self) -> bool:
        """Put the next block at the end of the queue; False at the end of the source."""
        parts, size = [self._held], len(self._held)
        self._held = b""
        cr = self._codec.cr
        while chunk := self._source.read(self._size):
            if parts[-1].endswith(cr):
                # What follows says whether it is a line end by itself.
                parts[-1], chunk = parts[-1][: -len(cr)], cr + chunk
                size -= len(cr)
            if cut := self._codec.cut(chunk):
                self._held = chunk[cut:]
                self._queue.append(b"".join((*parts, chunk[:cut])))
                return True
            parts.append(chunk)
            size += len(chunk)
            if size > self._longest:
                self._pass_over(parts, size)
                return True
        # Where the source broke off, the line that was cut is nobody's.
        rest = b"" if self._source.broken else b"".join(parts)
        if rest:
            self._queue.append(rest)
        return bool(rest)

    def _pass_over(self, parts: list[bytes], size: int) -> None:
        """Read to the end of a line that is too long, and keep only its beginning."""
        found, last = TooLong(b"".join(part[:_HEAD] for part in parts)[:_HEAD]), parts[-1]
        parts.clear()
        self._queue.append(found)
        cr = self._codec.cr
        while chunk := self._source.read(self._size):
            if last.endswith(cr):
                chunk = cr + chunk
                size -= len(cr)
            line = self._codec.split(chunk)[0]
            if len(line) < len(chunk) or line.endswith(self._codec.lf):
                size += len(line)
                self._hold(chunk[len(line) :])
                break
            size += len(chunk)
            last = chunk
        found.size = size

    def _hold(self, data: bytes) -> None:
        cut = self._codec.cut(data)
        if cut:
            self._queue.append(data[:cut])
        self._held = data[cut:]
