"""What is found of migrations whose making was broken off, and of files whose names changed hands (H01, H09)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ops.drift import history, history_findings
from ops.drift.graph import Graph
from ops.drift.model import Choices, Expected, Finding
from tests.drift.histories import BEGAN, PROJECT, Spec, loading, world

pytestmark = pytest.mark.django_db
INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop_price'::regclass"


def phases(one: Finding) -> list[str]:
    return [step.phase for step in one.steps]


def test_h01_an_index_that_was_not_built_to_its_end_is_built_and_then_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(PROJECT, monkeypatch) as found:
        found.apply(*(spec.name for spec in PROJECT[:4]))
        found.forget("shop.0002_price")
        found.run(INVALID)
        assert found.verdicts()["shop.0002_price"].unfinished == ["index public.shop_price"]
        [one] = found.worth().values()
    assert (one.code, one.refused) == ("H01", "")
    assert "1 of its 2 changes are in the catalogue, not valid: index public.shop_price" in one.found
    assert "DROP INDEX CONCURRENTLY" in one.steps[0].sql[0]
    assert phases(one)[-1] == "history"
    assert "index public.shop_price" in one.steps[-1].needs
    assert "index public.shop_price" in one.claims


def test_h01_an_index_alone_that_was_not_built_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Spec("shop.0002_index", ("CREATE INDEX shop_price ON shop (name)",), ("shop.0001_initial",))
    with world((*PROJECT[:3], alone), monkeypatch) as found:
        found.apply()
        assert found.verdicts()["shop.0002_index"].what == "present"
        found.run(INVALID)
        # Of one that is recorded the finding of the index tells.
        assert (found.verdicts()["shop.0002_index"].what, found.found()) == ("present", [])
        found.forget("shop.0002_index")
        [one] = found.worth().values()
    assert (one.code, one.refused, phases(one)[-1]) == ("H01", "", "history")


def test_h01_what_only_alters_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    longer = Spec("shop.0002_longer", ("ALTER TABLE shop ALTER name TYPE varchar(90)",), ("shop.0001_initial",))
    with world((*PROJECT[:3], longer), monkeypatch) as found:
        found.apply()
        found.forget("shop.0002_longer")
        [one] = found.worth().values()
        assert (one.code, one.severity, phases(one)) == ("H01", "warning", ["history"])
        assert "the next migrate does it again" in one.breaks


def test_h01_what_drops_something_would_stop_migrate(monkeypatch: pytest.MonkeyPatch) -> None:
    drops = Spec("shop.0002_nameless", ("ALTER TABLE shop DROP COLUMN name",), ("shop.0001_initial",))
    with world((*PROJECT[:3], drops), monkeypatch) as found:
        found.apply()
        found.forget("shop.0002_nameless")
        assert [(one.code, one.severity) for one in found.worth().values()] == [("H01", "error")]


def test_h01_what_was_not_replayed_is_not_taken_for_one_that_only_alters(monkeypatch: pytest.MonkeyPatch) -> None:
    longer = Spec("shop.0002_longer", ("ALTER TABLE shop ALTER name TYPE varchar(90)",), ("shop.0001_initial",))
    after = Spec("shop.0003_made", ("CREATE TABLE made (id int PRIMARY KEY)",), ("shop.0002_longer",))
    with world((*PROJECT[:3], longer, after), monkeypatch) as found:
        found.apply()
        found.forget("shop.0002_longer", "shop.0003_made")
        whole = found.expected

        def without(loaded: Graph) -> Expected:
            expected = whole(loaded)
            return replace(expected, made=[one for one in expected.made if one.node != longer.node])

        monkeypatch.setattr(found, "expected", without)
        told = {one.object: one for one in found.worth().values()}
    one = told["migration shop.0002_longer"]
    assert (one.code, one.severity, one.steps) == ("H01", "error", [])
    assert "it could not be replayed" in one.refused


KEY = "ALTER TABLE shop ADD CONSTRAINT shop_kind FOREIGN KEY (kind_id) REFERENCES kind (id)"


def test_h01_what_is_not_validated_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    last = Spec("shop.0002_kind", ("ALTER TABLE shop ADD kind_id bigint", KEY), ("shop.0001_initial",))
    with world((*PROJECT[:3], last), monkeypatch) as found:
        found.apply()
        found.run("ALTER TABLE shop DROP CONSTRAINT shop_kind")
        found.run(f"{KEY} NOT VALID")
        found.forget("shop.0002_kind")
        [one] = found.worth().values()
    assert (one.code, one.refused, phases(one)) == ("H01", "", ["history"])


def test_h01_rows_that_break_a_constraint_do_not_keep_its_migration_from_being_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = Spec("shop.0002_kind", ("ALTER TABLE shop ADD kind_id bigint", KEY), ("shop.0001_initial",))
    with world((*PROJECT[:3], last), monkeypatch) as found:
        found.apply()
        found.run("ALTER TABLE shop DROP CONSTRAINT shop_kind; INSERT INTO shop (name, kind_id) VALUES ('a', 7)")
        found.forget("shop.0002_kind")
        [one] = found.worth().values()
    assert (one.code, one.refused, phases(one)[-1]) == ("H01", "", "history")
    assert [statement.endswith("NOT VALID") for step in one.steps[:-1] for statement in step.sql] == [True]


def test_h01_a_way_out_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = Spec("shop.0002_seed", ("ALTER TABLE shop ADD kind_id bigint",), ("shop.0001_initial",), python=True)
    with world((*PROJECT[:3], seed), monkeypatch) as found:
        found.apply("kinds.0001_initial", "kinds.0002_longer", "shop.0001_initial")
        found.run("ALTER TABLE shop ADD kind_id text")
        [one] = found.worth().values()
        assert "RunPython" in one.refused
        assert "somebody else's" in one.refused
        assert [choice.option for choice in one.choices] == ["--record shop.0002_seed"]
        [one] = found.worth(Choices(record=("shop.0002_seed",))).values()
    assert phases(one) == ["history"]


MADE = Spec("shop.0002_made", ("CREATE TABLE made (id int PRIMARY KEY, word text)",), ("shop.0001_initial",))


@pytest.mark.parametrize(
    ("damage", "rename"),
    [
        ("ALTER TABLE made RENAME word TO legacy", "made.legacy=word"),
        ("ALTER TABLE made RENAME TO legacy", "legacy=made"),
    ],
)
@pytest.mark.parametrize("implied", [False, True])
def test_h01_what_has_another_name_now_is_not_made_beside_it(
    monkeypatch: pytest.MonkeyPatch, damage: str, rename: str, implied: bool
) -> None:
    """It would leave the rows behind in the other: which it is, a person has to say, as for what is recorded (S04)."""
    two = Spec("shop.0003_more", ("CREATE TABLE more (id int)",), (MADE.name,))
    made = replace(MADE, sql=(*MADE.sql, "CREATE TABLE other (made_id int REFERENCES made)"))
    with world((*PROJECT[:3], made, two), monkeypatch) as found:
        found.apply(*(spec.name for spec in (*PROJECT[:3], MADE)), *([two.name] if implied else []))
        found.run("INSERT INTO made VALUES (1, 'kept')")
        found.forget(MADE.name)
        found.run(damage)
        [one] = found.worth().values()
        assert (one.code, one.steps) == ("H03" if implied else "H01", [])
        assert "probably renamed" in one.refused
        assert f"--rename {rename}" in [choice.option for choice in one.choices]
        [one] = found.worth(Choices(rename=(rename,))).values()
        assert (one.refused, phases(one)[-1], len(one.steps)) == ("", "history", 2)
        for statement in one.steps[0].sql:
            found.run(statement)
        [one] = found.worth().values()
        assert phases(one) == ["history"]
        assert found.run("SELECT word FROM made") == [("kept",)]


def test_h01_what_a_person_says_was_not_renamed_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with world((*PROJECT[:3], MADE), monkeypatch) as found:
        found.apply()
        found.forget(MADE.name)
        found.run("INSERT INTO made VALUES (1, 'kept'); ALTER TABLE made RENAME word TO legacy")
        [one] = found.worth(Choices(ignore=("S24:column public.made.legacy",))).values()
    assert phases(one) == ["column", "history"]


INDEX = Spec("shop.0002_index", ("CREATE INDEX by_name ON shop (name)",), ("shop.0001_initial",))
NEXT = Spec("shop.0003_next", ("ALTER TABLE shop ADD next int",), (INDEX.name,))


def test_what_somebody_made_under_another_name_is_no_migration_that_was_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = replace(INDEX, sql=(*INDEX.sql, "ALTER TABLE shop ADD more int"))
    for project in ((*PROJECT[:3], INDEX, NEXT), (*PROJECT[:3], two, NEXT)):
        with world(project, monkeypatch) as found:
            found.apply(*(spec.name for spec in PROJECT[:3]))
            found.run("CREATE INDEX by_hand ON shop (name)")
            assert found.worth() == {}
            found.run("TRUNCATE django_migrations")
            [one] = found.worth(Choices(record_history=True)).values()
            assert INDEX.name not in [str(change.node) for step in one.steps for change in step.history]


def test_h01_what_has_another_name_is_recorded_with_what_came_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with world((*PROJECT[:3], INDEX, NEXT), monkeypatch) as found:
        found.apply()
        found.run("ALTER INDEX by_name RENAME TO by_hand")
        found.forget(INDEX.name, NEXT.name)
        told = found.worth()
    assert list(told) == [f"H01 migration {INDEX.name}", f"H01 migration {NEXT.name}"]
    assert [phases(one) for one in told.values()] == [["history"], ["history"]]


PRICE = Spec("shop.0002_price", ("ALTER TABLE shop ADD price int",), ("shop.0001_initial",))
COST = Spec("shop.0003_cost", ("ALTER TABLE shop ADD cost int",), ("shop.0002_price",))


def test_h09_two_files_changed_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    with world((*PROJECT[:3], PRICE, COST), monkeypatch) as found:
        found.apply()
        cost, price = replace(COST, name="shop.0002_cost"), replace(PRICE, name="shop.0003_price")
        found.project = (
            *PROJECT[:3], replace(cost, after=PRICE.after), replace(price, after=(cost.name,)),
        )  # fmt: skip
        found.versions = [*found.versions[:3], found.versions[4], found.versions[3]]
        loading(found.project, monkeypatch)
        told = found.worth()
    assert list(told) == ["H09 migration shop.0002_cost", "H09 migration shop.0003_price"]
    changes = [change for one in told.values() for step in one.steps for change in step.history]
    assert [(str(one.node), one.new_name) for one in changes] == [
        ("shop.0003_cost", "0002_cost"), ("shop.0002_price", "0003_price"),
    ]  # fmt: skip
    assert changes[0].applied == BEGAN + timedelta(days=4)


def test_no_row_is_written_whose_parent_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding may be ignored, or be another app's: what depends on it is left then, all the way down."""
    with world((*PROJECT[:3], PRICE, COST), monkeypatch) as found:
        found.apply()
        found.forget("shop.0001_initial", PRICE.name, COST.name)
        told = found.worth()
        loaded = found.loaded(history.read(found.connection).rows)
    history_findings.settle(told.values(), loaded)
    assert [phases(one) for one in told.values()] == [["history"]] * 3
    first, *others = told.values()
    first.steps = []
    history_findings.settle(told.values(), loaded)
    assert [one.steps for one in others] == [[], []]
    assert others[0].refused == "It depends on shop.0001_initial, which is not recorded by this repair."
