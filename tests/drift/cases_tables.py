"""Tables and columns that are gone, renamed or other than they ought to be, and what a repair makes of them."""

from collections.abc import Callable

from tests.drift.cases import Case, Proof
from tests.ops.scratch import rows

VALIDATED = "SELECT convalidated FROM pg_constraint WHERE contype = 'f' AND conname LIKE 'shop_product_category_id%'"
KINDS = """
SELECT string_agg(k.contype::text, ' ' ORDER BY k.contype::text) FROM pg_constraint AS k
WHERE k.conrelid = 'shop_favourite'::regclass AND k.contype <> 'n'
"""


def next_key(proof: Proof, table: str, statement: str) -> int:
    """Insert a row and return its key."""
    ((key,),) = rows(proof.database, f"INSERT INTO {table} {statement} RETURNING id")
    return int(str(key))


def favourites_are_back(proof: Proof) -> None:
    """Prove that the table is whole again, and empty: nobody says that its rows are back."""
    assert proof.one("SELECT count(*) FROM shop_favourite") == 0
    assert proof.one(KINDS) == "f f p u"
    assert proof.one("SELECT count(*) FROM pg_indexes WHERE tablename = 'shop_favourite'") == 4
    assert next_key(proof, "shop_favourite", "(customer_id, product_id, since) VALUES (1, 1, '2026-01-01')") > 0
    assert proof.one("SELECT count(*) FROM django_content_type WHERE model = 'favourite'") == 1


def categories_are_not_adopted(proof: Proof) -> None:
    """Prove that no product that lost its category is given to a new one, and that their keys are as they were."""
    assert proof.one(VALIDATED) is False
    highest = proof.one("SELECT max(category_id) FROM shop_product")
    assert next_key(proof, "shop_category", "(name, handle) VALUES ('new', 'new')") > highest
    assert (
        proof.one("SELECT count(*) FROM shop_product AS p INNER JOIN shop_category AS c ON p.category_id = c.id") == 0
    )


def products_are_not_adopted(proof: Proof) -> None:
    key = next_key(proof, "shop_product", "(name, category_id, price, quantity, position) VALUES ('n', 1, 1, 1, 1)")
    assert key > 50
    assert proof.one("SELECT count(*) FROM sales_view") == 1


def shelves_are_not_adopted(proof: Proof) -> None:
    assert next_key(proof, "stock.shelf", "(code, height) VALUES ('new', 1)") > 7


def default_is_gone(table: str, column: str) -> Callable[[Proof], None]:
    """Return the proof that a column is there, is NOT NULL, and has no default in the database, as Django leaves it."""

    def prove(proof: Proof) -> None:
        found = rows(
            proof.database,
            "SELECT is_nullable, column_default FROM information_schema.columns"
            f" WHERE table_name = '{table}' AND column_name = '{column}'",
        )
        assert found == [("NO", None)]

    return prove


def names_are_kept(proof: Proof) -> None:
    assert proof.one("SELECT count(*) FROM shop_category WHERE handle LIKE 'category-%'") == 5


def keys_go_on(table: str, values: str) -> Callable[[Proof], None]:
    """Return the proof that the next key is above all that there are."""

    def prove(proof: Proof) -> None:
        highest = proof.one(f"SELECT max(id) FROM {table}")
        assert next_key(proof, table, values) > highest

    return prove


SERIAL = (
    "ALTER TABLE shop_tag ALTER id DROP IDENTITY",
    "CREATE SEQUENCE shop_tag_id_seq OWNED BY shop_tag.id",
    "SELECT setval('shop_tag_id_seq', 8)",
    "ALTER TABLE shop_tag ALTER id SET DEFAULT nextval('shop_tag_id_seq')",
)
OWNED = (
    """
    DO $$BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drift_owner') THEN CREATE ROLE drift_owner; END IF;
    END$$
    """,
    "ALTER TABLE shop_note OWNER TO drift_owner",
)
FAVOURITE = "(customer_id, product_id, since) VALUES (1, 1, '2026-01-01')"

