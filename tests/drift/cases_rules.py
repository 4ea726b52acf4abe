"""Indexes, constraints, code of the database and sequences that are gone or other than they ought to be."""

from collections.abc import Callable
from contextlib import suppress

import psycopg2

from tests.drift.cases import Case, Proof
from tests.drift.cases_tables import keys_go_on
from tests.ops.scratch import rows

FOREIGN_KEY = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conname LIKE 'shop_product_category_id%'"


def drop_foreign_key(database: str) -> str:
    """Drop the foreign key of products to categories; return its name."""
    ((name,),) = rows(database, FOREIGN_KEY)
    rows(database, f'ALTER TABLE shop_product DROP CONSTRAINT "{name}"')
    return str(name)


def drop_foreign_key_and_rows(database: str) -> None:
    drop_foreign_key(database)
    rows(database, "UPDATE shop_category SET parent_id = NULL")
    rows(database, "DELETE FROM shop_category WHERE id > 3")


def weaken_foreign_key(database: str) -> None:
    """Put the foreign key back without looking at the rows."""
    name = drop_foreign_key(database)
    rows(
        database,
        f'ALTER TABLE shop_product ADD CONSTRAINT "{name}" FOREIGN KEY (category_id) REFERENCES shop_category (id)'
        " DEFERRABLE INITIALLY DEFERRED NOT VALID",
    )


def weaken_foreign_key_and_delete(database: str) -> None:
    name = drop_foreign_key(database)
    rows(database, "UPDATE shop_category SET parent_id = NULL")
    rows(database, "DELETE FROM shop_category WHERE id > 3")
    rows(
        database,
        f'ALTER TABLE shop_product ADD CONSTRAINT "{name}" FOREIGN KEY (category_id) REFERENCES shop_category (id)'
        " DEFERRABLE INITIALLY DEFERRED NOT VALID",
    )


def is_validated(proof: Proof) -> None:
    assert proof.one(FOREIGN_KEY.replace("conname FROM", "convalidated FROM")) is True


def is_not_validated(proof: Proof) -> None:
    """Prove that the foreign key is there for new rows, and that the 20 products without category are as they were."""
    assert proof.one(FOREIGN_KEY.replace("conname FROM", "convalidated FROM")) is False
    assert proof.one("SELECT count(*) FROM shop_product WHERE category_id > 3") == 20


def fail_to_build(database: str) -> None:
    """Leave a unique index behind that could not be built, as CREATE INDEX CONCURRENTLY does."""
    rows(database, "ALTER TABLE shop_tag DROP CONSTRAINT shop_tag_label_key")
    rows(database, "UPDATE shop_tag SET label = 'tag 1' WHERE id = 2")
    with suppress(psycopg2.errors.UniqueViolation):
        rows(database, "CREATE UNIQUE INDEX CONCURRENTLY shop_tag_label_key ON shop_tag (label)")
    assert rows(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'shop_tag_label_key'::regclass") == [
        (False,)
    ]


INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'prod_low'::regclass"


