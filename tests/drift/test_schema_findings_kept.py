"""What a repair leaves to people, and what it tells of it: what made room, row security, a table that is gone."""

import pytest

from ops.drift.model import Choices, Objects
from tests.drift.damaging import asked, damaged, execute, look, looked, opened, read, run, steps_of, tried, undo

pytestmark = pytest.mark.django_db

A = "ALTER TABLE public."
P, F, C = f"{A}shop_product ", f"{A}shop_favourite ", f"{A}shop_customer "


def test_what_made_room_and_refuses_rows_is_told_with_what_drops_it(want: Objects) -> None:
    """A unique constraint that is checked at once goes on being so beside the deferrable one that is made."""
    damage = [P + "DROP CONSTRAINT shop_product_rank", P + "ADD CONSTRAINT shop_product_rank UNIQUE (rank)"]
    with damaged(*damage) as name:
        execute(name, steps_of(look(name, want).findings))
        (finding,) = look(name, want).findings
        assert (finding.code, finding.severity, finding.steps) == ("S11", "warning", [])
        assert finding.refused.startswith("Drop it once shop_product_rank is what you want: ALTER TABLE")
        run(name, finding.refused.partition(": ")[2].removesuffix("."))
        assert look(name, want).findings == []


def test_row_security_of_somebodys_own_is_taken_away_where_that_is_asked_for(want: Objects) -> None:
    with damaged(C + "ENABLE ROW LEVEL SECURITY") as name:
        execute(name, steps_of(look(name, want, Choices(redefine=("shop_customer",))).findings))
        assert look(name, want).findings == []


def test_a_lost_table_is_told_with_who_made_it_and_what_django_still_has_of_it(want: Objects) -> None:
    found = tried(
        want,
        "DROP TABLE shop_customer CASCADE",
        "CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text)",
        "CREATE TABLE auth_permission (id integer PRIMARY KEY, content_type_id integer)",
        "INSERT INTO django_content_type VALUES (7, 'shop', 'customer')",
        "INSERT INTO auth_permission VALUES (1, 7), (2, 7), (3, 8)",
    )
    (finding,) = found.of("S02")
    assert "; made by shop.0001_initial;" in finding.found
    assert "; its content type and 2 permissions are still there." in finding.found


def test_a_table_of_another_owner_is_left_to_those_who_may_alter_it(want: Objects) -> None:
    with damaged("CREATE ROLE drift_d_other", C + "DROP COLUMN nick") as name:
        try:
            with opened(name) as own:
                with own.cursor() as cursor:
                    cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO drift_d_other")
                    cursor.execute("SET ROLE drift_d_other")
                (finding,) = looked(own, want, Choices(), 10).of("S03")
            assert finding.steps == []
            assert "this role may not alter it" in finding.refused
        finally:
            run(name, "DROP OWNED BY drift_d_other", "DROP ROLE drift_d_other")


def test_a_column_takes_its_numbers_from_the_sequence_that_it_shares_again(want: Objects) -> None:
    sequence = "SELECT nextval('shop_numbers')"
    default = (
        "SELECT column_default FROM information_schema.columns "
        "WHERE table_name = 'shop_customer' AND column_name = 'number'"
    )
    with damaged("ALTER TABLE shop_customer ALTER number DROP DEFAULT") as name:
        ((before,),) = asked(name, sequence)
        (finding,) = look(name, want).findings
        assert (finding.code, finding.object) == ("S05", "column public.shop_customer.number")
        execute(name, steps_of([finding]))
        assert asked(name, default) == [("nextval('shop_numbers'::regclass)",)]
        assert asked(name, sequence)[0][0] > before
        undo(name, steps_of([finding]))
        assert asked(name, default) == [(None,)]


def test_a_table_is_made_again_though_its_sequence_was_left_behind(want: Objects) -> None:
    with damaged("DROP TABLE shop_secret", "CREATE SEQUENCE shop_secret_id_seq") as name:
        execute(name, steps_of(look(name, want).of("S01")))
        assert asked(name, "SELECT pg_get_serial_sequence('shop_secret', 'id')") == [("public.shop_secret_id_seq1",)]
        assert look(name, want).serious == []
    with damaged() as name:
        run(name, "CREATE TABLE shop_serial (id bigserial PRIMARY KEY)")
        ought = read(name)
        run(name, "DROP TABLE shop_serial", "CREATE SEQUENCE shop_serial_id_seq")
        execute(name, steps_of(look(name, ought).of("S01")))
        assert asked(name, "SELECT pg_get_serial_sequence('shop_serial', 'id')") == [("public.shop_serial_id_seq1",)]
    with damaged("DROP TABLE shop_secret", "CREATE TYPE shop_secret AS (x integer)") as name:
        (finding,) = look(name, want).of("S01")
        assert (finding.steps, finding.refused.partition(":")[0]) == ([], "The name is that of the type shop_secret")


def test_another_foreign_key_of_its_name_is_not_validated(want: Objects) -> None:
    damage = [
        P + "DROP CONSTRAINT shop_product_category_fk",
        P + "ADD CONSTRAINT shop_product_category_fk FOREIGN KEY (category_id) REFERENCES shop_tag (id) NOT VALID",
    ]
    looked = tried(want, *damage)
    assert [(one.code, one.steps) for one in looked.findings if one.object.endswith("category_fk")] == [("S08", [])]
