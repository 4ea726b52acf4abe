"""States of django_migrations that people get into, and what a repair makes of them."""

from collections.abc import Callable

from tests.drift import sample
from tests.drift.cases import Case, Proof
from tests.ops.scratch import rows

DUPLICATES = "SELECT count(*) FROM (SELECT FROM django_migrations GROUP BY app, name HAVING count(*) > 1) AS d"
NUMBERED = """
SELECT coalesce((SELECT s.last_value FROM pg_sequences AS s WHERE s.sequencename = 'django_migrations_id_seq'), 0)
    >= (SELECT max(id) FROM django_migrations)
"""
IDENTITY = (
    "SELECT attidentity <> '' FROM pg_attribute WHERE attrelid = 'django_migrations'::regclass AND attname = 'id'"
)


def delete(app: str, *names: str) -> str:
    """Return the statement that takes rows out of history."""
    return f"DELETE FROM django_migrations WHERE app = '{app}' AND name = ANY(ARRAY[{', '.join(map(repr, names))}])"


def both(*proofs: Callable[[Proof], None]) -> Callable[[Proof], None]:
    """Return the proof that is all of these."""

    def prove(proof: Proof) -> None:
        for one in proofs:
            one(proof)

    return prove


def recorded(proof: Proof, app: str, name: str) -> int:
    """Return how often a migration is recorded."""
    found = proof.one(f"SELECT count(*) FROM django_migrations WHERE app = '{app}' AND name = '{name}'")
    return int(found)


def is_recorded(app: str, *names: str) -> Callable[[Proof], None]:
    """Return the proof that migrations are recorded, once each, and that every row that was there is as it was."""

    def prove(proof: Proof) -> None:
        assert [recorded(proof, app, name) for name in names] == [1] * len(names)
        assert set(proof.before.history) <= set(proof.after.history)

    return prove


def before_its_children(proof: Proof) -> None:
    """Prove that a parent was recorded before its children, so that the history reads as it went."""
    is_recorded("contenttypes", "0001_initial", "0002_remove_content_type_name")(proof)
    assert proof.one(
        "SELECT bool_and(p.applied < c.applied) FROM django_migrations AS p, django_migrations AS c"
        " WHERE (p.app, p.name, c.app, c.name) IN (('contenttypes', '0001_initial', 'auth', '0001_initial'),"
        " ('contenttypes', '0002_remove_content_type_name', 'auth', '0006_require_contenttypes_0002'))"
    )


def half_migrated(database: str) -> None:
    """Let `migrate` make a table and fail to record that, because the sequence of its history is behind."""
    sample.must("migrate", "depot", "0002", "-v0", database=database)
    rows(database, "SELECT setval('django_migrations_id_seq', 3)")
    said = sample.manage("migrate", "--skip-checks", "-v0", database=database)
    assert "django_migrations_pkey" in said.err, said


def is_whole(proof: Proof) -> None:
    is_recorded("depot", "0003_move")(proof)
    assert proof.one(NUMBERED)


