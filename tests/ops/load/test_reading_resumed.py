"""Reading goes on at any piece's end as if it had never stopped, and ends where the source is cut."""

import gzip
import hashlib
import io
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from ops.load.reading import BadInput, Layout, Piece, open_reader
from tests.ops.load.plain_reading import rows_of

CSV = "\ufeffa,b,c\r\n".encode() + b"".join(
    (
        b"%d,some text,\r\n" % number,
        b'%d,"a\nb\r\nc",x\n' % number,
        b"\n",
        b"%d,x\n" % number,
        b'%d,"stray,\n' % number if number % 20 == 0 else b"",
    )[number % 5]
    for number in range(600)
)
JSON = b"".join((b'{"a": %d, "b": "x"}\n' % n, b'{"a": 1.10}\r\n', b"\n", b"[]\n")[n % 4] for n in range(600))

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
"""Each with a second member or frame."""


def packed(data: bytes, suffix: str) -> bytes:
    pack = PACK[suffix]
    return pack(data[:3000]) + pack(data[3000:])


def joined(pieces: list[Piece]) -> tuple[bytes, int, list[tuple[int, str, bytes]], tuple[int, int]]:
    bad = [(found.line, found.reason, found.raw) for piece in pieces for found in piece.bad]
    data, records = b"".join(piece.data for piece in pieces), sum(piece.records for piece in pieces)
    return data, records, bad, (pieces[-1].offset, pieces[-1].line)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", ["csv", "jsonl", "utf-16"])
def test_reading_goes_on_at_every_pieces_end(tmp_path: Path, suffix: str, name: str) -> None:
    data = {"csv": CSV, "jsonl": JSON, "utf-16": CSV.decode().lstrip("\ufeff").encode("utf-16")}[name]
    layout = Layout(kind="jsonl" if name == "jsonl" else "csv", encoding="utf-16" if name == "utf-16" else "")
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(packed(data, suffix))
    with closing(open_reader(path, layout, block=256)) as reader:
        assert reader.seekable
        pieces = list(reader.pieces())
        assert len(pieces) > 12
        assert pieces[-1].offset == len(data)
        whole = joined(pieces)
        assert whole[1] == len(rows_of(whole[0])) + len(whole[2])
        assert reader.digest() == hashlib.sha256(data).hexdigest()
        # The same reader once more, from the start.
        assert joined(list(reader.pieces())) == whole
        assert reader.digest() == hashlib.sha256(data).hexdigest()
    for number, piece in enumerate(pieces, 1):
        # Another block, as after an upgrade.
        with closing(open_reader(path, layout, block=256 if number % 2 else 400)) as reader:
            rest = list(reader.pieces(piece.offset, piece.line))
            assert joined([*pieces[:number], *rest]) == whole
            assert reader.digest() == hashlib.sha256(data).hexdigest()
    assert rest == []


def test_a_stream_goes_on_too_but_once_only() -> None:
    pieces = list(open_reader(io.BytesIO(CSV), block=1000).pieces())
    reader = open_reader(io.BytesIO(CSV), block=1000)
    rest = list(reader.pieces(pieces[3].offset, pieces[3].line))
    assert joined([*pieces[:4], *rest]) == joined(pieces)
    assert reader.digest() == hashlib.sha256(CSV).hexdigest()
    assert not reader.seekable
    with pytest.raises(BadInput, match="a stream that was read already"):
        next(reader.pieces())


def test_a_file_that_became_shorter(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(CSV)
    with closing(open_reader(path, block=1000)) as reader:
        last = list(reader.pieces())[-1]
        path.write_bytes(CSV[:2000])
        with pytest.raises(BadInput, match="where reading was to go on"):
            list(reader.pieces(last.offset, last.line))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("block", [100, 1 << 18])
def test_what_was_whole_before_a_cut_is_there(suffix: str, block: int) -> None:
    whole = b"a,b\n" + b"".join(b"%d,%s\n" % (n, hashlib.sha256(b"%d" % n).hexdigest().encode()) for n in range(9000))
    data = PACK[suffix](whole)
    for cut in (len(data) // 2, len(data) - 3):
        reader = open_reader(io.BytesIO(data[:cut]), block=block)
        rows: list[tuple[int, list[str | None]]] = []
        pieces = reader.pieces()
        with pytest.raises(BadInput, match="ends too early; get it anew") as caught:
            rows.extend(row for piece in pieces for row in rows_of(piece.data))
        assert [line for line, _ in rows] == list(range(2, len(rows) + 2))
        assert all(fields[1] and len(fields[1]) == 64 for _, fields in rows)
        assert f"is whole only up to line {len(rows) + 1}:" in str(caught.value)
        assert len(rows) > 2000


def test_a_record_that_the_cut_leaves_open_is_not_judged() -> None:
    data = gzip.compress(b'a,b\n1,2\n3,"x\ny,z\n')
    reader = open_reader(io.BytesIO(data[:-8]))
    pieces = reader.pieces()
    piece = next(pieces)
    assert (rows_of(piece.data), piece.bad) == ([(2, ["1", "2"])], [])
    with pytest.raises(BadInput, match="whole only up to line 2: after that, the gzip ends too early"):
        next(pieces)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damage(suffix: str) -> None:
    data = PACK[suffix](CSV)
    for spoilt in (data[:200] + b"\xff\x00\xff\x00" * 50 + data[400:], data + b"no member", data[:12]):
        with pytest.raises(BadInput, match="get it anew"):
            list(open_reader(io.BytesIO(spoilt)).pieces())


def test_zstd_asks_for_what_unpacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(BadInput, match="pip install zstandard"):
        open_reader(io.BytesIO(PACK[".zst"](CSV)))


def test_an_error_of_the_disk_comes_after_what_was_read() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 4000:
                raise OSError(5, "Input/output error")
            return super().read(min(size or 0, 500))

    reader = open_reader(Failing(b"a,b\n" + b"1,2\n" * 2000), block=1000)
    pieces = reader.pieces()
    assert sum(next(pieces).records for _ in range(4)) == 999
    with pytest.raises(BadInput, match=r"up to line 1000: after that, reading failed \(Input/output error\)"):
        next(pieces)
