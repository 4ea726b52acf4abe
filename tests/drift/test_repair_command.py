"""`repair_migrations` at the shell: what it prints, asks, refuses, and with which exit code it ends."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.drift.codes import CODES
from tests.drift.sample import PROJECT, manage, sample_database
from tests.ops.scratch import rows

pytestmark = pytest.mark.django_db

PENDING = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_py_ddl")]
    operations = [migrations.RunSQL("CREATE INDEX shop_customer_slow ON shop_customer (phone)")]
"""


@pytest.fixture
def sample() -> Iterator[str]:
    with sample_database() as name:
        yield name


def project(tmp_path: Path, migration: str) -> Path:
    made = tmp_path / "project"
    shutil.copytree(PROJECT, made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "shop" / "migrations" / "0010_more.py").write_text(migration)
    return made


def repair(database: str, *words: str, code: int = 0) -> tuple[str, str]:
    said = manage("repair_migrations", *words, database=database)
    assert said.code == code, said
    return said.out, said.err


def test_a_healthy_database_is_told_so_in_one_line(sample: str) -> None:
    out, err = repair(sample, "--check")
    tables = re.search(r"Nothing to repair: (\d+) tables are as the recorded migrations say\.", " ".join(out.split()))
    assert tables is not None, out
    assert int(tables[1]) > 30
    assert "error" not in out
    assert err == ""


def test_a_plan_says_what_was_found_what_it_breaks_and_what_will_be_done(sample: str) -> None:
    rows(sample, "DROP TABLE shop_favourite")
    out, _ = repair(sample)
    told = " ".join(out.split())
    assert told.startswith("error S01 table shop_favourite is missing")
    assert CODES["S01"].breaks in told
    assert "-> Create the table shop_favourite" in told
    assert re.search(r"1 error; \d+ notes?: -v 2 shows (it|them)\. (Replayed|Cached) in [\d.]+ s\.$", told)
    assert max(map(len, out.splitlines())) <= 80
    # Nothing was done.
    assert rows(sample, "SELECT to_regclass('shop_favourite')") == [(None,)]


def test_check_ends_with_5_and_says_what_to_type(sample: str) -> None:
    rows(sample, "DROP TABLE shop_favourite")
    _, err = repair(sample, "--check", code=5)
    assert err == "CommandError: 1 error: 'manage.py repair_migrations --apply' repairs it.\n"


def test_json_is_one_object_with_all_findings(sample: str) -> None:
    rows(sample, "DROP TABLE shop_favourite")
    out, _ = repair(sample, "--json")
    document = json.loads(out)
    assert {"database", "mode", "findings", "notes", "pending", "lint", "counts", "snapshot", "seconds"} <= set(
        document
    )
    assert document["counts"]["error"] == 1
    (one,) = [one for one in document["findings"] if one["severity"] == "error"]
    assert (one["code"], one["object"], one["refused"]) == ("S01", "table public.shop_favourite", "")
    assert any(statement.startswith("CREATE TABLE") for statement in one["sql"])


def test_apply_is_the_yes_where_nobody_can_be_asked(sample: str) -> None:
    rows(sample, "DROP TABLE shop_favourite")
    out, _ = repair(sample, "--apply")
    told = " ".join(out.split())
    assert "done S01 create the table shop_favourite" in told
    assert "Compared again: what it worked on is as it ought to be." in told
    assert re.search(r"'manage.py runs revert \d+' takes it back as far as nothing is lost\.$", told)
    repair(sample, "--check")
    # Once more there is nothing to do.
    assert "Nothing to repair" in repair(sample, "--apply")[0]


def test_what_is_left_to_a_person_ends_with_3_and_what_was_done_stays(sample: str) -> None:
    rows(sample, "DROP TABLE shop_favourite; ALTER TABLE shop_category DROP COLUMN handle")
    out, err = repair(sample, "--apply", code=3)
    told = " ".join(out.split())
    assert "done S01 create the table shop_favourite" in told
    assert "-> left to you: " in told
    assert "--value shop_category.handle=VALUE: " in told
    assert err == "CommandError: Not all is repaired: 1 error left to you, with the choices that the plan shows.\n"
    assert rows(sample, "SELECT count(*) FROM shop_favourite") == [(0,)]


def test_only_and_app_narrow_what_is_planned_and_applied(sample: str) -> None:
    rows(sample, "DROP TABLE shop_favourite; DROP INDEX shop_py_idx")
    document = json.loads(repair(sample, "--json", "--only", "s10")[0])
    assert {one["code"] for one in document["findings"]} == {"S10"}
    assert "nothing wrong" not in repair(sample, "--app", "shop")[0]
    # Of the others nothing is said: that they are as they ought to be would be wrong.
    alone = "Nothing to repair: nothing was found of what was looked for alone (--app depot auth)."
    assert alone in " ".join(repair(sample, "--check", "--app", "depot", "auth")[0].split())
    advice = "1 warning: 'manage.py repair_migrations --only S10 --apply' repairs it."
    assert advice in repair(sample, "--check", "--only", "S10", code=5)[1]
    repair(sample, "--apply", "--only", "S10")
    assert rows(sample, "SELECT to_regclass('shop_favourite')") == [(None,)]
    assert rows(sample, "SELECT to_regclass('shop_py_idx')::text") == [("shop_py_idx",)]
    assert rows(sample, "SELECT choices ->> 'asked' FROM ops_repair") == [("--only S10",)]


