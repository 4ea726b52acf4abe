"""What a person has to decide is refused, with the rows and the choices; each choice is then done."""

from dataclasses import replace

import psycopg2
import pytest

from ops.drift.model import Choices, Finding, Objects
from tests.drift import damaging
from tests.drift.damaging import (
    Looked,
    asked,
    contents,
    damaged,
    differences,
    execute,
    expected,
    extras,
    look,
    looked,
    opened,
    read,
    run,
    steps_of,
    tried,
    undo,
)

pytestmark = pytest.mark.django_db

A = "ALTER TABLE public."
P, F, C = f"{A}shop_product ", f"{A}shop_favourite ", f"{A}shop_customer "


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


REFUSED = [
    ("S03", [C + "DROP COLUMN code"], "It may not be null, its default can't be had for old rows (callable)"),
    ("S03", [A + "shop_tag DROP COLUMN id CASCADE"], "a repair numbers no rows anew"),
    (
        "S11",
        ["DROP INDEX shop_product_live", P + "DROP CONSTRAINT shop_product_name", "UPDATE shop_product SET name = 'x'"],
        "1 groups of duplicates (name=x, lower((state)::text)=new)",
    ),
    (
        "S11",
        [C + "DROP CONSTRAINT shop_customer_code_key", "UPDATE shop_customer SET code = 'same' WHERE id < 4"],
        "1 groups of duplicates (code=same)",
    ),
    (
        "S11",
        [P + "DROP CONSTRAINT shop_product_price", "UPDATE shop_product SET price = -1 WHERE id < 3"],
        "2 rows break it (price=-1.00, state=old; price=-1.00, state=new)",
    ),
    ("S12", [P + "ALTER stock TYPE bigint"], "To make it integer (narrower) writes the table anew"),
    ("S12", ["DROP VIEW shop_sales", P + "ALTER name TYPE varchar(300)"], "narrower"),
    ("S12", [C + "ALTER created TYPE timestamp"], "(another type) writes the table anew"),
    ("S13", [P + "ALTER price DROP NOT NULL", "UPDATE shop_product SET price = NULL WHERE id < 4"], "3 rows have no"),
    ("S21", [A + 'shop_tag ALTER label TYPE text COLLATE "C"'], "(another collation)"),
    (
        "S08",
        [
            F + "DROP CONSTRAINT shop_favourite_product_fk",
            F + "ADD CONSTRAINT shop_favourite_product_fk FOREIGN KEY (product_id) REFERENCES shop_product (id) "
            "ON DELETE CASCADE",
        ],
        "The foreign key is another",
    ),
    (
        "S09",
        [
            "ALTER TABLE shop_favourite DROP CONSTRAINT shop_favourite_product_fk",
            "UPDATE shop_favourite SET product_id = 900 + id WHERE id < 8",
            F + "ADD CONSTRAINT shop_favourite_product_fk FOREIGN KEY (product_id) REFERENCES shop_product "
            "NOT VALID",
        ],
        "7 rows point to what is not there (product_id=901; product_id=902; product_id=903",
    ),
    (
        "S11",
        [
            F + "DROP CONSTRAINT shop_favourite_once",
            "INSERT INTO shop_favourite (customer_id, product_id, during) VALUES (1, 1, '[900,902)'), (1, 2, '[901,)')",
        ],
        "1 pairs of rows exclude each other (int8range(customer_id, customer_id, '[]'::text)=[1, 2), during=[90",
    ),
    ("S07", ["DROP INDEX shop_product_low", "CREATE INDEX shop_product_low ON shop_tag (label)"], "index of shop_tag"),
    (
        "S07",
        [C + "DROP CONSTRAINT shop_customer_code_key", "CREATE VIEW shop_customer_code_key AS SELECT 1 AS one"],
        "The name is that of the view",
    ),
    (
        "S07",
        ["DROP VIEW shop_sales", "CREATE SEQUENCE shop_sales"],
        "The name is that of the sequence shop_sales",
    ),
    (
        "S17",
        ["ALTER TYPE shop_mood RENAME VALUE 'bad' TO 'blue'"],
        "It has 'blue', which no migration makes: probably renamed",
    ),
    ("S19", [C + "ENABLE ROW LEVEL SECURITY"], "Somebody may have changed it on purpose"),
    ("S24", [C + "ADD COLUMN shoe integer NOT NULL DEFAULT 1", C + "ALTER shoe DROP DEFAULT"], "a repair drops no col"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "damage", "why"), REFUSED, ids=[f"{one[0]} {one[2][:20]}" for one in REFUSED])
def test_what_needs_a_decision_is_refused(want: Objects, code: str, damage: list[str], why: str) -> None:
    refused = [one for one in tried(want, *damage).of(code) if one.refused]
    finding = next(one for one in refused if why in one.refused or one is refused[-1])
    assert why in finding.refused
    assert finding.steps == []


