"""Bad records: each set aside with its line, column, value and reason, and a file of them that can be mended."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from ops.load import upsert
from ops.load.reading import BadInput
from ops.models import Changeset, Reject, Run
from tests.ops.shop import command
from tests.shelf.models import Buyer, Good, Hit, Legacy

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = "sku,ean,stock,price,day,at,active,extra,tags,buyer__code,token\n"
TOKEN = "8c5b4e4a-53cf-4c8a-8d0e-111111111111"
# Line by line: the record, and what is wrong with it: column, value, reason.
RECORDS: list[tuple[str, tuple[str, str | None, str] | None]] = [
    (f'g1,1,3,1.50,2026-02-28,2026-02-28 01:00,true,"{{""a"": 1}}","{{x,y}}",K,{TOKEN}', None),
    ("g2,,9.0,,,,1,,,,", None),
    (",2,1,,,,1,,,,", ("sku", "", "null in a required column")),
    ("way too long a key for it,,1,,,,1,,,,", ("sku", "way too long a key for it", "too long: at most 20 characters")),
    ("b1,,x1,,,,1,,,,", ("stock", "x1", "no whole number")),
    ("b2,,1.5,,,,1,,,,", ("stock", "1.5", "no whole number")),
    ("b3,,9999999999,,,,1,,,,", ("stock", "9999999999", "out of range of integer")),
    ("b4,,,,,,1,,,,", ("stock", "", "null in a required column")),
    ("b5,,-1,,,,1,,,,", ("stock", "-1", "A stock is never negative.")),
    ("b6,,1,12x,,,1,,,,", ("price", "12x", "no number")),
    ("b7,,1,1234567.00,,,1,,,,", ("price", "1234567.00", "out of range of numeric(8,2)")),
    ("b8,,1,1.005,,,1,,,,", ("price", "1.005", "more than 2 decimals: --round rounds them")),
    ("b9,,1,NaN,,,1,,,,", ("price", "NaN", "no number")),
    ("c1,,1,,2026-02-30,,1,,,,", ("day", "2026-02-30", "no date")),
    ("c2,,1,,1.2.2026,,1,,,,", ("day", "1.2.2026", "no date")),
    ("c3,,1,,,yesterday,1,,,,", ("at", "yesterday", "no timestamp with time zone")),
    ("c4,,1,,,,perhaps,,,,", ("active", "perhaps", "no boolean")),
    ("c5,,1,,,,1,{,,,", ("extra", "{", "no jsonb")),
    ("c6,,1,,,,1,,{x,,", None),
    ("c7,,1,,,,1,,,L,", ("buyer__code", "L", "unknown key of shelf_buyer")),
    ("c8,,1,,,,1,,,,nope", ("token", "nope", "no uuid")),
    ("z1,1,1,,,,1,,,,", ("", None, "another row has the same ean (shelf_good_ean_key)")),
    ("e1,1,1", ("", None, "3 columns instead of 11")),
    ('e2,"x"y,1,,,,1,,,,', ("ean", None, "broken quoting")),
    ("e3,a\0b,1,,,,1,,,,", ("ean", None, "a NUL character")),
    ("e4,a\udce9b,1,,,,1,,,,", ("ean", None, "not UTF-8: byte 0xe9")),
    ("g3,,1,2.50,,,0,,,,", None),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Buyer.objects.create(code="K")
    path = tmp_path / "goods.csv"
    text = HEAD + "".join(f"{record}\n" for record, _ in RECORDS)
    # Two columns where quoting is not whole: no array, and an uuid that is missing.
    path.write_bytes(text.replace("{x,,\n", '"{x",,\n').encode("utf-8", "surrogateescape"))
    return path


def words(path: Path, *more: str) -> tuple[str, ...]:
    return ("upsert", "shelf.Good", str(path), "--on", "sku", "--no-input", *more)


def fill_tokens(path: Path) -> None:
    """Give each record a token, which is required."""
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(
        b"\n".join(
            line + f"{TOKEN[:-4]}{i:04}".encode() if line.endswith(b",") else line for i, line in enumerate(lines)
        )
    )


@pytest.mark.smoke
def test_every_reason_by_its_line_and_column(file: Path) -> None:
    fill_tokens(file)
    said = command(*words(file, "--json"))
    assert said.code == 0, said
    counts = json.loads(said.out)
    wanted: dict[int, tuple[str, str | None, str]] = {n: bad for n, (_, bad) in enumerate(RECORDS, 2) if bad}
    wanted[2 + [record[:2] for record, _ in RECORDS].index("c6")] = ("tags", "{x", "no text[]")
    found = {one.line: (one.column, one.value, one.reason) for one in Reject.objects.all()}
    assert sorted(found) == sorted(wanted), sorted(found.items())
    for line, (column, value, reason) in wanted.items():
        assert found[line][2].startswith(reason), (line, found[line])
        if column:
            assert found[line][0] == column, (line, found[line])
        if value is not None:
            assert found[line][1] == value, (line, found[line])
    assert counts["lines"] == len(RECORDS)
    assert counts["rejected"] == len(wanted)
    assert sorted(Good.objects.values_list("sku", flat=True)) == ["g1", "g2", "g3"]
    assert Good.objects.get(sku="g1").buyer == Buyer.objects.get()


def test_the_file_of_bad_records_is_mended_and_loaded_by_the_same_command(file: Path, tmp_path: Path) -> None:
    fill_tokens(file)
    bad = tmp_path / "bad.csv"
    said = command(*words(file, "--rejects", str(bad)))
    assert said.code == 0
    many = Reject.objects.count()
    assert f"{many:,} bad records are in {bad}" in said.err
    lines = bad.read_bytes().split(b"\n")
    assert lines[0] == HEAD.strip().encode()
    assert len(lines) == many + 2
    assert any(b"a\xe9b" in line for line in lines)
    unmended = command("upsert", "shelf.Good", str(bad), "--on", "sku", "--no-input", "--json")
    assert json.loads(unmended.out)["rejected"] == many
    text = bad.read_bytes().replace(b"b1,,x1,", b"b1,,11,").replace(b"e4,a\xe9b,", b"e4,ab,").replace(b",-1,", b",1,")
    (tmp_path / "mended.csv").write_bytes(text)
    mended = json.loads(command(*words(tmp_path / "mended.csv", "--json")).out)
    assert (mended["inserted"], mended["rejected"]) == (3, many - 3)
    assert dict(Good.objects.filter(sku__in=["b1", "b5", "e4"]).values_list("sku", "stock")) == {
        "b1": 11,
        "b5": 1,
        "e4": 1,
    }
    again = command(*words(file, "--rejects", str(bad)))
    assert (again.code, "is there already" in again.error) == (2, True)


def small(tmp_path: Path, *records: str) -> Path:
    path = tmp_path / "small.csv"
    path.write_text("sku,stock\n" + "".join(f"{one}\n" for one in records))
    return path


def test_too_many_bad_records_refuse_the_load(tmp_path: Path) -> None:
    path = small(tmp_path, "a,1", "b,x", "c,3", "d,y")
    for bound, code in (("1", 3), ("49%", 3), ("2", 0), ("50%", 0)):
        Good.objects.all().delete()
        said = command(*words(path, "--max-rejects", bound, "--json"))
        assert said.code == code, said
        assert json.loads(said.out)["rejected"] == 2
        assert Good.objects.count() == (0 if code else 2)
        if code:
            assert "2 of 4 records are bad, more than --max-rejects" in said.error
            assert "'no whole number', first on line 3" in said.error
    assert Run.objects.filter(state="refused").count() == 2
    dry = command(*words(path, "--max-rejects", "0", "--dry-run"))
    assert (dry.code, "A load of this plan would be refused. 2 of 4" in dry.err) == (0, True)
    assert command(*words(path, "--max-rejects", "0", "--check")).code == 3


def test_strict_is_all_or_nothing(tmp_path: Path) -> None:
    Good.objects.create(sku="z", ean="1")
    path = small(tmp_path, "a,1", "b,x")
    said = command(*words(path, "--strict"))
    assert (said.code, "--strict refuses the whole input" in said.error) == (3, True)
    # One that only the merge shows: another row has the same ean.
    path.write_text("sku,stock,ean\n" + "".join(f"s{i},{i},\n" for i in range(100)) + "t,1,1\n")
    said = command(*words(path, "--strict", "--batch-size", "10"))
    assert said.code == 3, said
    assert "Line 102 is bad (another row has the same ean" in said.error
    assert list(Good.objects.values_list("sku", flat=True)) == ["z"]
    assert not Changeset.objects.exists()


def test_bad_rows_that_only_the_merge_shows_do_not_cost_others(tmp_path: Path) -> None:
    lines = [f"c{i},{13 if i % 17 == 0 else i % 90 + 14}" for i in range(200)]
    path = tmp_path / "legacy.csv"
    path.write_text("code,share\n" + "\n".join(lines) + "\n")
    said = command("upsert", "shelf.Legacy", str(path), "--on", "code", "--no-input", "--json", "--batch-size", "64")
    found = json.loads(said.out)
    bad = [i for i in range(200) if i % 17 == 0 or i % 90 + 14 > 100]
    assert (found["inserted"], found["rejected"]) == (200 - len(bad), len(bad))
    assert sorted(Reject.objects.values_list("line", flat=True)) == [i + 2 for i in bad]
    assert Legacy.objects.count() == 200 - len(bad)


def test_masked_values_are_shown_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "hits.csv"
    path.write_text("digest,label,count\na,secret one,1\nb,secret two,x\nc,secret three\n")
    said = command("upsert", "shelf.Hit", str(path), "--mask", "label", "--no-input")
    assert said.code == 0
    assert "secret" not in said.out + said.err
    assert Hit.objects.get().label == "secret one"
    with connection.cursor() as cursor:
        for table in ("ops_reject", "ops_changeset", "ops_run", "ops_runevent"):
            cursor.execute(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%secret%'")
            assert cursor.fetchone() == (0,), table
        cursor.execute("SELECT count(*) FROM ops_reject WHERE raw IS NOT NULL")
        assert cursor.fetchone() == (0,)
    run = Run.objects.get()
    assert "masks label" in command("runs", "rejects", str(run.pk), "--output", str(tmp_path / "out")).error
    assert "masked" in command("runs", "revert", str(run.pk), "--no-input").error


def test_choices_and_validators_are_opt_in(tmp_path: Path) -> None:
    path = tmp_path / "goods.csv"
    path.write_text("sku,kind,note\na,new,fine\nb,odd,fine\nc,used,loud!\n")
    assert json.loads(command(*words(path, "--json")).out)["rejected"] == 0
    Good.objects.all().delete()
    found = json.loads(command(*words(path, "--json", "--validate")).out)
    assert (found["inserted"], found["rejected"]) == (1, 2)
    assert "validators were run row by row" in found["notes"][0]
    rejects = {one.line: (one.column, one.value, one.reason) for one in Reject.objects.all()}
    assert rejects == {3: ("kind", "odd", "none of new, used"), 4: ("note", "loud!", "No shouting.")}


def test_formats(tmp_path: Path) -> None:
    path = tmp_path / "goods.txt"
    path.write_text(
        'Artikel;Preis;Tag;Zeit\n a1 ;"1.234,50";31.12.2026;31.12.2026 09:30\n'
        "b2;k.A.;1.2.2026;1.2.2026\nc3;-0,5;2026-12-31;\n"
    )
    more = ["--map", "Artikel=sku", "--map", "Preis=price", "--map", "Tag=day", "--map", "Zeit=at", "--decimal", ","]
    more += ["--thousands", ".", "--date-format", "DD.MM.YYYY HH:MI", "--null", "k.A.", "--null", "", "--trim"]
    said = command(*words(path, "--delimiter", ";", *more, "--json"))
    assert said.code == 0, said
    found = {one.sku: (str(one.price), str(one.day), one.at and one.at.isoformat()) for one in Good.objects.all()}
    # Times without an offset are those of TIME_ZONE, Asia/Seoul.
    assert found == {
        "a1": ("1234.50", "2026-12-31", "2026-12-31T00:30:00+00:00"),
        "b2": ("None", "2026-02-01", "2026-01-31T15:00:00+00:00"),
    }
    assert [one.reason for one in Reject.objects.all()] == ["no date"]
    utc = command(*words(path, "--delimiter", ";", *more, "--zone", "UTC", "--json"))
    assert json.loads(utc.out)["updated"] == 2
    assert Good.objects.get(sku="a1").at.isoformat() == "2026-12-31T09:30:00+00:00"


@pytest.mark.parametrize("given", ["", "nothing.csv", "/", "\0"])
def test_what_is_no_file_is_one_sentence(tmp_path: Path, given: str) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("")
    said = command(*words(path if not given else Path(given)))
    assert said.code in (1, 2)
    assert said.error.count("\n") == 0
    assert not Run.objects.filter(state__in=Run.UNFINISHED).exists()


def test_a_cut_gzip_fails_and_changes_nothing(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "goods.csv.gz"
    packed = gzip.compress(("sku,stock\n" + "".join(f"s{i},{i}\n" for i in range(5_000))).encode())
    path.write_bytes(packed[: len(packed) // 2])
    said = command(*words(path))
    assert (said.code, Good.objects.count()) == (1, 0)
    assert Run.objects.get().state == "failed"
    with pytest.raises(BadInput):
        upsert(Good, path, on=["sku"])


def test_header_only_and_blank_lines(tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(command(*words(small(tmp_path), "--json")).out)
    assert (found["lines"], found["inserted"]) == (0, 0)
    found = json.loads(command(*words(small(tmp_path, "", "a,1", "", "b,x", ""), "--json")).out)
    assert (found["lines"], found["inserted"], found["rejected"]) == (2, 1, 1)
    assert Reject.objects.get().line == 5
