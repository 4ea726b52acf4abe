"""docs/runbooks/backfill.md, gone through on a project of its own, with old and new code at work after every step."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from django.db import connection

from tests.ops.shop import environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "runbooks" / "backfill.md").read_text(encoding="utf-8")
MIGRATIONS = dict(re.findall(r"^```python\n# orders/migrations/(\w+)\.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
BACKFILLS = re.findall(r"^\$ manage\.py (backfill .+)$", PAGE, re.MULTILINE)

MODELS = """
from django.db import models

class Order(models.Model):
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)
"""
FIELD = "    total = models.DecimalField(max_digits=12, decimal_places=2, {null}db_default=0)\n"
CHECK = """
    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(total__isnull=False), name="order_total_set"),
        ]
"""
SETTINGS = """
from config.settings import *
from config.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "orders"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
OLD_CODE = "INSERT INTO orders_order (quantity, unit_price) VALUES (3, 2.50)"
NEW_CODE = "INSERT INTO orders_order (quantity, unit_price, total) VALUES (3, 2.50, 7.50)"


class Project:
    """A project with an app `orders`, and a database for it."""

    def __init__(self, path: Path, database: str) -> None:
        self.path = path
        self.database = database
        self.app = path / "orders"
        (self.app / "migrations").mkdir(parents=True)
        for name in ("__init__.py", "migrations/__init__.py"):
            (self.app / name).touch()
        (path / "orders_settings.py").write_text(SETTINGS)
        self.models(MODELS)

    def models(self, text: str) -> None:
        (self.app / "models.py").write_text(text)

    def migration(self, name: str) -> None:
        (self.app / "migrations" / f"{name}.py").write_text(MIGRATIONS[name])

    def manage(self, *words: str) -> str:
        """Run a command to its end, which must be a good one; return what it printed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words],
            env={
                **environment(DB_NAME=self.database, DJANGO_SETTINGS_MODULE="orders_settings"),
                "PYTHONPATH": os.pathsep.join([str(self.path), str(ROOT)]),
                "PGOPTIONS": "-c lock_timeout=2s",
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        settings = {**connection.get_connection_params(), "dbname": self.database}
        for name in ("cursor_factory", "context"):
            settings.pop(name, None)
        opened = psycopg2.connect(**settings)
        opened.autocommit = True
        try:
            with opened.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            opened.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    name = "orders_of_the_runbook"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    yield Project(tmp_path, name)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def scans(project: Project) -> int:
    """Return how often the table was read from end to end."""
    project.sql("SELECT pg_stat_force_next_flush()")
    found = project.sql("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'orders_order'")
    return int(str(found[0][0]))


@pytest.mark.django_db(transaction=True)
def test_every_step_works_beside_old_and_new_code(project: Project) -> None:
    assert list(MIGRATIONS) == [
        "0002_order_total",
        "0003_order_total_set",
        "0004_validate_order_total",
        "0005_order_total_not_null",
    ]
    project.manage("makemigrations", "orders")
    project.manage("migrate")
    project.sql("INSERT INTO orders_order (quantity, unit_price) SELECT i % 9 + 1, 1.25 FROM generate_series(1, 500) i")
    # 1. Expand: the old code goes on; its new rows are told from the old ones.
    project.migration("0002_order_total")
    project.models(MODELS + FIELD.format(null="null=True, "))
    project.manage("makemigrations", "--check", "--dry-run", "orders")
    project.manage("migrate", "orders")
    project.sql(OLD_CODE)
    assert project.sql("SELECT total::text, count(*) FROM orders_order GROUP BY total ORDER BY total") == [
        ("0.00", 1),
        (None, 500),
    ]
    # 2. Code, old and new, and 3. the backfill.
    project.sql(NEW_CODE)
    look, fill = ([word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)] for line in BACKFILLS)
    assert "501 would change" in project.manage(*look)
    assert "501 rows written" in project.manage(*fill)
    assert project.sql("SELECT count(*) FROM orders_order WHERE total IS DISTINCT FROM quantity * unit_price") == [(0,)]
    # 4. NOT NULL by way of a check.
    project.models(MODELS + FIELD.format(null="null=True, ") + CHECK)
    for name in ("0003_order_total_set", "0004_validate_order_total"):
        project.migration(name)
        project.manage("migrate", "orders")
        project.sql(OLD_CODE)
        project.sql(NEW_CODE)
    project.manage("makemigrations", "--check", "--dry-run", "orders")
    with pytest.raises(psycopg2.errors.CheckViolation):
        project.sql("INSERT INTO orders_order (quantity, unit_price, total) VALUES (1, 1, NULL)")
    # 5. Contract, without reading the table.
    before = scans(project)
    project.migration("0005_order_total_not_null")
    project.models(MODELS + FIELD.format(null=""))
    project.manage("migrate", "orders")
    assert scans(project) == before
    project.manage("makemigrations", "--check", "--dry-run", "orders")
    project.sql(OLD_CODE)
    project.sql(NEW_CODE)
    with pytest.raises(psycopg2.errors.NotNullViolation):
        project.sql("UPDATE orders_order SET total = NULL")
    # Each step can be taken back.
    project.manage("migrate", "orders", "0001")
    project.sql(OLD_CODE)
