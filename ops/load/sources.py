"""The bytes of one input, unpacked: a file, standard input or any binary stream, plain, gzip or zstd.

What went wrong while reading is kept instead of raised, so that everything before it can be used first.
"""

import gzip
import hashlib
import os
import stat
import sys
import zlib
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Protocol, cast

from ops.load.reading import BadInput

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xfd7zXZ\x00": "packed by xz",
    b"BZh91AY&SY": "packed by bzip2",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a spreadsheet or a document of an old Office",
    b"SQLite format 3\0": "a SQLite database",
    b"PAR1": "a Parquet file",
}
_MAGIC = max(map(len, _FOREIGN))


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Source:
    """Bytes of an input from its start to its end. Raises BadInput where it cannot be opened."""

    def __init__(self, given: Path | str | BinaryIO) -> None:
        self.path: Path | None = None
        self._given = given
        if isinstance(given, str | PurePath) and str(given) != "-":
            self.path = Path(given)
            self.name = str(given)
        elif isinstance(given, str | PurePath):
            self.name = "standard input"
        else:
            name = getattr(given, "name", "")
            self.name = name if isinstance(name, str) and name else "the stream"
        self.broken = ""
        """Why the input ends before its end, with what to do; "" where it does not."""
        self._file: Any = None
        self.seekable = False
        """Whether it is a regular file, which another process can open too."""
        self._open()

    def rewind(self) -> None:
        """Begin anew. Raises BadInput where that is not possible."""
        if not self.seekable:
            raise BadInput(f"{self.name} is a stream that was read already: give it again from its start.")
        self.close()
        self._open()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end; what then is in `broken` says whether it is the end."""
        parts: list[bytes] = []
        missing = size
        while missing and not self.broken:
            part = self._some(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        found = parts[0] if len(parts) == 1 else b"".join(parts)
        self._hash.update(found)
        return found

    def digest(self) -> str:
        """Return the SHA-256 of what has been read."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._file is not None and self.path is not None:
            self._file.close()

    def _open(self) -> None:
        self._hash = hashlib.sha256()
        self.broken = ""
        self._file = self._opened()
        try:
            packed = _Pushed(self._file)
            self._unpacked = self._unpacker(packed.peek(_MAGIC), packed)
        except OSError as exc:
            self.close()
            raise self._unreadable(exc) from exc
        except BaseException:
            self.close()
            raise

    def _opened(self) -> Any:
        if self.path is None:
            return self._given if hasattr(self._given, "read") else sys.stdin.buffer
        try:
            # A buffer would only copy: what is read is larger than it.
            opened = open(self.path, "rb", buffering=0)  # noqa: SIM115 - close() closes it
        except (OSError, ValueError) as exc:
            raise self._unreadable(exc) from exc
        self.seekable = stat.S_ISREG(os.fstat(opened.fileno()).st_mode)
        return opened

    def _unreadable(self, exc: OSError | ValueError) -> BadInput:
        found = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        return BadInput(f"{self.name} cannot be read: {found}; give the path of a file, plain, gzip or zstd.")

    def _unpacker(self, start: bytes, packed: "_Pushed") -> _Readable:
        if start.startswith(GZIP):
            return _Gunzip(packed)
        if start.startswith(ZSTD):
            return _Unzstd(packed, self.name)
        for magic, what in _FOREIGN.items():
            if start.startswith(magic):
                raise BadInput(f"{self.name} is {what}: give CSV, TSV or JSON lines, plain or packed by gzip or zstd.")
        return packed

    def _some(self, size: int) -> bytes:
        try:
            return self._unpacked.read(size)
        except EOFError:
            self.broken = f"the {self._unpacked} ends too early; get it anew"
        except (gzip.BadGzipFile, zlib.error, _BadFrame) as exc:
            self.broken = f"the {self._unpacked} is damaged ({exc}); get it anew"
        except OSError as exc:
            self.broken = f"reading failed ({exc.strerror or exc}); mend that and load it again"
        return b""


class _Pushed:
    """A stream whose first bytes were looked at."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = b""

    def peek(self, size: int) -> bytes:
        while len(self._start) < size and (part := self._read(size - len(self._start))):
            self._start += part
        return self._start

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            start, self._start = self._start[:size], self._start[size:]
            return start
        return self._read(size)

    def _read(self, size: int) -> bytes:
        found = self._file.read(size)
        if isinstance(found, str):
            raise BadInput("The stream gives text: open it in binary mode.")
        return cast(bytes, found or b"")


class _Gunzip:
    """Members of gzip, one after the other."""

    def __init__(self, packed: _Pushed) -> None:
        self._file = gzip.GzipFile(fileobj=cast(Any, packed), mode="rb")

    def __str__(self) -> str:
        return "gzip"

    def read(self, size: int, /) -> bytes:
        # read() would lose what it has when the file ends too early; read1() gives it first.
        return self._file.read1(size)


class _BadFrame(Exception):
    """Bytes that are not zstd."""


class _Unzstd:
    """Frames of zstd, one after the other. Raises EOFError where the last one is cut."""

    _STEP = 1 << 11
    """Packed bytes at once: what they unpack to cannot be bounded otherwise, and a highly regular file is packed 10,000
    to 1."""

    def __init__(self, packed: _Pushed, name: str) -> None:
        try:
            import zstandard
        except ImportError as exc:
            raise BadInput(f"{name} is packed by zstd: pip install zstandard, or give it plain or as gzip.") from exc
        self._packed = packed
        self._zstandard = zstandard
        self._frame = self._new()
        self._begun = False
        self._rest = b""
        self._found = b""

    def __str__(self) -> str:
        return "zstd"

    def _new(self) -> Any:
        return self._zstandard.ZstdDecompressor().decompressobj()

    def read(self, size: int, /) -> bytes:
        while not self._found:
            step = self._rest or self._packed.read(self._STEP)
            self._rest = b""
            if not step:
                if self._begun:
                    raise EOFError
                return b""
            self._begun = True
            try:
                self._found = self._frame.decompress(step)
            except self._zstandard.ZstdError as exc:
                raise _BadFrame(str(exc)) from exc
            if self._frame.eof:
                self._rest = self._frame.unused_data
                self._frame, self._begun = self._new(), False
        found, self._found = self._found[:size], self._found[size:]
        return found
