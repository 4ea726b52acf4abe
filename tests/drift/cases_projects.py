"""States of history that need another project than the sample as it is: files renamed, gone, broken or branched."""

from collections.abc import Callable
from pathlib import Path

from tests.drift.cases import Case, Proof
from tests.drift.cases_history import delete, recorded, row_is_kept

BRANCH = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("depot", "0002_shelf")]
    operations = [migrations.AddField("shelf", "width", models.IntegerField(default=10))]
"""
ORIGINALS = ("0001_initial", "0002_more", "0003_renames")
SQUASH = "0001_initial_squashed_0003_renames"


def renamed(app: str, old: str, new: str) -> Callable[[Path], None]:
    """Return the change of a project that renames a migration's file."""

    def change(project: Path) -> None:
        migrations = project / app / "migrations"
        (migrations / f"{old}.py").rename(migrations / f"{new}.py")

    return change


def name_follows(app: str, old: str, new: str) -> Callable[[Proof], None]:
    """Return the proof that a row has the new name, and is else as it was."""

    def prove(proof: Proof) -> None:
        assert (recorded(proof, app, old), recorded(proof, app, new)) == (0, 1)
        told = {str(row).replace(f"'{old}'", f"'{new}'") for row in proof.before.history}
        assert told == set(map(str, proof.after.history))

    return prove


def without_originals(project: Path) -> None:
    migrations = project / "shop" / "migrations"
    for name in ORIGINALS:
        (migrations / f"{name}.py").unlink()
    squash = migrations / f"{SQUASH}.py"
    kept = [line for line in squash.read_text().splitlines(keepends=True) if "replaces =" not in line]
    squash.write_text("".join(kept))
    after = migrations / "0004_sql.py"
    after.write_text(after.read_text().replace('"0003_renames"', f'"{SQUASH}"'))


def squash_is_recorded(proof: Proof) -> None:
    """Prove that the squash is recorded, its originals stayed as ghosts, and it was not run."""
    assert [recorded(proof, "shop", name) for name in (SQUASH, *ORIGINALS)] == [1, 1, 1, 1]
    assert proof.one("SELECT count(*) FROM shop_product") == 50


def branched(project: Path) -> None:
    (project / "depot" / "migrations" / "0003_width.py").write_text(BRANCH)


def broken(project: Path) -> None:
    (project / "depot" / "migrations" / "0003_move.py").write_text("this is no Python\n")


def orphaned(project: Path) -> None:
    (project / "depot" / "migrations" / "0002_shelf.py").unlink()


CASES = [
    Case(
        "H04 two leaves",
        (),
        ("H04",),
        "refused",
        severity="error",
        project=branched,
        migrates=False,
        also=row_is_kept,
    ),
    Case(
        "H07 a file is no Python",
        (),
        ("H07",),
        "refused",
        severity="error",
        says=("0003_move",),
        project=broken,
        migrates=False,
        also=row_is_kept,
    ),
    Case(
        "H07 a parent's file is gone",
        (),
        ("H07",),
        "refused",
        severity="error",
        says=("0002_shelf",),
        project=orphaned,
        migrates=False,
        also=row_is_kept,
    ),
    Case(
        "H09 a file was renamed",
        (),
        ("H09",),
        severity="error",
        project=renamed("depot", "0003_move", "0003_moves"),
        also=name_follows("depot", "0003_move", "0003_moves"),
        reverts=True,
    ),
    Case(
        "H09 a file of Python was renamed",
        (),
        ("H09",),
        severity="error",
        project=renamed("shop", "0009_py_ddl", "0009_py_ddl_renamed"),
        also=name_follows("shop", "0009_py_ddl", "0009_py_ddl_renamed"),
    ),
    Case(
        "H11 a squash was not recorded before its originals left",
        delete("shop", SQUASH),
        ("H11",),
        severity="error",
        project=without_originals,
        also=squash_is_recorded,
    ),
    Case(
        "H12 another schema shadows history",
        (
            "CREATE SCHEMA legacy",
            "CREATE TABLE legacy.django_migrations (LIKE public.django_migrations INCLUDING ALL)",
        ),
        ("H12",),
        "refused",
        severity="error",
        environment={"DATABASE_OPTIONS": '{"options": "-c search_path=legacy,public"}'},
        migrates=False,
    ),
    Case(
        "H19 names that differ in case",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0009_PY_DDL', now())",
        ("H19",),
        "refused",
        leaves=("H08",),
    ),
]
