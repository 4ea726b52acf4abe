"""What a replay finds: what `migrate` makes, by which migration, and at the recorded set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drift.throwaway import Project, databases, project

pytestmark = pytest.mark.django_db


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as made:
        yield made


ADD = 'migrations.AddField("product", "{0}", models.{1})'


def objects(told: dict[str, object]) -> dict[str, object]:
    """Return what is expected, or found, without the schema that every database has."""
    return {name: one for name, one in told.items() if name != "schema public"}


def test_it_finds_what_migrate_makes(own: Project) -> None:
    own.migration("0002_more", ADD.format("price", "IntegerField(default=3, db_index=True)"), after="0001_initial")
    own.migration(
        "0003_sql",
        'RunSQL("CREATE VIEW shop_names AS SELECT name FROM shop_product", "DROP VIEW shop_names")',
        'migrations.AddField("product", "buyers", models.ManyToManyField("auth.User", related_name="bought"))',
        after="0002_more",
    )
    own.migrate()
    told = own.expect()
    assert told.mode == "replayed"
    assert told.found["notes"] == []
    assert objects(told.found["objects"]) == objects(told.found["have"])
    assert told.made("shop.0002_more")["recorded"]
    assert {"column public.shop_product.price"} < set(told.made("shop.0002_more")["delta"])
    assert "view public.shop_names" in told.made("shop.0003_sql")["delta"]
    assert told.made("shop.0003_sql")["sql"] == 1
    assert "table public.django_migrations" in told.found["base"]
    assert databases() == set()


def test_a_migration_of_state_alone_sends_nothing_and_makes_nothing(own: Project) -> None:
    own.migration("0002_state", 'migrations.AlterModelOptions("product", {"ordering": ["name"]})', after="0001_initial")
    own.migrate()
    made = own.expect().made("shop.0002_state")
    assert (made["statements"], made["delta"], made["error"]) == (0, {}, "")


def test_pending_migrations_are_told_apart(own: Project) -> None:
    own.migrate()
    own.migration("0002_more", ADD.format("price", "IntegerField(default=3)"), after="0001_initial")
    own.migration("0003_less", 'migrations.RemoveField("product", "price")', after="0002_more")
    told = own.expect()
    assert objects(told.found["objects"]) == objects(told.found["have"])
    second, third = told.made("shop.0002_more"), told.made("shop.0003_less")
    assert not second["recorded"]
    assert not second["implied"]
    assert list(second["delta"]) == ["column public.shop_product.price"]
    assert third["delta"] == {"column public.shop_product.price": None}
    assert "column public.shop_product.price" not in told.found["fields"]


def test_an_unrecorded_ancestor_is_implied(own: Project) -> None:
    own.migrate()
    own.sql("DELETE FROM django_migrations WHERE app = 'contenttypes'")
    told = own.expect()
    made = told.made("contenttypes.0001_initial")
    assert (made["recorded"], made["implied"]) == (False, True)
    assert objects(told.found["objects"]) == objects(told.found["have"])


def test_a_squash_stands_for_what_it_replaces(own: Project) -> None:
    own.migration("0002_more", ADD.format("price", "IntegerField(default=3)"), after="0001_initial")
    own.migrate()
    first = (own.path / "shop/migrations/0001_initial.py").read_text()
    squash = first.replace(
        "    dependencies", "    replaces = [('shop', '0001_initial'), ('shop', '0002_more')]\n    dependencies"
    )
    own.write(
        "shop/migrations/0001_squashed.py",
        squash.replace("])]", f"]), {ADD.format('price', 'IntegerField(default=3)')}]"),
    )
    told = own.expect()
    assert told.made("shop.0001_squashed")["recorded"]
    assert [one["node"] for one in told.found["made"] if one["node"][0] == "shop"] == [["shop", "0001_squashed"]]
    assert objects(told.found["objects"]) == objects(told.found["have"])


def test_an_index_that_is_made_concurrently_is_replayed(own: Project) -> None:
    path = own.migration(
        "0002_index",
        'AddIndexConcurrently("product", models.Index(fields=["name"], name="by_name"))',
        after="0001_initial",
        more="from django.contrib.postgres.operations import AddIndexConcurrently",
    )
    path.write_text(path.read_text().replace("    dependencies", "    atomic = False\n    dependencies"))
    own.migrate()
    told = own.expect()
    assert list(told.made("shop.0002_index")["delta"]) == ["index public.by_name"]


def test_a_pending_migration_that_fails_stops_what_comes_after_it_alone(own: Project) -> None:
    own.migrate()
    own.migration(
        "0002_bad", ADD.format("a", "IntegerField(default=1)"), 'RunSQL("SELECT 1 / 0")', after="0001_initial"
    )
    own.migration("0003_after", ADD.format("b", "IntegerField(default=1)"), after="0002_bad")
    own.migration("0002_good", ADD.format("c", "IntegerField(default=1)"), after="0001_initial")
    told = own.expect()
    assert "division by zero" in told.made("shop.0002_bad")["error"]
    assert told.made("shop.0002_bad")["delta"] == {}
    assert "after shop.0002_bad" in told.made("shop.0003_after")["error"]
    assert told.made("shop.0002_good")["error"] == ""
    assert list(told.made("shop.0002_good")["delta"]) == ["column public.shop_product.c"]


def test_of_a_recorded_migration_that_fails_the_rest_is_replayed(own: Project) -> None:
    own.migration(
        "0002_half",
        ADD.format("a", "IntegerField(default=1)"),
        'RunSQL("ALTER TABLE shop_product ALTER COLUMN gone DROP NOT NULL")',
        ADD.format("b", "IntegerField(default=1)"),
        after="0001_initial",
    )
    own.migrate("shop", "0001")
    own.migrate("--fake")
    told = own.expect()
    made = told.made("shop.0002_half")
    assert '"gone" of relation "shop_product" does not exist' in made["error"]
    assert list(made["delta"]) == ["column public.shop_product.a", "column public.shop_product.b"]
    assert told.found["doubtful"] == ["table public.shop_product"]


def test_fields_tell_the_default_that_rows_would_get(own: Project) -> None:
    own.migration(
        "0002_more",
        ADD.format("price", "DecimalField(default='1.50', max_digits=6, decimal_places=2)"),
        ADD.format("note", "CharField(max_length=9, blank=True)"),
        ADD.format("extra", "JSONField(default=dict)"),
        ADD.format("made", "DateTimeField(default=now)"),
        ADD.format("none", "IntegerField(null=True)"),
        'migrations.AddField("product", "buyers", models.ManyToManyField("auth.User", related_name="bought"))',
        after="0001_initial",
        more="from django.utils.timezone import now",
    )
    own.migrate()
    fields = own.expect().found["fields"]
    found = {name: fields[f"column public.shop_product.{name}"] for name in ("price", "note", "extra", "made", "none")}
    assert {name: one["default"] for name, one in found.items()} == {
        "price": "1.50", "note": "''", "extra": "'{}'::jsonb", "made": None, "none": None,
    }  # fmt: skip
    assert "now is called for each row" in found["made"]["default_trouble"]
    assert found["none"]["null"]
    assert found["none"]["default_trouble"] == ""
    assert fields["column public.shop_product_buyers.user_id"]["m2m"]


def test_tables_tell_their_models(own: Project) -> None:
    own.migrate()
    tables = own.expect().found["tables"]
    assert tables["table public.shop_product"] == {"model": "shop.Product", "m2m": False, "app": "shop"}
    assert tables["table public.auth_user_groups"] == {"model": "auth.User_groups", "m2m": True, "app": "auth"}


def test_the_name_of_a_file_is_not_in_the_hash_of_its_operations(own: Project) -> None:
    body = {"after": "0001_initial", "more": "def fill(apps, editor):\n    return None"}
    path = own.migration("0002_more", ADD.format("a", "IntegerField(default=1)"), "RunPython(fill)", **body)
    own.migrate("shop", "0001")
    before = own.expect().made("shop.0002_more")["operations"]
    path.unlink()
    own.migration("0002_other", ADD.format("a", "IntegerField(default=1)"), "RunPython(fill)", **body)
    assert own.expect().made("shop.0002_other")["operations"] == before


def test_schemas_of_the_search_path_are_there(own: Project) -> None:
    own.sql("CREATE SCHEMA shelf")
    own.sql(f"ALTER DATABASE {own.database} SET search_path = shelf, public")
    own.migrate()
    told = own.expect()
    assert "table shelf.shop_product" in told.found["objects"]
    assert "schema shelf" in told.found["base"]
    assert objects(told.found["objects"]) == objects(told.found["have"])
    own.sql("ALTER TABLE shelf.django_migrations SET SCHEMA public")
    own.sql("DROP SCHEMA shelf CASCADE")
    again = own.expect(no_cache=True)
    assert "schema shelf" not in again.found["have"]
    assert "table shelf.shop_product" in again.found["objects"]


def test_what_the_database_has_by_hand_is_lent_where_a_migration_needs_it(own: Project) -> None:
    own.sql("CREATE SCHEMA by_hand")
    own.sql("CREATE SCHEMA unused")
    own.migration("0002_there", 'RunSQL("CREATE TABLE by_hand.item (id bigint PRIMARY KEY)")', after="0001_initial")
    own.migrate()
    told = own.expect()
    assert told.made("shop.0002_there")["error"] == ""
    assert "table by_hand.item" in told.found["objects"]
    assert "schema by_hand" in told.found["base"]
    assert "schema unused" not in told.found["objects"]
