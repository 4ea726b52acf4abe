"""What is read of django_migrations, whatever state that table is in."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from ops.drift import history
from ops.drift.model import Node, Row
from tests.drift.histories import make_history
from tests.drift.remaking import wrapped
from tests.ops.scratch import connected, own_database, rows

pytestmark = pytest.mark.django_db
NAME = "test_drift_history"
APPLIED = datetime(2026, 1, 1, tzinfo=UTC)
FILL = "INSERT INTO django_migrations (app, name, applied) VALUES ('a', '0001', %(at)s), ('a', '0002', %(at)s)"
TWO = [Row(1, "a", "0001", APPLIED), Row(2, "a", "0002", APPLIED)]


@pytest.fixture
def opened() -> Iterator[BaseDatabaseWrapper]:
    with own_database(NAME), wrapped(NAME) as found:
        make_history(found)
        rows(NAME, FILL, {"at": APPLIED})
        yield found


def test_a_healthy_one(opened: BaseDatabaseWrapper) -> None:
    known = history.read(opened)
    assert (known.exists, known.schema, known.kind, known.unreadable) == (True, "public", "r", "")
    assert known.rows == TWO
    assert list(known.columns) == ["id", "app", "name", "applied"]
    assert (known.columns["id"].identity, known.columns["id"].next_key) == ("d", 3)
    assert known.columns["id"].sequence == ("public", "django_migrations_id_seq")
    assert known.columns["name"].length == 255
    assert [guard.kind for guard in known.guards] == ["primary key"]
    assert (known.duplicates, known.others, known.guarded, known.creation) == ({}, [], False, [])
    assert known.tables == {("public", "django_migrations")}
    assert known.applied(Node("a", "0002")) == APPLIED


def test_none_says_how_django_makes_it(opened: BaseDatabaseWrapper) -> None:
    shape = history.read(opened).columns
    rows(NAME, "DROP TABLE django_migrations")
    known = history.read(opened)
    assert (known.exists, known.schema, known.rows) == (False, "public", [])
    for statement in known.creation:
        rows(NAME, statement)
    assert history.read(opened).columns == {**shape, "id": history.read(opened).columns["id"]}
    assert history.read(opened).columns["id"].identity == "d"


@pytest.mark.parametrize(
    ("damage", "keys", "applied"),
    [
        ("ALTER TABLE django_migrations DROP id", [None, None], APPLIED),
        ("ALTER TABLE django_migrations DROP applied", [1, 2], None),
        ("UPDATE django_migrations SET applied = 'infinity'", [1, 2], None),
        ("ALTER TABLE django_migrations ALTER applied TYPE date", [1, 2], APPLIED),
    ],
    ids=["id", "applied", "infinity", "date"],
)
def test_rows_are_read_that_lack_something(
    opened: BaseDatabaseWrapper, damage: str, keys: list[int | None], applied: datetime | None
) -> None:
    rows(NAME, damage)
    known = history.read(opened)
    assert known.rows == [Row(key, "a", name, applied) for key, name in zip(keys, ("0001", "0002"), strict=True)]


def test_without_names_there_is_nothing_to_read(opened: BaseDatabaseWrapper) -> None:
    rows(NAME, "ALTER TABLE django_migrations DROP app")
    known = history.read(opened)
    assert known.rows == []
    assert known.unreadable == "it has no column 'app'"


@pytest.mark.parametrize(
    ("damage", "next_key"),
    [
        ("SELECT setval('django_migrations_id_seq', 7)", 8),
        ("SELECT setval('django_migrations_id_seq', 7, FALSE)", 7),
        ("ALTER TABLE django_migrations ALTER id DROP IDENTITY", None),
        (
            """
            ALTER TABLE django_migrations ALTER id DROP IDENTITY;
            CREATE SEQUENCE "of Another" INCREMENT 5;
            ALTER TABLE django_migrations ALTER id SET DEFAULT nextval('"of Another"')
            """,
            1,
        ),
    ],
)
def test_which_key_the_next_row_gets(opened: BaseDatabaseWrapper, damage: str, next_key: int | None) -> None:
    rows(NAME, damage)
    assert history.read(opened).columns["id"].next_key == next_key


def test_what_stands_in_the_way(opened: BaseDatabaseWrapper) -> None:
    rows(
        NAME,
        """
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keeps_out BEFORE INSERT ON django_migrations FOR EACH ROW EXECUTE FUNCTION no();
        CREATE RULE nothing AS ON INSERT TO django_migrations DO INSTEAD NOTHING;
        CREATE UNIQUE INDEX one_app ON django_migrations (app) WHERE name = '';
        ALTER TABLE django_migrations ADD CHECK (app <> '')
        """,
    )
    known = history.read(opened)
    assert [(guard.kind, guard.name) for guard in known.guards] == [
        ("check", "django_migrations_app_check"),
        ("primary key", "django_migrations_pkey"),
        ("rule", "nothing"),
        ("trigger", "keeps_out"),
        ("unique index", "one_app"),
    ]


def test_other_tables_of_the_name_and_the_order_of_their_schemas(opened: BaseDatabaseWrapper) -> None:
    rows(
        NAME,
        """
        CREATE SCHEMA tenant;
        CREATE TABLE tenant.django_migrations (LIKE public.django_migrations);
        CREATE SCHEMA backup;
        CREATE TABLE backup.django_migrations AS SELECT m.* FROM public.django_migrations AS m
        """,
    )
    rows(NAME, f"ALTER DATABASE {NAME} SET search_path = tenant, public")
    opened.close()
    known = history.read(opened)
    assert (known.schema, known.search_path, known.rows) == ("tenant", ["tenant", "public"], [])
    assert [(one.schema, one.place, one.rows) for one in known.others] == [("public", 2, TWO), ("backup", None, TWO)]


def test_duplicates_are_the_oldest_first(opened: BaseDatabaseWrapper) -> None:
    rows(NAME, "INSERT INTO django_migrations (app, name, applied) VALUES ('a', '0001', '2025-01-01Z')")
    found = history.read(opened).duplicates
    assert [row.id for row in found[Node("a", "0001")]] == [3, 1]


def test_a_lock_is_not_waited_for_for_long(opened: BaseDatabaseWrapper) -> None:
    with connected(NAME) as other, other.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(history.HistoryLocked, match="another session has held a lock on it for 2s"):
            history.read(opened)
        cursor.execute("ROLLBACK")
    assert history.read(opened).rows == TWO


def test_it_leaves_nothing_behind_in_the_session(opened: BaseDatabaseWrapper) -> None:
    history.read(opened)
    with opened.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
        cursor.execute("CREATE TABLE written ()")
    assert opened.get_autocommit()


def test_a_role_that_may_only_read_reads_it_all(opened: BaseDatabaseWrapper) -> None:
    rows(
        NAME,
        """
        DROP ROLE IF EXISTS history_reader;
        CREATE ROLE history_reader;
        GRANT SELECT ON django_migrations TO history_reader
        """,
    )
    try:
        with opened.cursor() as cursor:
            cursor.execute("SET ROLE history_reader")
        known = history.read(opened)
        assert known.rows == TWO
        assert (known.may_read, known.may_insert, known.owns, known.may_make) == (True, False, False, False)
        # Which key comes next it may not see.
        assert known.columns["id"].next_key is None
        rows(NAME, "REVOKE SELECT ON django_migrations FROM history_reader")
        assert history.read(opened).unreadable.startswith("the role 'history_reader' may not read it")
    finally:
        opened.close()
        rows(NAME, "DROP OWNED BY history_reader; DROP ROLE history_reader")
