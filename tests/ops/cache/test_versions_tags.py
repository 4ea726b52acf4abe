"""The versions of the rows of one partner move with writes to them, and with nothing else."""

import threading
from collections.abc import Iterator
from uuid import UUID

import psycopg2
import pytest
from django.db import connection
from django.db.models import Sum
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, ISOLATION_LEVEL_SERIALIZABLE

from ops.cache import triggers, versions
from ops.engine import retention
from ops.models import TagVersion
from tests.ops.cache.versioned import UNPACKED, declared, execute, others, tables, tagged, write
from tests.ops.scratch import connected

pytestmark = pytest.mark.django_db(transaction=True)

PARTNERS = (1, 2, 3, None)


FILL = """
TRUNCATE v_thing, v_part, v_days;
INSERT INTO v_thing SELECT i, nullif(1 + i % 4, 4), 0 FROM generate_series(1, 40) AS i;
INSERT INTO v_days VALUES ('2026-01-05', 1, 0), ('2026-02-05', 2, 0), ('2026-02-06', NULL, 0)
"""


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    with tables(tags=UNPACKED):
        execute(FILL)
        yield


def moved(statement: str, table: str = "v_thing") -> set[int | None]:
    """Execute; return the partners whose rows then have another version."""
    execute(FILL)
    before = tagged(table, *PARTNERS)
    execute(statement)
    after = tagged(table, *PARTNERS)
    assert all(after[one] >= before[one] for one in after)
    names = {versions.tag("partner_id", one): one for one in PARTNERS}
    return {names[one] for one in after if after[one] != before[one]}


# Row 1 is partner 2's: 1 + 1 % 4.
TO_ROWS: dict[str, set[int | None]] = {
    "INSERT INTO v_thing VALUES (100, 2, 0)": {2},
    "INSERT INTO v_thing VALUES (100, 2, 0), (101, NULL, 0), (102, 2, 0)": {2, None},
    "UPDATE v_thing SET v = 1 WHERE partner_id = 3": {3},
    "UPDATE v_thing SET partner_id = 1 WHERE partner_id = 3": {1, 3},
    "UPDATE v_thing SET partner_id = 2 WHERE partner_id IS NULL": {2, None},
    "DELETE FROM v_thing WHERE partner_id IS NULL": {None},
    "DELETE FROM v_thing WHERE partner_id = 99": set(),
    "INSERT INTO v_thing VALUES (1, 2, 0) ON CONFLICT (id) DO UPDATE SET partner_id = 3": {2, 3},
    "TRUNCATE v_thing CASCADE": {1, 2, 3, None},
    "INSERT INTO v_thing SELECT 100 + i, 1000 + i, 0 FROM generate_series(1, 1000) AS i": set(),
    "INSERT INTO v_thing SELECT 100 + i, 1000 + i, 0 FROM generate_series(1, 1001) AS i": {1, 2, 3, None},
    "BEGIN; DELETE FROM v_thing; ROLLBACK": set(),
    "BEGIN ISOLATION LEVEL SERIALIZABLE; DELETE FROM v_thing WHERE partner_id = 1; COMMIT": {1},
    "SELECT ops_bump_version('v_thing'::regclass::oid::text, 'partner_id=2')": {2},
    "SELECT ops_bump_version('v_thing'::regclass::oid::text, '')": {1, 2, 3, None},
}
TO_PARTITIONS: dict[str, set[int | None]] = {
    "UPDATE v_days SET v = 1 WHERE partner_id = 2": {2},
    "UPDATE v_days_2a SET v = 1": {2, None},
    "INSERT INTO v_days_1 VALUES ('2026-01-06', 3, 0)": {3},
    "UPDATE v_days SET day = '2026-02-07', partner_id = 3 WHERE partner_id = 1": {1, 3},
    "TRUNCATE v_days_1": {1, 2, 3, None},
}


def test_a_write_moves_the_versions_of_the_rows_that_it_touches() -> None:
    assert {statement: moved(statement) for statement in TO_ROWS} == TO_ROWS


