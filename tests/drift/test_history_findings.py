"""What is found of migrations that were applied and not recorded, or recorded and not applied (H01 to H11, H22)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ops.drift.model import Choices, Finding, HistoryChange
from tests.drift.histories import BEGAN, PROJECT, Spec, World, loading, world

pytestmark = pytest.mark.django_db
EVERY = [spec.name for spec in PROJECT]
LAST = "shop.0005_drop"
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(PROJECT, monkeypatch) as found:
        yield found


def changes(one: Finding) -> list[HistoryChange]:
    return [change for step in one.steps for change in step.history]


def inserted(one: Finding) -> list[tuple[str, datetime | None]]:
    """Return what a finding records, and as of when."""
    assert {change.what for change in changes(one)} <= {"insert"}
    return [(str(change.node), change.applied) for change in changes(one)]


def test_nothing_is_found_on_a_healthy_database(shop: World) -> None:
    shop.apply()
    assert [one for one in shop.found() if one.severity != "info"] == []
    assert shop.found() == []


@pytest.mark.parametrize("upto", range(len(PROJECT)))
def test_what_is_pending_is_no_finding(shop: World, upto: int) -> None:
    if upto:
        shop.apply(*EVERY[:upto])
    assert shop.found() == []


def test_no_history_and_no_tables_is_a_new_database(shop: World) -> None:
    shop.run("DROP TABLE django_migrations")
    [one] = shop.found()
    assert (one.code, one.severity, one.steps) == ("H16", "info", [])
    # Else the findings of schema would miss the table.
    assert "table public.django_migrations" in one.claims


def test_h01_all_of_it_is_there(shop: World) -> None:
    shop.apply()
    shop.forget(LAST)
    [one] = shop.worth().values()
    assert (one.code, one.object, one.migration, one.refused) == ("H01", f"migration {LAST}", LAST, "")
    assert inserted(one) == [(LAST, None)]
    assert "all of its 3 changes" in one.found
    assert one.steps[0].needs == ["column public.shop.cost"]
    assert set(one.claims) == {"column public.shop.cost", "column public.shop.price", "index public.shop_price"}


def test_h01_what_is_missing_is_made_first_and_the_row_waits_for_it(shop: World) -> None:
    shop.apply(*EVERY[:4])
    shop.run("DROP INDEX shop_price")
    shop.forget("shop.0002_price")
    [one] = shop.worth().values()
    assert (one.code, one.refused) == ("H01", "")
    assert "1 of its 2 changes" in one.found
    making, recording = one.steps
    assert (making.object, making.phase) == ("index public.shop_price", "index")
    assert "CREATE INDEX" in making.sql[0]
    assert recording.needs == ["column public.shop.price", "index public.shop_price"]
    assert "index public.shop_price" in one.claims


def test_h01_python_has_to_be_known_by_somebody(shop: World) -> None:
    shop.apply(*EVERY[:6])
    shop.forget("shop.0004_seed")
    [one] = shop.worth().values()
    assert (one.code, one.steps) == ("H01", [])
    assert "RunPython(forwards)" in one.refused
    assert [choice.option for choice in one.choices] == ["--record shop.0004_seed"]
    [one] = shop.worth(Choices(record=("shop.0004_seed",))).values()
    assert inserted(one) == [("shop.0004_seed", None)]


def test_h01_a_later_one_brings_those_before_it_that_leave_no_trace(shop: World) -> None:
    shop.apply()
    shop.forget("shop.0003_options", "shop.0004_seed", LAST)
    found = shop.worth(Choices(record=("shop.0004_seed",)))
    assert [inserted(one) for one in found.values()] == [
        [("shop.0003_options", None)], [("shop.0004_seed", None)], [(LAST, None)],
    ]  # fmt: skip
    # Without that decision what comes after it can't be recorded either: Django would refuse the history.
    found = shop.worth()
    assert found[f"H01 migration {LAST}"].refused == "It depends on shop.0004_seed, which can't be recorded."
    assert found[f"H01 migration {LAST}"].steps == []


def test_h01_what_has_the_name_and_another_form_is_not_taken_for_it(shop: World) -> None:
    shop.apply(*EVERY[:3])
    shop.run("ALTER TABLE shop ADD price text")
    [one] = shop.worth().values()
    assert (one.code, one.steps) == ("H01", [])
    assert one.refused == "column public.shop.price may be somebody else's."


PASSED = (
    PROJECT[0],
    Spec("shop.0001_initial", ("CREATE TABLE shop (id int PRIMARY KEY)",)),
    Spec("shop.0002_more", ("CREATE TABLE more (id int)",), ("shop.0001_initial",)),
    Spec("shop.0003_seed", (), ("shop.0002_more",), python=True),
    Spec("shop.0004_last", ("ALTER TABLE shop ADD last int",), ("shop.0003_seed",)),
)


def test_h01_nothing_is_recorded_that_would_let_migrate_run_python_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(PASSED, monkeypatch) as found:
        found.apply()
        found.forget(*(spec.name for spec in PASSED[1:]))
        shut = found.worth()
        said = found.worth(Choices(record=("shop.0003_seed",)))
    assert {name: [change[0] for change in inserted(one)] for name, one in shut.items() if one.steps} == {
        "H01 migration shop.0001_initial": ["shop.0001_initial"]
    }
    held = shut["H01 migration shop.0002_more"]
    assert "migrate would run shop.0003_seed again" in held.refused
    assert [choice.option for choice in held.choices] == ["--record shop.0003_seed"]
    assert [name for one in said.values() for name, _ in inserted(one)] == [spec.name for spec in PASSED[1:]]


DROPPED = (
    *PROJECT[:4],
    Spec("shop.0003_drop", ("ALTER TABLE shop DROP price", "DROP TABLE kind"), ("shop.0002_price",)),
)


def test_h01_what_it_dropped_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(DROPPED, monkeypatch) as found:
        found.apply()
        found.forget("shop.0003_drop")
        [one] = found.worth().values()
        renamed = (*DROPPED[:-1], replace(DROPPED[-1], name="shop.0003_drop_it"))
        found.record("shop.0003_drop", BEGAN + timedelta(days=5))
        found.project = renamed
        loading(renamed, monkeypatch)
        [other] = found.worth().values()
    assert (one.code, inserted(one), other.code) == ("H01", [("shop.0003_drop", None)], "H09")
    gone = {"column public.shop.price", "index public.shop_price", "table public.kind", "column public.kind.name"}
    assert gone <= set(one.claims)
    assert gone <= set(other.claims)


def test_h01_what_is_pending_before_it_is_run_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(PROJECT, monkeypatch) as found:
        found.apply(*EVERY[:3])
        found.run("CREATE TABLE seed (id int PRIMARY KEY)")
        refused = found.worth(Choices(record=("shop.0004_seed",)))["H01 migration shop.0004_seed"].refused
    assert "which can't be recorded" in refused or "'manage.py migrate shop 0002_price', then repair again" in refused


def test_h02_is_told_where_the_row_could_not_be_written(shop: World) -> None:
    shop.apply()
    shop.forget(LAST)
    shop.run("SELECT setval('django_migrations_id_seq', 3)")
    found = shop.worth()
    assert list(found) == ["D01 column public.django_migrations.id", f"H02 migration {LAST}"]
    assert [one.steps[0].phase for one in found.values()] == ["history table", "history"]


def test_h03_parents_are_recorded_just_before_their_children(shop: World) -> None:
    shop.apply()
    shop.forget("kinds.0001_initial", "kinds.0002_longer")
    found = shop.worth()
    assert list(found) == ["H03 migration kinds.0001_initial", "H03 migration kinds.0002_longer"]
    child = BEGAN + timedelta(days=2)
    assert [inserted(one) for one in found.values()] == [
        [("kinds.0001_initial", child - 2 * MOMENT)], [("kinds.0002_longer", child - MOMENT)],
    ]  # fmt: skip
    assert "recorded before it: shop.0001_initial" in found["H03 migration kinds.0002_longer"].found


def test_h03_absent_parents_are_made_as_they_are_to_be_now(shop: World) -> None:
    shop.apply()
    shop.run("DROP TABLE kind")
    shop.forget("kinds.0001_initial", "kinds.0002_longer")
    found = shop.worth()
    assert {one.code for one in found.values()} == {"H03"}
    first = found["H03 migration kinds.0001_initial"]
    text = " ".join(first.sql)
    assert "CREATE TABLE" in text
    # 0002 made it longer, and is recorded by what this makes.
    assert "(50)" in text
    assert first.steps[-1].history[0].what == "insert"
    assert "table public.kind" in first.steps[-1].needs
    assert "table public.kind" in first.claims


def test_h04_two_leaves_are_for_those_who_wrote_them(monkeypatch: pytest.MonkeyPatch) -> None:
    two = (*PROJECT[:4], Spec("shop.0002_other", (), ("shop.0001_initial",)))
    with world(two, monkeypatch) as found:
        found.apply()
        [one] = found.worth().values()
    assert (one.code, one.object, one.steps) == ("H04", "app shop", [])
    assert "shop.0002_other (recorded) and shop.0002_price (recorded)" in one.found
    assert "makemigrations --merge" in one.refused


def test_h05_all_was_faked(shop: World) -> None:
    for name in EVERY:
        shop.record(name)
    [one] = shop.worth().values()
    assert (one.code, one.steps) == ("H05", [])
    assert [choice.option for choice in one.choices] == ["--unrecord-all"]
    assert {"table public.shop", "table public.kind", "index public.shop_pkey"} - set(one.claims) == {
        "index public.shop_pkey"
    }
    [one] = shop.worth(Choices(unrecord_all=True)).values()
    assert [(change.what, change.id) for change in changes(one)] == [("delete", number) for number in range(1, 8)]


def test_h05_is_refused_where_a_table_of_the_project_is_anywhere(shop: World) -> None:
    for name in EVERY:
        shop.record(name)
    shop.run("CREATE SCHEMA other; CREATE TABLE other.kind ()")
    [one] = shop.worth(Choices(unrecord_all=True)).values()
    assert (one.code, one.steps, one.choices) == ("H05", [], [])
    assert "other.kind" in one.refused
    shop.run("DROP SCHEMA other CASCADE; CREATE TABLE kind (id int)")
    assert not [one for one in shop.found() if one.code == "H05"]


def test_h06_one_was_faked(shop: World) -> None:
    shop.apply(*EVERY[:3])
    shop.record("shop.0002_price", BEGAN + timedelta(days=3))
    [one] = shop.worth().values()
    assert (one.code, one.severity, one.steps, one.refused) == ("H06", "error", [], "")
    assert "column public.shop.price and index public.shop_price" in one.found
    assert [found.code for found in shop.found() if found.severity == "info"] == ["H22"]


def test_h06_what_went_with_its_table_was_not_faked(shop: World) -> None:
    shop.apply()
    shop.run("DROP TABLE shop")
    # The one that made all of it may have been; those that changed it since were not.
    assert list(shop.worth()) == ["H06 migration shop.0001_initial"]


def test_h06_of_an_index_alone_is_no_error(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    project = (*PROJECT[:3], Spec("shop.0002_index", ("CREATE INDEX by_name ON shop (name)",), ("shop.0001_initial",)))
    with world(project, monkeypatch) as found:
        found.apply()
        found.run("DROP INDEX by_name")
        assert [(one.code, one.severity) for one in found.found()] == [("H06", "info"), ("H22", "info")]


def test_h09_a_file_was_renamed(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.apply()
    shop.project = (*PROJECT[:-1], replace(PROJECT[-1], name="shop.0005_drop_price"))
    loading(shop.project, monkeypatch)
    [one] = shop.worth().values()
    assert (one.code, one.object) == ("H09", "migration shop.0005_drop_price")
    [change] = changes(one)
    assert (change.what, str(change.node), change.new_name, change.id) == ("rename", LAST, "0005_drop_price", 7)
    assert one.steps[0].needs == ["column public.shop.cost"]


def test_h09_what_leaves_no_trace_is_renamed_by_a_person_only(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.apply(*EVERY[:5])
    shop.project = tuple(
        replace(spec, name="shop.0003_other", after=spec.after) if spec.name == "shop.0003_options" else spec
        for spec in PROJECT[:5]
    )
    loading(shop.project, monkeypatch)
    [one] = shop.worth().values()
    assert (one.code, one.steps) == ("H08", [])
    option = "--rename shop.0003_options=shop.0003_other"
    assert option in [choice.option for choice in one.choices]
    [one] = shop.worth(Choices(rename=(option.removeprefix("--rename "),))).values()
    assert (one.code, changes(one)[0].new_name) == ("H09", "0003_other")


SQUASHED = "shop.0001_initial_squashed_0002_price"


def test_h11_a_squash_is_recorded_and_the_ghosts_stay(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.apply(*EVERY[:5])
    squash = Spec(SQUASHED, after=("kinds.0002_longer",))
    shop.project = (*PROJECT[:2], squash, replace(PROJECT[4], after=(SQUASHED,)))
    shop.versions = [*shop.versions[:2], {**shop.versions[2], **shop.versions[3]}, shop.versions[4]]
    loading(shop.project, monkeypatch)
    [one] = shop.worth().values()
    assert (one.code, one.object) == ("H11", f"migration {SQUASHED}")
    assert inserted(one) == [(SQUASHED, BEGAN + timedelta(days=4) - MOMENT)]
    assert "0001_initial and 0002_price" in one.found
    told = [found for found in shop.found() if found.code == "H08"]
    assert [(found.severity, found.steps) for found in told] == [("info", [])]


def test_h11_a_squash_of_another_name_is_no_file_that_was_renamed(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.apply()
    shop.forget("shop.0001_initial", "shop.0002_price")
    for name in ("shop.0001_initial", "shop.0002_price"):
        shop.record(name, BEGAN + timedelta(days=2))
    first, second = Spec(SQUASHED, after=("kinds.0002_longer",)), Spec("shop.0003_sq", after=(SQUASHED,))
    shop.project = (*PROJECT[:2], first, second)
    shop.versions = [
        *shop.versions[:2],
        {**shop.versions[2], **shop.versions[3]},
        {**shop.versions[5], **shop.versions[6]},
    ]
    loading(shop.project, monkeypatch)
    found = shop.worth(Choices(record=("shop.0003_sq",)))
    assert list(found) == [f"H11 migration {SQUASHED}", "H11 migration shop.0003_sq"]
    assert [name for one in found.values() for name, _ in inserted(one)] == [SQUASHED, "shop.0003_sq"]
    assert "(0001_initial and 0002_price)" in found[f"H11 migration {SQUASHED}"].found
    assert "(0003_options, 0004_seed and 0005_drop)" in found["H11 migration shop.0003_sq"].found


def test_h10_a_squash_that_is_recorded_needs_the_rows_of_what_it_replaces(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.apply(*EVERY[:5])
    old = ("shop.0001_initial", "shop.0002_price")
    squash = Spec(SQUASHED, after=("kinds.0002_longer",), replaces=old)
    shop.project = (*PROJECT[:2], squash, replace(PROJECT[4], after=(SQUASHED,)))
    shop.versions = [*shop.versions[:2], {**shop.versions[2], **shop.versions[3]}, shop.versions[4]]
    loading(shop.project, monkeypatch)
    assert shop.worth() == {}
    shop.record(SQUASHED)
    shop.forget(*old)
    [one] = shop.worth().values()
    assert one.code == "H10"
    assert [name for name, _ in inserted(one)] == list(old)


def test_h10_without_files_a_person_says_what_was_applied(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.apply(*EVERY[:5])
    squash = Spec(SQUASHED, after=("kinds.0002_longer",), replaces=("shop.0001_initial", "shop.0002_price"))
    shop.project = (*PROJECT[:2], squash, replace(PROJECT[4], after=(SQUASHED,)))
    loading(shop.project, monkeypatch)
    shop.forget("shop.0002_price")
    found = shop.worth()
    # Django leaves the squash out of the graph, and says that there is nothing to migrate.
    assert {one.code for one in found.values()} == {"H10"}
    one = found[f"H10 migration {SQUASHED}"]
    assert [choice.option for choice in one.choices] == ["--record shop.0002_price"]
    one = shop.worth(Choices(record=("shop.0002_price",)))[f"H10 migration {SQUASHED}"]
    assert [name for name, _ in inserted(one)] == ["shop.0002_price"]


@pytest.mark.parametrize("originals", [True, False], ids=["replaces", "its originals are forgotten"])
def test_h14_is_silent_of_a_squash_that_django_records_last(
    shop: World, monkeypatch: pytest.MonkeyPatch, originals: bool
) -> None:
    shop.apply(*EVERY[:5])
    old = ("shop.0001_initial", "shop.0002_price")
    squash = Spec(SQUASHED, after=("kinds.0002_longer",), replaces=old if originals else ())
    shop.project = (*PROJECT[:2], squash, replace(PROJECT[4], after=(SQUASHED,)))
    shop.versions = [*shop.versions[:2], {**shop.versions[2], **shop.versions[3]}, shop.versions[4]]
    loading(shop.project, monkeypatch)
    shop.record(SQUASHED, BEGAN + timedelta(days=9))
    if not originals:
        shop.forget(*old)
    assert not [one for one in shop.found() if one.code != "H08"]
    if originals:
        shop.run("UPDATE django_migrations SET applied = now() WHERE name = '0002_price'")
        [one] = [one for one in shop.found() if one.code == "H14"]
        assert f"shop.0003_options before {SQUASHED}" in one.found


def test_a_fake_zero_brings_the_rows_back(shop: World) -> None:
    shop.apply()
    shop.run("DELETE FROM django_migrations WHERE app = 'shop'")
    found = shop.worth(Choices(record=("shop.0004_seed",)))
    assert [inserted(one)[0][0] for one in found.values()] == EVERY[2:]
    assert {one.code for one in found.values()} == {"H01"}


def test_the_times_of_rows_are_told_and_no_more(shop: World) -> None:
    shop.apply()
    shop.run("UPDATE django_migrations SET applied = now() + interval '1 year' WHERE app = 'kinds'")
    found = shop.found()
    assert [(one.code, one.severity, one.steps) for one in found] == [("H14", "info", [])] * 2
    assert "shop.0001_initial before kinds.0002_longer" in found[1].found
