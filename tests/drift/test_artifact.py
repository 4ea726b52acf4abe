"""What was found is kept: in the cache of the machine, or in a file that CI ships."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.drift import artifact
from ops.drift.model import Expected, Field, Made, Node
from tests.drift.throwaway import Project, databases, project

pytestmark = pytest.mark.django_db


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as made:
        made.migrate()
        yield made


def files(own: Project) -> list[Path]:
    return sorted((own.path / "cache").iterdir())


def nothing(expected: Expected) -> None:
    """Tell nothing of what other rows would make of it."""


def some(key: str = "k") -> Expected:
    node = Node("shop", "0001_initial")
    return Expected(
        mode="replayed",
        made=[Made(node, recorded=True, delta={"table public.x": {"kind": "table"}, "table public.y": None})],
        fields={"column public.x.a": Field("shop.X", "a", null=False, default="1")},
        key=key,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    artifact.write(tmp_path / "x.json", some(), {"Django": "5.2"})
    found, parts = artifact.read(tmp_path / "x.json")
    assert found == Expected(**{**vars(some()), "mode": "cached"})
    assert parts == {"Django": "5.2"}
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "\xff", '{"format": 1, "key": "k", "expected": {}}'])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(artifact.BadSnapshot, match=r"is no snapshot, or a broken one: build it again\."):
        artifact.read(tmp_path / "x.json")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": 0}', encoding="utf-8")
    with pytest.raises(artifact.BadSnapshot, match=r"has the format 0, and this version of ops reads \d"):
        artifact.read(tmp_path / "x.json")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(artifact.BadSnapshot, match="can't be read: No such file or directory; check the path"):
        artifact.read(tmp_path / "x.json")


def test_the_second_time_nothing_is_replayed(own: Project) -> None:
    first = own.expect()
    (cached,) = files(own)
    # Who may not even create databases is answered from the cache.
    own.sql("DROP ROLE IF EXISTS drift_cached")
    own.sql("CREATE ROLE drift_cached LOGIN PASSWORD 'x' NOCREATEDB")
    try:
        own.sql("GRANT SELECT ON django_migrations TO drift_cached")
        second = own.expect(role={"USER": "drift_cached", "PASSWORD": "x"})
    finally:
        own.sql("DROP OWNED BY drift_cached")
        own.sql("DROP ROLE drift_cached")
    assert (first.mode, second.mode) == ("replayed", "cached")
    assert first.found["key"] == second.found["key"]
    assert {name: one for name, one in first.found.items() if name not in ("mode", "seconds")} == {
        name: one for name, one in second.found.items() if name not in ("mode", "seconds")
    }
    assert cached.stat().st_mode & 0o777 == 0o600


def test_without_the_cache_it_is_replayed(own: Project) -> None:
    assert own.expect(no_cache=True).mode == "replayed"
    assert not (own.path / "cache").exists()
    assert databases() == set()


def test_what_the_outcome_depends_on_is_in_the_key(own: Project) -> None:
    keys = [own.expect().found["key"], own.expect(run_python=False).found["key"]]
    own.migration("0002_more", 'RunSQL("SELECT 1")', after="0001_initial")
    keys.append(own.expect().found["key"])
    own.migration("0002_more", 'RunSQL(open("shop/more.sql").read())', after="0001_initial")
    for text in ("SELECT 2", "SELECT 3"):
        own.write("shop/more.sql", text)
        keys.append(own.expect().found["key"])
    own.migrate()
    keys.append(own.expect().found["key"])
    assert len(set(keys)) == len(keys)


def test_a_broken_file_of_the_cache_is_made_again(own: Project) -> None:
    own.expect()
    (cached,) = files(own)
    cached.write_text("{", encoding="utf-8")
    assert own.expect().mode == "replayed"
    assert own.expect().mode == "cached"


def test_a_snapshot_that_fits_is_used(own: Project) -> None:
    own.expect()
    (cached,) = files(own)
    shipped = cached.rename(own.path / "shipped.json")
    assert own.expect(snapshot=str(shipped)).mode == "cached"
    assert files(own) == []


def test_a_snapshot_that_does_not_fit_says_why(own: Project) -> None:
    own.expect()
    (cached,) = files(own)
    own.migration("0002_more", 'RunSQL("SELECT 1")', after="0001_initial")
    own.migrate()
    told = own.ask(snapshot=str(cached))
    assert told.code == 1
    assert f"The snapshot {cached} does not fit this database: it differs in migrations (shop.0002_more)" in told.err
    assert "recorded (only in the snapshot: none; only here: shop.0002_more)" in told.err


def test_other_rows_need_no_replay_of_their_own(own: Project) -> None:
    own.migration(
        "0002_more", 'migrations.AddField("product", "a", models.IntegerField(default=1))', after="0001_initial"
    )
    before = own.expect()
    assert not before.made("shop.0002_more")["recorded"]
    assert before.found["fields"]["column public.shop_product.a"]["default"] == "1"
    own.migrate()
    (shipped,) = files(own)
    by_file = own.expect(snapshot=str(shipped))
    assert files(own) == [shipped]
    cached, replayed = own.expect(), own.expect(no_cache=True)
    assert (before.mode, by_file.mode, cached.mode, replayed.mode) == ("replayed", "cached", "cached", "replayed")
    for one in (by_file, cached):
        assert {name: each for name, each in one.found.items() if name not in ("mode", "seconds", "key")} == {
            name: each for name, each in replayed.found.items() if name not in ("mode", "seconds", "key")
        }
    assert "column public.shop_product.a" in cached.found["fields"]
    assert len(files(own)) == 2


def test_rows_that_change_what_comes_first_are_replayed(own: Project) -> None:
    add = 'migrations.AlterField("product", "name", models.CharField(max_length={0}, unique=True))'
    own.migration("0002_wide", add.format(40), after="0001_initial")
    own.migration("0002_wider", add.format(50), after="0001_initial")
    own.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0002_wider', now())")
    first = own.expect()
    own.sql("UPDATE django_migrations SET name = '0002_wide' WHERE name = '0002_wider'")
    second = own.expect()
    assert (first.mode, second.mode) == ("replayed", "replayed")
    column = "column public.shop_product.name"
    assert [one.found["objects"][column]["type"] for one in (first, second)] == [
        "character varying(50)",
        "character varying(40)",
    ]


def test_tools_that_only_one_side_has_do_not_matter() -> None:
    theirs = {"distributions": {"django": "5.2", "pytest": "9"}, "PostgreSQL": 18}
    assert artifact.misfits(theirs, {"distributions": {"django": "5.2", "gunicorn": "1"}, "PostgreSQL": 18}) == {}
    assert artifact.misfits(theirs, {"distributions": {"django": "5.1"}, "PostgreSQL": 17}) == {
        "PostgreSQL": "PostgreSQL (18 in the snapshot, 17 here)",
        "distributions": "distributions (django)",
    }


def test_the_cache_keeps_the_newest(tmp_path: Path, settings: object) -> None:
    settings.OPS_DRIFT_CACHE = tmp_path  # type: ignore[attr-defined]  # a setting of ours
    for number in range(artifact.KEEP + 3):
        assert artifact.keep(some(f"k{number}"), {"Django": number}) == ""
        for path in tmp_path.glob("*.json"):
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
    assert len(list(tmp_path.iterdir())) == artifact.KEEP
    found = [artifact.cached({"Django": number}, nothing) for number in range(artifact.KEEP + 3)]
    assert [one.key if one else "" for one in found] == ["", "", "", *(f"k{n}" for n in range(3, artifact.KEEP + 3))]


def test_a_directory_that_others_may_write_is_no_cache(
    tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPS_DRIFT_CACHE = None  # type: ignore[attr-defined]  # a setting of ours
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert artifact.keep(some(), {}) == ""
    (own,) = tmp_path.iterdir()
    assert own.name == f"setwise-drift-{os.getuid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    assert artifact.cached({}, nothing) is None
    assert "not ours alone" in artifact.keep(some(), {})


def test_the_file_holds_its_parts(own: Project) -> None:
    own.expect()
    (cached,) = files(own)
    parts = json.loads(cached.read_text())["parts"]
    assert "shop.0001_initial" in parts["recorded"]
    assert parts["search_path"] == ['"$user", public', "public"]
    assert parts["RunPython"] == "ran"
