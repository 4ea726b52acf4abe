"""What is found of django_migrations as a table, and as a whole (D01, H12, H15 to H19)."""

import json
from collections.abc import Iterator

import pytest

from ops.drift.model import Choices, Finding
from tests.drift.histories import PROJECT, Spec, World, loading, world

pytestmark = pytest.mark.django_db
EVERY = [spec.name for spec in PROJECT]
ID = "column public.django_migrations.id"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(PROJECT, monkeypatch) as found:
        found.apply()
        yield found


def mended(shop: World, one: Finding) -> None:
    """Run the statements of a finding."""
    for step in one.steps:
        for statement in step.sql:
            shop.run(statement)


def takes_a_row(shop: World) -> bool:
    """Say whether a row can be written as Django writes it."""
    shop.run("INSERT INTO django_migrations (app, name, applied) VALUES ('any', 'row', now())")
    largest = "SELECT id = (SELECT max(m.id) FROM django_migrations AS m) FROM django_migrations WHERE app = 'any'"
    return bool(shop.run(largest)[0][0])


@pytest.mark.parametrize(
    ("damage", "code", "severity"),
    [
        ("SELECT setval('django_migrations_id_seq', 3)", "D01", "error"),
        ("DELETE FROM django_migrations WHERE id = 4; SELECT setval('django_migrations_id_seq', 3)", "D01", "warning"),
        ("ALTER TABLE django_migrations ALTER id DROP IDENTITY", "H18", "error"),
        (
            """
            ALTER TABLE django_migrations
                ALTER id DROP IDENTITY, ALTER id TYPE int, DROP CONSTRAINT django_migrations_pkey;
            ALTER TABLE django_migrations ALTER id DROP NOT NULL
            """,
            "H18",
            "error",
        ),
        ("ALTER TABLE django_migrations DROP id", "H15", "error"),
        (
            """
            ALTER TABLE django_migrations ALTER id DROP IDENTITY;
            CREATE SEQUENCE "user";
            ALTER TABLE django_migrations ALTER id SET DEFAULT nextval('"user"')
            """,
            "D01",
            "error",
        ),
    ],
    ids=["behind", "soon behind", "no identity", "a plain column", "no id", "another sequence"],
)
def test_a_table_that_gives_no_keys_is_mended(shop: World, damage: str, code: str, severity: str) -> None:
    before = shop.run("SELECT app, name, applied FROM django_migrations ORDER BY app, name")
    shop.run(damage)
    one = shop.worth()[f"{code} {ID}"]
    assert (one.severity, one.refused, {step.phase for step in one.steps}) == (severity, "", {"history table"})
    assert ID in one.claims or code == "D01"
    mended(shop, one)
    assert takes_a_row(shop)
    after = shop.run("SELECT app, name, applied FROM django_migrations WHERE app <> 'any' ORDER BY app, name")
    assert set(after) <= set(before)
    assert len(after) >= len(before) - 1
    assert not [one for one in shop.worth() if one.startswith(code)]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("ALTER TABLE django_migrations DROP applied", "no time is invented"),
        ("TRUNCATE django_migrations; ALTER TABLE django_migrations ADD why text NOT NULL", "Django knows nothing"),
        ("ALTER TABLE django_migrations DROP app", "Nothing can be told"),
        ("CREATE RULE nothing AS ON INSERT TO django_migrations DO INSTEAD NOTHING", "drop it by hand"),
        ("CREATE UNIQUE INDEX one_time ON django_migrations (applied)", "drop it by hand"),
        ("ALTER TABLE django_migrations RENAME TO kept; CREATE VIEW django_migrations AS TABLE kept", "a person"),
        ("ALTER TABLE django_migrations ALTER id DROP IDENTITY; ALTER TABLE django_migrations ALTER id TYPE text",
         "can't be an identity"),
        ("ALTER SEQUENCE django_migrations_id_seq MAXVALUE 7", "larger type"),
    ],
    ids=["applied", "a column more", "app", "rule", "unique", "view", "type", "used up"],
)  # fmt: skip
def test_what_only_a_person_can_put_right_is_refused(shop: World, damage: str, says: str) -> None:
    shop.run(damage)
    worst = [one for one in shop.worth().values() if one.code in ("H15", "H18")]
    assert [(one.severity, one.steps) for one in worst] == [("error", [])]
    assert says in worst[0].refused


