"""The sample project is what the other tests take it for: whole, full, and without drift."""

from tests.drift import keeping, sample
from tests.drift.cases import brief
from tests.ops.scratch import rows

# Whose rows come by work that is not done here.
EMPTY = {"public.ops_changeset"}


def test_every_table_has_rows_and_nothing_is_pending() -> None:
    with sample.sample_database() as database:
        found = keeping.read(database).rows
        assert len(found) > 40
        assert {table for table, of in found.items() if not of} <= EMPTY | {t for t in found if "ops_changeset_" in t}
        assert rows(database, "SELECT count(*) FROM category_totals") == [(5,)]
        sample.must("migrate", "--check", database=database)
        sample.must("makemigrations", "--check", "--dry-run", database=database)


def test_a_healthy_database_has_no_finding_above_info() -> None:
    with sample.sample_database() as database:
        before = keeping.read(database)
        planned = sample.plan(database)
        assert brief([one for one in planned["findings"] if one["severity"] != "info"]) == []
        assert planned["mode"] in ("replayed", "cached")
        assert sample.manage("repair_migrations", "--check", database=database).code == 0
        assert keeping.changed(before, keeping.read(database)) == []