def test_a_renamed_column_is_asked_for_and_then_renamed(want: Objects) -> None:
    damage = "ALTER TABLE shop_customer RENAME code TO slug"
    found = tried(want, damage)
    finding = only(found.serious)
    assert (finding.code, finding.object) == ("S04", "column public.shop_customer.code")
    assert "slug of the same type holds data: probably renamed" in finding.found
    assert [one.option for one in finding.choices] == [
        "--rename shop_customer.slug=code", "--ignore 'S24:column public.shop_customer.slug'",
    ]  # fmt: skip
    assert finding.steps == []
    assert found.findings == [finding]
    with damaged(damage) as name:
        chosen = look(name, want, Choices(rename=("shop_customer.slug=code",)))
        execute(name, steps_of(chosen.findings))
        assert look(name, want).findings == []
        assert len(asked(name, "SELECT code FROM shop_customer WHERE code LIKE 'c%'")) == 30


def test_a_renamed_table_is_asked_for_and_then_renamed(want: Objects) -> None:
    damage = "ALTER TABLE shop_product RENAME TO shop_goods"
    found = tried(want, damage)
    finding = only(found.serious)
    assert (finding.code, finding.object) == ("S04", "table public.shop_product")
    assert [one.option for one in finding.choices] == [
        "--rename shop_goods=shop_product", "--ignore 'S24:table public.shop_goods'",
    ]  # fmt: skip
    with damaged(damage) as name:
        before = contents(name)
        execute(name, steps_of(look(name, want, Choices(rename=("shop_goods=shop_product",))).findings))
        assert look(name, want).findings == []
        assert contents(name) == {**{k: v for k, v in before.items() if k != "shop_goods"},
                                  "shop_product": before["shop_goods"]}  # fmt: skip


def test_an_extra_column_without_data_is_no_rename(want: Objects) -> None:
    found = tried(want, C + "DROP COLUMN nick", C + "ADD COLUMN alias varchar(20)")
    assert [one.code for one in found.findings] == ["S03", "S24"]


def test_a_value_is_given_to_the_old_rows(want: Objects) -> None:
    damage = C + "DROP COLUMN balance"
    finding = only(tried(want, damage).serious)
    assert [one.option for one in finding.choices] == ["--value shop_customer.balance=VALUE"]
    with damaged(damage) as name:
        execute(name, steps_of(look(name, want, Choices(value={"shop_customer.balance": "12.5"})).findings))
        assert asked(name, "SELECT DISTINCT balance::text FROM shop_customer") == [("12.50",)]
        assert look(name, want).findings == []


def test_a_type_is_changed_where_that_is_allowed_and_loses_nothing(want: Objects) -> None:
    damage = P + "ALTER stock TYPE bigint"
    allowed = Choices(allow_rewrite=True)
    with damaged("DROP INDEX shop_product_low", damage) as name:
        before = contents(name)
        execute(name, steps_of(look(name, want, allowed).findings))
        assert (look(name, want).findings, contents(name)) == ([], before)
    many = tried(want, damage, "UPDATE shop_product SET stock = 3000000000 WHERE id < 3", choices=allowed)
    finding = next(one for one in many.findings if one.code == "S12")
    assert finding.steps == []
    assert "2 values do not fit integer (stock=3000000000; stock=3000000000)" in finding.refused


def test_an_instant_goes_through_utc_and_stays_the_same(want: Objects) -> None:
    damage = C + "ALTER created TYPE timestamp USING created AT TIME ZONE 'UTC'"
    with damaged("SET timezone = 'Asia/Seoul'", damage, C + "ALTER created SET DEFAULT now()") as name:
        before = asked(name, "SELECT created AT TIME ZONE 'UTC' FROM shop_customer ORDER BY id")
        execute(name, steps_of(look(name, want, Choices(allow_rewrite=True)).findings))
        assert asked(name, "SELECT created FROM shop_customer ORDER BY id") == before
        assert differences(name, want) == []


def test_a_type_that_a_view_reads_is_left(want: Objects) -> None:
    damage = [
        "DROP VIEW shop_sales",
        P + "ALTER name TYPE varchar(20)",
        "CREATE VIEW mine AS SELECT name FROM shop_product",
    ]
    finding = next(one for one in tried(want, *damage).findings if one.code == "S12")
    assert "public.mine read it" in finding.refused