def test_names_that_are_too_long_for_it_get_room(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.project = (*PROJECT, Spec("shop.0006_that_is_long_for_a_column", after=("shop.0005_drop",)))
    shop.versions = [*shop.versions, {}]
    loading(shop.project, monkeypatch)
    shop.run("ALTER TABLE django_migrations ALTER name TYPE varchar(14)")
    [one] = [one for one in shop.worth().values() if one.code == "H15"]
    assert one.object == "column public.django_migrations.name"
    mended(shop, one)
    assert shop.worth() == {}


def test_a_primary_key_that_is_gone_is_made_again(shop: World) -> None:
    shop.run("ALTER TABLE django_migrations DROP CONSTRAINT django_migrations_pkey")
    [one] = shop.worth().values()
    thing = "constraint public.django_migrations.django_migrations_pkey"
    assert (one.code, one.severity, one.object, one.refused) == ("H15", "warning", thing, "")
    mended(shop, one)
    assert shop.worth() == {}
    shop.run(one.steps[0].undo[0])
    shop.run("UPDATE django_migrations SET id = 1")
    assert [(found.object, found.steps) for found in shop.worth().values() if found.object == thing] == [(thing, [])]


def test_a_trigger_is_told_and_no_more(shop: World) -> None:
    shop.run(
        """
        CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER logs AFTER INSERT ON django_migrations FOR EACH ROW EXECUTE FUNCTION log()
        """
    )
    assert [(one.code, one.severity) for one in shop.found()] == [("H15", "info")]


def test_h17_the_older_row_stays(shop: World) -> None:
    shop.record("shop.0004_seed")
    shop.record("kinds.0001_initial")
    found = shop.worth()
    assert list(found) == ["H17 migration kinds.0001_initial", "H17 migration shop.0004_seed"]
    seed = found["H17 migration shop.0004_seed"]
    assert (seed.severity, found["H17 migration kinds.0001_initial"].severity) == ("error", "warning")
    assert "look at its data" in seed.found
    # Written later, and as of an earlier time.
    assert [(change.what, change.id) for change in seed.steps[0].history] == [("delete", 6)]


def test_h17_without_keys_nothing_tells_the_rows_apart(shop: World) -> None:
    shop.run("ALTER TABLE django_migrations DROP id")
    shop.record("shop.0004_seed")
    assert shop.worth()["H17 migration shop.0004_seed"].steps == []


def test_h19_names_that_differ_in_case(shop: World) -> None:
    shop.record("shop.0004_Seed")
    one = shop.worth()["H19 migration shop.0004_Seed"]
    assert (one.severity, one.steps) == ("warning", [])
    assert "shop.0004_seed" in one.found


def test_h16_the_state_that_is_there_is_recorded_when_a_person_says_so(shop: World) -> None:
    shop.run("TRUNCATE django_migrations")
    shop.run("ALTER TABLE shop DROP cost, ADD price numeric(9, 2); CREATE INDEX shop_price ON shop (price)")
    [one] = shop.worth().values()
    assert (one.code, one.steps) == ("H16", [])
    assert [choice.option for choice in one.choices] == ["--record-history"]
    assert "kinds.0002_longer and shop.0004_seed" in one.found
    [one] = shop.worth(Choices(record_history=True)).values()
    assert [str(change.node) for step in one.steps for change in step.history] == EVERY[:-1]
    assert "table public.shop" in one.claims


def test_h16_a_table_that_is_gone_is_made_as_django_makes_it(shop: World) -> None:
    shape = shop.have()
    shop.run("DROP TABLE django_migrations")
    [one] = shop.worth(Choices(record_history=True)).values()
    assert [step.phase for step in one.steps] == ["history table", *["history"] * len(EVERY)]
    mended(shop, one)
    assert shop.have() == shape
    for name in EVERY:
        shop.record(name)
    assert shop.worth() == {}


def test_h16_what_no_state_explains_is_refused(shop: World) -> None:
    shop.run("TRUNCATE django_migrations")
    shop.run("DROP TABLE kind")
    [one] = shop.worth(Choices(record_history=True)).values()
    assert (one.code, one.steps) == ("H16", [])
    assert "kinds.0001_initial is absent" in one.refused


SHADOW = """
    CREATE SCHEMA own;
    CREATE TABLE own.django_migrations (LIKE public.django_migrations INCLUDING ALL)
"""


def test_h16_names_the_python_that_migrate_would_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told behind what leaves no trace, too; with it all that it comes after is recorded."""
    last = Spec("shop.0003_seed", (), ("shop.0003_options",), python=True)
    after = Spec("shop.0004_more", ("CREATE TABLE more (id int)",), (last.name,))
    behind = Spec("shop.0005_python", (), (after.name,), python=True)
    with world((*PROJECT[:4], PROJECT[4], last, after, behind), monkeypatch) as found:
        found.apply(*(spec.name for spec in (*PROJECT[:5], last)))
        found.run("TRUNCATE django_migrations")
        [one] = found.worth().values()
        assert f"Nothing tells whether {last.name} ran: migrate will run it." in one.found
        assert [choice.option for choice in one.choices] == ["--record-history", f"--record {last.name}"]
        [one] = found.worth(Choices(record_history=True, record=(last.name,))).values()
        [refused] = found.worth(Choices(record_history=True, record=(behind.name,))).values()
    assert [str(change.node) for step in one.steps for change in step.history] == [
        *(spec.name for spec in PROJECT[:5]), last.name,
    ]  # fmt: skip
    assert refused.steps == []
    assert f"{after.name} is absent, and {behind.name} needs it" in refused.refused


def test_h16_tells_what_is_missing_of_the_state_that_would_be_recorded(shop: World) -> None:
    shop.run("TRUNCATE django_migrations")
    shop.run("DROP TABLE seed")
    [one] = shop.worth().values()
    assert one.code == "H16"
    assert "are, but for some" in one.found
    assert "Missing of what they make: table public.seed; once they are recorded" in one.found


def test_h12_another_history_that_knows_more(shop: World) -> None:
    shop.run(SHADOW)
    shop.run("ALTER DATABASE test_drift_actual SET search_path = own, public")
    shop.connection.close()
    [one] = shop.worth(Choices(record_history=True)).values()
    assert (one.code, one.object, one.steps) == ("H12", "table public.django_migrations", [])
    assert "search_path: own and public" in one.found


def test_h12_rows_that_were_moved_to_another_schema(shop: World) -> None:
    shop.run(SHADOW)
    shop.run("INSERT INTO own.django_migrations SELECT m.* FROM django_migrations AS m; TRUNCATE django_migrations")
    found = shop.worth(Choices(record_history=True))
    assert list(found) == ["H12 table own.django_migrations", "H16 table public.django_migrations"]
    assert [one.steps for one in found.values()] == [[], []]
    assert "(H12)" in found["H16 table public.django_migrations"].refused


def test_h12_all_of_it_is_in_a_schema_outside_of_the_search_path(shop: World) -> None:
    for table in ("django_migrations", "kind", "shop", "seed"):
        shop.run(f"CREATE SCHEMA IF NOT EXISTS app; ALTER TABLE {table} SET SCHEMA app")
    [one] = shop.worth().values()
    assert (one.code, one.severity, one.object, one.steps) == ("H12", "warning", "table app.django_migrations", [])
    assert "are in app, outside of the search_path, and migrate would make all of them a second time in public" in (
        one.found
    )
    # With a history of its own, each is one of several tenants.
    shop.run("CREATE TABLE django_migrations (LIKE app.django_migrations INCLUDING ALL)")
    shop.run("INSERT INTO django_migrations SELECT m.* FROM app.django_migrations AS m WHERE m.app = 'kinds'")
    assert not [found for found in shop.found() if found.code == "H12" and found.severity != "info"]


def test_h12_an_empty_history_that_hides_the_one_of_the_tables(shop: World) -> None:
    shop.run(SHADOW)
    shop.run("ALTER DATABASE test_drift_actual SET search_path = own, public")
    shop.connection.close()
    # What ought to be is replayed with that search_path too: no migration has its objects there.
    shop.versions = json.loads(json.dumps(shop.versions).replace("public", "own"))
    [one] = shop.worth(Choices(record_history=True)).values()
    assert (one.code, one.severity, one.object, one.steps) == ("H12", "error", "table public.django_migrations", [])
    assert "public.django_migrations has 7 rows, own.django_migrations, which Django reads, 0" in one.found
    assert "migrate would make all of them a second time in own" in one.found
    assert "correct the search_path of the role or of OPTIONS" in one.refused
    # With tables of its own beside it, it is another tenant's.
    shop.run("CREATE TABLE own.kind ()")
    assert shop.worth() == {}


def test_h12_a_copy_in_another_schema_harms_nobody(shop: World) -> None:
    shop.run("CREATE SCHEMA tenant; CREATE TABLE tenant.django_migrations AS SELECT m.* FROM django_migrations AS m")
    assert [(one.code, one.severity) for one in shop.found()] == [("H12", "info")]


def test_h08_ghosts_by_what_became_of_them(shop: World) -> None:
    for name in ("shop.0010_lost", "goneapp.0001_initial"):
        shop.run("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", name.split("."))
    found = [one for one in shop.found() if one.code == "H08"]
    assert [(one.object, one.severity, one.steps) for one in found] == [
        ("migration shop.0010_lost", "warning", []), ("migration goneapp.0001_initial", "info", []),
    ]  # fmt: skip
    assert [choice.option for choice in found[0].choices] == ["--prune shop.0010_lost"]
    prune = Choices(prune=("shop.0010_lost",))
    [change] = shop.worth(prune)["H08 migration shop.0010_lost"].steps[0].history
    assert (change.what, str(change.node), change.id) == ("delete", "shop.0010_lost", 8)
    shop.run("CREATE INDEX of_the_lost ON shop (name)")
    one = shop.worth(prune)["H08 migration shop.0010_lost"]
    assert one.steps == []
    assert "index public.of_the_lost" in one.refused
    shop.run("DROP INDEX of_the_lost; ALTER TABLE shop ADD of_the_lost text")
    one = shop.worth(prune)["H08 migration shop.0010_lost"]
    assert one.steps == []
    assert "column public.shop.of_the_lost" in one.refused


def test_h08_an_app_that_was_renamed_loses_nothing(shop: World) -> None:
    shop.run("UPDATE django_migrations SET app = 'store' WHERE app = 'shop'")
    found = shop.worth(Choices(record=("shop.0004_seed",)))
    assert {one.code for one in found.values() if one.steps} == {"H01"}
    assert {change.what for one in found.values() for step in one.steps for change in step.history} == {"insert"}
    [told] = [one for one in shop.found() if one.code == "H08"]
    # Nothing is in the way: the tables are there, and its migrations are recorded by them.
    assert (told.object, told.severity, told.steps, told.refused) == ("app store", "info", [], "")
    assert told.found.endswith("whose objects are there: the app was renamed.")
    shop.run("ALTER TABLE shop RENAME TO store; DROP TABLE seed")
    [told] = [one for one in shop.found() if one.code == "H08"]
    assert (told.severity, told.steps) == ("warning", [])
    assert "migrate would make them anew, empty" in told.found


def test_h08_a_name_that_every_app_has_tells_no_new_label(shop: World) -> None:
    shop.forget("kinds.0001_initial", "kinds.0002_longer")
    shop.record("blog.0001_initial")
    told = [one.found for one in shop.found() if one.code == "H08"]
    assert told == ["1 row without a file (blog.0001_initial): app 'blog' is not installed."]


def test_h08_what_no_migration_explains_stays_and_that_is_said(shop: World) -> None:
    shop.record("goneapp.0001_initial")
    shop.run("CREATE FUNCTION of_the_gone() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    one = shop.worth(Choices(prune=("goneapp.0001_initial",)))["H08 migration goneapp.0001_initial"]
    assert (one.severity, one.steps) == ("warning", [])
    assert "function public.of_the_gone()" in one.refused
