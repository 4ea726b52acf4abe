"""JSON lines as COPY text: one object a line, its numbers to the letter.

The columns are the keys of the first 1,000 records, unless a header names them; a record that lacks one has null
there. Nested objects and lists stay JSON, save that lists become arrays in the columns named for it.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ops.load.blocks import TooLong
from ops.load.copytext import NULL, shown
from ops.load.files import FileReader
from ops.load.reading import BadInput, Layout, Piece
from ops.load.sources import Source
from ops.load.values import FAULTS, BadValue, array, copied

PEEKED = 1000
"""Records whose keys are the columns."""
_PEEKED_BYTES = 8 << 20


class _Number(str):
    """A number as it is written, so that 1.10 stays 1.10 and no digit is lost."""

    __slots__ = ()


_decode: Callable[[str], Any] = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number).decode


class _Malformed(Exception):
    """A line that is no record. Has the key concerned ("" is the whole record) and its value."""

    def __init__(self, reason: str, column: str = "", value: str | None = None) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value


def dumped(value: Any) -> str:
    """Return the JSON text of what was parsed, with the numbers as they were."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_string(key)}: {dumped(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return _string(value)


_string = json.JSONEncoder(ensure_ascii=False).encode


def _listed(value: list[Any]) -> str:
    return array(value, _text)


_TEXTS: dict[type, Callable[[Any], str | None]] = {
    str: str.__str__,
    _Number: str.__str__,
    bool: lambda value: "t" if value else "f",
    type(None): lambda _: None,
    dict: dumped,
    list: dumped,
}
_ARRAY_TEXTS = {**_TEXTS, list: _listed}


def _text(value: Any) -> str | None:
    return _TEXTS[type(value)](value)


class JsonLines(FileReader):
    """Records of a file with one JSON object a line."""

    def __init__(self, source: Source, layout: Layout, arrays: frozenset[str], block: int) -> None:
        self._arrays = arrays
        super().__init__(source, layout, block)

    def _header(self) -> None:
        found, records = self._keys()
        if not records:
            if self._source.broken:
                raise self._broken()
            raise BadInput(f"{self._source.name} is empty: give a file with one JSON object a line.")
        self.names = list(self._given.header) or found
        if not self.names:
            raise BadInput(
                f"{self._source.name} has no JSON object with a key among its first {records:,} records: give one "
                "object a line (of an array, jq -c '.[]' makes that)."
            )
        if len(set(self.names)) < len(self.names):
            raise BadInput(f"The header given for {self._source.name} names a column twice: name each once.")
        self._known = frozenset(self.names)
        self.layout = replace(self.layout, delimiter="", header=tuple(self.names))

    def _keys(self) -> tuple[list[str], int]:
        """Return the keys of the first records, in the order of their appearance, and how many those were."""
        found: dict[str, None] = {}
        records = size = 0
        for block in self._blocks.ahead():
            size += len(block)
            for raw in [block] if isinstance(block, TooLong) else self._codec.split(block):
                line = self._codec.decode(raw)
                if not line.strip():
                    continue
                records += 1
                with contextlib.suppress(_Malformed):
                    found |= dict.fromkeys(key for key in _object(line) if not FAULTS.search(key))
                if records >= PEEKED:
                    return list(found), records
            if size > _PEEKED_BYTES:
                break
        return list(found), records

    def _data(self, block: bytes, piece: Piece) -> bytes:
        columns = [(name, _ARRAY_TEXTS if name in self._arrays else _TEXTS) for name in self._chosen]
        parts: list[str] = []
        for raw in self._codec.split(block):
            line = self._codec.decode(raw).rstrip("\r\n")
            if line.strip():
                piece.records += 1
                try:
                    parts.append(self._copied(line, columns))
                except _Malformed as exc:
                    self._reject(piece, exc.column, exc.value, str(exc), raw)
            self._offset += len(raw)
            self._line += 1
        return "".join(parts).encode()

    def _copied(self, line: str, columns: list[tuple[str, dict[type, Callable[[Any], str | None]]]]) -> str:
        if not line.isascii() or "\0" in line:
            self._check(line)
        record = _object(line)
        if not record.keys() <= self._known:
            key = next(key for key in record if key not in self._known)
            raise _Malformed(f"{key!r} is no column of this file", shown(key), dumped(record[key]))
        fields = [str(self._line)]
        name = ""
        try:
            for name, texts in columns:
                value = record.get(name)
                fields.append(NULL if value is None else copied(texts[type(value)](value)))
        except BadValue as exc:
            raise _Malformed(str(exc), name, exc.value) from None
        except RecursionError:
            raise _Malformed("nested too deeply", name) from None
        return "\t".join(fields) + "\n"

    def _check(self, line: str) -> None:
        fault = self._fault_of(line)
        if not fault:
            return
        column = ""
        # Where it is no JSON either, the bytes are the reason.
        with contextlib.suppress(_Malformed, RecursionError):
            column = next((key for key, value in _object(line).items() if self._fault_of(dumped(value))), "")
        raise _Malformed(fault, column, line)


def _object(line: str) -> dict[str, Any]:
    try:
        found = _decode(line)
    except json.JSONDecodeError as exc:
        raise _Malformed(f"no JSON object: {exc.msg} at character {exc.pos + 1}", "", line) from None
    except RecursionError:
        raise _Malformed("no JSON object: nested too deeply") from None
    if not isinstance(found, dict):
        raise _Malformed(f"no JSON object: {_kind(found)}", "", line)
    return found


def _kind(value: Any) -> str:
    if isinstance(value, _Number):
        return "a number"
    return {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "null")