REDEFINED = [
    (
        "view public.shop_sales",
        "shop_sales",
        "CREATE OR REPLACE VIEW shop_sales AS SELECT id, name, id AS customer_id FROM shop_product",
        "'SELECT id,' instead of 'SELECT p.id,'",
    ),
    (
        "function public.shop_touch()",
        "public.shop_touch",
        "CREATE OR REPLACE FUNCTION shop_touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN old; END $$",
        "'AS $function$ BEGIN RETURN old; END $function$' instead of 'AS $function$ BEGIN RETURN new; END $function$'",
    ),
    (
        "trigger public.shop_favourite.shop_favourite_touch",
        "shop_favourite.shop_favourite_touch",
        (
            "CREATE OR REPLACE TRIGGER shop_favourite_touch AFTER UPDATE ON shop_favourite FOR EACH ROW "
            "EXECUTE FUNCTION shop_touch()"
        ),
        "...' instead of '",
    ),
    (
        "policy public.shop_secret.shop_secret_all",
        "shop_secret_all",
        "ALTER POLICY shop_secret_all ON shop_secret USING (true)",
        "",
    ),
]


@pytest.mark.parametrize(("key", "named", "damage", "line"), REDEFINED, ids=[one[1] for one in REDEFINED])
def test_what_was_redefined_by_hand_is_defined_anew_on_request(
    want: Objects, key: str, named: str, damage: str, line: str
) -> None:
    finding = only(tried(want, damage).findings)
    assert (finding.object, finding.steps) == (key, [])
    assert finding.refused.startswith("Somebody may have changed it on purpose")
    assert [one.option for one in finding.choices] == [f"--redefine {named.rpartition('.')[2]}"]
    assert line in finding.found
    assert len(finding.found) < 250
    with damaged(damage) as name:
        steps = steps_of(look(name, want, Choices(redefine=(named,))).findings)
        execute(name, steps)
        assert look(name, want).findings == []
        undo(name, steps)
        assert [one.object for one in look(name, want).findings] == [key]


def test_nulls_that_were_forbidden_by_hand_are_allowed_on_request(want: Objects) -> None:
    damage = ["UPDATE shop_customer SET nick = ''", A + "shop_customer ALTER nick SET NOT NULL"]
    finding = only(tried(want, *damage).findings)
    assert (finding.code, finding.object, finding.steps) == ("S13", "column public.shop_customer.nick", [])
    assert finding.refused.startswith("Somebody may have forbidden nulls on purpose")
    assert [one.option for one in finding.choices] == ["--redefine shop_customer.nick"]
    with damaged(*damage) as name:
        steps = steps_of(look(name, want, Choices(redefine=("shop_customer.nick",))).findings)
        execute(name, steps)
        assert look(name, want).findings == []
        undo(name, steps)
        assert [one.object for one in look(name, want).findings] == [finding.object]


def test_a_serial_is_information_and_an_identity_on_request(want: Objects) -> None:
    damage = [
        A + "shop_tag ALTER id DROP IDENTITY",
        "CREATE SEQUENCE shop_tag_id_seq OWNED BY shop_tag.id",
        A + "shop_tag ALTER id SET DEFAULT nextval('shop_tag_id_seq')",
        "SELECT setval('shop_tag_id_seq', 40)",
    ]
    found = tried(want, *damage)
    finding = only(found.findings)
    assert (finding.code, finding.severity, finding.steps) == ("S15", "info", [])
    with damaged(*damage) as name:
        execute(name, steps_of(look(name, want, Choices(identity=True)).findings))
        assert asked(name, "INSERT INTO shop_tag (label) VALUES ('new') RETURNING id") == [(41,)]
        assert differences(name, want) == []


def test_names_alone_are_information(want: Objects) -> None:
    found = tried(
        want,
        "ALTER INDEX shop_product_low RENAME TO other_low",
        P + "RENAME CONSTRAINT shop_product_category_fk TO other_fk",
        C + "DROP CONSTRAINT shop_customer_code_key",
        "CREATE UNIQUE INDEX shop_customer_code_index ON shop_customer (code)",
    )
    assert [(one.code, one.severity, one.steps) for one in found.findings] == [
        ("S08", "info", []), ("S10", "info", []), ("S11", "info", []),
    ]  # fmt: skip


def test_extras_are_information_and_left(want: Objects) -> None:
    found = tried(
        want,
        "CREATE TABLE foo (id serial PRIMARY KEY, n integer UNIQUE CHECK (n > 0))",
        "CREATE INDEX foo_n ON foo (n)",
        C + "ADD COLUMN shoe integer",
        "CREATE INDEX shoes ON shop_customer (shoe)",
        "CREATE VIEW feet AS SELECT shoe FROM shop_customer",
    )
    assert {(one.severity, one.object) for one in found.of("S24")} == {
        ("info", "table public.foo"),
        ("info", "column public.shop_customer.shoe"),
        ("info", "index public.shoes"),
        ("info", "view public.feet"),
    }
    assert len(found.findings) == 4
    assert all(one.steps == [] for one in found.findings)
    assert [one.option for one in found.findings[0].choices] == ["--ignore 'S24:column public.shop_customer.shoe'"]


