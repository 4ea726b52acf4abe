"""What the objects that are there say of each migration."""

from collections.abc import Iterator

import pytest

from ops.drift import judging
from tests.drift.histories import PROJECT, Spec, World, node, world

pytestmark = pytest.mark.django_db
EVERY = [spec.name for spec in PROJECT]


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(PROJECT, monkeypatch) as found:
        yield found


def whats(found: World) -> dict[str, str]:
    return {name: verdict.what for name, verdict in found.verdicts().items()}


ALL_PRESENT = {**dict.fromkeys(EVERY, "present"), "shop.0003_options": "state-only"}


def test_all_that_was_applied_is_present_recorded_or_not(shop: World) -> None:
    shop.apply()
    assert whats(shop) == ALL_PRESENT
    shop.run("TRUNCATE django_migrations")
    assert whats(shop) == ALL_PRESENT


def test_nothing_is_present_in_an_empty_database_recorded_or_not(shop: World) -> None:
    absent = {**dict.fromkeys(EVERY, "absent"), "shop.0003_options": "state-only"}
    assert whats(shop) == absent
    for name in EVERY:
        shop.record(name)
    assert whats(shop) == absent


def test_what_is_pending_is_absent(shop: World) -> None:
    shop.apply("kinds.0001_initial", "shop.0001_initial", "shop.0002_price")
    assert whats(shop) == {
        "kinds.0001_initial": "present",
        "kinds.0002_longer": "absent",
        "shop.0001_initial": "present",
        "shop.0002_price": "present",
        "shop.0003_options": "state-only",
        "shop.0004_seed": "absent",
        "shop.0005_drop": "absent",
    }


def test_some_of_it_says_what_is_missing(shop: World) -> None:
    shop.apply(*EVERY[:4])
    shop.run("DROP INDEX shop_price")
    shop.forget("shop.0002_price")
    verdict = shop.verdicts()["shop.0002_price"]
    assert (verdict.what, verdict.missing) == ("partly", ["index public.shop_price"])
    assert verdict.proven == ["column public.shop.price"]
    assert (verdict.done, verdict.total) == (1, 2)


def test_a_column_that_a_later_migration_drops_proves_the_earlier_by_the_later(shop: World) -> None:
    shop.apply()
    shop.forget("shop.0002_price")
    # Its column and index are gone again, and 0005, which drops them, is seen to be applied.
    assert whats(shop)["shop.0002_price"] == "present"


def test_a_table_that_a_later_one_drops_proves_those_that_changed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    project = (
        *PROJECT[:3],
        Spec("shop.0002_longer", ("ALTER TABLE shop ADD more int",), ("shop.0001_initial",)),
        Spec("shop.0003_less", ("ALTER TABLE shop DROP more",), ("shop.0002_longer",)),
        Spec("shop.0004_gone", ("DROP TABLE shop",), ("shop.0003_less",)),
    )
    with world(project, monkeypatch) as found:
        found.apply()
        assert "absent" not in whats(found).values()


def test_an_index_of_another_name_is_the_same(shop: World) -> None:
    shop.apply(*EVERY[:4])
    shop.run("ALTER INDEX shop_price RENAME TO by_hand")
    verdict = shop.verdicts()["shop.0002_price"]
    assert (verdict.what, sorted(verdict.proven)) == ("present", ["column public.shop.price", "index public.by_hand"])


def test_serial_is_as_good_as_an_identity(shop: World) -> None:
    shop.run("CREATE TABLE kind (id bigserial PRIMARY KEY, name varchar(50))")
    assert whats(shop)["kinds.0001_initial"] == "present"


def test_what_goes_by_a_name_of_a_pending_one_and_is_something_else_is_told(shop: World) -> None:
    shop.apply(*EVERY[:3])
    shop.run("ALTER TABLE shop ADD price text")
    verdict = shop.verdicts()["shop.0002_price"]
    assert (verdict.what, verdict.other, verdict.missing) == (
        "partly", ["column public.shop.price"], ["index public.shop_price"],
    )  # fmt: skip


def test_a_change_made_by_hand_does_not_make_a_pending_one_half_done(shop: World) -> None:
    shop.apply(*EVERY[:4])
    # 0005 drops this column too; but all that it makes is not there.
    shop.run("ALTER TABLE shop DROP price")
    assert whats(shop)["shop.0005_drop"] == "absent"


@pytest.mark.parametrize(
    ("spec", "what", "why"),
    [
        (Spec("a.0001_x", ("SELECT 1",)), "unprovable", "leave no object"),
        (Spec("a.0001_x", python=True), "unprovable", "Python only"),
        (Spec("a.0001_x"), "state-only", "state only"),
        (Spec("a.0001_x", ("CREATE SCHEMA IF NOT EXISTS public",), error="no such role"), "unprovable", "no such role"),
    ],
    ids=["rows", "python", "state", "error"],
)
def test_what_leaves_nothing_can_not_be_proven(
    spec: Spec, what: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world((spec,), monkeypatch) as found:
        verdict = found.verdicts()["a.0001_x"]
    assert verdict.what == what
    assert why in verdict.why


def test_what_is_in_doubt_is_not_called_absent(shop: World) -> None:
    expected = shop.expected(shop.loaded([]))
    expected.doubtful = ["table public.shop"]
    found = judging.judge(expected, shop.have())
    assert found[node("shop.0001_initial")].what == "unprovable"
    assert found[node("kinds.0001_initial")].what == "absent"


def test_what_a_later_migration_drops_with_its_table_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    project = (
        Spec("shop.0001_initial", ("CREATE TABLE shop (id int PRIMARY KEY)", "CREATE TABLE old (id int PRIMARY KEY)")),
        Spec("shop.0002_old", ("CREATE INDEX old_id ON old (id)",), ("shop.0001_initial",)),
        Spec("shop.0003_gone", ("DROP TABLE old",), ("shop.0002_old",)),
    )
    with world(project, monkeypatch) as found:
        found.apply()
        assert whats(found)["shop.0002_old"] != "absent"
        assert found.found() == []
        # The one that somebody drops by hand is.
        found.run("DROP TABLE shop")
        assert whats(found)["shop.0001_initial"] == "partly"
