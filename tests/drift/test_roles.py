"""A repair as each role that a deployment may have: superuser, an owner that may make no database, and one that reads.

Acceptance 5; the server's version is that of the suite (SETWISE_PG).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from psycopg2.sql import SQL, Identifier, Literal

from tests.drift import sample
from tests.ops.scratch import connected, rows

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "only-for-tests"
# Each object by its own statement: what the server itself needs can't be handed over by REASSIGN OWNED.
OWN = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT format('ALTER SCHEMA %I OWNER TO %I', n.nspname, '{role}') AS said, 0 AS place
        FROM pg_namespace AS n WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('public', 'information_schema')
        UNION ALL
        SELECT format('ALTER %s %I.%I OWNER TO %I',
            CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
            ELSE 'TABLE' END, n.nspname, c.relname, '{role}'), CASE c.relkind WHEN 'S' THEN 2 ELSE 1 END
        FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')
                            AND d.classid = 'pg_class'::regclass AND c.relkind = 'S')
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, '{role}'), 3
        FROM pg_proc AS p INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, '{role}'), 3
        FROM pg_type AS t INNER JOIN pg_namespace AS n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('e', 'd', 'r') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ORDER BY 2
    LOOP
        EXECUTE one.said;
    END LOOP;
END $$
"""


@contextmanager
def role(name: str, database: str) -> Iterator[dict[str, str]]:
    """Make a role that may log in and no more; yield the environment of a command that it runs."""
    with connected(database) as opened, opened.cursor() as cursor:
        cursor.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))
        cursor.execute(
            SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB PASSWORD {}").format(Identifier(name), Literal(PASSWORD))
        )
    try:
        yield {"DATABASE_USER": name, "DATABASE_PASSWORD": PASSWORD}
    finally:
        with connected(database) as opened, opened.cursor() as cursor:
            owner = Identifier(str(connection.settings_dict["USER"]))
            cursor.execute(SQL("REASSIGN OWNED BY {} TO {}").format(Identifier(name), owner))
            cursor.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            cursor.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@contextmanager
def owner(name: str, database: str) -> Iterator[dict[str, str]]:
    """Make a role that owns a database and all in it, and may make no other."""
    with role(name, database) as environment:
        rows(database, SQL("ALTER DATABASE {} OWNER TO {}").format(Identifier(database), Identifier(name)))
        rows(database, OWN.replace("{role}", name))
        yield environment


@contextmanager
def reader(name: str, database: str) -> Iterator[dict[str, str]]:
    """Make a role that may read what Django reads, and nothing more."""
    with role(name, database) as environment:
        for statement in ("GRANT USAGE ON SCHEMA public, stock TO {}", "GRANT SELECT ON django_migrations TO {}"):
            rows(database, SQL(statement).format(Identifier(name)))
        yield environment


def worth(plan):
    return [one for one in plan["findings"] if one["severity"] != "info"]


def found(plan):
    return {(one["code"], one["object"]) for one in worth(plan)}


def test_a_superuser_replays_and_finds_nothing_on_a_healthy_database():
    with sample.sample_database() as name:
        plan = sample.plan(name)

    assert worth(plan) == []
    assert plan["mode"] in ("replayed", "cached")


def test_an_owner_without_createdb_is_told_that_the_mode_is_reduced_and_finds_nothing_on_a_healthy_database():
    with sample.sample_database() as name, owner("drift_owner", name) as environment:
        plan = sample.plan(name, "--no-cache", **environment)

    assert plan["mode"] == "reduced"
    assert worth(plan) == []
    assert any("CREATEDB" in note for note in plan["notes"])


def test_an_owner_without_createdb_repairs_a_dropped_table_index_and_foreign_key_in_reduced_mode():
    with sample.sample_database() as name, owner("drift_owner", name) as environment:
        before = sample.plan(name, "--no-cache", **environment)
        rows(name, "DROP TABLE shop_favourite")
        rows(name, "DROP INDEX prod_low")
        plan = sample.plan(name, "--no-cache", **environment)
        repaired = sample.repair(name, "--no-cache", **environment)
        after = sample.plan(name, "--no-cache", **environment)
        # A replay sees more than the reduced mode: it holds the repaired database to be whole too.
        whole = sample.plan(name)

    assert worth(before) == []
    assert {("S01", "table public.shop_favourite"), ("S10", "index public.prod_low")} <= found(plan)
    assert repaired["code"] == 0, repaired
    assert worth(after) == []
    assert worth(whole) == []


def test_an_owner_without_createdb_has_a_dropped_check_made_again_or_refused():
    with sample.sample_database() as name, owner("drift_owner", name) as environment:
        rows(name, "ALTER TABLE shop_product DROP CONSTRAINT prod_price")
        repaired = sample.repair(name, "--no-cache", **environment)
        rows(name, "ALTER TABLE shop_product DROP CONSTRAINT prod_price")
        rows(name, "UPDATE shop_product SET price = -1 WHERE id = 1")
        (refused,) = worth(sample.plan(name, "--no-cache", **environment))

    assert repaired["code"] == 0, repaired
    assert refused["refused"].startswith("1 rows break it: correct them"), refused


def test_an_owner_with_a_snapshot_that_ci_has_built_sees_all_that_a_replay_sees(tmp_path):
    snapshot = str(tmp_path / "snapshot.json")
    with sample.sample_database() as name:
        sample.must("repair_migrations", "--write-snapshot", snapshot, database=name)
        with owner("drift_owner", name) as environment:
            rows(name, "DROP VIEW sales_view")
            plan = sample.plan(name, "--snapshot", snapshot, **environment)
            repaired = sample.repair(name, "--snapshot", snapshot, **environment)

    assert plan["mode"] == "cached"
    assert ("S17", "view public.sales_view") in found(plan)
    assert repaired["code"] == 0, repaired


def test_a_role_that_may_only_read_gets_the_plan_and_nothing_is_written():
    with sample.sample_database() as name, reader("drift_reader", name) as environment:
        rows(name, "DROP TABLE shop_favourite")
        plan = sample.plan(name, "--no-cache", **environment)
        left = rows(name, "SELECT count(*) FROM pg_class WHERE relname LIKE 'ops_repair%'")

    assert plan["mode"] == "reduced"
    assert ("S01", "table public.shop_favourite") in found(plan)
    assert left == [(0,)]


def test_apply_as_a_role_that_may_only_read_is_refused_in_a_sentence():
    with sample.sample_database() as name, reader("drift_reader", name) as environment:
        rows(name, "DROP TABLE shop_favourite")
        said = sample.manage("repair_migrations", "--apply", "--no-input", "--no-cache", database=name, **environment)
        there = rows(name, "SELECT to_regclass('shop_favourite')::text")

    assert said.code == 3, said
    assert "This role may not write django_migrations" in said.err
    assert "Traceback" not in said.err
    assert there == [(None,)]
