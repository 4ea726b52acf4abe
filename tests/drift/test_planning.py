"""The plan put together: baseline, order, whose app a finding is, snapshot; and that the table of codes is whole."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import override_settings

from ops.drift import planning, preflight
from ops.drift.codes import CODES
from ops.drift.model import Attributes, Expected, Finding, Made, Node, RepairPlan, Row, Severity
from ops.drift.planning import apps_of, baseline, snapshot_of

ROOT = Path(__file__).resolve().parents[2]


def finding(code: str, severity: Severity, thing: str, migration: str = "") -> Finding:
    return Finding(code, severity, thing, "found", migration=migration)


def column(name: str, type_: str, **more: object) -> Attributes:
    return {"kind": "column", "schema": "public", "table": "shop_product", "name": name, "type": type_, **more}


TABLE: Attributes = {"kind": "table", "schema": "public", "name": "shop_product"}


# Codes


def test_every_code_that_is_found_is_in_the_table_and_the_other_way_round() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "ops" / "drift").glob("*.py")
        if path.name not in ("codes.py", "preflight.py")
    )
    made = set(re.findall(r"\"([HSD]\d\d)\"", text))
    assert made - CODES.keys() == set()
    assert CODES.keys() - made == set()


def test_the_page_has_the_table_of_codes() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([HSD]\d\d)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert told == [(one.code, one.title, one.breaks) for one in CODES.values()]


def test_the_page_tells_every_option() -> None:
    from ops.management.commands import repair_migrations, safe_migrate

    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    common = {"-h", "--help", "--version", "-v", "--verbosity", "--settings", "--pythonpath", "--traceback"}
    common |= {"--no-color", "--force-color", "--noinput"}
    for command in (repair_migrations, safe_migrate):
        name = command.__name__.rpartition(".")[2]
        part = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        parser = command.Command().create_parser("manage.py", name)
        options = {option for action in parser._actions for option in action.option_strings} - common
        assert options - set(re.findall(r"`(--[a-z-]+)", part)) == set(), name


# What the replay could not tell


def test_a_recorded_migration_that_failed_in_the_replay_is_told() -> None:
    good, bad, pending = (
        Made(Node("shop", name), recorded=name != "0003_new") for name in ("0001", "0002", "0003_new")
    )
    bad.error, pending.error = "Odd: it wants rows", "Odd: no"
    of_all = Expected("cached", [good, bad, pending], doubtful=["*"])
    (note,) = planning._failed(of_all)
    assert note.startswith("shop.0002 is recorded and failed in the replay (Odd: it wants rows): ")
    assert "differences of any table are notes" in note
    of_all.doubtful = ["table public.shop_product"]
    assert "differences of public.shop_product are notes" in next(planning._failed(of_all))
    assert list(planning._failed(Expected("cached", [good], doubtful=["*"]))) == []


# The baseline


def test_a_baseline_is_a_code_and_an_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "known"
    path.write_text("# old things\nS24 table public.legacy_*  # until May\n\nH08 migration shop.0010_lost\n")
    assert baseline(path) == ("S24:table public.legacy_*", "H08:migration shop.0010_lost")
    with override_settings(OPS_DRIFT_BASELINE=str(path)):
        assert len(baseline(None)) == 2
    assert baseline(None) == ()


@pytest.mark.parametrize("line", ["S24", "Z99 table public.x", "table public.x"])
def test_a_line_that_says_nothing_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "known"
    path.write_text(f"{line}\n")
    with pytest.raises(planning.BadBaseline, match="Line 1 of the baseline"):
        baseline(path)


def test_a_baseline_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(planning.BadBaseline, match="can't be read"):
        baseline(tmp_path / "nowhere")


def test_what_is_ignored_is_a_note_without_steps_and_sorted_behind() -> None:
    made = RepairPlan("default", "replayed")
    made.findings = [finding("S01", "error", "table public.a"), finding("S10", "warning", "index public.b")]
    planning._ignore(made, ("S01:table public.*", "S24:table public.gone"))
    assert [(one.code, one.severity) for one in made.findings] == [("S10", "warning"), ("S01", "info")]
    assert made.findings[1].action == planning.IGNORED
    assert made.notes == ["Nothing is found any more of S24 table public.gone, which is ignored: take it out."]


# Apps


def test_a_finding_belongs_to_the_app_of_its_migration_object_or_table() -> None:
    made = Made(Node("shop", "0001_initial"), recorded=True, delta={"table public.shop_product": TABLE})
    expected = Expected("replayed", [made], tables={"table depot.move": {"model": "depot.Move", "m2m": False}})
    assert apps_of(finding("H06", "error", "migration shop.0002_more", "shop.0002_more"), expected) == {"shop"}
    assert apps_of(finding("S01", "error", "table public.shop_product"), expected) == {"shop"}
    assert apps_of(finding("S24", "info", "column depot.move.extra"), expected) == {"depot"}
    assert apps_of(finding("H04", "error", "app depot"), expected) == {"depot"}
    assert apps_of(finding("H15", "error", "table public.django_migrations"), expected) == set()


# The snapshot


def test_a_snapshot_changes_with_the_catalogue_and_with_the_history() -> None:
    row = Row(1, "shop", "0001_initial", datetime(2026, 1, 1, tzinfo=UTC))
    one = snapshot_of({"table public.shop_product": TABLE}, [row])
    assert one == snapshot_of({"table public.shop_product": dict(TABLE)}, [row])
    assert one != snapshot_of({"table public.shop_product": {**TABLE, "comment": "x"}}, [row])
    assert one != snapshot_of({"table public.shop_product": TABLE}, [])


# What pending migrations touch


def pending(*deltas: dict[str, Attributes | None]) -> Expected:
    first = Made(Node("shop", "0001_initial"), recorded=True, delta={"table public.shop_product": TABLE})
    first.delta["column public.shop_product.code"] = column("code", "character varying(10)")
    made = [Made(Node("shop", f"000{number}_more"), recorded=False, delta=d) for number, d in enumerate(deltas, 2)]
    return Expected("replayed", [first, *made])


@pytest.mark.parametrize(
    ("type_", "rewritten"),
    [
        ("character varying(20)", ""),
        ("text", ""),
        ("character varying", ""),
        ("character varying(5)", "public.shop_product.code becomes character varying(5), was character varying(10)"),
        ("integer", "public.shop_product.code becomes integer, was character varying(10)"),
    ],
)
def test_a_change_of_type_rewrites_unless_it_only_widens(type_: str, rewritten: str) -> None:
    expected = pending({"column public.shop_product.code": column("code", type_)})
    (one,) = preflight.touched(expected, expected.objects())
    assert (one.schema, one.name, one.migrations, one.rewritten) == (
        "public", "shop_product", ("shop.0002_more",), rewritten,
    )  # fmt: skip
    assert one.relation == '"public"."shop_product"'


def test_a_table_that_is_not_there_yet_costs_nothing() -> None:
    box = {"table public.shop_box": {**TABLE, "name": "shop_box"}}
    expected = pending(box, {"column public.shop_box.size": {**column("size", "integer"), "table": "shop_box"}})
    assert preflight.touched(expected, expected.objects()) == []


def test_a_foreign_key_touches_both_tables() -> None:
    key: Attributes = {"kind": "constraint", "schema": "public", "table": "shop_box", "name": "fk"}
    key["references"] = "table public.shop_product"
    expected = pending({"constraint public.shop_box.fk": key})
    assert [one.name for one in preflight.touched(expected, expected.objects())] == ["shop_product"]


def test_a_stored_generated_column_is_computed_for_every_row() -> None:
    expected = pending({"column public.shop_product.total": column("total", "integer", generated="s")})
    (one,) = preflight.touched(expected, expected.objects())
    assert one.rewritten == "public.shop_product.total is computed for every row"