def test_partitions_share_the_versions_of_their_tables_tags() -> None:
    assert {statement: moved(statement, "v_days") for statement in TO_PARTITIONS} == TO_PARTITIONS


def test_many_rows_of_one_tag_are_one_move() -> None:
    # Their sum, not their number: one call in sixty merges the rows of its tags.
    moves = TagVersion.objects.aggregate(all=Sum("version"))["all"]
    execute("UPDATE v_thing SET v = 1 WHERE partner_id = 1")
    assert TagVersion.objects.aggregate(all=Sum("version"))["all"] == moves + 1


def test_a_column_that_a_migration_renames_moves_all_tags_until_it_is_declared_anew() -> None:
    assert moved("ALTER TABLE v_thing RENAME partner_id TO whose; UPDATE v_thing SET v = 1 WHERE whose = 1") == {
        *PARTNERS
    }


def test_a_column_with_an_odd_name_and_a_text_as_its_value() -> None:
    execute('CREATE TABLE v_odd ("a ""%s"" 한글" text, v integer)')
    column, long = 'a "%s" 한글', "x" * 300
    try:
        with declared("v_odd", tags={"v_odd": column}):
            triggers.install("default")
            tags = [versions.tag(column, value) for value in ("", None, "100%", long)]
            before = versions.read([], {"v_odd": tags}).by_table
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO v_odd VALUES ('100%%', 1), (%s, 1), (NULL, 2)", [long])
            after = versions.read([], {"v_odd": tags}).by_table
            assert [after[f"v_odd#{one}"] - before[f"v_odd#{one}"] for one in tags] == [0, 1, 1, 1]
    finally:
        execute("DROP TABLE v_odd")


def test_a_tag_is_the_text_of_a_plain_value() -> None:
    assert versions.tag("a", None) == "a"
    assert versions.tag("a", "") == "a="
    assert versions.tag("a", True) == "a=true"
    assert versions.tag("a", UUID(int=5)) == "a=00000000-0000-0000-0000-000000000005"
    assert len(versions.tag("a", "x" * 300)) == 200
    with pytest.raises(TypeError, match=r"whole numbers, texts, UUIDs and booleans, not by 1\.5"):
        versions.tag("a", 1.5)


def test_reading_by_a_column_that_no_trigger_tells_rows_apart_by_is_refused() -> None:
    with pytest.raises(versions.Unversioned, match="v_thing"):
        versions.read([], {"v_thing": ["v=1"]})
    with pytest.raises(versions.Unversioned, match="v_other"):
        versions.read([], {"v_other": ["partner_id=1"]})
    execute("DROP TRIGGER ops_version_delete_partner_id ON v_thing")
    with pytest.raises(versions.Unversioned, match="v_thing"):
        tagged("v_thing", 1)
    assert list(versions.read(["v_thing"]).by_table) == ["v_thing"]


@pytest.mark.parametrize("level", [None, ISOLATION_LEVEL_REPEATABLE_READ, ISOLATION_LEVEL_SERIALIZABLE])
def test_writers_of_one_tag_do_not_wait_or_fail(level: int | None) -> None:
    with others(4, level) as found:
        for number, one in enumerate(found):
            write(one, f"INSERT INTO v_other VALUES ({number}, 1)")
            write(one, f"INSERT INTO v_days VALUES ('2026-01-0{1 + number}', 1, 0)")
        for number, one in enumerate(found):
            write(one, f"INSERT INTO v_days VALUES ('2026-02-0{1 + number}', 1, 0)")
        seen = [tagged("v_days", 1)["partner_id=1"]]
        for one in found:
            one.commit()
            seen.append(tagged("v_days", 1)["partner_id=1"])
    assert seen == sorted(set(seen))