def is_valid(index: str, *parts: str) -> Callable[[Proof], None]:
    """Return the proof that an index is valid and defined with these parts."""

    def prove(proof: Proof) -> None:
        assert proof.one(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{index}'::regclass")
        definition = proof.one(f"SELECT pg_get_indexdef('{index}'::regclass)")
        assert [part for part in parts if part not in definition] == []

    return prove


def is_constraint(table: str, name: str, *parts: str) -> Callable[[Proof], None]:
    """Return the proof that a constraint is validated and defined with these parts."""

    def prove(proof: Proof) -> None:
        found = rows(
            proof.database,
            "SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE conrelid = '{table}'::regclass AND conname = '{name}'",
        )
        assert [valid for valid, _ in found] == [True]
        assert [part for part in parts if part not in str(found[0][1])] == []

    return prove


def drop_unique_together(database: str) -> None:
    ((name,),) = rows(
        database,
        "SELECT conname FROM pg_constraint WHERE conrelid = 'shop_favourite'::regclass AND contype = 'u'",
    )
    rows(database, f'ALTER TABLE shop_favourite DROP CONSTRAINT "{name}"')


def drop_unique_together_and_repeat(database: str) -> None:
    drop_unique_together(database)
    rows(
        database,
        "INSERT INTO shop_favourite (customer_id, product_id, since)"
        " SELECT customer_id, product_id, since FROM shop_favourite ORDER BY id LIMIT 3",
    )


def like_index(database: str) -> str:
    ((name,),) = rows(database, "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%(handle varchar_pattern_ops)'")
    return str(name)


def drop_like_index(database: str) -> None:
    rows(database, f'DROP INDEX "{like_index(database)}"')


def like_index_is_back(proof: Proof) -> None:
    assert like_index(proof.database)


def view_reads(proof: Proof) -> None:
    assert proof.one("SELECT count(*) FROM sales_view") == 49


def trigger_fires(proof: Proof) -> None:
    rows(proof.database, "UPDATE shop_product SET name = '  spaces  ' WHERE id = 1")
    assert proof.one("SELECT name FROM shop_product WHERE id = 1") == "spaces"


ANOTHER_WHERE = ("DROP INDEX prod_low", "CREATE INDEX prod_low ON shop_product (quantity) WHERE quantity < 5")
ANOTHER_CLASS = ("DROP INDEX prod_name_like", "CREATE INDEX prod_name_like ON shop_product (name)")
ANOTHER_INCLUDE = ("DROP INDEX prod_cover", "CREATE INDEX prod_cover ON shop_product (category_id) INCLUDE (price)")
NOT_DEFERRABLE = (
    "ALTER TABLE shop_product DROP CONSTRAINT prod_def",
    "ALTER TABLE shop_product ADD CONSTRAINT prod_def UNIQUE (category_id, position)",
)
NULLS_DISTINCT = (
    "ALTER TABLE shop_product DROP CONSTRAINT prod_sku",
    "ALTER TABLE shop_product ADD CONSTRAINT prod_sku UNIQUE (sku, region)",
)
ANOTHER_BODY = """
CREATE OR REPLACE FUNCTION shop_trim() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$
"""
BREAK_CHECK = (
    "ALTER TABLE shop_product DROP CONSTRAINT prod_price",
    "UPDATE shop_product SET price = -1 WHERE id = 7",
)
BREAK_DEFERRED = (
    "ALTER TABLE shop_product DROP CONSTRAINT prod_def",
    "UPDATE shop_product SET position = 1, category_id = 2 WHERE id IN (1, 2)",
)

CASES = [
    Case("S06 an index is invalid", INVALID, ("S06",), also=is_valid("prod_low", "WHERE (quantity < 10)")),
    Case("S06 a unique index could not be built", fail_to_build, ("S06|S11",), "refused", says=("tag 1",)),
    Case(
        "S07 the name of an index is taken",
        ("DROP INDEX prod_low", "CREATE INDEX prod_low ON shop_tag (label)"),
        ("S07|S10",),
        "refused",
    ),
    Case(
        "S08 a foreign key is gone",
        drop_foreign_key,
        ("S08",),
        also=is_validated,
    ),
    Case(
        "S08 a foreign key is gone and rows point to nothing",
        drop_foreign_key_and_rows,
        ("S08", "D03"),
        leaves=("D03", "S08", "S09"),
        says=("20",),
        also=is_not_validated,
    ),
    Case("S09 a foreign key is not validated", weaken_foreign_key, ("S09",), also=is_validated),
    Case(
        "S09 a foreign key can't be validated",
        weaken_foreign_key_and_delete,
        ("S09|D03",),
        "refused",
        also=is_not_validated,
    ),
    Case(
        "S09 a check is not validated",
        (
            "ALTER TABLE shop_product DROP CONSTRAINT prod_price",
            "ALTER TABLE shop_product ADD CONSTRAINT prod_price CHECK (price >= 0) NOT VALID",
        ),
        ("S09",),
        also=is_constraint("shop_product", "prod_price"),
    ),
    Case(
        "S09 a check can't be validated",
        (*BREAK_CHECK, "ALTER TABLE shop_product ADD CONSTRAINT prod_price CHECK (price >= 0) NOT VALID"),
        ("S09",),
        "refused",
        says=("1",),
    ),
    Case(
        "S10 a partial index is gone",
        "DROP INDEX prod_low",
        ("S10",),
        also=is_valid("prod_low", "WHERE (quantity < 10)"),
    ),
    Case("S10 another predicate", ANOTHER_WHERE, ("S10",), also=is_valid("prod_low", "WHERE (quantity < 10)")),
    Case("S10 another operator class", ANOTHER_CLASS, ("S10",), also=is_valid("prod_name_like", "varchar_pattern_ops")),
    Case("S10 another INCLUDE", ANOTHER_INCLUDE, ("S10",), also=is_valid("prod_cover", "INCLUDE (price, name)")),
    Case("S10 the index for LIKE is gone", drop_like_index, ("S10",), also=like_index_is_back),
    Case(
        "S10 an index of an expression is gone",
        "DROP INDEX cust_upper",
        ("S10",),
        also=is_valid("cust_upper", "upper("),
    ),
    Case("S10 an index for arrays is gone", "DROP INDEX cust_nick", ("S10",), also=is_valid("cust_nick", "USING gin")),
    Case(
        "S11 a deferrable unique constraint is gone",
        "ALTER TABLE shop_product DROP CONSTRAINT prod_def",
        ("S11",),
        also=is_constraint("shop_product", "prod_def", "DEFERRABLE INITIALLY DEFERRED"),
    ),
    Case("S11 a deferrable unique constraint is gone and there are duplicates", BREAK_DEFERRED, ("S11",), "refused"),
    Case(
        "S11 a unique constraint can no longer be deferred",
        NOT_DEFERRABLE,
        ("S11",),
        # The one that was there goes on being checked at once, and its DROP is the operator's.
        leaves=("S11",),
        also=is_constraint("shop_product", "prod_def", "DEFERRABLE"),
    ),
    Case(
        "S11 nulls are distinct",
        NULLS_DISTINCT,
        ("S11",),
        also=is_constraint("shop_product", "prod_sku", "NULLS NOT DISTINCT"),
    ),
    Case("S11 unique_together is gone", drop_unique_together, ("S11",)),
    Case(
        "S11 unique_together is gone and there are duplicates",
        drop_unique_together_and_repeat,
        ("S11",),
        "refused",
        says=("3",),
    ),
    Case(
        "S11 a unique index is gone",
        "DROP INDEX prod_named",
        ("S11|S10",),
        also=is_valid("prod_named", "UNIQUE", "INCLUDE"),
    ),
    Case(
        "S11 a unique expression is gone",
        "DROP INDEX cust_email_ci",
        ("S11|S10",),
        also=is_valid("cust_email_ci", "UNIQUE", "lower("),
    ),
    Case(
        "S11 an exclusion is gone",
        "ALTER TABLE shop_booking DROP CONSTRAINT book_once",
        ("S11",),
        also=is_constraint("shop_booking", "book_once", "EXCLUDE"),
    ),
    Case(
        "S11 a check is gone",
        "ALTER TABLE shop_product DROP CONSTRAINT prod_price",
        ("S11",),
        also=is_constraint("shop_product", "prod_price"),
    ),
    Case("S11 a check is gone and rows break it", BREAK_CHECK, ("S11",), leaves=("S09", "S11")),
    Case(
        "S11 a primary key is gone", "ALTER TABLE shop_note DROP CONSTRAINT shop_note_pkey", ("S11",), severity="error"
    ),
    Case("S17 a view is gone", "DROP VIEW sales_view", ("S17",), severity="error", says=("0004_sql",), also=view_reads),
    Case("S17 a materialized view is gone", "DROP MATERIALIZED VIEW category_totals", ("S17",), severity="error"),
    Case("S17 a trigger is gone", "DROP TRIGGER product_trim ON shop_product", ("S17",), also=trigger_fires),
    Case("S17 a function is gone with its trigger", "DROP FUNCTION shop_trim CASCADE", ("S17",), also=trigger_fires),
    Case(
        "S17 a function was written anew",
        ANOTHER_BODY,
        ("S17",),
        "refused",
        ("--redefine", "shop_trim"),
        also=trigger_fires,
    ),
    Case("S17 a type is gone", "DROP TYPE shop_mood", ("S17",)),
    Case("S17 a domain is gone", "DROP DOMAIN shop_percent", ("S17",)),
    Case("S17 a sequence is gone", "DROP SEQUENCE shop_numbers", ("S17",)),
    Case("S17 statistics are gone", "DROP STATISTICS shop_prices", ("S17",), severity="info"),
    Case(
        "S22 a trigger is disabled",
        "ALTER TABLE shop_product DISABLE TRIGGER product_trim",
        ("S22",),
        also=trigger_fires,
    ),
    Case("S24 an extra index", "CREATE INDEX foo ON shop_product (state)", ("S24",), "told", severity="info"),
    Case(
        "D01 a sequence is behind",
        "SELECT setval(pg_get_serial_sequence('shop_product', 'id'), 5)",
        ("D01",),
        severity="error",
        says=("50",),
        also=keys_go_on("shop_product", "(name, category_id, price, quantity, position) VALUES ('n', 1, 1, 1, 99)"),
    ),
    Case(
        "D01 the sequence of a ManyToManyField is behind",
        "SELECT setval(pg_get_serial_sequence('shop_product_tags', 'id'), 5)",
        ("D01",),
        severity="error",
        also=keys_go_on("shop_product_tags", "(product_id, tag_id) VALUES (1, 1)"),
    ),
    Case(
        "D01 a sequence of another schema is behind",
        "SELECT setval(pg_get_serial_sequence('stock.shelf', 'id'), 1)",
        ("D01",),
        severity="error",
        also=keys_go_on("stock.shelf", "(code, height) VALUES ('n', 1)"),
    ),
    Case(
        "D02 a sequence is nearly used up",
        "SELECT setval(pg_get_serial_sequence('shop_note', 'id'), 32760)",
        ("D02",),
        "refused",
    ),
]
