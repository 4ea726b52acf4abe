"""A catalogue of which only what has changed is read again is the catalogue that is read whole."""

import pytest

from ops.drift import catalog
from ops.drift.catalog_kept import Kept
from tests.drift.remaking import EXOTIC, wrapped
from tests.ops.scratch import own_database

pytestmark = pytest.mark.django_db

CHANGES = (
    "CREATE TABLE elder (id bigint PRIMARY KEY, name text)",
    "CREATE TABLE younger (id bigserial PRIMARY KEY, elder bigint REFERENCES elder, price numeric(6, 2))",
    "ALTER TABLE younger ADD COLUMN note varchar(9) DEFAULT 'x' NOT NULL",
    "ALTER TABLE younger ALTER COLUMN note DROP DEFAULT",
    "ALTER TABLE younger ALTER COLUMN note SET DEFAULT 'y'",
    "ALTER TABLE younger ALTER COLUMN note TYPE varchar(12)",
    "ALTER TABLE younger ALTER COLUMN note DROP NOT NULL",
    "ALTER SEQUENCE younger_id_seq INCREMENT 5",
    "ALTER TABLE younger ALTER COLUMN id DROP DEFAULT",
    "CREATE INDEX by_price ON younger (price) WHERE price > 3",
    "COMMENT ON INDEX by_price IS 'of price'",
    "COMMENT ON TABLE younger IS 'of a elder'",
    "COMMENT ON COLUMN younger.note IS 'a note'",
    "ALTER TABLE younger ADD CONSTRAINT dear CHECK (price > 0) NOT VALID",
    "COMMENT ON CONSTRAINT dear ON younger IS 'dear'",
    "ALTER TABLE younger VALIDATE CONSTRAINT dear",
    "COMMENT ON CONSTRAINT dear ON younger IS NULL",
    "ALTER INDEX by_price SET (fillfactor = 50)",
    "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'by_price'::regclass",
    "ALTER TABLE younger REPLICA IDENTITY USING INDEX younger_pkey",
    "DROP INDEX by_price",
    "ALTER TABLE younger DROP COLUMN price",
    "ALTER TABLE younger SET UNLOGGED",
    "DROP TABLE elder CASCADE",
    "DROP TABLE younger",
)


def test_after_each_change_it_is_the_same() -> None:
    kept = Kept()
    with own_database("catalog_kept") as name, wrapped(name) as opened, opened.cursor() as cursor:
        cursor.execute(EXOTIC)
        before = catalog.read(opened, kept=kept)
        assert before == catalog.read(opened)
        for change in CHANGES:
            cursor.execute(change)
            now = catalog.read(opened, kept=kept)
            assert now == catalog.read(opened), change
            assert now != before, change
            before = now


def test_after_a_renaming_all_is_read() -> None:
    kept = Kept()
    with own_database("catalog_kept") as name, wrapped(name) as opened, opened.cursor() as cursor:
        cursor.execute(CHANGES[0])
        cursor.execute(CHANGES[1])
        catalog.read(opened, kept=kept)
        cursor.execute("ALTER TABLE elder RENAME TO elders")
        kept.forget()
        assert catalog.read(opened, kept=kept) == catalog.read(opened)
