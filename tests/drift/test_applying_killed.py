"""A repair, or a revert, that is killed right before or after any of its commits: started again, it ends well."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from ops.drift import applying, undoing
from ops.drift.applying import Outcome
from ops.drift.model import HistoryChange, Node, Step
from ops.engine.plan import Refused
from tests.drift import repairing
from tests.drift.repairing import (
    ALIAS,
    Again,
    ask,
    column,
    index,
    killed,
    objects,
    planned,
    states,
    table,
)
from tests.ops.crashing import until


@pytest.fixture(autouse=True)
def _shop(db: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), repairing.shop("repair_killed"):
        yield


MENDED = Step(
    "H09", "migration shop.0009_new", "history", "mend history",
    history=[
        HistoryChange("insert", Node("shop", "0009_new")),
        HistoryChange("rename", Node("shop", "0002_old"), new_name="0002_new"),
    ],
    needs=["table public.shop_tag", "index public.by_name"],
)  # fmt: skip


def left() -> list[Step]:
    """Return the steps that a plan would have by now."""
    there = objects()
    steps = [one for one in (table("shop_tag"), column("colour"), index("by_name")) if one.object not in there]
    names = {row[0] for row in ask("SELECT name FROM django_migrations")}
    return steps if "0009_new" in names else [*steps, MENDED]


def repair() -> Outcome:
    plan = planned(*left())
    return applying.apply(plan, Again(plan), read=objects)


def again(work: Any) -> Any:
    """Do it as soon as the server has noticed that its client is gone."""

    def tried() -> Any:
        try:
            return work()
        except Refused:
            return None

    return until("the server hears that its client is gone", tried)


def well() -> None:
    """Assert that all is there, once, with its entry."""
    assert {"table public.shop_tag", "column public.shop_product.colour", "index public.by_name"} <= set(objects())
    assert objects()["index public.by_name"]["valid"] is True
    names = sorted(row[0] for row in ask("SELECT name FROM django_migrations"))
    assert names == ["0001_initial", "0002_new", "0003_twice", "0003_twice", "0009_new"]
    done = ask("SELECT object_key, count(*) FROM ops_repair_entry WHERE state = 'done' GROUP BY 1 ORDER BY 1")
    assert done == [
        ("column public.shop_product.colour", 1), ("index public.by_name", 1), ("migration shop.0009_new", 2),
        ("table public.shop_tag", 1),
    ]  # fmt: skip
    assert ask("SELECT count(*) FROM ops_repair_entry WHERE state = 'begun'") == [(0,)]
    assert "running" not in states()


def test_a_repair_that_is_killed_at_any_commit_ends_well_when_it_is_started_again() -> None:
    edge, was_killed = 0, True
    start = ask("SELECT to_jsonb(m) FROM django_migrations AS m ORDER BY id")
    while was_killed:
        edge += 1
        was_killed = killed(edge, repair)
        last = again(repair) if was_killed else None
        assert last is None or last.state in ("done", "nothing")
        # What only had to say that it was done is told so by the next one.
        again(lambda: repair() and "running" not in states())
        well()
        ask("DROP TABLE shop_tag; DROP TABLE ops_repair, ops_repair_entry; DROP INDEX by_name")
        ask("ALTER TABLE shop_product DROP COLUMN colour")
        ask("DELETE FROM django_migrations WHERE name = '0009_new'")
        ask("UPDATE django_migrations SET name = '0002_old' WHERE name = '0002_new'")
        assert ask("SELECT to_jsonb(m) FROM django_migrations AS m ORDER BY id") == start
    assert edge > 24


def test_a_revert_that_is_killed_at_any_commit_ends_well_when_it_is_started_again() -> None:
    before, there = ask("SELECT to_jsonb(m) FROM django_migrations AS m ORDER BY id"), objects()
    edge, was_killed = 0, True
    while was_killed:
        edge += 1
        done = repair()
        assert done.state == "done"

        def revert(done: Outcome = done) -> Outcome:
            return undoing.revert(ALIAS, uuid=UUID(done.uuid), read=objects)

        was_killed = killed(edge, revert)
        last = again(revert)
        assert (last.state, [one.detail for one in last.steps if one.state != "done"]) == ("done", [])
        assert (ask("SELECT to_jsonb(m) FROM django_migrations AS m ORDER BY id"), objects()) == (before, there)
        assert "running" not in states()
    assert edge > 16
