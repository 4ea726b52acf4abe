"""What ought to be by Django's state alone: the same as a migrated database has, on this project; what it can't see."""

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.migrations.recorder import MigrationRecorder

from ops.drift import catalog, comparing, reduced, reduced_types
from ops.drift.model import Node, Row, key
from ops.drift.reduced_doubt import Words

pytestmark = pytest.mark.django_db


def recorded():
    return [Row(one.id, one.app, one.name, one.applied) for one in MigrationRecorder(connection).migration_qs]


def expected(without=()):
    rows = [row for row in recorded() if str(row.node) not in without]
    return reduced.expect("default", rows, "Nothing was replayed: a test.")


def differences(found=None):
    """Return what is missing or other in this database, by key."""
    want = (found or expected()).objects()
    have = catalog.read(connection)
    compared = comparing.compare(want, have)
    return {one.key: one.attributes for one in compared if one.want is not None and not comparing.harmless(one)}


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_a_healthy_database_has_no_difference():
    found = expected()

    assert found.mode == "reduced"
    assert found.notes[0].startswith("Nothing was replayed: a test. Reduced mode: ")
    assert [one.error for one in found.made if one.error] == []
    assert differences(found) == {}


def test_every_table_of_a_model_is_expected_with_its_columns_and_what_its_model_says():
    found = expected()
    want = found.objects()

    migrated = {one.node.app for one in found.made}
    for model in connection.introspection.get_migratable_models():
        if model._meta.app_label not in migrated or not model._meta.managed:
            continue
        table = key("table", "public", model._meta.db_table)
        assert table in want
        assert found.tables[table]["model"] == model._meta.label
        for given in model._meta.local_concrete_fields:
            column = key("column", "public", model._meta.db_table, given.column)
            assert column in want
            assert found.fields[column].name == given.name


def test_what_is_dropped_or_changed_is_a_difference():
    execute(
        "SET CONSTRAINTS ALL IMMEDIATE",
        "DROP TABLE billing_fxrate CASCADE",
        "ALTER TABLE billing_client DROP COLUMN name",
        "ALTER TABLE auth_user ALTER COLUMN username TYPE varchar(300)",
        "ALTER TABLE auth_user ALTER COLUMN email DROP NOT NULL",
        "ALTER TABLE auth_group ALTER COLUMN id DROP IDENTITY",
        "ALTER TABLE auth_user ALTER COLUMN first_name SET DEFAULT 'x'",
        "ALTER TABLE auth_permission DROP CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq",
        "DROP INDEX auth_group_name_a6ea08ec_like",
    )

    found = differences()

    assert found["table public.billing_fxrate"] == []
    assert found["column public.billing_client.name"] == []
    assert found["column public.auth_user.username"] == ["type"]
    assert found["column public.auth_user.email"] == ["not_null"]
    assert found["column public.auth_group.id"] == ["identity"]
    assert found["column public.auth_user.first_name"] == ["default"]
    assert "constraint public.auth_permission.auth_permission_content_type_id_codename_01ab375a_uniq" in found
    assert "index public.auth_group_name_a6ea08ec_like" in found


def test_a_serial_is_as_good_as_an_identity_and_a_name_that_a_table_had_before_as_that_of_today():
    execute(
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ALTER TABLE auth_group ALTER COLUMN id DROP IDENTITY",
        "CREATE SEQUENCE auth_group_id_seq OWNED BY auth_group.id",
        "ALTER TABLE auth_group ALTER COLUMN id SET DEFAULT nextval('auth_group_id_seq')",
        "ALTER TABLE auth_user_groups RENAME CONSTRAINT auth_user_groups_user_id_6a12ed8b_fk_auth_user_id TO old_name",
        "ALTER INDEX auth_user_groups_user_id_6a12ed8b RENAME TO older_name",
        "ALTER TABLE auth_user RENAME CONSTRAINT auth_user_username_key TO oldest_name",
    )

    assert differences() == {}


def test_each_migration_says_what_it_makes_and_pending_ones_come_last():
    last = "auth.0012_alter_user_first_name_max_length"
    found = expected(without=[last])

    assert [(str(one.node), one.recorded) for one in found.made if not one.recorded] == [(last, False)]
    assert str(found.made[-1].node) == last
    made = {str(one.node): one for one in found.made}
    assert set(made["auth.0003_alter_user_email_max_length"].delta) == {"column public.auth_user.email"}
    column = "column public.auth_user.first_name"
    assert found.objects()[column]["type"] == "character varying(30)"
    assert found.objects(Node("auth", "0012_alter_user_first_name_max_length"))[column]["type"] == (
        "character varying(150)"
    )
    # What a migration drops is gone in its delta.
    assert made["contenttypes.0002_remove_content_type_name"].delta["column public.django_content_type.name"] is None


