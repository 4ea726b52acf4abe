"""The version of a table moves with whatever writes to it, and with nothing else."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.db import connection, transaction

from billing.models import Client, Subscription
from ops.cache import triggers, versions
from ops.models import TableVersion
from tests.ops.cache.versioned import declared, execute, moved_by, tables, version

pytestmark = pytest.mark.django_db(transaction=True)


FILL = """
TRUNCATE v_thing, v_part, v_days;
INSERT INTO v_thing SELECT i, i % 10, 0 FROM generate_series(1, 100) AS i;
INSERT INTO v_part SELECT i, 0 FROM generate_series(1, 50) AS i;
INSERT INTO v_days VALUES ('2026-01-05', 1, 0), ('2026-02-05', 1, 0)
"""


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    with tables():
        execute(FILL)
        yield


ROADS = {
    "insert": "INSERT INTO v_thing VALUES (1000, 1, 1)",
    "insert from a query": "INSERT INTO v_thing SELECT i, 1, 1 FROM generate_series(1000, 1010) AS i",
    "update": "UPDATE v_thing SET v = 1 WHERE id = 1",
    "update that changes nothing": "UPDATE v_thing SET v = v WHERE id = 1",
    "delete": "DELETE FROM v_thing WHERE id = 1",
    "truncate": "TRUNCATE v_thing CASCADE",
    "truncate and begin again": "TRUNCATE v_thing RESTART IDENTITY CASCADE",
    "on conflict update": "INSERT INTO v_thing VALUES (1, 1, 1) ON CONFLICT (id) DO UPDATE SET v = 9",
    "merge": (
        "MERGE INTO v_thing AS t USING (VALUES (1), (2000)) AS s (id) ON s.id = t.id "
        "WHEN MATCHED THEN UPDATE SET v = 3 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1, 1)"
    ),
    "in a with clause": "WITH gone AS (DELETE FROM v_thing WHERE id < 5 RETURNING 1) SELECT count(*) FROM gone",
    "in a function": "DO $$ BEGIN UPDATE v_thing SET v = 2 WHERE id = 2; END $$",
    "in a subtransaction": (
        "DO $$ BEGIN BEGIN UPDATE v_thing SET v = 2; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$"
    ),
    "as replication does": "SET LOCAL session_replication_role = replica; UPDATE v_thing SET v = 5 WHERE id = 1",
}


def test_a_write_by_any_road_moves_the_version() -> None:
    def moves(statement: str) -> bool:
        execute(FILL)
        connection.close()
        return bool(moved_by(lambda: execute(f"BEGIN; {statement}; COMMIT")))

    assert {road: moves(statement) for road, statement in ROADS.items()} == dict.fromkeys(ROADS, True)


def test_copy_moves_the_version() -> None:
    def copy() -> None:
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY v_thing FROM STDIN", StringIO("3000\t1\t1\n"))

    assert moved_by(copy)


def test_a_cascade_moves_the_version_of_the_table_that_it_reaches() -> None:
    assert moved_by(lambda: execute("DELETE FROM v_thing WHERE id = 7"), "v_part")
    assert moved_by(lambda: execute("UPDATE v_thing SET id = 7000 WHERE id = 8"), "v_part")
    connection.close()
    # It finds no row there.
    assert not moved_by(lambda: execute("DELETE FROM v_thing WHERE id = 70"), "v_part")


def test_what_the_orm_writes_moves_the_version() -> None:
    with declared("billing_client"):
        triggers.install("default")
        client = Client.objects.create(name="one")
        for work in (
            lambda: Client.objects.create(name="two"),
            lambda: Client.objects.bulk_create([Client(name="three"), Client(name="four")]),
            lambda: Client.objects.filter(pk=client.pk).update(name="five"),
            lambda: Client.objects.bulk_update([Client(pk=client.pk, name="six")], ["name"]),
            lambda: Client.objects.get(pk=client.pk).save(),
            lambda: Client.objects.all().delete(),
        ):
            assert moved_by(work, "billing_client")
        assert not moved_by(lambda: Client.objects.all().delete(), "billing_client")


PARTITIONS = ("v_days", "v_days_1", "v_days_2", "v_days_2a")
TO_PARTITIONS = (
    "INSERT INTO v_days_1 VALUES ('2026-01-06', 1, 0)",
    "INSERT INTO v_days_2 VALUES ('2026-02-06', 1, 0)",
    "UPDATE v_days_2a SET v = 3",
    "UPDATE v_days SET day = '2026-02-07' WHERE day = '2026-01-05'",
    "DELETE FROM v_days",
    "TRUNCATE v_days_2a",
    "TRUNCATE v_days",
)


def test_partitions_share_the_version_of_their_table() -> None:
    for statement in TO_PARTITIONS:
        before = versions.read(PARTITIONS).by_table
        assert len(set(before.values())) == 1
        execute(statement)
        after = versions.read(PARTITIONS).by_table
        assert len(set(after.values())) == 1
        assert after["v_days"] > before["v_days"], statement


STILL = {
    "select": "SELECT * FROM v_thing",
    "lock": "SELECT 1 FROM v_thing FOR UPDATE",
    "update that finds no row": "UPDATE v_thing SET v = 1 WHERE id = -1",
    "delete that finds no row": "DELETE FROM v_thing WHERE id = -1",
    "insert of nothing": "INSERT INTO v_thing SELECT 1, 1, 1 WHERE false",
    "on conflict do nothing": "INSERT INTO v_thing VALUES (1, 1, 1) ON CONFLICT DO NOTHING",
    "another table": "INSERT INTO v_other VALUES (1, 1)",
    "rolled back": "BEGIN; DELETE FROM v_thing; ROLLBACK",
    "rolled back to a savepoint": "BEGIN; SAVEPOINT a; DELETE FROM v_thing; ROLLBACK TO a; COMMIT",
}


def test_what_writes_nothing_leaves_the_version() -> None:
    def moves(statement: str) -> bool:
        connection.close()  # counts of writes that were not yet told to the server would be taken for this one's
        return bool(moved_by(lambda: execute(statement)))

    assert {case: moves(statement) for case, statement in STILL.items()} == dict.fromkeys(STILL, False)


def test_rows_that_the_server_does_not_count_move_the_version_all_the_same() -> None:
    execute("SET track_counts = off")
    try:
        assert moved_by(lambda: execute("UPDATE v_thing SET v = 1 WHERE id = 1"))
        assert moved_by(lambda: execute("UPDATE v_thing SET v = 1 WHERE id = -1"))
    finally:
        execute("RESET track_counts")


def test_a_table_with_children_by_inheritance_moves_with_them() -> None:
    execute("CREATE TABLE v_child () INHERITS (v_thing); INSERT INTO v_child VALUES (5000, 1, 1)")
    connection.close()
    try:
        # The row is the child's, so the server counts nothing for the table that the statement names.
        assert moved_by(lambda: execute("UPDATE v_thing SET v = 2 WHERE id = 5000"))
    finally:
        execute("DROP TABLE v_child")


def test_after_a_savepoint_is_rolled_back_the_next_write_moves_the_version_again() -> None:
    def work() -> None:
        with transaction.atomic():
            with transaction.atomic():
                execute("UPDATE v_thing SET v = 1 WHERE id = 1")
                transaction.set_rollback(True)
            execute("UPDATE v_thing SET v = 1 WHERE id = 2")

    assert moved_by(work)


def test_a_savepoint_that_is_kept_does_not_move_it_twice() -> None:
    def drawn() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT last_value FROM ops_version")
            return int(cursor.fetchone()[0])

    with transaction.atomic():
        execute("UPDATE v_thing SET v = 1")
        before = drawn()
        for _ in range(20):
            with transaction.atomic():
                execute("UPDATE v_thing SET v = v + 1")
        assert drawn() == before
    assert TableVersion.objects.filter(name="public.v_thing").count() == 1


def test_a_mark_of_another_transaction_does_not_count() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'v_thing'::regclass::oid")
        mark = f"ops.moved_{cursor.fetchone()[0]}"
        cursor.execute(f"SET {mark} = '1'")
    assert moved_by(lambda: execute("UPDATE v_thing SET v = 1"))
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {mark}")
        assert cursor.fetchone() == ("1",)


def test_a_version_that_was_rolled_back_never_comes() -> None:
    seen = {version()}
    for round_ in range(20):
        with transaction.atomic():
            execute("UPDATE v_thing SET v = %s", [round_])
            found = versions.read(["v_thing"])
            assert found.dirty
            assert found.by_table["v_thing"] not in seen
            seen.add(found.by_table["v_thing"])
            transaction.set_rollback(round_ % 3 != 0)
        # After a commit the number seen in the transaction is that of the table; else that of before.
        assert version() in seen


def test_reading_says_whether_this_transaction_has_written() -> None:
    assert not versions.is_dirty()
    with transaction.atomic():
        assert not versions.read(["v_thing"]).dirty
        execute("CREATE TEMPORARY TABLE v_temp ON COMMIT DROP AS SELECT 1 AS one")
        assert versions.read(["v_thing"]).dirty
        assert versions.is_dirty()
    assert not versions.read(["v_thing"]).dirty


def test_names_of_a_table() -> None:
    found = versions.read([Subscription, "v_thing", "public.v_thing", "cache:a name"], database="default").by_table
    assert list(found) == ["billing_subscription", "cache:a name", "public.v_thing", "v_thing"]
    assert found["v_thing"] == found["public.v_thing"] > 0
    # What was never moved has the number of the beginning, which moves where the tables of versions are truncated.
    assert found["cache:a name"] == versions.read(["cache:another"]).by_table["cache:another"] < found["v_thing"]
    assert versions.table_name(Client) == "billing_client"
    assert versions.table_name('"odd.schema"."a ""b"""') == '"odd.schema"."a ""b"""'
    assert versions.parts('"odd.schema"."a ""b"""') == ["odd.schema", 'a "b"']


def test_bump_moves_what_is_no_table_and_tables() -> None:
    assert moved_by(lambda: versions.bump("cache:a name"), "cache:a name")
    assert moved_by(lambda: versions.bump("v_thing"))
    assert not moved_by(lambda: versions.bump("cache:a name", "a tag"), "cache:a name")


def test_a_table_that_took_another_ones_name_has_another_key() -> None:
    before = versions.read(["v_thing"])
    execute("ALTER TABLE v_thing RENAME TO v_gone; CREATE TABLE v_thing (id bigint, partner_id bigint, v integer)")
    try:
        triggers.install("default")
        after = versions.read(["v_thing"])
        assert after.identity != before.identity
        assert after.key != before.key
    finally:
        execute("DROP TABLE v_gone CASCADE")


def test_a_table_that_was_rewritten_has_another_key() -> None:
    before = versions.read(["v_thing"]).key
    execute("ALTER TABLE v_thing ALTER COLUMN v TYPE bigint USING v * 2")
    assert versions.read(["v_thing"]).key != before
