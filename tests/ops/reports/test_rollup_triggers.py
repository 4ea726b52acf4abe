"""Whatever road a write takes, its buckets are marked; and a trigger that is missing or was off is noticed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from ops.reports import rollup_triggers
from ops.reports.asking import ask as asked
from ops.reports.rollups import usable
from tests.ops.reports import rolled
from tests.ops.reports.rolled import AS_OF, ByDate, ByHour, Plainest, ask, assert_same, refresh, registered, touched
from tests.ops.shop import ROOT

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
TODAY = datetime.fromisoformat("2026-05-20T00:00+09:00")
NOON = TODAY + timedelta(hours=12)


@pytest.fixture(autouse=True)
def _events(db: None) -> Iterator[None]:
    rolled.make()
    with registered(Plainest):
        yield


@pytest.fixture
def built() -> None:
    """Build the rollup of eight days with an event each noon."""
    for back in range(8):
        ask(
            "INSERT INTO rolled_event (at, day, size) VALUES (%s, %s, 1)", NOON - back * DAY, (NOON - back * DAY).date()
        )
    refresh("plainest", rebuild=True)
    assert touched("plainest") == []


def insert_by_copy(days: int) -> None:
    from io import StringIO

    rows = "".join(f"{NOON - back * DAY}\t2\n" for back in range(days))
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY rolled_event (at, size) FROM STDIN", StringIO(rows))


MERGE = """
MERGE INTO rolled_event AS t
USING (VALUES (%s::timestamptz, 5), (%s::timestamptz, 6)) AS s (at, size)
ON t.at = s.at
WHEN MATCHED THEN UPDATE SET size = s.size
WHEN NOT MATCHED THEN INSERT (at, size) VALUES (s.at, s.size)
"""
UPSERT = """
INSERT INTO rolled_event (id, at, size) OVERRIDING SYSTEM VALUE
SELECT e.id, e.at, 9 FROM rolled_event AS e WHERE e.at = %s
UNION ALL SELECT 900000, %s, 9
ON CONFLICT (id) DO UPDATE SET size = excluded.size
"""
ROADS: dict[str, tuple[tuple[Any, ...], list[int]]] = {
    "insert": (("INSERT INTO rolled_event (at, size) VALUES (%s, 2)", NOON), [0]),
    "insert several": (
        (
            "INSERT INTO rolled_event (at, size) SELECT %s - i * interval '1 day', 2 FROM generate_series(1, 3) AS i",
            NOON,
        ),
        [3, 2, 1],
    ),
    "update": (("UPDATE rolled_event SET size = 3 WHERE at = %s", NOON - DAY), [1]),
    "update that moves": (
        ("UPDATE rolled_event SET at = at - interval '3 days' WHERE at = %s", NOON - DAY),
        [4, 1],
    ),
    "update of nothing": (("UPDATE rolled_event SET size = 3 WHERE at = %s", NOON + DAY), []),
    "delete": (("DELETE FROM rolled_event WHERE at < %s", NOON - 5 * DAY), [7, 6]),
    "merge": ((MERGE, NOON - DAY, NOON - 20 * DAY), [20, 1]),
    "on conflict": ((UPSERT, NOON - 2 * DAY, NOON - 30 * DAY), [30, 2]),
    "a query within": (
        ("WITH gone AS (DELETE FROM rolled_event WHERE at = %s RETURNING 1) SELECT count(*) FROM gone", NOON),
        [0],
    ),
}


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("road", ROADS)
def test_a_write_marks_its_buckets(road: str) -> None:
    (statement, *values), backs = ROADS[road]
    ask(statement, *values)
    assert touched("plainest") == [TODAY - back * DAY for back in backs]
    assert_same(Plainest())
    refresh("plainest")
    assert touched("plainest") == []
    assert_same(Plainest())


@pytest.mark.usefixtures("built")
def test_copy_marks_its_buckets() -> None:
    insert_by_copy(5)
    assert touched("plainest") == [TODAY - back * DAY for back in (4, 3, 2, 1, 0)]
    assert_same(Plainest())


@pytest.mark.usefixtures("built")
def test_a_cascade_marks_its_buckets() -> None:
    ask("CREATE TABLE rolled_parent (id bigint PRIMARY KEY)")
    ask("INSERT INTO rolled_parent VALUES (1)")
    ask("ALTER TABLE rolled_event ADD COLUMN parent bigint REFERENCES rolled_parent ON DELETE CASCADE")
    ask("UPDATE rolled_event SET parent = 1 WHERE at IN (%s, %s)", NOON, NOON - DAY)
    refresh("plainest")
    ask("DELETE FROM rolled_parent")
    assert touched("plainest") == [TODAY - DAY, TODAY]
    assert assert_same(Plainest()).totals["last_30_days"][0]["values"]["count"] == 6


@pytest.mark.usefixtures("built")
def test_truncate_marks_all() -> None:
    ask("TRUNCATE rolled_event")
    assert touched("plainest") == [None]
    assert usable(asked(Plainest(), as_of=AS_OF)) == (
        "all its buckets are touched: 'manage.py rollup refresh plainest'"
    )
    rolled.fill(3)
    refresh("plainest")
    found = assert_same(Plainest())
    assert found.totals["last_30_days"][0]["values"]["count"] == 3
    assert ask("SELECT count(*) FROM ops_rolluprow WHERE report = 'plainest'") == [(2,)]


@pytest.mark.usefixtures("built")
def test_many_writes_to_a_bucket_leave_one_marker() -> None:
    for _ in range(20):
        ask("INSERT INTO rolled_event (at, size) VALUES (%s, 1)", NOON)
    insert_by_copy(8)
    assert ask("SELECT count(*), count(DISTINCT bucket) FROM ops_rolluptouched WHERE report = 'plainest'") == [(8, 8)]


@pytest.mark.usefixtures("built")
def test_what_is_rolled_back_marks_nothing() -> None:
    ask("INSERT INTO rolled_event (at, size) VALUES (%s, 1)", NOON)
    with transaction.atomic():
        ask("INSERT INTO rolled_event (at, size) VALUES (%s, 1)", NOON - DAY)
        ask("INSERT INTO rolled_event (at, size) VALUES (%s, 1)", NOON)
        assert touched("plainest") == [TODAY - DAY, TODAY]
        transaction.set_rollback(True)
    assert touched("plainest") == [TODAY]
    assert_same(Plainest())


def test_rows_between_two_buckets_of_half_hour_zones() -> None:
    class Kathmandu(Plainest):
        name = "kathmandu"
        zone = "Asia/Kathmandu"

    with registered(Kathmandu):
        refresh("kathmandu", rebuild=True)
        # 23:59:59 and 00:00, in one hour of UTC: both days; an hour's ends are looked at, so never too few.
        edge = datetime.fromisoformat("2026-05-20T00:00+05:45")
        ask("INSERT INTO rolled_event (at, size) VALUES (%s, 1), (%s, 1)", edge - timedelta(seconds=1), edge)
        assert touched("kathmandu") == [edge - DAY, edge]
        assert_same(Kathmandu())


def test_hours_and_dates_are_marked_in_utc() -> None:
    with registered(ByHour, ByDate):
        for name in ("by_hour", "by_date"):
            refresh(name, rebuild=True)
        ask("INSERT INTO rolled_event (at, day, size) VALUES (%s, %s, 1), (NULL, NULL, 1)", AS_OF, "2026-05-19")
        assert touched("by_hour") == [AS_OF.replace(minute=0)]
        assert touched("by_date") == [AS_OF.replace(hour=0, minute=0)]


PARTITIONED = """
DROP TABLE rolled_event;
CREATE TABLE rolled_event (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, day date, size bigint)
PARTITION BY RANGE (at);
CREATE INDEX ON rolled_event (at) INCLUDE (size);
CREATE TABLE rolled_april PARTITION OF rolled_event FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE rolled_may PARTITION OF rolled_event FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')
"""
WINDOWS = ["last_2_months", "today", "last_30_days"]


def test_writes_to_a_partition_and_to_its_table_are_marked() -> None:
    ask(PARTITIONED)
    ask(
        "INSERT INTO rolled_event (at, size) SELECT %s - i * interval '1 day', i FROM generate_series(1, 40) AS i", NOON
    )
    refresh("plainest", rebuild=True)
    ask("INSERT INTO rolled_may (at, size) VALUES (%s, 1)", NOON)
    ask("UPDATE rolled_event SET at = at - interval '30 days' WHERE at = %s", NOON - 10 * DAY)
    assert touched("plainest") == [TODAY - 40 * DAY, TODAY - 10 * DAY, TODAY]
    assert_same(Plainest(), windows=WINDOWS)
    refresh("plainest")
    ask("TRUNCATE rolled_april")
    assert touched("plainest") == [None]
    refresh("plainest")
    assert_same(Plainest(), windows=WINDOWS)


def test_partitions_that_come_and_go() -> None:
    ask(PARTITIONED)
    rows = "SELECT %s - i * interval '1 day', i FROM generate_series(1, 10) AS i"
    ask(f"INSERT INTO rolled_event (at, size) {rows}", NOON)
    refresh("plainest", rebuild=True)
    why = "partitions came or went since its rollup was refreshed: 'manage.py rollup refresh plainest'"

    ask("CREATE TABLE rolled_march (LIKE rolled_event)")
    ask("ALTER TABLE rolled_march ALTER COLUMN id SET NOT NULL")
    ask("INSERT INTO rolled_march (id, at, size) VALUES (1, %s, 5)", NOON - 60 * DAY)
    ask("ALTER TABLE rolled_event ATTACH PARTITION rolled_march FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')")
    assert usable(asked(Plainest(), as_of=AS_OF)) == why
    notes: list[str] = []
    run = refresh("plainest", note=notes.append)
    # What it brought is computed, and nothing else.
    assert run.result["buckets"] == 1
    assert notes == ["Mended the triggers of rollup plainest on public.rolled_march."]
    assert_same(Plainest(), windows=["last_3_months"])

    ask("ALTER TABLE rolled_event DETACH PARTITION rolled_march")
    assert usable(asked(Plainest(), as_of=AS_OF)) == why
    refresh("plainest")
    found = assert_same(Plainest(), windows=["last_3_months"])
    assert found.totals["last_3_months"][0]["values"]["count"] == 10
    # An empty one costs nothing.
    ask("CREATE TABLE rolled_june PARTITION OF rolled_event FOR VALUES FROM ('2026-06-01') TO ('2026-07-01')")
    assert refresh("plainest").result["buckets"] == 0
    assert_same(Plainest())


def test_a_table_that_inherits_is_read_and_watched() -> None:
    ask("CREATE TABLE rolled_child () INHERITS (rolled_event)")
    refresh("plainest", rebuild=True)
    ask("INSERT INTO rolled_child (id, at, size) VALUES (1, %s, 4)", NOON)
    assert touched("plainest") == [TODAY]
    assert assert_same(Plainest()).totals["today"][0]["values"] == {"count": 1, "total": 4}


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "off",
    [
        ("ALTER TABLE rolled_event DISABLE TRIGGER USER",),
        # Enabled again, they are in another state than they were made in.
        ("ALTER TABLE rolled_event DISABLE TRIGGER USER", "ALTER TABLE rolled_event ENABLE TRIGGER USER"),
        ("DROP FUNCTION {touch} CASCADE",),
    ],
)
def test_triggers_that_were_off_are_noticed_and_mended(off: tuple[str, ...]) -> None:
    touch = ask("SELECT touch FROM ops_rollup WHERE report = 'plainest'")[0][0]
    ask(off[0].format(touch=touch))
    ask("INSERT INTO rolled_event (at, size) VALUES (%s, 50)", NOON - 3 * DAY)
    for statement in off[1:]:
        ask(statement)
    assert touched("plainest") == []
    found = assert_same(Plainest(), uses=False)
    assert found.source == (
        "table: the triggers of its rollup are missing, or were disabled meanwhile: 'manage.py rollup refresh plainest'"
    )
    refresh("plainest")
    assert assert_same(Plainest()).totals["last_30_days"][0]["values"] == {"count": 9, "total": 58}


@pytest.mark.usefixtures("built")
def test_a_session_that_applies_what_was_replicated_is_watched_too() -> None:
    ask("SET LOCAL session_replication_role = replica")
    ask("INSERT INTO rolled_event (at, size) VALUES (%s, 50)", NOON - 3 * DAY)
    ask("SET LOCAL session_replication_role = origin")
    assert touched("plainest") == [TODAY - 3 * DAY]
    assert_same(Plainest())


@pytest.mark.usefixtures("built")
def test_what_is_as_it_is_to_be_is_left_alone() -> None:
    before = ask("SELECT oid, xmin::text FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass ORDER BY oid")
    assert len(before) == 4
    assert rollup_triggers.install("default") == {"plainest": ""}
    assert ask("SELECT oid, xmin::text FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass ORDER BY oid") == before
    assert touched("plainest") == []


def test_a_migrate_makes_triggers_and_marks_all() -> None:
    rollup_triggers.after_migrate("default")
    assert touched("plainest") == [None]
    assert len(ask("SELECT 1 FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass AND tgenabled = 'A'")) == 4
    assert usable(asked(Plainest(), as_of=AS_OF)).startswith("its rollup is not built yet")


@pytest.mark.usefixtures("built")
def test_buckets_laid_otherwise_have_triggers_of_their_own() -> None:
    class Berlin(Plainest):
        zone = "Europe/Berlin"

    with registered(Berlin):
        rollup_triggers.after_migrate("default")
        assert len(ask("SELECT 1 FROM pg_trigger WHERE tgrelid = 'rolled_event'::regclass")) == 4
        assert touched("plainest") == [None]
        assert usable(asked(Berlin(), as_of=AS_OF)).startswith("its rollup is not built yet")
        # Code that is still running finds that it is no more its own.
        assert usable(asked(Plainest(), as_of=AS_OF)).startswith("its declaration is another one")
        refresh("plainest", rebuild=True)
        assert_same(Berlin())


def test_a_view_has_no_triggers_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    ask("CREATE VIEW rolled_view AS SELECT at, size FROM rolled_event")

    class Viewed(Plainest):
        name = "viewed"
        source: Any = "rolled_view"

    with registered(Viewed):
        rollup_triggers.after_migrate("default")
        assert capsys.readouterr().err == ""
        with pytest.raises(Exception, match="is a view, and only a table has triggers; nothing was changed"):
            refresh("viewed", rebuild=True)


@pytest.mark.usefixtures("built")
def test_a_role_that_owns_nothing_writes_reads_and_refreshes() -> None:
    ask("CREATE ROLE rolled_writer; GRANT SELECT, INSERT ON rolled_event TO rolled_writer")
    ask(
        "CREATE ROLE rolled_jobs; GRANT SELECT ON rolled_event TO rolled_jobs; "
        "GRANT SELECT, INSERT, UPDATE ON ops_run TO rolled_jobs; "
        "GRANT SELECT, INSERT ON ops_runevent, ops_source, ops_changeset TO rolled_jobs; "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ops_window, ops_hold, ops_reject TO rolled_jobs"
    )
    ask(
        (ROOT / "docs" / "rollups.md")
        .read_text()
        .split("```sql\n")[1]
        .split("```")[0]
        .replace("shop_jobs", "rolled_jobs")
    )
    ask("SET LOCAL ROLE rolled_writer")
    ask("INSERT INTO rolled_event (at, size) VALUES (%s, 5), (%s, 5)", NOON, NOON - DAY)
    ask("SET LOCAL ROLE rolled_jobs")
    assert touched("plainest") == [TODAY - DAY, TODAY]
    refresh("plainest")
    assert touched("plainest") == []
    assert_same(Plainest())
    refresh("plainest", rebuild=True)
    assert_same(Plainest())
    ask("RESET ROLE")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "rewrite",
    [
        "ALTER TABLE rolled_event ALTER COLUMN size TYPE bigint USING size * 10",
        "ALTER TABLE rolled_event ALTER COLUMN at TYPE timestamptz USING at - interval '1 day'",
    ],
)
def test_a_table_that_is_rewritten_is_noticed(rewrite: str) -> None:
    """No trigger sees it, and no type has changed."""
    ask(rewrite)
    found = assert_same(Plainest(), uses=False)
    assert found.source == (
        "table: its source was rewritten, by which values may have changed: 'manage.py rollup refresh plainest'"
    )
    refresh("plainest")
    assert touched("plainest") == []
    assert_same(Plainest())