def test_what_the_baseline_has_is_a_note(sample: str, tmp_path: Path) -> None:
    rows(sample, "DROP TABLE shop_favourite")
    known = tmp_path / "known.txt"
    known.write_text("# The hotfix of May.\nS01 table public.shop_fav*\nS24 table public.gone\n")
    out, _ = repair(sample, "--check", "--baseline", str(known))
    assert "Nothing to repair" in out
    assert "Nothing is found any more of S24 table public.gone" in " ".join(out.split())
    assert "Nothing to repair" in repair(sample, "--check", "--ignore", "S01:table public.shop_favourite")[0]


def test_a_line_of_a_baseline_that_is_none_is_refused(sample: str, tmp_path: Path) -> None:
    known = tmp_path / "known.txt"
    known.write_text("table public.legacy\n")
    _, err = repair(sample, "--baseline", str(known), code=2)
    assert f"Line 1 of the baseline {str(known)!r} is 'table public.legacy', not a code and an object" in err


def test_pending_migrations_are_no_drift_and_are_linted(sample: str, tmp_path: Path) -> None:
    made = project(tmp_path, PENDING)
    said = manage("repair_migrations", "--check", database=sample, project=made)
    assert said.code == 0, said
    told = " ".join(said.out.split())
    assert "Pending, which is no drift: 1 migration: shop.0010_more." in told
    assert "lint shop.0010_more, require-concurrent-index-creation: " in told
    assert "Nothing to repair" in told


def test_migrations_that_do_not_load_are_explained(sample: str, tmp_path: Path) -> None:
    made = project(tmp_path, PENDING.replace("0009_py_ddl", "0009_lost"))
    said = manage("repair_migrations", "--check", database=sample, project=made)
    assert said.code == 5, said
    told = " ".join(said.out.split())
    assert "error H07 " in told
    assert "0009_lost" in told
    # Where it belongs is not known: no second end is made of it.
    assert "H04" not in told
    assert "The migrations do not load (H07)" in told


def test_a_role_that_may_only_read_plans_and_is_refused_to_apply(sample: str) -> None:
    rows("postgres", "DROP ROLE IF EXISTS only_reads; CREATE ROLE only_reads LOGIN")
    try:
        rows(sample, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reads; DROP TABLE shop_favourite")
        said = manage("repair_migrations", "--check", database=sample, DATABASE_USER="only_reads")
        assert said.code == 5, said
        assert "S01 table shop_favourite is missing" in said.out
        said = manage("repair_migrations", "--apply", database=sample, DATABASE_USER="only_reads")
        assert said.code in (1, 3), said
        assert said.err.startswith("CommandError: ")
        assert "Traceback" not in said.err
    finally:
        rows(sample, "DROP OWNED BY only_reads")
        rows("postgres", "DROP ROLE only_reads")


def test_without_the_tables_of_ops_it_works(sample: str) -> None:
    rows(sample, "DROP TABLE ops_runevent, ops_window, ops_changeset, ops_run CASCADE")
    out, _ = repair(sample)
    assert "table ops_run is missing" in " ".join(out.split())


def test_what_ought_to_be_is_written_to_a_file_and_taken_from_it(sample: str, tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    out, _ = repair(sample, "--write-snapshot", str(path))
    assert re.search(r"[\d,]+ objects of \d+ migrations written\.", " ".join(out.split()))
    assert "Cached in" in repair(sample, "--check", "--no-cache", "--snapshot", str(path))[0]
    path.write_text("{}")
    _, err = repair(sample, "--snapshot", str(path), code=2)
    assert "no snapshot, or a broken one" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "X99"), "there is no code 'X99'"),
        (("--ignore", "S24"), "'S24' is not of the form CODE:OBJECT"),
        (("--value", "a.b"), "'a.b' is not of the form NAME=VALUE"),
        (("--record", "shop"), "'shop' is not of the form APP.MIGRATION"),
        (("--revert", "12345678-1234-1234-1234-123456789012", "--dry-run"), "There is no repair 12345678-1234"),
        (("--revert", "12"), "'12' is not the number of a repair"),
        (("--apply", "--check"), "--check only looks, --apply writes: give one of them."),
    ],
)
def test_usage_is_one_sentence_and_ends_with_2(words: tuple[str, ...], said: str) -> None:
    _, err = repair("postgres", *words, code=2)
    assert said in err
    assert err.startswith("CommandError: ")
    assert len(err.splitlines()) == 1


def test_no_server_is_one_sentence() -> None:
    said = manage("repair_migrations", database="nowhere", DATABASE_HOST="/nowhere")
    assert said.code == 1
    assert said.err.startswith("CommandError: ")
    assert len(said.err.splitlines()) == 1
