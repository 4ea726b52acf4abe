"""What a revert puts back and what it leaves: history as it was, and what is still as the repair made it."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from ops.drift import auditing, undoing
from ops.drift.applying import Outcome
from ops.drift.guarding import Direct
from ops.drift.model import HistoryChange, Node, Step
from ops.engine.lifecycle import Declined
from ops.engine.plan import Refused
from tests.drift import repairing
from tests.drift.repairing import ALIAS, apply, ask, column, history, index, objects, recorded, states, table

CASCADES = "taking it back would take others with it"
LEFT = "it is no longer as the repair left it"


@pytest.fixture(autouse=True)
def _shop(db: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), repairing.shop("repair_undoing"):
        yield


def back(outcome: Outcome, **more: Any) -> dict[str, tuple[str, str]]:
    """Take a repair back; return what became of each step."""
    found = undoing.revert(ALIAS, uuid=UUID(outcome.uuid), read=objects, **{"lock_timeout": 0.2, **more})
    assert found.state == "done"
    return {one.title.removeprefix("take back: "): (one.state, one.detail) for one in found.steps}


def rows() -> list[tuple[Any, ...]]:
    return ask("SELECT to_jsonb(m)::text FROM django_migrations AS m ORDER BY m.id")


def test_a_repair_that_is_taken_back_leaves_all_as_it_was() -> None:
    before, there = rows(), objects()
    twice = ask("SELECT id FROM django_migrations WHERE name = '0003_twice' ORDER BY applied DESC")[0][0]
    changes = [
        HistoryChange("rename", Node("shop", "0002_old"), new_name="0002_new"),
        HistoryChange("delete", Node("shop", "0003_twice"), id=twice),
        HistoryChange("insert", Node("shop", "0009_new")),
    ]
    mended = Step("H09", "migration shop.0002_old", "history", "mend history", history=changes)
    unset = Step(
        "S14", "column public.shop_product.price", "column", "set the default",
        ["ALTER TABLE public.shop_product ALTER price SET DEFAULT 7"],
        ["ALTER TABLE public.shop_product ALTER price DROP DEFAULT"],
    )  # fmt: skip
    done = apply(table("shop_tag"), column("colour"), unset, index("by_name"), mended)
    assert done.state == "done"
    assert rows() != before
    assert set(back(done).values()) == {("done", "")}
    assert (rows(), objects()) == (before, there)
    assert states() == ["done", "done"]
    assert ask("SELECT count(*) FROM ops_repair WHERE reverts = %s::uuid", done.uuid) == [(1,)]
    assert back(done) == {}
    assert (rows(), objects()) == (before, there)


def test_a_table_that_has_rows_stays_and_an_empty_one_goes() -> None:
    done = apply(table("shop_tag"), table("shop_box"))
    ask("INSERT INTO shop_tag VALUES (1)")
    assert back(done) == {"create shop_tag": ("left", "it has rows by now"), "create shop_box": ("done", "")}
    assert ask("SELECT id FROM shop_tag") == [(1,)]
    assert "table public.shop_box" not in objects()
    ask("DELETE FROM shop_tag")
    assert back(done) == {"create shop_tag": ("done", "")}


def test_a_table_whose_rows_a_policy_hides_is_not_taken_for_an_empty_one() -> None:
    done = apply(table("shop_tag"))
    ask("INSERT INTO shop_tag VALUES (1)")
    role = "setwise_test_hidden"
    ask(f"CREATE ROLE {role}; ALTER TABLE shop_tag ENABLE ROW LEVEL SECURITY; ALTER TABLE shop_tag OWNER TO {role}")
    ask("ALTER TABLE shop_tag FORCE ROW LEVEL SECURITY")
    try:
        with closing(Direct.open(ALIAS, "test", 1)) as direct:
            (entry,) = auditing.entries(direct, UUID(done.uuid))
            direct.run(f"SET ROLE {role}")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
                undoing.why_kept(direct, entry)
    finally:
        ask(f"DROP TABLE shop_tag; DROP ROLE {role}")


def test_what_belongs_to_a_table_that_stays_stays_with_it() -> None:
    key = Step(
        "S01", "constraint public.shop_tag.once", "constraint", "add once",
        ["ALTER TABLE public.shop_tag ADD CONSTRAINT once UNIQUE (id)"],
        ["ALTER TABLE public.shop_tag DROP CONSTRAINT once"],
    )  # fmt: skip
    sql = ["CREATE INDEX by_tag ON public.shop_tag (id)"]
    over = Step("S01", "index public.by_tag", "index", "build by_tag", sql, ["DROP INDEX public.by_tag"])
    done = apply(table("shop_tag"), key, over, column("colour"))
    ask("INSERT INTO shop_tag VALUES (1)")
    there = objects()
    stays = ("left", "it belongs to shop_tag, which stays")
    rows = ("left", "it has rows by now")
    assert back(done) == {
        "add colour": ("done", ""), "add once": stays, "build by_tag": stays, "create shop_tag": rows,
    }  # fmt: skip
    assert there.keys() - objects().keys() == {"column public.shop_product.colour"}
    ask("DELETE FROM shop_tag")
    assert {state for state, _ in back(done).values()} == {"done"}
    assert "table public.shop_tag" not in objects()


def test_an_index_over_a_column_that_stays_by_an_expression_stays_with_it() -> None:
    done = apply(column("note"), column("colour"), index("by_note", "lower(note)"), index("by_colour", "lower(colour)"))
    ask("UPDATE shop_product SET note = 'kept' WHERE id = 7")
    assert back(done) == {
        "build by_colour": ("done", ""), "add colour": ("done", ""),
        "build by_note": ("left", "it belongs to note, which stays"), "add note": ("left", "it holds values by now"),
    }  # fmt: skip


def test_several_rows_of_one_migration_all_come_back() -> None:
    ask("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0003_twice', '2024-04-03')")
    before = rows()
    keys = [number for (number,) in ask("SELECT id FROM django_migrations WHERE name = '0003_twice' ORDER BY id")]
    changes = [HistoryChange("delete", Node("shop", "0003_twice"), id=number) for number in keys[1:]]
    done = apply(Step("H17", "migration shop.0003_twice", "history", "keep one", history=changes))
    assert len(rows()) == len(before) - 2
    assert back(done) == {"keep one": ("done", "")}
    assert rows() == before


def test_a_column_goes_while_it_holds_nothing_but_what_it_was_added_with() -> None:
    done = apply(
        column("colour"), column("size", "integer NOT NULL DEFAULT 5"), column("paid", "boolean DEFAULT false"),
        column("note"), column("stock", "integer NOT NULL DEFAULT 5"),
    )  # fmt: skip
    ask("UPDATE shop_product SET note = 'kept', stock = 6 WHERE id = 7")
    kept = ("left", "it holds values by now")
    gone = ("done", "")
    assert back(done) == {"add colour": gone, "add size": gone, "add paid": gone, "add note": kept, "add stock": kept}
    assert ask("SELECT note, stock FROM shop_product WHERE id = 7") == [("kept", 6)]


def test_what_is_another_by_now_stays() -> None:
    done = apply(column("colour"), index("by_name"), column("size", "integer"))
    ask("DROP INDEX by_name")
    ask("CREATE INDEX by_name ON shop_product (price)")
    ask("ALTER TABLE shop_product ALTER size TYPE bigint")
    assert back(done) == {"build by_name": ("left", LEFT), "add size": ("left", LEFT), "add colour": ("done", "")}
    assert "price" in objects()["index public.by_name"]["definition"]


def test_what_others_need_stays() -> None:
    done = apply(column("colour"))
    ask("CREATE VIEW colours AS SELECT colour FROM shop_product")
    state, why = back(done)["add colour"]
    assert (state, why.partition(" (")[0]) == (
        "left", "cannot drop column colour of table shop_product because other objects depend on it"
    )  # fmt: skip


def test_what_would_lose_something_is_never_done() -> None:
    never = {
        "raise the sequence": ([], "a sequence never goes backwards", "SELECT setval('one', 5)"),
        "lower it": (["SELECT setval('one', 1)"], "a sequence never goes backwards", "SELECT 2"),
        "take all": (["DROP TABLE public.shop_product CASCADE"], CASCADES, "SELECT 3"),
        "narrow": (["ALTER TABLE public.shop_product ALTER COLUMN price TYPE int"],
                   "values may not fit the former type any more", "SELECT 4"),
        "empty": (["DELETE FROM public.shop_product"], "taking it back would change rows", "SELECT 5"),
        "forget": (["DROP EXTENSION plpgsql"], "an extension stays: what was made since may need it", "SELECT 6"),
    }  # fmt: skip
    ask("CREATE SEQUENCE one")
    done = apply(
        *(
            Step("S01", "table public.shop_product", "other", title, [sql], undo)
            for title, (undo, _, sql) in never.items()
        )
    )
    assert back(done) == {title: ("left", why) for title, (_, why, _) in never.items()}
    assert ask("SELECT count(*) FROM shop_product") == [(50,)]
    assert ask("SELECT last_value FROM one") == [(5,)]


def test_rows_of_history_that_were_changed_since_stay() -> None:
    changes = [
        HistoryChange("rename", Node("shop", "0002_old"), new_name="0002_new"),
        HistoryChange("delete", Node("shop", "0001_initial")),
    ]
    mended = Step("H09", "migration shop.0002_old", "history", "mend history", history=changes)
    done = apply(recorded("0009_new"), recorded("0010_more"), mended)
    ask("UPDATE django_migrations SET applied = now() WHERE name IN ('0009_new', '0002_new')")
    ask("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now())")
    plan = undoing.plan_revert(ALIAS, uuid=UUID(done.uuid), read=objects)
    assert [one.title for one in plan.back] == ["record 0010_more"]
    assert [why for _, why in plan.stays] == [
        "shop.0001_initial was recorded (or removed) again since",
        "the row of shop.0002_new was changed since",
        "the row of shop.0009_new was changed since",
    ]
    before = rows()
    assert back(done)["record 0010_more"] == ("done", "")
    assert rows() == [row for row in before if "0010_more" not in row[0]]


def test_a_row_whose_number_is_taken_gets_another() -> None:
    done = apply(
        Step("H05", "table x", "history", "take out", history=[HistoryChange("delete", Node("shop", "0001_initial"))])
    )
    ask("INSERT INTO django_migrations VALUES (1, 'other', '0001_initial', now())")
    assert back(done) == {"take out": ("done", "")}
    assert history()[-1] == ("shop", "0001_initial", "2024-02-03 04:05:06.789012+00")


def test_the_plan_of_a_revert_changes_nothing() -> None:
    done = apply(table("shop_tag"), recorded("0009_new"))
    before = (rows(), objects(), ask("SELECT count(*) FROM ops_repair"))
    plan = undoing.plan_revert(ALIAS, uuid=UUID(done.uuid), read=objects).as_json()
    assert [one["title"] for one in plan["back"]] == ["record 0009_new", "create shop_tag"]
    assert (plan["run"], plan["left_alone"], plan["state"]) == (None, [], "done")
    with pytest.raises(Declined, match="the repair stays as it is"):
        back(done, confirm=lambda plan: False)
    assert (rows(), objects(), ask("SELECT count(*) FROM ops_repair")) == before


def test_what_is_no_repair_or_was_a_revert_is_refused() -> None:
    with pytest.raises(Refused, match=r"There is no repair .* in database 'repaired'"):
        undoing.plan_revert(ALIAS, uuid=uuid4(), read=objects)
    done = apply(table("shop_tag"))
    reverted = undoing.revert(ALIAS, uuid=UUID(done.uuid), read=objects)
    with pytest.raises(Refused, match="took another one back"):
        undoing.plan_revert(ALIAS, uuid=UUID(reverted.uuid), read=objects)


def test_a_table_of_history_that_was_mended_is_as_it_was() -> None:
    ask("ALTER TABLE django_migrations ALTER id DROP IDENTITY")
    before, there = rows(), objects()
    mend = Step(
        "H18", "column public.django_migrations.id", "history table", "give it its identity",
        ["ALTER TABLE public.django_migrations ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START 100)"],
        ["ALTER TABLE public.django_migrations ALTER id DROP IDENTITY"],
    )  # fmt: skip
    assert set(back(apply(recorded("0009_new"), mend)).values()) == {("done", "")}
    assert (rows(), objects()) == (before, there)