def index_is_back(name: str) -> Callable[[Proof], None]:
    """Return the proof that an index is there, and valid."""

    def prove(proof: Proof) -> None:
        assert proof.one(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{name}'::regclass")

    return prove


def fake_everything(database: str) -> None:
    sample.must("migrate", "--fake", "-v0", database=database)


def is_unrecorded(proof: Proof) -> None:
    """Prove that the whole history is in the audit only: the migrate that follows makes all tables."""
    assert proof.one("SELECT count(*) FROM django_migrations") == 0


def fake_moves(database: str) -> None:
    sample.must("migrate", "depot", "0002", "-v0", database=database)
    sample.must("migrate", "depot", "0003", "--fake", "-v0", database=database)


def fake_ticket(database: str) -> None:
    sample.must("migrate", "shop", "0007", "-v0", database=database)
    sample.must("migrate", "shop", "0008", "--fake", "-v0", database=database)
    sample.must("migrate", "-v0", database=database)


def row_is_kept(proof: Proof) -> None:
    assert proof.before.history == proof.after.history


GHOSTS = """
INSERT INTO django_migrations (app, name, applied)
VALUES ('shop', '0010_lost', now()), ('goneapp', '0001_initial', now())
"""


def is_pruned(proof: Proof) -> None:
    """Prove that the one that was asked for left, and the other stayed."""
    assert (recorded(proof, "shop", "0010_lost"), recorded(proof, "goneapp", "0001_initial")) == (0, 1)


def is_behind(database: str) -> None:
    sample.must("migrate", "depot", "0002", "-v0", database=database)
    rows(database, "TRUNCATE django_migrations")


def recorded_as_far_as_it_is(proof: Proof) -> None:
    """Prove that what is not there was not recorded: the migrate that follows makes it."""
    assert recorded(proof, "depot", "0002_shelf") == 1
    assert recorded(proof, "depot", "0003_move") == 0
    assert recorded(proof, "shop", "0009_py_ddl") == 1


def older_is_kept(proof: Proof) -> None:
    assert proof.one(DUPLICATES) == 0
    assert proof.one("SELECT applied < '2030-01-01' FROM django_migrations WHERE app = 'shop' AND name = '0005_seed'")


def reverses(proof: Proof) -> None:
    """Prove that what stopped at the missing index goes back now."""
    sample.must("migrate", "shop", "0008", "-v0", database=proof.database)
    assert recorded(proof, "shop", "0009_py_ddl") == 0


def numbers_again(proof: Proof) -> None:
    assert proof.one(IDENTITY)
    assert proof.one(NUMBERED)


TWICE = """
INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0005_seed', '2031-01-01')
"""
RECORD = ("--record", "shop.0009_py_ddl")

CASES = [
    Case(
        "H01 all of it is there",
        delete("depot", "0003_move"),
        ("H01|H02",),
        severity="error",
        also=is_recorded("depot", "0003_move"),
        reverts=True,
    ),
    Case(
        "H01 some of it is there",
        (delete("depot", "0003_move"), "DROP INDEX move_latest"),
        ("H01|H02",),
        severity="error",
        also=both(is_recorded("depot", "0003_move"), index_is_back("move_latest")),
    ),
    Case(
        "H01 Python cannot be proven",
        delete("shop", "0009_py_ddl"),
        ("H01",),
        "refused",
        RECORD,
        severity="error",
        also=both(is_recorded("shop", "0009_py_ddl"), index_is_back("shop_py_idx")),
        reverts=True,
    ),
    Case(
        "H02 the row could not be written",
        half_migrated,
        ("H01|H02", "D01|H18"),
        severity="error",
        also=is_whole,
    ),
    Case(
        "H03 parents are not recorded",
        "DELETE FROM django_migrations WHERE app = 'contenttypes'",
        ("H03",),
        severity="error",
        says=("contenttypes.0002_remove_content_type_name",),
        also=before_its_children,
        reverts=True,
    ),
    Case(
        "H03 a parent is neither recorded nor there",
        (delete("shop", "0007_concurrent"), "DROP INDEX prod_sold"),
        ("H03",),
        severity="error",
        also=both(is_recorded("shop", "0007_concurrent"), index_is_back("prod_sold")),
    ),
    Case(
        "H05 everything was faked",
        fake_everything,
        ("H05",),
        "refused",
        ("--unrecord-all",),
        severity="error",
        empty=True,
        also=is_unrecorded,
    ),
    Case("H06 one was faked", fake_moves, ("H06",), severity="error", also=row_is_kept),
    Case(
        "H06 one with a callable default was faked",
        fake_ticket,
        ("H06|S03",),
        "refused",
        ("--value", "shop_customer.ticket='6b0d9c2e-0000-4000-8000-000000000000'"),
        severity="error",
        partly=True,
        also=row_is_kept,
    ),
    Case(
        "H08 ghosts",
        GHOSTS,
        ("H08",),
        "refused",
        ("--prune", "shop.0010_lost"),
        leaves=("H08",),
        says=("shop.0010_lost",),
        also=is_pruned,
        reverts=True,
    ),
    Case(
        "H10 a squash is recorded in part",
        delete("shop", "0001_initial_squashed_0003_renames", "0003_renames"),
        ("H10|H01|H03",),
        severity="error",
        also=is_recorded("shop", "0003_renames"),
    ),
    Case(
        "H14 recorded in the future",
        "UPDATE django_migrations SET applied = applied + interval '1 year' WHERE app = 'shop'",
        ("H14",),
        "told",
        severity="info",
        also=row_is_kept,
    ),
    Case(
        "H15 a column of it is gone",
        "ALTER TABLE django_migrations DROP COLUMN applied",
        ("H15",),
        "refused",
        severity="error",
        migrates=False,
    ),
    Case(
        "H16 history was emptied",
        "TRUNCATE django_migrations",
        ("H16",),
        "refused",
        ("--record-history",),
        severity="error",
        also=is_recorded("shop", "0004_sql", "0009_py_ddl"),
    ),
    Case(
        "H16 history was emptied in a database that is behind",
        is_behind,
        ("H16",),
        "refused",
        ("--record-history",),
        severity="error",
        also=recorded_as_far_as_it_is,
    ),
    Case(
        "H16 history was dropped",
        "DROP TABLE django_migrations",
        ("H16",),
        "refused",
        ("--record-history",),
        severity="error",
        also=is_recorded("shop", "0004_sql", "0009_py_ddl"),
    ),
    Case("H17 two ran at once", TWICE, ("H17",), also=older_is_kept, reverts=True),
    Case(
        "H18 history gives no keys",
        "ALTER TABLE django_migrations ALTER id DROP IDENTITY",
        ("H18",),
        severity="error",
        also=numbers_again,
    ),
    Case(
        "H22 what it would drop is missing",
        "DROP INDEX shop_py_idx",
        ("H22|S10|H06",),
        also=both(row_is_kept, reverses),
    ),
    Case(
        "D01 history is behind its rows",
        "SELECT setval('django_migrations_id_seq', 3)",
        ("D01|H18",),
        severity="error",
        also=numbers_again,
    ),
]