def test_what_made_room_is_kept_and_told(want: Objects) -> None:
    damage = ["DROP INDEX shop_product_low", "CREATE INDEX shop_product_low ON shop_product (stock)"]
    with damaged(*damage) as name:
        execute(name, steps_of(look(name, want).findings))
        assert extras(name, want) == ["index public.setwise_old_shop_product_low"]
        finding = only(look(name, want).findings)
        assert (finding.severity, finding.code) == ("info", "S24")
        assert "was kept by a repair" in finding.found


def test_a_role_that_may_not_read_is_told_what_could_not_be_known(want: Objects) -> None:
    with damaged(C + "DROP CONSTRAINT shop_customer_code_key", "CREATE ROLE drift_d_reader") as name:
        try:
            found = tried_as("drift_d_reader", name, want)
            assert "could not be read: the role may not read it" in only(found.of("S11")).refused
        finally:
            run(name, "DROP ROLE drift_d_reader")


def test_where_a_migration_failed_in_the_replay_only_what_models_need_is_called_broken(
    want: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damaging, "expected", lambda want: replace(expected(want), doubtful=["*"]))
    damage = [P + "ADD odd integer NOT NULL DEFAULT 1", P + "ALTER odd DROP DEFAULT", "DROP INDEX shop_product_low"]
    found = tried(want, *damage, C + "DROP COLUMN vip").findings
    assert {(one.code, one.severity) for one in found} == {("S03", "error"), ("S10", "info"), ("S24", "info")}
    assert all(one.steps == [] for one in found)
    assert next(one for one in found if one.code == "S03").refused.startswith("Unprovable: a migration")


def tried_as(role: str, name: str, want: Objects) -> Looked:
    with opened(name) as own:
        with own.cursor() as cursor:
            cursor.execute(f"SET ROLE {role}")
        return looked(own, want, Choices(), 10)


def test_a_foreign_key_that_was_not_checked_meanwhile_is_not_let_hide_its_orphans(want: Objects) -> None:
    damage = ["ALTER TABLE public.shop_product DISABLE TRIGGER ALL", "UPDATE shop_product SET category_id = 99 + id"]
    with damaged(*damage) as name:
        found = look(name, want)
        (finding,) = [one for one in found.of("S22") if one.object.endswith("_category_fk")]
        assert (finding.severity, finding.steps) == ("error", [])
        assert "rows point to what is not there" in finding.refused
        assert [one.option for one in finding.choices] == ["--redefine shop_product_category_fk"]
        assert [one.object for one in found.of("D03")] == [finding.object]
        execute(name, steps_of(look(name, want, Choices(redefine=("shop_product_category_fk",))).findings))
        assert look(name, want).of("S22") == []
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            asked(name, "UPDATE shop_product SET category_id = 999 RETURNING id")


def test_each_way_out_of_another_collation_does_what_it_says(want: Objects) -> None:
    with damaged(A + 'shop_tag ALTER label TYPE text COLLATE "C"') as name:
        (finding,) = look(name, want).of("S21")
        assert [one.option for one in finding.choices] == [
            "--allow-rewrite",
            f"--ignore 'S21:{finding.object}'",
        ]


PARTS = [
    "CREATE TABLE shop_log(id int GENERATED ALWAYS AS IDENTITY, day int, PRIMARY KEY(id, day)) PARTITION BY RANGE(day)",
    "CREATE TABLE shop_log_1 PARTITION OF shop_log FOR VALUES FROM (1) TO (9)",
    "INSERT INTO shop_log (day) VALUES (3), (4)",
]


def test_a_partition_that_was_detached_is_left_so_that_it_can_be_attached(want: Objects) -> None:
    with damaged(*PARTS) as name:
        ought = read(name)
        run(name, "ALTER TABLE shop_log DETACH PARTITION shop_log_1")
        (finding,) = [one for one in look(name, ought).findings if one.severity != "info"]
        assert (finding.code, finding.object, finding.steps) == ("S17", "table public.shop_log_1", [])
        assert "It was detached: attach it" in finding.refused
        run(name, finding.refused.partition("stay so: ")[2].partition(". Its rows")[0])
        assert look(name, ought).serious == []
        assert asked(name, "SELECT count(*) FROM shop_log") == [(2,)]


def test_the_type_of_a_partitions_column_comes_with_that_of_the_whole(want: Objects) -> None:
    with damaged(*PARTS) as name:
        ought = read(name)
        run(name, "ALTER TABLE shop_log ADD v integer DEFAULT 7")
        ought |= {one: found for one, found in read(name).items() if one.endswith(".v")}
        run(name, "ALTER TABLE shop_log ALTER v TYPE bigint")
        execute(name, steps_of(look(name, ought, Choices(allow_rewrite=True)).of("S12")))
        assert look(name, ought).serious == []