CASES = [
    Case(
        "S01 a table is gone",
        "DROP TABLE shop_favourite",
        ("S01",),
        severity="error",
        says=("shop.",),
        also=favourites_are_back,
    ),
    Case(
        "S01 a table with a uuid key is gone",
        "DROP TABLE shop_bundle CASCADE",
        ("S01|S02",),
        leaves=("D03", "S08", "S09", "S02", "S01"),
        severity="error",
    ),
    Case("S01 a table with a composite key is gone", "DROP TABLE shop_rate", ("S01",), severity="error"),
    Case("S01 a table with an exclusion is gone", "DROP TABLE shop_booking", ("S01",), severity="error"),
    Case("S01 a table whose key is a foreign key is gone", "DROP TABLE shop_profile", ("S01",), severity="error"),
    Case("S01 a table of contrib is gone", "DROP TABLE django_session", ("S01",), severity="error"),
    Case(
        "S02 a table is gone with the foreign keys to it",
        "DROP TABLE shop_category CASCADE",
        ("S02", "D03"),
        severity="error",
        says=("50",),
        leaves=("D03", "S08", "S09", "S02"),
        also=categories_are_not_adopted,
    ),
    Case(
        "S02 the table that most others point to is gone",
        "DROP TABLE shop_product CASCADE",
        ("S02", "D03", "S17"),
        severity="error",
        leaves=("D03", "S08", "S09", "S02"),
        also=products_are_not_adopted,
    ),
    Case(
        "S02 a table of another schema is gone",
        "DROP TABLE stock.shelf CASCADE",
        ("S02", "D03"),
        severity="error",
        leaves=("D03", "S08", "S09", "S02"),
        also=shelves_are_not_adopted,
    ),
    Case(
        "S03 a column with a default of Python is gone",
        "ALTER TABLE shop_customer DROP COLUMN vip",
        ("S03",),
        severity="error",
        says=("0003_renames",),
        also=default_is_gone("shop_customer", "vip"),
    ),
    Case(
        "S03 a column that may be null is gone", "ALTER TABLE shop_product DROP COLUMN sold", ("S03",), severity="error"
    ),
    Case("S03 a generated column is gone", "ALTER TABLE shop_product DROP COLUMN worth", ("S03",), severity="error"),
    Case(
        "S03 a column with a default of the database is gone",
        "ALTER TABLE shop_product DROP COLUMN created",
        ("S03",),
        severity="error",
    ),
    Case(
        "S03 a column that needs a value is gone",
        "ALTER TABLE shop_favourite DROP COLUMN since",
        ("S03",),
        "refused",
        ("--value", "shop_favourite.since='2026-01-01'"),
        severity="error",
        also=default_is_gone("shop_favourite", "since"),
    ),
    Case(
        "S03 the column of a foreign key is gone",
        "ALTER TABLE shop_note DROP COLUMN about_id",
        ("S03",),
        severity="error",
    ),
    Case(
        "S04 a column was renamed",
        "ALTER TABLE shop_category RENAME handle TO slug",
        ("S04",),
        "refused",
        ("--rename", "shop_category.slug=handle"),
        severity="error",
        renamed={"public.shop_category.slug": "handle"},
        also=names_are_kept,
    ),
    Case(
        "S04 a table was renamed",
        "ALTER TABLE shop_tag RENAME TO shop_label",
        ("S04",),
        "refused",
        ("--rename", "shop_label=shop_tag"),
        severity="error",
        renamed={"public.shop_label": "public.shop_tag"},
    ),
    Case(
        "S05 an identity is gone",
        "ALTER TABLE shop_favourite ALTER id DROP IDENTITY",
        ("S05",),
        severity="error",
        also=keys_go_on("shop_favourite", FAVOURITE),
    ),
    Case(
        "S05 the sequence of a serial is gone",
        (*SERIAL, "DROP SEQUENCE shop_tag_id_seq CASCADE"),
        ("S05",),
        severity="error",
        also=keys_go_on("shop_tag", "(label) VALUES ('new')"),
    ),
    Case("S08 the table of a ManyToManyField is gone", "DROP TABLE shop_product_tags", ("S08|S01",), severity="error"),
    Case(
        "S12 a wider type",
        "ALTER TABLE shop_customer ALTER phone TYPE varchar(300)",
        ("S12",),
        "refused",
        ("--allow-rewrite",),
        retyped=True,
    ),
    Case(
        "S12 a wider integer",
        "ALTER TABLE shop_bundleitem ALTER count TYPE bigint",
        ("S12",),
        "refused",
        ("--allow-rewrite",),
        retyped=True,
    ),
    Case(
        "S12 a narrower type",
        "ALTER TABLE shop_customer ALTER phone TYPE varchar(20)",
        ("S12",),
        retyped=True,
    ),
    Case(
        "S12 no time zone",
        "ALTER TABLE depot_move ALTER at TYPE timestamp",
        ("S12",),
        "refused",
        severity="error",
    ),
    Case(
        "S12 values that do not fit",
        (
            "ALTER TABLE shop_customer ALTER phone TYPE varchar(300)",
            "UPDATE shop_customer SET phone = repeat('1', 31) WHERE id = 3",
        ),
        ("S12",),
        "refused",
        says=("1",),
    ),
    Case(
        "S13 NOT NULL is gone",
        "ALTER TABLE shop_product ALTER price DROP NOT NULL",
        ("S13",),
        also=default_is_gone("shop_product", "price"),
    ),
    Case(
        "S13 NOT NULL is gone and there are nulls",
        (
            "ALTER TABLE shop_product ALTER price DROP NOT NULL",
            "UPDATE shop_product SET price = NULL WHERE id IN (3, 4)",
        ),
        ("S13",),
        "refused",
        says=("2",),
    ),
    Case(
        "S13 NOT NULL where none ought to be",
        "ALTER TABLE shop_note ALTER about_id SET NOT NULL",
        ("S13",),
        "refused",
        options=("--redefine", "shop_note.about_id"),
    ),
    Case("S14 a default of the database is gone", "ALTER TABLE shop_product ALTER created DROP DEFAULT", ("S14",)),
    Case(
        "S14 a default where none ought to be",
        "ALTER TABLE shop_product ALTER quantity SET DEFAULT 7",
        ("S14",),
        severity="info",
    ),
    Case("S14 another default", "ALTER TABLE shop_product ALTER state SET DEFAULT 'old'", ("S14",)),
    Case("S15 serial for identity", SERIAL, ("S15",), "told", severity="info"),
    Case("S16 another owner", OWNED, ("S16",), "told", severity="info"),
    Case("S18 a table is unlogged", "ALTER TABLE shop_note SET UNLOGGED", ("S18",)),
    Case("S19 row security", "ALTER TABLE shop_note ENABLE ROW LEVEL SECURITY", ("S19",), "told", severity="info"),
    Case("S20 a comment is gone", "COMMENT ON TABLE shop_category IS NULL", ("S20",), severity="info"),
    Case(
        "S21 another collation",
        'ALTER TABLE shop_category ALTER name TYPE varchar(50) COLLATE "default"',
        ("S21",),
        "refused",
    ),
    Case("S23 an identity of another kind", "ALTER TABLE shop_tag ALTER id SET GENERATED ALWAYS", ("S23",)),
    Case("S24 an extra table", "CREATE TABLE foo (id integer)", ("S24",), "told", severity="info"),
    Case(
        "S24 an extra column",
        "ALTER TABLE shop_note ADD COLUMN foo text DEFAULT 'x'",
        ("S24",),
        "told",
        severity="info",
    ),
    Case(
        "S24 an extra column that stops inserts",
        (
            "ALTER TABLE shop_note ADD COLUMN foo text DEFAULT 'x' NOT NULL",
            "ALTER TABLE shop_note ALTER foo DROP DEFAULT",
        ),
        ("S24",),
        "refused",
        severity="error",
    ),
]
