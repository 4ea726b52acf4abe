"""The runbooks of repair_migrations do what they say, in their order, on the sample project of tests/drift."""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs.test_runbooks import COMMAND, DIRECTORY, steps
from tests.drift import sample
from tests.ops.scratch import rows

pytestmark = pytest.mark.django_db

NAMES = (
    "table-dropped", "already-exists", "inconsistent-history", "invalid-index", "not-null-column", "migrated-twice",
    "after-a-restore",
)  # fmt: skip
PAGES = [DIRECTORY / f"{name}.md" for name in NAMES]
NULLABLE = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_py_ddl")]
    operations = [migrations.AddField("customer", "segment", models.CharField(max_length=20, null=True))]
"""
REQUIRED = """
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0010_segment")]
    operations = [
        AddConstraintNotValid(
            "customer",
            models.CheckConstraint(condition=models.Q(segment__isnull=False), name="customer_segment_there"),
        ),
        ValidateConstraint("customer", "customer_segment_there"),
        migrations.AlterField("customer", "segment", models.CharField(max_length=20, default="new")),
        migrations.RemoveConstraint("customer", "customer_segment_there"),
    ]
"""
LOSE_RUN = "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0009_py_ddl'"
TWICE = """
INSERT INTO django_migrations (app, name, applied)
SELECT app, name, applied + interval '2 s' FROM django_migrations WHERE app = 'shop' AND name = '0005_seed'
"""
BEHIND = """
SELECT setval(pg_get_serial_sequence('shop_product', 'id'), 5);
SELECT setval(pg_get_serial_sequence('django_migrations', 'id'), 3);
DROP VIEW sales_view;
ALTER TABLE shop_favourite DROP CONSTRAINT shop_favourite_product_id_dc4d9f31_fk_shop_product_id
"""


class World:
    """What goes on outside of the operator's shell: a database, and a copy of the project that may change."""

    def __init__(self, database: str, directory: Path) -> None:
        self.database = database
        self.project = Path(shutil.copytree(sample.PROJECT, directory / "project"))
        self.changed = False

    def release(self, name: str, text: str) -> None:
        (self.project / "shop" / "migrations" / f"{name}.py").write_text(text.lstrip(), encoding="utf-8")
        model = self.project / "shop" / "models.py"
        line = {"0010_segment": "null=True", "0011_segment_required": 'default="new"'}[name]
        old = model.read_text(encoding="utf-8")
        new = re.sub(r"    segment = .*\n", "", old).replace(
            "    vip = models.BooleanField(default=False)\n",
            f"    vip = models.BooleanField(default=False)\n    segment = models.CharField(max_length=20, {line})\n",
        )
        assert new != old
        model.write_text(new, encoding="utf-8")
        self.changed = True

    def execute(self, statement: str) -> None:
        rows(self.database, statement)

    def run(self, *words: str) -> sample.Said:
        more = {"project": self.project} if self.changed else {}
        return sample.manage(*words, database=self.database, **more)  # type: ignore[arg-type]  # a Path, as it takes


def sql(statement: str) -> Callable[[World], None]:
    return lambda world: world.execute(statement)


GIVEN: Mapping[str, Callable[[World], None]] = {
    "somebody has dropped a table": sql("DROP TABLE shop_favourite"),
    "somebody has dropped a table with CASCADE": sql("DROP TABLE shop_category CASCADE"),
    "the rows have been restored": sql(
        "INSERT INTO shop_category (id, name, handle) OVERRIDING SYSTEM VALUE "
        "SELECT i, 'category ' || i, 'category-' || i FROM generate_series(1, 5) AS i"
    ),
    "a row of django_migrations is gone": sql(LOSE_RUN),
    "the row of a migration that seeds is gone": sql(
        "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0005_seed'"
    ),
    "the rows of contenttypes are gone": sql("DELETE FROM django_migrations WHERE app = 'contenttypes'"),
    "an index is invalid": sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'prod_low'::regclass"),
    "the release with the nullable column is out": lambda world: world.release("0010_segment", NULLABLE),
    "the release that requires it is out": lambda world: world.release("0011_segment_required", REQUIRED),
    "two have migrated at once": sql(TWICE),
    "a backup has been restored in part": sql(BEHIND),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with sample.sample_database() as database:
        yield World(database, tmp_path)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_runbook_does_what_it_says(path: Path, world: World) -> None:
    ran = 0
    for line, said in steps(path.read_text(encoding="utf-8")):
        if line.startswith("given: "):
            GIVEN[line.removeprefix("given: ")](world)
            continue
        match = COMMAND.match(line)
        assert match, line
        done = world.run(*shlex.split(match[1]))
        printed = " ".join(f"{done.out}\n{done.err}".split())
        assert done.code == int(match[2] or 0), f"{line}\n{done.code}\n{done.out}{done.err}"
        at = 0
        for words in said:
            found = printed.find(words, at)
            assert found >= 0, f"{line}\nsaid to print {words!r}, printed:\n{done.out}{done.err}"
            at = found + len(words)
        ran += 1
    assert ran >= 4


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_command_is_overlooked(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [line for line, _ in steps(text) if line.startswith("$ ")]
    assert found == re.findall(r"^\$ .*$", text, re.MULTILINE)
    given = {line.removeprefix("given: ") for line, _ in steps(text) if line.startswith("given: ")}
    assert given
    assert given <= GIVEN.keys()
