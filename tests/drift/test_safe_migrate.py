"""`safe_migrate`: what it looks at first, what it refuses, and that two at once migrate once."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from django.db import connection

from tests.drift.sample import PROJECT, Said, ended, manage, process, sample_database
from tests.ops.scratch import connected, rows

pytestmark = pytest.mark.django_db

COUNTS = """
import time
from django.db import migrations


def count(apps, schema_editor):
    schema_editor.execute("INSERT INTO hands VALUES (pg_backend_pid())")
    time.sleep(1.5)


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_py_ddl")]
    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
"""

CLOSES = COUNTS.replace("time.sleep(1.5)", "schema_editor.connection.close()").replace(
    "    dependencies", "    atomic = False\n    dependencies"
)

INDEXES = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_py_ddl")]
    operations = [migrations.RunSQL("CREATE INDEX shop_customer_slow ON shop_customer (phone)")]
"""

REWRITES = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_py_ddl")]
    operations = [migrations.RunSQL("ALTER TABLE shop_customer ALTER COLUMN phone TYPE varchar(3) USING ''")]
"""


@pytest.fixture
def sample() -> Iterator[str]:
    with sample_database() as name:
        rows(name, "CREATE TABLE hands (pid integer)")
        yield name


def project(tmp_path: Path, migration: str, name: str = "0010_more") -> Path:
    """Return a copy of the sample project with one migration more."""
    made = tmp_path / "project"
    shutil.copytree(PROJECT, made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "shop" / "migrations" / f"{name}.py").write_text(migration)
    return made


def recorded(database: str) -> list[tuple[object, ...]]:
    return rows(database, "SELECT count(*) FROM django_migrations WHERE app = 'shop' AND name = '0010_more'")


def safe_migrate(database: str, project: Path, *words: str) -> Said:
    return manage("safe_migrate", *words, database=database, project=project)


def test_two_deployments_at_once_run_each_migration_once(sample: str, tmp_path: Path) -> None:
    made = project(tmp_path, COUNTS)
    # The snapshot is cached before, or the first would not have the lock for long.
    manage("repair_migrations", database=sample, project=made)
    both = [process("safe_migrate", database=sample, project=made) for _ in range(2)]
    said = [ended(one) for one in both]
    assert [one.code for one in said] == [0, 0], said
    assert rows(sample, "SELECT count(*) FROM hands") == [(1,)]
    assert recorded(sample) == [(1,)]
    (waited,) = [one for one in said if "Waiting for up to 600 s. The migrations of" in one.err]
    assert "setwise safe_migrate" in waited.err
    assert "No migrations to apply." in waited.out


def test_the_lock_outlives_a_migration_that_closes_its_connection(sample: str, tmp_path: Path) -> None:
    said = safe_migrate(sample, project(tmp_path, CLOSES))
    assert said.code == 0, said.err
    assert recorded(sample) == [(1,)]


def test_the_one_that_does_not_get_the_lock_in_time_is_refused(sample: str, tmp_path: Path) -> None:
    from ops.drift.guarding import lock_key

    with connected(sample) as opened, opened.cursor() as cursor:
        cursor.execute("SET application_name = 'deployment of Kim'")
        cursor.execute("SELECT pg_advisory_lock(%s)", [lock_key()])
        said = safe_migrate(sample, PROJECT, "--wait", "1")
    assert said.code == 3
    assert "are being worked on by somebody else: process" in said.err
    assert "deployment of Kim" in said.err


def test_drift_is_refused_and_an_option_lets_it_pass(sample: str, tmp_path: Path) -> None:
    made = project(tmp_path, COUNTS)
    rows(sample, "DROP TABLE shop_favourite")
    said = safe_migrate(sample, made)
    assert said.code == 3
    assert "refused: S01 table public.shop_favourite: " in " ".join(said.out.split())
    assert "Not migrated: 1 thing is in the way" in said.err
    assert "--allow-drift migrates all the same" in said.err
    assert recorded(sample) == [(0,)]
    assert safe_migrate(sample, made, "--allow-drift").code == 0
    assert recorded(sample) == [(1,)]


def test_a_history_that_takes_no_row_lets_no_option_pass(sample: str, tmp_path: Path) -> None:
    rows(sample, "ALTER TABLE django_migrations ALTER COLUMN id DROP IDENTITY")
    said = safe_migrate(sample, project(tmp_path, COUNTS), "--allow-drift")
    assert said.code == 3
    assert "refused: H18" in said.out
    assert "--allow-drift" not in said.err
    assert rows(sample, "SELECT count(*) FROM hands") == [(0,)]


def test_a_table_that_is_held_gives_up_after_the_lock_timeout_and_says_who_holds_it(
    sample: str, tmp_path: Path
) -> None:
    made = project(tmp_path, INDEXES)
    manage("repair_migrations", database=sample, project=made)
    holder = psycopg2.connect(
        dbname=sample, host=connection.settings_dict["HOST"], port=connection.settings_dict["PORT"] or None,
        user=connection.settings_dict["USER"], application_name="a report",
    )  # fmt: skip
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE shop_customer IN SHARE UPDATE EXCLUSIVE MODE")
            cursor.execute("UPDATE shop_customer SET phone = phone")
            time.sleep(5.5)
            began = time.monotonic()
            said = safe_migrate(sample, made, "--lock-timeout", "300")
    finally:
        holder.close()
    assert said.code == 4, said
    assert "(a report, idle in transaction) has held a lock on" in " ".join(said.out.split())
    assert "Migrating: canceling statement due to lock timeout" in said.err
    assert time.monotonic() - began < 60
    assert recorded(sample) == [(0,)]
    assert safe_migrate(sample, made).code == 0


def test_lint_warns_and_is_strict_where_asked(sample: str, tmp_path: Path) -> None:
    made = project(tmp_path, INDEXES)
    said = safe_migrate(sample, made, "--strict-lint")
    assert said.code == 3
    assert "lint shop.0010_more, require-concurrent-index-creation" in " ".join(said.out.split())
    assert recorded(sample) == [(0,)]
    said = safe_migrate(sample, made)
    assert said.code == 0
    assert "require-concurrent-index-creation" in said.out
    assert recorded(sample) == [(1,)]


def test_a_rewrite_is_told_with_the_size_of_its_table(sample: str, tmp_path: Path) -> None:
    said = safe_migrate(sample, project(tmp_path, REWRITES), "--plan")
    assert said.code == 0, said
    told = " ".join(said.out.split())
    assert (
        "warning: shop.0010_more rewrites it under a lock that keeps out reads and writes: public.shop_customer" in told
    )
    assert "Planned operations:" in said.out
    assert recorded(sample) == [(0,)]


@pytest.mark.parametrize("option", ["--fake", "--fake-initial", "--prune", "--run-syncdb"])
def test_options_that_record_what_was_not_done_are_refused(option: str) -> None:
    said = manage("safe_migrate", option, database="postgres")
    assert said.code == 2
    assert f"{option} is refused: " in said.err


def test_an_empty_database_is_migrated_from_nothing(tmp_path: Path) -> None:
    from tests.drift.sample import empty_database

    with empty_database() as name:
        said = manage("safe_migrate", "--verbosity", "0", database=name)
        assert said.code == 0, said.err
        assert manage("migrate", "--check", database=name).code == 0


def test_up_to_a_migration_as_migrate_does(sample: str, tmp_path: Path) -> None:
    made = project(tmp_path, COUNTS)
    assert safe_migrate(sample, made, "shop", "0009_py_ddl").code == 0
    assert recorded(sample) == [(0,)]
    assert safe_migrate(sample, made, "shop", "0010").code == 0
    assert recorded(sample) == [(1,)]
