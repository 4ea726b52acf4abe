"""What a repair must never do, where a case by itself does not show it."""

import shutil
import threading
from pathlib import Path

from tests.drift import keeping, sample
from tests.drift.cases import brief
from tests.ops.crashing import until
from tests.ops.scratch import connected, rows

DROPPING = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_py_ddl")]
    operations = [
        migrations.RemoveField("customer", "vip"),
        migrations.RemoveIndex("product", "prod_low"),
        migrations.DeleteModel("Favourite"),
    ]
"""
BUILT = "SELECT index_relid FROM pg_stat_progress_create_index WHERE index_relid <> 0"


def test_an_index_that_is_being_built_is_left_alone() -> None:
    with sample.sample_database() as database, connected(database) as holder:
        rows(database, "DROP INDEX prod_low")
        holder.autocommit = False
        holder.cursor().execute("UPDATE shop_product SET quantity = quantity WHERE id = 1")
        statement = "CREATE INDEX CONCURRENTLY prod_low ON shop_product (quantity) WHERE quantity < 10"
        builder = threading.Thread(target=rows, args=(database, statement))
        builder.start()
        try:
            until("the index is being built", lambda: rows(database, BUILT))
            before = keeping.read(database)
            said = sample.repair(database)
            assert keeping.changed(before, keeping.read(database)) == [], said
        finally:
            holder.rollback()
            builder.join()
        assert rows(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'prod_low'::regclass") == [(True,)]
        assert [one for one in sample.plan(database)["findings"] if one["severity"] != "info"] == []


def test_a_history_is_not_unrecorded_where_one_table_of_the_project_is_in_any_schema() -> None:
    with sample.empty_database() as database:
        sample.must("migrate", "--fake", "-v0", database=database)
        rows(database, "CREATE SCHEMA elsewhere")
        rows(database, "CREATE TABLE elsewhere.shop_tag (id bigint PRIMARY KEY, label varchar(40))")
        before = keeping.read(database)
        said = sample.repair(database, "--unrecord-all")
        assert any("elsewhere.shop_tag" in one["refused"] for one in said["findings"]), said
        after = keeping.read(database)
        assert after.history == before.history, said
        assert keeping.lost(before, after) == []


def test_a_ghost_is_not_pruned_where_something_is_there_that_nothing_explains() -> None:
    with sample.sample_database() as database:
        rows(database, "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0010_lost', now())")
        rows(database, "CREATE TABLE shop_unexplained (id integer)")
        before = keeping.read(database)
        said = sample.repair(database, "--prune", "shop.0010_lost")
        assert keeping.changed(before, keeping.read(database)) == [], said


def test_a_sequence_ahead_of_deleted_rows_is_no_finding_and_stays() -> None:
    with sample.sample_database() as database:
        rows(database, "DELETE FROM shop_favourite WHERE id > 10")
        before = keeping.read(database)
        assert brief([one for one in sample.plan(database)["findings"] if one["severity"] != "info"]) == []
        sample.repair(database)
        assert keeping.changed(before, keeping.read(database)) == []


def test_pending_migrations_are_no_drift() -> None:
    with sample.sample_database() as database:
        sample.must("migrate", "shop", "0006", "-v0", database=database)
        planned = sample.plan(database)
        assert brief([one for one in planned["findings"] if one["severity"] != "info"]) == []
        assert planned["pending"] == ["shop.0007_concurrent", "shop.0008_ticket", "shop.0009_py_ddl"]
        before = keeping.read(database)
        sample.repair(database)
        assert keeping.changed(before, keeping.read(database)) == []


def test_no_python_of_the_project_runs_on_the_real_database() -> None:
    with sample.sample_database() as database:
        rows(database, "DROP TABLE shop_rate, shop_currency CASCADE")
        sample.repair(database)
        assert rows(database, "SELECT count(*) FROM shop_currency") == [(0,)]


def test_a_repair_is_recorded_and_its_undo_takes_back_what_it_made_without_loss() -> None:
    with sample.sample_database() as database:
        rows(database, "DROP INDEX prod_low")
        rows(database, "DELETE FROM django_migrations WHERE app = 'depot' AND name = '0003_move'")
        before = keeping.read(database)
        said = sample.repair(database)
        assert said["code"] == 0, said
        sample.must("runs", "revert", str(said["run"]), "--no-input", database=database)
        after = keeping.read(database)
        assert after.history == before.history
        assert keeping.lost(before, after) == []
        assert {one["code"] for one in sample.plan(database)["findings"] if one["severity"] != "info"} == {"H01", "S10"}


def test_what_an_unrecorded_migration_dropped_is_not_made_again(tmp_path: Path) -> None:
    project = Path(shutil.copytree(sample.PROJECT, tmp_path / "project"))
    (project / "shop" / "migrations" / "0010_drop.py").write_text(DROPPING.lstrip(), encoding="utf-8")
    with sample.sample_database() as database:
        sample.must("migrate", "shop", "0010", database=database, project=project)
        rows(database, "DELETE FROM django_migrations WHERE name = '0010_drop'")
        before = keeping.read(database)
        found = sample.plan(database, project=project)["findings"]
        assert [one["code"] for one in found if one["severity"] != "info"] == ["H01"], brief(found)
        assert sample.repair(database, project=project)["code"] == 0
        sample.must("migrate", "--check", database=database, project=project)
        assert keeping.lost(before, keeping.read(database)) == []
        assert rows(database, "SELECT to_regclass('shop_favourite'), to_regclass('prod_low')") == [(None, None)]