def test_what_only_a_server_spells_is_taken_as_it_is_there():
    want, have = expected().objects(), catalog.read(connection)
    checks = [name for name, one in want.items() if one.get("contype") == "c"]

    assert len(checks) > 10
    assert {want[name]["definition"] == have[name]["definition"] for name in checks} == {True}


def test_what_is_missing_is_made_by_the_words_of_django():
    """Each check and index that has them is dropped and made again so, and the server spells it as before."""
    have = catalog.read(connection)
    known = [
        name
        for name, one in expected().objects().items()
        if one.get("contype") == "c" or (one["kind"] == "index" and one.get("predicate", "") is not None)
    ]
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name in known:
        one = have[name]
        if one["kind"] == "index":
            execute(f'DROP INDEX "{one["name"]}"')
        else:
            execute(f'ALTER TABLE "{one["table"]}" DROP CONSTRAINT "{one["name"]}"')
    want = expected().objects()
    lost = catalog.read(connection)
    # What SQL of migrations names is doubtful, and not looked for.
    known = [name for name in known if name in want]
    assert [name for name in known if "definition" not in want[name]] == []
    for name in known:
        one = want[name]
        if one["kind"] == "index":
            execute(one["definition"].replace(" ? ON", f' "{one["name"]}" ON', 1))
        else:
            execute(f'ALTER TABLE "{one["table"]}" ADD CONSTRAINT "{one["name"]}" {one["definition"]}')
    made = catalog.read(connection)

    assert len(known) > 20
    assert set(known).isdisjoint(lost)
    assert {name: made[name]["definition"] for name in known} == {name: have[name]["definition"] for name in known}


FIELDS = [
    models.CharField(max_length=30), models.TextField(), models.IntegerField(), models.BigIntegerField(),
    models.SmallIntegerField(), models.PositiveIntegerField(), models.BooleanField(), models.DateField(),
    models.DateTimeField(), models.TimeField(), models.DecimalField(max_digits=10, decimal_places=2),
    models.FloatField(), models.UUIDField(), models.JSONField(), models.BinaryField(), models.DurationField(),
    models.GenericIPAddressField(), models.SlugField(), models.URLField(), models.AutoField(primary_key=True),
    models.BigAutoField(primary_key=True), ArrayField(models.CharField(max_length=9)),
    ArrayField(ArrayField(models.IntegerField(), size=3)),
]  # fmt: skip


@pytest.mark.parametrize("given", FIELDS, ids=lambda one: type(one).__name__)
def test_types_are_spelled_as_the_server_spells_them(given):
    given.set_attributes_from_name("x")
    raw = given.db_type(connection)
    execute(f"CREATE TEMPORARY TABLE drift_types (x {raw}) ON COMMIT DROP")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = 'drift_types'::regclass AND attnum = 1"
        )
        (told,) = cursor.fetchone()

    assert reduced_types.spelled(raw) == told


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("timestamp", "timestamp without time zone"), ("timestamptz(3)", "timestamp(3) with time zone"),
        ("numeric(10)", "numeric(10,0)"), ("char", "character(1)"), ("CHAR(32)", "character(32)"),
        ("int[3]", "integer[]"), ("citext", None), ("geometry(POINT,4326)", None), ("vector(3)", None),
    ],
)  # fmt: skip
def test_other_spellings_and_types_that_only_a_server_knows(raw, told):
    assert reduced_types.spelled(raw) == told


def test_sql_that_names_a_view_of_a_table_says_nothing_of_its_indexes_and_sql_of_the_table_does():
    index = {"kind": "index", "name": "shop_by_name", "table": "shop_product"}
    column = {"kind": "column", "name": "price", "table": "shop_product"}

    def told(*statements):
        words = Words()
        words.add(statements)
        return words.has_rule(index), words.of_column(column)

    assert told("CREATE VIEW v AS SELECT price FROM shop_product") == (False, set())
    assert told("DROP INDEX shop_by_name") == (True, set())
    assert told("ALTER TABLE shop_product ALTER COLUMN price TYPE text") == (False, {"type"})
    assert told("ALTER TABLE shop_product DROP CONSTRAINT other") == (True, set())
    assert told("ALTER TABLE {table} ALTER COLUMN price DROP NOT NULL; SELECT 1") == (False, {"not_null"})


def test_nothing_is_written(django_db_blocker):
    rows = recorded()
    execute("SET TRANSACTION READ ONLY")

    assert reduced.expect("default", rows, "A test.").objects()