def test_merging_keeps_every_sum_and_leaves_what_is_not_committed() -> None:
    for round_ in range(30):
        execute("UPDATE v_thing SET v = %s WHERE partner_id = 1", [round_])
    before = tagged("v_thing", *PARTNERS)
    with others(1) as (writer,):
        write(writer, "UPDATE v_thing SET v = 9 WHERE partner_id = 1")
        assert retention.merge_versions("default") > 0
        assert tagged("v_thing", *PARTNERS) == before
        assert TagVersion.objects.filter(name="public.v_thing", tag="partner_id=1").count() == 1
        writer.commit()
    assert tagged("v_thing", 1)["partner_id=1"] == before["partner_id=1"] + 1
    retention.merge_versions("default")
    assert retention.merge_versions("default") == 0


def test_the_rows_of_a_tag_that_is_written_over_and_over_are_merged_by_the_writers() -> None:
    execute("DO $$ BEGIN FOR i IN 1..2000 LOOP UPDATE v_thing SET v = i WHERE id = 4; COMMIT; END LOOP; END $$")
    # About one write in sixty merges: more than a thousand left would be a chance of one in 10 ** 7.
    assert TagVersion.objects.filter(tag="partner_id=1").count() < 1000
    # All of them moved it, and one that made the row, and one the trigger.
    assert tagged("v_thing", 1)["partner_id=1"] % 2**64 >= 2001


def test_no_two_states_of_a_partners_rows_share_a_version_while_it_is_merged() -> None:
    troubles: list[Exception] = []
    done = threading.Event()

    def work(number: int) -> None:
        try:
            with connected(str(connection.settings_dict["NAME"])) as opened:
                opened.autocommit = False
                for time in range(100):
                    write(opened, f"UPDATE v_thing SET v = v + 1 WHERE id = {4 * number}")
                    (opened.rollback if time % 4 == 3 else opened.commit)()
        except psycopg2.Error as exc:
            troubles.append(exc)

    def merge() -> None:
        with connected(str(connection.settings_dict["NAME"])) as opened:
            while not done.wait(0.001):
                write(opened, "SELECT ops_merge_tags(NULL, NULL)")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    mergers = [threading.Thread(target=merge) for _ in range(2)]
    for one in [*threads, *mergers]:
        one.start()
    seen: dict[int, int] = {}
    with others(1, ISOLATION_LEVEL_REPEATABLE_READ) as (reader,), reader.cursor() as cursor:
        alive = True
        while alive:
            alive = any(one.is_alive() for one in threads)
            cursor.execute("SELECT sum(version) FROM ops_tagversion WHERE tag IN ('partner_id=1', '*')")
            (number,) = cursor.fetchone()
            cursor.execute("SELECT sum(v) FROM v_thing WHERE partner_id = 1")
            (state,) = cursor.fetchone()
            reader.commit()
            assert seen.setdefault(int(number), state) == state
    done.set()
    for one in [*threads, *mergers]:
        one.join()
    assert troubles == []
    assert [seen[number] for number in sorted(seen)] == sorted(set(seen.values()))
    assert max(seen.values()) == 6 * 75


PARTNER = st.sampled_from(["1", "2", "3", "NULL"])


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(1, 45), PARTNER), min_size=1, max_size=6), commits=st.booleans())
def test_whatever_is_upserted_moves_the_partners_that_have_or_had_the_rows(
    rows: list[tuple[int, str]], commits: bool
) -> None:
    given_ = dict(rows)
    execute(FILL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, partner_id FROM v_thing WHERE id = ANY(%s)", [list(given_)])
        had = {one for _, one in cursor.fetchall()}
    values = ", ".join(f"({key}, {partner}, 0)" for key, partner in given_.items())
    wanted = had | {None if one == "NULL" else int(one) for one in given_.values()}
    found = moved(
        f"BEGIN; INSERT INTO v_thing VALUES {values} ON CONFLICT (id) DO UPDATE SET partner_id = excluded.partner_id; "
        f"{'COMMIT' if commits else 'ROLLBACK'}"
    )
    assert found == (wanted if commits else set())
